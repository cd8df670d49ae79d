"""Seeded episodes on the lab: what happens to a pair, what people do, and their judge."""

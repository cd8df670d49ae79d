"""Pairs as their owners set them up, generated: what stands in their files, what runs, and what hactl makes of them."""

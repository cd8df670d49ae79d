"""Simulated nodes to try things on."""

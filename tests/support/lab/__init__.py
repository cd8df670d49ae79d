"""Simulated pairs in virtual time: the whole loop, converged pairs, recordings and whether a cluster serves."""

"""Simulated FreeBSD nodes: a CARP and HAST world, a shell for each node, an SSH front."""

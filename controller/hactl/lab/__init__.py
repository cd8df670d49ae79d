"""Simulated FreeBSD nodes: a CARP and HAST world, a shell for each node, an SSH front.

From the ground: what happens when (process, fiber, clock, events), files, what a part may know of its machine (host);
the parts (storage, kernel, hast, rc) and the world between machines; what runs on one (program, shell, boot, commands);
the machine that composes them; worlds for documents (build), and the ways in (front).
"""

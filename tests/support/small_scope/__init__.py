"""Every interleaving of a few events on the smallest pair: its alphabet, its walk and its judges."""

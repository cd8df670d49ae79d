"""Whether a service runs: who is asked on the node, and what the answer comes to."""

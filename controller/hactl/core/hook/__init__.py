"""The node hook: the program as a node gets it, and which of devd's rules keep it from being called."""

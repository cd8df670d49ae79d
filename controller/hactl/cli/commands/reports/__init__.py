"""How clusters are, what happened to them, and why."""

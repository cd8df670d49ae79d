"""The shell of a node: scripts run for real in bashkit, where what FreeBSD lacks is missing too."""

"""Nodes over SSH: warm connections on which sh scripts run."""

"""The ways into a lab: `ports.Nodes` for tests; for people SSH servers, and a socket that breaks things on purpose."""

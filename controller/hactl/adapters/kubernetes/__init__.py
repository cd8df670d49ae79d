"""A client of a Kubernetes API, and what hactl keeps there: its leases and its credentials."""

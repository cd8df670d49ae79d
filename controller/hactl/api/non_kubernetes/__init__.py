"""What the API serves that is not Kubernetes': health, metrics, tokens, nudges, the stream of changes."""

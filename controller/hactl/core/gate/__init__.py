"""The gate of a node: what stands behind a key that can do only what it must (docs/security.md)."""

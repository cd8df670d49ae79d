"""The API on sockets: listeners, TLS, and how answers are written to them."""

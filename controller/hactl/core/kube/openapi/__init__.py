"""The API described for its clients, in OpenAPI v3."""

"""Who owns which field: server-side apply, and everything it is made of."""

"""hastd's workers: a primary with its threads and its provider, a secondary, and the way between them."""

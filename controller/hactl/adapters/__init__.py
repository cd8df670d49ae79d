"""One outside thing and one library each."""

"""The command line: what people type, what they are shown, and what a command asks of the API or the record."""

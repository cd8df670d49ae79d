"""The API as commands see it: a server, or this process on the record."""

"""The record in one SQLite file, which several processes share."""

"""Parsers: text that FreeBSD prints, in; facts, out. Text they do not understand is Unknown, never a guess."""

"""Parsers: text that FreeBSD prints, in; facts, out. Text they do not understand is Unknown, never a guess."""

from hactl.core.parse.answer.node import parse_probe

__all__ = ["parse_probe"]

"""The record: its rules, written once, over a backend that keeps the tables."""

"""hast."""

"""Documents: check, compare, plan, hand in."""

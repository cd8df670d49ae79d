"""A second opinion on every plan, written separately: it reads what commands would do and shares no code with plan."""

"""Pure nouns: everything that decides. No loop, clock, chance, environment, files or logging."""

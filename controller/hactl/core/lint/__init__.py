"""What is likely to go wrong with documents that are valid: rules, each with a code and a section in docs/lint.md."""

"""The document: reading it, its rules, its faults in a person's words, its shape for machines."""

"""non_kubernetes."""

"""The kernel of a node: interfaces, CARP, modules, sysctls, and devd(8) with the events it gets."""

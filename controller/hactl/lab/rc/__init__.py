"""rc(8) of a node: its scripts and their order, the variables of rc.conf(5), boot, shutdown, what runs."""

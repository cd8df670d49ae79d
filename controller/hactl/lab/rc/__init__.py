"""What rc(8) of a node knows: its scripts and their order, the texts of /etc, variables, and what runs."""

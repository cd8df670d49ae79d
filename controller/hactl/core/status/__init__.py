"""What is told of a cluster: its status, its conditions, whether a failover would work, and what changed."""

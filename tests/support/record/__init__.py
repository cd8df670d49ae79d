"""What records live through: disks that are full, years of a fleet."""

"""What stands behind the ports: one outside thing and one library in each room."""

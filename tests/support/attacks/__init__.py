"""What attackers send to a running `hactl run`: each with what must be seen."""

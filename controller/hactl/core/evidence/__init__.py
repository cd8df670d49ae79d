"""What the facts of all nodes show together: who counts, which copy is newer, who wins an election, and why two did."""

"""What the facts will be after a stage: the planner looks ahead by reading its own changes, never their text."""

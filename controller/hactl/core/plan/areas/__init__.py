"""The areas of a plan, one module each: the steps and the holds about one part of what the nodes run."""

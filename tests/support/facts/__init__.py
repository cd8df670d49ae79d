"""Hand-built facts for tests of the core: scenes, their plans, and plans written by hand for the audit."""

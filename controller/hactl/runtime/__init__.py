"""Async verbs: observe, execute, reconcile, and the loop that drives them. They await and decide nothing."""

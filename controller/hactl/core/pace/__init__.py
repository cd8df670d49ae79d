"""Whether a pass may act and when to look again: modes, pauses, approvals, backoff, conflicts, as pure functions."""

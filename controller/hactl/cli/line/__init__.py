"""The command line itself: options that may stand anywhere on it, what a shell completes, its manual pages."""

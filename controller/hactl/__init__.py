"""hactl: a reconciling controller for FreeBSD high-availability clusters."""

__version__ = "0.1.0"

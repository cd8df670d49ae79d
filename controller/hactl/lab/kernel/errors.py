"""What the kernel answers to a call it does not carry out."""

from __future__ import annotations


class KernelError(Exception):
    """An ioctl, a kld or sysctl call failed; its text is FreeBSD's strerror."""

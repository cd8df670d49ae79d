"""Text of the program that is not Python: files in sh that stand in its packages.

They are part of the program, and read like it: once, when the module that uses them is imported. So core stays pure:
nothing is read while something is decided.
"""

from __future__ import annotations

import pkgutil


def packaged(package: str, name: str) -> str:
    """The text of a file of that package. Raises OSError when the installation is broken."""
    data = pkgutil.get_data(package, name)
    if data is None:
        raise OSError(f"{package} cannot give its file {name}")
    return data.decode()

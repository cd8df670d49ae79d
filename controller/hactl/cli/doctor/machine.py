"""This machine: Python, the libraries, how many files may be open. Nothing is changed."""

from __future__ import annotations

import platform
import resource
from collections.abc import Callable, Iterator
from importlib import import_module, metadata

from hactl import __version__
from hactl.adapters.record.sqlite.file import sqlite_version
from hactl.cli.doctor.finding import Finding

#: What hactl does not run without: distribution -> module.
LIBRARIES = {
    "aiohttp": "aiohttp",
    "asyncssh": "asyncssh",
    "click": "click",
    "cryptography": "cryptography",
    "pydantic": "pydantic",
    "ruamel.yaml": "ruamel.yaml",
    "sqlite-utils": "sqlite_utils",
}
#: Descriptors of a controller without nodes: the record, the API's connections, sources.
USUAL_DESCRIPTORS = 256
#: More for each node: its connection, a few execs, a stream.
DESCRIPTORS_PER_NODE = 4


def machine(
    nodes: int, *, soft_limit: int | None = None, load: Callable[[str], object] = import_module
) -> Iterator[Finding]:
    """What this machine is. `nodes`: how many the documents name; `soft_limit`: of open files, None: this process's."""
    where = f"{platform.system()} {platform.release()}"
    yield Finding("ok", "machine", "hactl", f"{__version__}, Python {platform.python_version()} on {where}")
    for name, module in LIBRARIES.items():
        try:
            load(module)
            yield Finding("ok", "machine", name, metadata.version(name))
        except (ImportError, metadata.PackageNotFoundError) as error:
            yield Finding("fail", "machine", name, f"cannot be loaded: {error}", "install hactl again, with pip or pkg")
    yield Finding("ok", "machine", "SQLite", sqlite_version())
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if soft_limit is None else soft_limit
    wanted = USUAL_DESCRIPTORS + DESCRIPTORS_PER_NODE * nodes
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        yield Finding("ok", "machine", "open files", f"{limit} may be open, {wanted} are enough for {nodes} nodes")
    else:
        text = f"only {limit} may be open; {nodes} nodes and the API want {wanted}"
        yield Finding("warn", "machine", "open files", text, f"ulimit -n {wanted} before hactl run, or in login.conf")

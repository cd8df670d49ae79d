"""What hastd does on SIGHUP: all or nothing while the file is read, then resource by resource.

Rules:
- sbin/hastd/hastd.c:hastd_reload, resource_needs_restart, resource_needs_reload; docs/freebsd-facts.md#2.3; recording
  07.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Protocol

from hactl.lab.hast.config_grammar import ConfigError, HastConfig, ResourceConfig
from hactl.lab.hast.processes import MainProcess, Resource, Role
from hactl.lab.hast.worker.primary import PrimaryWorker

#: A change of these restarts a resource that is not primary.
ANY = (
    "local", "provname", "remote", "source", "replication", "checksum", "compression", "timeout", "exec",
    "metaflush",
)  # fmt: skip
#: A change of these restarts a primary: its device is destroyed and made again.
PRIMARY = ("local", "provname")
#: How often a main process that waits for its worker is looked at.
STUCK_SECONDS = 1.0
#: A change of these makes a primary close its connection.
CONNECTION = ("remote", "source", "replication")


class Reloadable(MainProcess, Protocol):
    """The main process, as a reload changes it."""

    pid: int | None
    config: HastConfig

    def read_config(self) -> HastConfig: ...
    def add(self, name: str, config: ResourceConfig) -> None: ...
    def change_role(self, resource: Resource, role: Role) -> Iterator[float]: ...


def reload(hast: Reloadable) -> Iterator[float]:
    """Read the file again and apply it; yields the seconds the main process is blocked."""
    hast.log_main("info", "Reloading configuration...")
    try:
        new = hast.read_config()
    except ConfigError as error:
        hast.log_main("error", error.text)
        hast.log_main("error", "Configuration not reloaded.")
        return
    _listen(hast, new)
    for resource in [each for name, each in hast.resources.items() if name not in new.resources]:
        yield from hast.change_role(resource, "init")
        del hast.resources[resource.name]
        hast.log_main("info", f"Resource {resource.name} removed.")
    for name, config in new.resources.items():
        if name not in hast.resources:
            hast.add(name, config)
            hast.log_main("info", f"Resource {name} added.")
        else:
            yield from _change(hast, hast.resources[name], config)
    hast.resources = {name: hast.resources[name] for name in new.resources}
    _move_files(hast, new)
    hast.config = new
    hast.log_main("info", "Configuration reloaded successfully.")


def _listen(hast: Reloadable, new: HastConfig) -> None:
    for address in hast.config.listen:
        if address in new.listen:
            hast.log_main("info", f"Keep listening on address {address}.")
        else:
            hast.log_main("info", f"No longer listening on address {address}.")
    for address in new.listen:
        if address not in hast.config.listen:
            hast.log_main("info", f"Listening on new address {address}.")


def _move_files(hast: Reloadable, new: HastConfig) -> None:
    files = hast.machine.files
    if new.control != hast.config.control:
        files.remove_node(hast.config.control)
        files.make_node(new.control, "socket", mode=0o755)
    if new.pidfile != hast.config.pidfile:
        files.write_text(new.pidfile, str(hast.pid), 0o600)


def _differs(old: ResourceConfig, new: ResourceConfig, names: tuple[str, ...]) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _change(hast: Reloadable, resource: Resource, new: ResourceConfig) -> Iterator[float]:
    old = resource.config
    if not _differs(old, new, ANY):
        return
    if resource.role != "primary" or _differs(old, new, PRIMARY):
        hast.log_main("info", f"Resource {resource.name} configuration was modified, restarting it.")
        role = resource.role
        yield from hast.change_role(resource, "init")
        resource.config = copy.copy(new)
        yield from hast.change_role(resource, role)
        return
    hast.log_main("info", f"Resource {resource.name} configuration was modified, reloading it.")
    resource.config = copy.copy(new)
    worker = resource.worker
    if isinstance(worker, PrimaryWorker):
        closes = worker.link is not None and _differs(old, new, CONNECTION)
        worker.reconfigure(reconnect=closes)
        # The worker tells that it closed its connection and waits for an answer; the main process waits for the
        # worker's word on the reload: for ever, unless somebody kills the worker (docs/freebsd-facts.md#7.68).
        while closes and not worker.ended:
            yield STUCK_SECONDS
        if closes:
            hast.log_main("error", "Unable to receive reload reply: Socket is not connected.", resource)

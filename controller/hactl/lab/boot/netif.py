"""rc.d/netif: the interfaces of rc.conf, their addresses and aliases, as network.subr configures them.

Rules (docs/freebsd-facts.md#1.8; libexec/rc/network.subr):
- `ifconfig_IF` first, then `_aliases`, then `_aliasN` by number; an empty `_aliasN` stops the scan, gaps do not.
- Every entry runs `/sbin/ifconfig IF <words> alias`; without a leading family IPv4 is assumed, with a warning.
- inet6 entries are skipped unless `ifconfig_IF_ipv6` is set.
- A hex digit followed by `-` is taken for an address range: text that is none sends the script into endless recursion.
- `stop` deletes every IPv4 address, runs the entries with `-alias`, and takes the interface down (recording 07,
  step 33).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hactl.lab.process import Result
from hactl.lab.program import Computer, run_as_rc
from hactl.lab.rc.config import RcSyntaxError, load_rc_config
from hactl.lab.rc.etc import variable_name

_FAMILIES = frozenset({"inet", "inet6", "link", "ether"})
_LOOKS_LIKE_RANGE = re.compile(r"[0-9a-fA-F]-")
_RANGE = re.compile(r"^(?P<net>\d+\.\d+\.\d+)\.(?P<first>\d+)-(?P<last>\d+)(?P<rest>/\d+)?$")


class NetifHang(Exception):
    """An alias entry sent network.subr into endless recursion; nothing after it is configured."""


async def start(machine: Computer, interfaces: Sequence[str] | None) -> Result:
    """`netif start`: all interfaces (None) or the named ones; prints as it does in a live system."""
    variables = _variables(machine)
    names = list(interfaces) if interfaces else list(machine.net.interfaces)
    done, errors = [], ""
    for name in names:
        if name not in machine.net.interfaces:
            continue
        try:
            configured, complaints = await _interface_up(machine, name, variables)
        except NetifHang as hang:
            errors += f"{hang}\n"
            break
        errors += complaints
        if configured:
            done.append(name)
    shown = await _show(machine, done)
    return Result(f"Starting Network: {' '.join(done)}.\n{shown}" if done else "", errors, 0)


async def stop(machine: Computer, interfaces: Sequence[str] | None) -> Result:
    """`netif stop`."""
    variables = _variables(machine)
    names = list(interfaces) if interfaces else list(machine.net.interfaces)
    done = []
    for name in names:
        port = machine.net.interfaces.get(name)
        if port is None or (port.loopback and not interfaces):
            continue
        if variables.get(variable_name(name, "_ipv6")):
            for address in [address for address in port.addresses if address.family == "inet6"]:
                await _ifconfig(machine, name, ["inet6", address.text, "delete"])
        for address in [address for address in port.addresses if address.family == "inet"]:
            await _ifconfig(machine, name, ["inet", address.text, "delete"])
        for entry in entries(name, variables):
            await _ifconfig(machine, name, [*entry, "-alias"])
        await _ifconfig(machine, name, ["down"])
        done.append(name)
    shown = await _show(machine, done)
    return Result(f"Stopping Network: {' '.join(done)}.\n{shown}" if done else "", "", 0)


def entries(interface: str, variables: Mapping[str, str]) -> list[list[str]]:
    """The alias entries of one interface as ifconfig words, in the order they are applied. Raises NetifHang."""
    found: list[list[str]] = []
    for value in _values(interface, variables):
        for entry in _split(value):
            if entry[0] == "inet6" and not variables.get(variable_name(interface, "_ipv6")):
                continue
            found += _expand(entry)
    return [entry for entry in found if entry[0] == "inet"] + [entry for entry in found if entry[0] != "inet"]


def _values(interface: str, variables: Mapping[str, str]) -> list[str]:
    values = [variables[name] for name in (variable_name(interface, "_aliases"),) if variables.get(name)]
    pattern = re.compile(re.escape(variable_name(interface, "_alias")) + r"([0-9]+)$")
    numbered = sorted((int(match.group(1)), name) for name in variables if (match := pattern.match(name)))
    for _, name in numbered:
        if not variables[name].strip():
            break
        values.append(variables[name])
    return values


def _split(value: str) -> list[list[str]]:
    """Entries of one variable: each begins with a family word; IPv4 is assumed for the first without one."""
    parts: list[list[str]] = []
    for word in value.split():
        if word in _FAMILIES or not parts:
            parts.append([] if word in _FAMILIES else ["inet"])
        parts[-1].append(word)
    return parts


def _expand(entry: list[str]) -> list[list[str]]:
    """Address ranges: 192.0.2.5-7/24. Raises NetifHang where a range is seen that is none."""
    for position, word in enumerate(entry):
        if not _LOOKS_LIKE_RANGE.search(word):
            continue
        match = _RANGE.match(word)
        if match is None:
            raise NetifHang("ifconfig_up: endless recursion in ifalias_expand_addr (a range that is none)")
        first, last = int(match["first"]), int(match["last"])
        rest = match["rest"] or ""
        return [
            [*entry[:position], f"{match['net']}.{number}{rest if number == first else '/32'}", *entry[position + 1 :]]
            for number in range(first, last + 1)
        ]
    return [entry]


async def _interface_up(machine: Computer, name: str, variables: Mapping[str, str]) -> tuple[bool, str]:
    port = machine.net.interfaces[name]
    value = variables.get(variable_name(name), "")
    configured, errors = False, ""
    words = value.split()
    if "DHCP" in (word.upper() for word in words):
        if port.lease is not None:
            await _ifconfig(machine, name, ["inet", f"{port.lease[0]}/{port.lease[1]}"])
        configured = True
    elif words and not port.loopback:
        result = await _ifconfig(machine, name, words)
        configured, errors = True, result.stderr
        await _ifconfig(machine, name, ["up"])
    elif port.loopback:
        configured = True
    ipv6 = variables.get(variable_name(name, "_ipv6"), "").split()
    if ipv6:
        errors += (await _ifconfig(machine, name, ipv6)).stderr
        configured = True
    for raw in _values(name, variables):
        if raw.split() and raw.split()[0] not in _FAMILIES:
            errors += f"/etc/rc.d/netif: WARNING: ${variable_name(name)}_alias needs leading "
            errors += '"inet" keyword for an IPv4 address.\n'
    for entry in entries(name, variables):
        errors += (await _ifconfig(machine, name, [*entry, "alias"])).stderr
        configured = True
    return configured, errors


def _variables(machine: Computer) -> Mapping[str, str]:
    try:
        return load_rc_config(machine.files, "netif")
    except RcSyntaxError as problem:
        machine.log("messages", "rc", str(problem))
        return {}


async def _ifconfig(machine: Computer, interface: str, words: Sequence[str]) -> Result:
    return await run_as_rc(machine, ["ifconfig", interface, *words])


async def _show(machine: Computer, interfaces: Sequence[str]) -> str:
    return "".join([(await _ifconfig(machine, name, [])).stdout for name in interfaces])

"""route(8): host routes by hand, and the way to an address; the routes that netstat(1) lists.

Rules:
- Host routes that refuse are all it makes: `-reject` (EHOSTUNREACH at once) and `-blackhole` (packets vanish).
- Texts and exit statuses are recording 10. Man page: route(8).
"""

from __future__ import annotations

import ipaddress

from hactl.lab.commands.getopt import options
from hactl.lab.commands.system.user import is_root
from hactl.lab.kernel.address import Family
from hactl.lab.kernel.net import Interface, Network, subnet
from hactl.lab.process import Result
from hactl.lab.program import Call, command

_USAGE = "route: usage: route [-46dnqtv] command [[modifiers] args]\n"
_NOT_FOUND = "route: route has not been found\n"
_METRICS = (
    " recvpipe  sendpipe  ssthresh  rtt,msec    mtu        weight    expire\n"
    "       0         0         0         0     {:>5}         1         0 \n"
)


@command("route")
async def route(call: Call) -> Result:
    """`route add|delete|get -host ADDRESS`; add with -reject or -blackhole."""
    flags, _, words, bad = options(call.argv, "46dnqtv")
    if bad is not None or not words:
        return Result("", _USAGE, 64)
    verb, *rest = words
    modifiers = {word for word in rest if word.startswith("-")}
    operands = [word for word in rest if not word.startswith("-")]
    if not operands:
        return Result("", f"route: destination parameter required\n{_USAGE}", 64)
    family: Family = "inet6" if "6" in flags or modifiers & {"-inet6", "-6"} else "inet"
    try:
        parsed = ipaddress.ip_address(operands[0])
    except ValueError:
        parsed = None
    if parsed is None or (parsed.version == 6) != (family == "inet6"):
        return Result("", f"route: bad address: {operands[0]}\n", 68)
    address, quiet, net = str(parsed), "q" in flags, call.machine.net
    if verb == "get":
        return _get(net, address)
    if not is_root(call):
        return Result("", "route: must be root to alter routing table\n", 77)
    if verb in ("delete", "del"):
        if net.refused.pop(address, None) is None:
            return Result("" if quiet else f"delete host {address} fib 0: not in table\n", _NOT_FOUND, 1)
        return Result("" if quiet else f"delete host {address}\n")
    if verb != "add" or not modifiers & {"-reject", "-blackhole"}:
        return Result("", "route: only routes that refuse are known here\n", 64)
    if address in net.refused:
        return Result("" if quiet else f"add host {address} fib 0: route already in table\n", "", 1)
    net.refused[address] = "reject" if "-reject" in modifiers else "blackhole"
    gateway = f": gateway {operands[1]}" if len(operands) > 1 else ""
    return Result("" if quiet else f"add host {address}{gateway}\n")


def _get(net: Network, address: str) -> Result:
    how = net.refused.get(address)
    if how is not None:
        return Result(_found(address, address, None, "lo0", f"UP,HOST,{how.upper()},DONE,STATIC", 16384))
    for port in net.interfaces.values():
        if port.find(address) is not None:
            return Result(_found(address, address, None, "lo0", "UP,HOST,DONE,STATIC,PINNED", 16384))
    way = net.way_out(address)
    if way is None:
        return Result("", _NOT_FOUND, 255)
    port, source = way
    network = subnet(source)
    return Result(_found(address, str(network.network_address), str(network.netmask), port.name, "UP,DONE,PINNED",
                         port.mtu))  # fmt: skip


def _found(asked: str, destination: str, mask: str | None, interface: str, flags: str, mtu: int) -> str:
    masked = f"       mask: {mask}\n" if mask is not None else ""
    return (
        f"   route to: {asked}\ndestination: {destination}\n{masked}        fib: 0\n  interface: {interface}\n"
        f"      flags: <{flags}>\n{_METRICS.format(mtu)}"
    )


def routing_table(net: Network) -> str:
    """What `netstat -rn -f inet` prints."""
    rows = {ipaddress.ip_address(address): (address, "127.0.0.1", "UHRS" if how == "reject" else "UHBS", "lo0")
            for address, how in net.refused.items() if ":" not in address}  # fmt: skip
    for port in net.interfaces.values():
        rows |= _rows(port)
    ordered = [rows[key] for key in sorted(rows)]
    lines = [f"{to:18} {gateway:18} {flags:5} {interface:>9} " for to, gateway, flags, interface in ordered]
    head = "Routing tables\n\nInternet:\nDestination        Gateway            Flags     Netif Expire\n"
    return head + "".join(f"{line.rstrip()}\n" for line in lines)


def _rows(port: Interface) -> dict[ipaddress.IPv4Address | ipaddress.IPv6Address, tuple[str, str, str, str]]:
    rows = {}
    for address in port.addresses:
        if address.family != "inet":
            continue
        link, own = f"link#{port.index}", ipaddress.ip_address(address.text)
        if not port.loopback:
            network = subnet(address)
            rows[network.network_address] = (str(network), link, "U", port.name)
        rows[own] = (address.text, link, "UH" if port.loopback else "UHS", "lo0")
    return rows

"""ifconfig(8): options, display, and the words that change an interface.

Rules:
- One invocation works as ifconfig.c does: words left to right, then the CARP callback, then the deletion,
  then the addition; what was done before an error stays done (docs/freebsd-facts.md#1.7).
- Errors are `ifconfig: TEXT` on stderr, exit 1. Without `alias` the first address of the family is deleted.
- 14 and 15 differ as docs/freebsd-facts.md#5 says; the machine's osreldate decides.
"""

from __future__ import annotations

from hactl.lab.commands.network.ifconfig.change import Change, Failure
from hactl.lab.commands.network.ifconfig.show import show
from hactl.lab.commands.system.user import is_root
from hactl.lab.kernel.net import Interface
from hactl.lab.process import Result
from hactl.lab.program import Call, command

FAMILIES = ("inet", "inet6", "link", "ether")
USAGE = (
    "usage: ifconfig [-f type:format] interface address_family\n"
    "                [address [dest_address]] [parameters]\n"
    "       ifconfig [-f type:format] interface create\n"
    "       ifconfig [-f type:format] -a [-d] [-m] [-u] [-v] [address_family]\n"
    "       ifconfig -l [-d] [-u] [address_family]\n"
    "       ifconfig [-f type:format] [-d] [-m] [-u] [-v]\n"
)
OPTIONS = "adfklmnuvCLDGgj"


@command("ifconfig")
async def ifconfig(call: Call) -> Result:
    """Show or change interfaces."""
    words = list(call.argv)
    options: dict[str, str] = {}
    while words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)[1:]
        for place, letter in enumerate(word):
            if letter not in OPTIONS:
                return Result("", f"ifconfig: illegal option -- {letter}\n{USAGE}", 1)
            if letter in "fgGj":
                options[letter] = word[place + 1 :] or (words.pop(0) if words else "")
                break
            options[letter] = ""
    try:
        return _run(call, options, words)
    except Failure as problem:
        return Result("", f"{problem.warning}ifconfig: {problem.text}\n", 1)


def _run(call: Call, options: dict[str, str], words: list[str]) -> Result:
    interfaces = list(call.machine.net.interfaces.values())
    if "l" in options:
        return Result(
            " ".join(port.name for port in _selected(interfaces, options, words[0] if words else None)) + "\n"
        )
    if "C" in options:
        return Result("bridge epair gif gre lagg lo stf tap tun vlan vxlan\n")
    if "g" in options:
        return Result("lo0\n" if options["g"] == "lo" else "")
    if "a" in options or not words:
        family = _family(words)
        chosen = _selected(interfaces, options, None)
        return Result("".join(_show(call, port, options, family) for port in chosen))
    port = call.machine.net.interfaces.get(words[0])
    if port is None:
        if words[1:2] in (["create"], ["plumb"]):
            raise Failure("SIOCIFCREATE2: Invalid argument")
        raise Failure(f"interface {words[0]} does not exist")
    family = _family(words[1:])
    parameters = words[2:] if family is not None else words[1:]
    if not parameters:
        return Result(_show(call, port, options, family))
    warning = Change(port, family or "inet", root=is_root(call)).apply(parameters)
    return Result("", warning)


def _family(words: list[str]) -> str | None:
    return words[0] if words and words[0] in FAMILIES else None


def _selected(interfaces: list[Interface], options: dict[str, str], family: str | None) -> list[Interface]:
    if "u" in options:
        interfaces = [port for port in interfaces if port.up]
    if "d" in options:
        interfaces = [port for port in interfaces if not port.up]
    if family in ("ether", "link"):
        return [port for port in interfaces if not port.loopback]
    if family in ("inet", "inet6"):
        return [port for port in interfaces if any(address.family == family for address in port.addresses)]
    return interfaces


def _show(call: Call, port: Interface, options: dict[str, str], family: str | None) -> str:
    formats = dict(part.partition(":")[::2] for part in options.get("f", "").split(",") if part)
    keys = "k" in options and is_root(call)
    return show(port, family=family, keys=keys, formats=formats, lifetimes="L" in options)

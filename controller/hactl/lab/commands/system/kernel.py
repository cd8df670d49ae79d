"""Programs that show or change the kernel: modules, messages, version, identity, time, counters.

Rules:
- Texts and exit statuses are those of recordings 01, 02, 07 and 08 and of docs/freebsd-facts.md#3.2 and #3.3.
- Man pages: kldload(8), kldstat(8), kldunload(8), dmesg(8), netstat(1), uname(1), freebsd-version(1),
  hostname(1), uptime(1), date(1).
"""

from __future__ import annotations

import time

from hactl.lab.commands.getopt import ANY, options
from hactl.lab.commands.network.route import routing_table
from hactl.lab.commands.system.user import is_root
from hactl.lab.kernel.carp import Counters
from hactl.lab.kernel.errors import KernelError
from hactl.lab.kernel.kernel import BUILD_PATH
from hactl.lab.process import Result
from hactl.lab.program import Call, command


@command("kldload")
async def kldload(call: Call) -> Result:
    """Load modules; -n: only if they are not there."""
    flags, _, names, _ = options(call.argv, ANY)
    errors, status = "", 0
    if not names:
        return Result("", "usage: kldload [-nqv] file ...\n", 1)
    for name in names:
        if "n" in flags and call.machine.kernel.find(name) is not None:
            continue
        try:
            if not is_root(call):
                raise KernelError("Operation not permitted")
            call.machine.kernel.load(name)
        except KernelError as problem:
            status = 1
            if "q" not in flags:
                text = str(problem)
                if text == "File exists":
                    text = "module already loaded or in kernel"
                errors += f"kldload: can't load {name}: {text}\n"
    return Result("", errors, status)


@command("kldunload")
async def kldunload(call: Call) -> Result:
    """Unload modules."""
    _, values, names, _ = options(call.argv, ANY, "in")
    if "n" in values:
        names = [values["n"]]
    if not names:
        return Result("", "usage: kldunload [-fv] [-n] name\n       kldunload [-fv] -i id\n", 1)
    errors = ""
    for name in names:
        if call.machine.kernel.find(name) is None:
            errors += f"kldunload: can't find file {name}: No such file or directory\n"
            continue
        try:
            if not is_root(call):
                raise KernelError("Operation not permitted")
            call.machine.kernel.unload(name)
        except KernelError as problem:
            errors += f"kldunload: can't unload file: {problem}\n"
    return Result("", errors, 1 if errors else 0)


@command("kldstat", quick=True)
async def kldstat(call: Call) -> Result:
    """What is loaded."""
    flags, values, _, _ = options(call.argv, ANY, "inm")
    kernel, quiet = call.machine.kernel, "q" in flags
    if "m" in values:
        if kernel.has_module(values["m"]):
            return (
                Result()
                if quiet
                else Result(f"Id  Refs Name\n{_module_number(call, values['m']):3d}    1 {values['m']}\n")
            )
        return Result("", "" if quiet else f"kldstat: can't find module {values['m']}: No such file or directory\n", 1)
    rows = kernel.rows()
    if "n" in values:
        wanted = values["n"].removesuffix(".ko")
        rows = [row for row in rows if row[4].removesuffix(".ko") == wanted]
        if not rows:
            text = f"kldstat: can't find file {values['n']}: No such file or directory\n"
            return Result("", "" if quiet else text, 1)
        if quiet:
            return Result()
    if "i" in values:
        rows = [row for row in rows if str(row[0]) == values["i"]]
        if not rows:
            return Result("", f"kldstat: can't stat file id {values['i']}: No such file or directory\n", 1)
    lines = ["Id Refs Address                Size Name"]
    lines += [
        f"{number:2d} {references:4d} {address:#18x} {size:8x} {name}"
        for number, references, address, size, name in rows
    ]
    return Result("\n".join(lines) + "\n")


def _module_number(call: Call, module: str) -> int:
    return 300 + sum(map(ord, module)) % 200 + len(call.machine.kernel.loaded)


@command("dmesg", quick=True)
async def dmesg(call: Call) -> Result:
    """The kernel's message buffer; -c empties it."""
    messages = call.machine.kernel.messages
    text = "".join(f"{line}\n" for line in messages)
    if "-c" in call.argv:
        messages.clear()
    return Result(text)


#: (JSON name, text) of each counter, in netstat's order; carp_stats in usr.bin/netstat/inet.c.
CARP_COUNTERS = (
    ("received-inet-packets", "\t{} packet{s} received (IPv4)"),
    ("received-inet6-packets", "\t{} packet{s} received (IPv6)"),
    ("dropped-wrong-ttl", "\t\t{} packet{s} discarded for wrong TTL"),
    ("dropped-short-header", "\t\t{} packet{s} shorter than header"),
    ("dropped-bad-checksum", "\t\t{} discarded for bad checksum{s}"),
    ("dropped-bad-version", "\t\t{} discarded packet{s} with a bad version"),
    ("dropped-short-packet", "\t\t{} discarded because packet too short"),
    ("dropped-bad-authentication", "\t\t{} discarded for bad authentication"),
    ("dropped-bad-vhid", "\t\t{} discarded for bad vhid"),
    ("dropped-bad-address-list", "\t\t{} discarded because of a bad address list"),
    ("sent-inet-packets", "\t{} packet{s} sent (IPv4)"),
    ("sent-inet6-packets", "\t{} packet{s} sent (IPv6)"),
    ("send-failed-memory-error", "\t\t{} send failed due to mbuf memory error"),
)


def carp_values(counters: Counters) -> tuple[int, ...]:
    """The counters in the order of CARP_COUNTERS."""
    received, sent = counters.received, counters.sent
    drops = (0, 0, 0, 0, 0, counters.bad_authentication, counters.bad_vhid, 0)
    return (received["inet"], received["inet6"], *drops, sent["inet"], sent["inet6"], 0)


@command("netstat", quick=True)
async def netstat(call: Call) -> Result:
    """Protocol statistics of CARP: `netstat -s -p carp`, also as JSON; the routes: `netstat -rn -f inet`."""
    argv = list(call.argv)
    as_json = "--libxo" in argv or "--libxo=json" in argv
    if "--libxo" in argv:
        place = argv.index("--libxo")
        if argv[place + 1 : place + 2] != ["json"]:
            return Result("", "netstat: only the json encoding is known here\n", 1)
        del argv[place : place + 2]
    argv = [word for word in argv if word != "--libxo=json"]
    flags, named, _, _ = options(argv, ANY, "pfwIMN")
    if {"r", "n"} <= flags and named.get("f") == "inet":
        return Result(routing_table(call.machine.net))
    if "s" not in flags or named.get("p") != "carp":
        return Result("", "netstat: this machine has only -s -p carp and -rn -f inet\n", 1)
    carp = call.machine.net.carp
    if carp is None:
        return Result()
    values = carp_values(carp.counters)
    if as_json:
        body = ",".join(f'"{name}":{value}' for (name, _), value in zip(CARP_COUNTERS, values, strict=True))
        return Result(f'{{"statistics": {{"carp": {{{body}}}}}}}\n')
    pairs = zip(CARP_COUNTERS, values, strict=True)
    lines = [text.format(value, s="" if value == 1 else "s") for (_, text), value in pairs]
    return Result("carp:\n" + "\n".join(lines) + "\n")


@command("uname", quick=True)
async def uname(call: Call) -> Result:
    """The running kernel."""
    machine = call.machine
    version = f"{machine.kernel.version}     {BUILD_PATH}"
    values = {
        "s": "FreeBSD",
        "n": machine.hostname,
        "r": machine.release,
        "v": version,
        "m": "amd64",
        "p": "amd64",
        "i": "GENERIC",
        "K": str(machine.osreldate),
        "U": str(machine.osreldate),
    }
    letters, _, _, _ = options(call.argv, ANY)
    if not letters <= {*values, "a", "o", "b"}:
        return Result("", "usage: uname [-aiKmnoprsUv]\n", 1)
    if "a" in letters:
        letters |= set("snrvm")
    if "o" in letters or not letters:
        letters.add("s")
    return Result(" ".join(values[letter] for letter in "snrvmpiKU" if letter in letters) + "\n")


@command("freebsd-version", quick=True)
async def freebsd_version(call: Call) -> Result:
    """Installed kernel (-k), running kernel (-r), userland (-u): here always the same."""
    flags, _, _, _ = options(call.argv, ANY)
    return Result(f"{call.machine.release}\n" * max(1, len(flags & set("kru"))))


@command("hostname", quick=True)
async def hostname(call: Call) -> Result:
    """Show or set the host name."""
    flags, _, names, _ = options(call.argv, ANY)
    if names:
        if not is_root(call):
            return Result("", "hostname: sethostname: Operation not permitted\n", 1)
        call.machine.hostname = names[0]
        return Result()
    name = call.machine.hostname
    if "s" in flags:
        name = name.partition(".")[0]
    elif "d" in flags:
        name = name.partition(".")[2]
    return Result(f"{name}\n")


@command("uptime", quick=True)
async def uptime(call: Call) -> Result:
    """How long the machine is up, as w(1) words it."""
    up = call.machine.uptime_seconds()
    if up > 60:
        up += 30
    days, rest = divmod(int(up), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f" {days} day{'' if days == 1 else 's'},"] if days else []
    if hours and minutes:
        parts.append(f" {hours:2d}:{minutes:02d},")
    elif hours:
        parts.append(f" {hours} hr{'' if hours == 1 else 's'},")
    elif minutes:
        parts.append(f" {minutes} min{'' if minutes == 1 else 's'},")
    elif seconds:
        parts.append(f" {seconds} sec{'' if seconds == 1 else 's'},")
    now = time.gmtime(call.machine.epoch())
    clock = f"{(now.tm_hour - 1) % 12 + 1:2d}:{now.tm_min:02d}{'AM' if now.tm_hour < 12 else 'PM'}"
    return Result(f"{clock}  up{''.join(parts)} 0 users, load averages: 0.12, 0.18, 0.11\n")


@command("date", quick=True)
async def date(call: Call) -> Result:
    """The machine's clock; the lab's nodes keep UTC."""
    flags, values, operands, _ = options(call.argv, ANY, "rfvz")
    if unknown := (flags | values.keys()) - set("urjRI"):
        letter = min(unknown)
        return Result(
            "", f"date: illegal option -- {letter}\nusage: date [-jnRu] [-I[date]] [-r seconds] [+format]\n", 1
        )
    seconds = call.machine.epoch()
    if "r" in values:
        if not values["r"].lstrip("-").isdigit():
            return Result("", f"date: {values['r']}: No such file or directory\n", 1)
        seconds = float(values["r"])
    when, form = time.gmtime(seconds), "%a %b %e %H:%M:%S %Z %Y"
    if "R" in flags:
        form = "%a, %d %b %Y %T %z"
    elif "I" in flags:
        form = "%F"
    for word in operands:
        if not word.startswith("+"):
            return Result("", "date: illegal time format\nusage: date [-jnRu] [-I[date]] [-r seconds] [+format]\n", 1)
        form = word[1:]
    form = form.replace("%s", str(int(seconds))).replace("%Z", "UTC").replace("%z", "+0000")
    return Result(time.strftime(form, when) + "\n" if form else "\n")

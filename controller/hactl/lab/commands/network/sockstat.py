"""sockstat(1): who listens on TCP ports; the lab knows hastd's main process and nc(1). Man page: sockstat(1)."""

from __future__ import annotations

from hactl.lab.commands.getopt import options
from hactl.lab.hast.worker.route import split_address
from hactl.lab.process import Result
from hactl.lab.program import Call, command


@command("sockstat")
async def sockstat(call: Call) -> Result:
    """`sockstat -46lq -P tcp -p PORT`."""
    flags, values, operands, bad = options(call.argv, "46cLlqSsUu", "jPp")
    if bad is not None or operands or "l" not in flags or values.get("P") != "tcp":
        return Result("", "usage: sockstat [-46CciLlnqSsUuvw] [-j jid] [-p ports] [-P protocols]\n", 1)
    hastd = call.machine.hast
    rows: list[str] = []
    for text in hastd.config.listen if hastd.pid is not None else ():
        host, port = split_address(text)
        if "p" in values and values["p"] != str(port):
            continue
        six = ":" in host
        shown = f"{'*' if host in ('0.0.0.0', '::') else host}:{port}"
        rows.append(
            f"{'root':8} {'hastd':10} {hastd.pid:<5} {len(rows) + 6:<2} tcp{6 if six else 4}   {shown:21} *:*\n"
        )
    for process in sorted(call.machine.rc.processes.values(), key=lambda each: each.pid):
        ear = next((ear for ear in hastd.loopback.ears if process.command.endswith(f" 127.0.0.1 {ear}")), None)
        if ear is not None and values.get("p", str(ear)) == str(ear):
            shown = f"127.0.0.1:{ear}"
            rows.append(f"{'root':8} {'nc':10} {process.pid:<5} {3:<2} tcp4   {shown:21} *:*\n")
    heading = "" if "q" in flags else "USER     COMMAND    PID   FD PROTO  LOCAL ADDRESS         FOREIGN ADDRESS\n"
    return Result(heading + "".join(rows))

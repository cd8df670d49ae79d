"""service(8): which script it is, and whether the shell runs it or the lab plays it (`boot.actions`).

Rules:
- Man pages: service(8).
"""

from __future__ import annotations

from hactl.lab.boot import local
from hactl.lab.boot.actions import run_script_of
from hactl.lab.process import RC_ENVIRONMENT, Result
from hactl.lab.program import Call, command, run
from hactl.lab.rc.config import YES, RcSyntaxError, load_rc_config
from hactl.lab.rc.rcorder import Installed

_USAGE = "usage: service [-j <jail name or id>] -e\n       service [-j <jail name or id>] -R\n       service [-j <jail name or id>] [-v] -l | -r\n       service [-j <jail name or id>] [-v] <rc.d script> start|stop|etc.\n       service -h\n"  # noqa: E501


@command("service")
async def service(call: Call) -> Result:
    """service(8): `-e`, `-l`, or a script and what it should do."""
    argv, verbose = list(call.argv), False
    if argv[:1] == ["-v"]:
        verbose, argv = True, argv[1:]
    if argv[:1] == ["-e"]:
        return await _enabled_services(call)
    if argv[:1] == ["-l"]:
        return Result("".join(f"{name}\n" for name in sorted(call.machine.rc.scripts)))
    if len(argv) < 2 or argv[0].startswith("-"):
        return Result("", _USAGE, 1)
    script = call.machine.rc.scripts.get(argv[0])
    path = next(
        (f"{top}/{argv[0]}" for top in ("/etc/rc.d", "/usr/local/etc/rc.d") if call.files.exists(f"{top}/{argv[0]}")),
        None,
    )
    if path is None or not call.files.stat_mode(path) & 0o111:
        text = f"{argv[0]} does not exist in /etc/rc.d or the local startup\n"
        return Result(f"{text}directories (/usr/local/etc/rc.d), or is not executable\n", "", 1)
    installed = path.startswith(f"{local.DIRECTORY}/")
    if (installed or script is None) and local.is_real(call.files.read_text(path)):
        return await run(call, [path, *argv[1:]], env=RC_ENVIRONMENT)
    if script is None:
        script = call.machine.rc.adopt(argv[0], path)
    result = await run_script_of(call, script, argv[1], argv[2:])
    if verbose:
        result.stdout = f"{script.name} is located in {script.directory}\n{result.stdout}"
    return result


async def _enabled_services(call: Call) -> Result:
    rc = call.machine.rc
    try:
        variables = load_rc_config(call.machine.files, None)
    except RcSyntaxError as problem:
        return Result("", f"{problem}\n", 2)
    listed = []
    for step in local.order(call.machine)[0]:
        script = step if isinstance(step, Installed) else rc.scripts[step]
        default = "" if isinstance(script, Installed) else script.default
        if script.rcvar is not None and variables.get(script.rcvar, default).upper() in YES:
            listed.append(script.path)
    return Result("".join(f"{path}\n" for path in listed))

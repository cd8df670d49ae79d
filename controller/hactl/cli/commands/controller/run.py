"""`hactl run`: the controller in the foreground; daemon(8), rc.d or a supervisor keeps it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hactl.cli.output import to_seconds
from hactl.cli.record import state_path
from hactl.core.document.problems import printable
from hactl.core.kube.access import ROLES
from hactl.ports import API_LABEL

if TYPE_CHECKING:
    from hactl.api.request.wire import Role
    from hactl.api.serving import Wanted
    from hactl.cli.commands.controller.source_option import SourceOption

log = logging.getLogger("hactl.cli")

#: What a log record has by itself; anything else was given as `extra`.
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _to_address(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """`127.0.0.1:8443`, `[::1]:8443`, `:8443` (every address)."""
    found = []
    for text in texts:
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or "0.0.0.0"
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise click.BadParameter(f"{text}: write HOST:PORT, e.g. 0.0.0.0:8443 or [::]:8443", ctx, parameter)
        found.append((host, int(port)))
    return tuple(found)


def _to_names(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Names and addresses of a certificate."""
    from hactl.api.http.tls import check_name

    for text in texts:
        if wrong := check_name(text):
            raise click.BadParameter(wrong, ctx, parameter)
    return texts


_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--source", "sources", multiple=True, metavar="SOURCE",
    help="Documents: a directory or a file, https://..., git:URL#REF:PATH, k8s:KUBECONFIG. May be given several times.",
)  # fmt: skip
@click.option(
    "--resync",
    callback=to_seconds,
    default="30s",
    metavar="DURATION",
    show_default=True,
    help="Look at every cluster this often.",
)
@click.option("--no-api", is_flag=True, help="Do not serve the API. What was made through it stays in force.")
@click.option(
    "--socket", type=_FILE, metavar="PATH", help="The API's Unix socket. Default: api.sock beside the record."
)
@click.option(
    "--listen", multiple=True, metavar="HOST:PORT", callback=_to_address,
    help="Serve the API there too, over TLS. May be given several times.",
)  # fmt: skip
@click.option(
    "--tls-cert", type=_FILE, metavar="FILE",
    help="The server's certificate; another one put there is in force within a minute. Default: hactl makes its own.",
)  # fmt: skip
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Its private key.")
@click.option(
    "--tls-san", multiple=True, metavar="NAME", callback=_to_names,
    help="A name or address clients call this server by, for the certificate hactl makes. May be given several times.",
)  # fmt: skip
@click.option("--client-ca", type=_FILE, metavar="FILE", help="Who signs client certificates: CN user, O hactl:ROLE.")
@click.option(
    "--insecure-loopback", "insecure", type=click.Choice(ROLES), metavar="ROLE",
    help="With --listen on a loopback address: no TLS, and everybody on this machine has that role.",
)  # fmt: skip
@click.option(
    "--secrets", "secrets_directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="What documents from the API and from networks may name files in. Default: secrets beside the record.",
)  # fmt: skip
@click.pass_context
def run(
    ctx: click.Context, /, sources: tuple[str, ...], resync: float, secrets_directory: Path | None, **api: Any
) -> int:
    """The controller: watch documents and nodes, and keep them together; and the API, for hactl and kubectl.

    A changed document is acted on within a second; a broken one leaves the last good one in force. SIGHUP reads
    everything again, the certificate too; SIGTERM and Ctrl-C end it, letting a running step finish. Logs go to
    standard error: lines for people on a terminal, JSON otherwise.

    The API listens on a Unix socket that only its owner can open, where every hactl command on this machine finds it.
    For kubectl and other machines: --listen, and a token of `hactl token create`.
    """
    from hactl.cli.commands.controller.source_option import parse_sources

    set_up_logging(ctx.obj["log_level"] or "info")
    state = state_path(ctx)
    wanted = None if api.pop("no_api") else _wanted(state, **api)
    if wanted is None and (api["socket"] or api["listen"]):
        raise click.UsageError("--no-api serves nothing: it goes with no --socket and no --listen")
    options = parse_sources(sources)
    if wanted is None and not options:
        raise click.UsageError("nothing to do: give a --source, or leave out --no-api")
    if any(option.label == API_LABEL for option in options):
        raise click.UsageError(f"--source {API_LABEL}: that is the name of the API as a source; write ./{API_LABEL}/.")
    secrets = (secrets_directory or state.absolute().parent / "secrets").absolute()
    return asyncio.run(_run(state, options, resync, wanted, secrets))


def _wanted(
    state: Path,
    *,
    socket: Path | None,
    listen: tuple[tuple[str, int], ...],
    insecure: Role | None,
    client_ca: Path | None,
    **tls: Any,
) -> Wanted:
    """What the options say; `tls`: those of the server's certificate. Raises click.UsageError for a contradiction."""
    from hactl.api.http.sockets import default_socket
    from hactl.api.serving import Wanted

    certificate, key, names = tls["tls_cert"], tls["tls_key"], tls["tls_san"]
    if (certificate is None) != (key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    if certificate is not None and names:
        raise click.UsageError("--tls-san is for the certificate that hactl makes: --tls-cert has its own names")
    if insecure is not None and (certificate or client_ca or names):
        raise click.UsageError("--insecure-loopback is without TLS: it goes with no certificates")
    if not listen and (certificate or client_ca or names or insecure):
        raise click.UsageError("certificates and --insecure-loopback are for --listen HOST:PORT")
    return Wanted(
        socket or default_socket(state),
        socket is not None,
        listen,
        certificate,
        key,
        client_ca,
        state.absolute().parent / "tls",
        names,
        insecure,
    )


async def _run(state: Path, options: list[SourceOption], resync: float, wanted: Wanted | None, secrets: Path) -> int:
    from hactl.adapters.record.sqlite.file import exposed
    from hactl.adapters.sources.api import ApiSource
    from hactl.app import opened
    from hactl.cli.commands.controller.source_option import make_source
    from hactl.core.pace.interval import Pace
    from hactl.runtime.interpreter import share

    async with opened(state, pace=Pace(resync_seconds=resync)) as app, AsyncExitStack() as stack:
        assert app.locks is not None
        for trouble in exposed(state):
            log.warning("the record is not safe from others on this machine", extra={"why": trouble})
        await stack.enter_async_context(app.locks.controller())
        sources = {each.label: make_source(each, app.clock, state=state, secrets=secrets) for each in options}
        controller = app.controller({**sources, API_LABEL: ApiSource(app.store, str(secrets))})
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, controller.stop)
        loop.add_signal_handler(signal.SIGHUP, controller.reread)
        sharing = loop.create_task(share(app.clock))
        stack.callback(sharing.cancel)
        if wanted is not None:
            from hactl.api.serving import serving

            api = await stack.enter_async_context(
                serving(app.store, controller, wanted, clock=app.clock, secrets_directory=str(secrets))
            )
            controller.passed = api.metrics.passed

            def read_again() -> None:
                controller.reread()
                api.reload()

            loop.add_signal_handler(signal.SIGHUP, read_again)
        await controller.run()
    return 0


def set_up_logging(level: str) -> None:
    """One line a record on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LinesForPeople() if sys.stderr.isatty() else JSONLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # asyncssh tells every connection and channel; that is ours to tell, in fewer words.
    logging.getLogger("asyncssh").setLevel(logging.WARNING if level != "debug" else logging.DEBUG)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in PLAIN}


class JSONLines(logging.Formatter):
    """Structured logs: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as JSON."""
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(), **_extra(record),
        }  # fmt: skip
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        line = json.dumps(entry, default=str, ensure_ascii=False)
        # What ends a line, or turns one around, for some who read it.
        return line if line.isprintable() else json.dumps(entry, default=str)


class LinesForPeople(logging.Formatter):
    """Time, level if it matters, message, and what belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as a line."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        # What others sent may be among it: no line of theirs, no escapes for the terminal.
        pairs = "  ".join(f"{key}={printable(str(value))}" for key, value in _extra(record).items())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{at}  {level}{printable(record.getMessage())}" + (f"  {pairs}" if pairs else "") + trace

"""`hactl run`: the controller in the foreground; daemon(8), rc.d or a supervisor keeps it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from hactl.cli.output import to_seconds
from hactl.cli.record import state_path

#: What a log record has by itself; anything else was given as `extra`.
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@click.command()
@click.option(
    "--source", "sources", multiple=True, required=True, metavar="PATH", type=click.Path(path_type=Path),
    help="A directory of documents, or one document. May be given several times.",
)  # fmt: skip
@click.option(
    "--resync",
    callback=to_seconds,
    default="30s",
    metavar="DURATION",
    show_default=True,
    help="Look at every cluster this often.",
)
@click.pass_context
def run(ctx: click.Context, sources: tuple[Path, ...], resync: float) -> int:
    """The controller: watch documents and nodes, and keep them together.

    A changed file is acted on within a second; a broken one leaves the last good document in force. SIGHUP reads
    everything again; SIGTERM and Ctrl-C end it, letting a running step finish. Logs go to standard error: lines for
    people on a terminal, JSON otherwise.
    """
    set_up_logging(ctx.obj["log_level"] or "info")
    return asyncio.run(_run(ctx, sources, resync))


async def _run(ctx: click.Context, sources: tuple[Path, ...], resync: float) -> int:
    from hactl.app import keep_house, opened
    from hactl.runtime.passes import Pace

    async with opened(state_path(ctx), pace=Pace(resync_seconds=resync)) as app:
        assert app.locks is not None
        async with app.locks.controller():
            controller = app.controller(sources)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, controller.stop)
            loop.add_signal_handler(signal.SIGHUP, controller.reread)
            housekeeping = loop.create_task(keep_house(app.store))
            try:
                await controller.run()
            finally:
                housekeeping.cancel()
                await asyncio.gather(housekeeping, return_exceptions=True)
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
        return json.dumps(entry, default=str, ensure_ascii=False)


class LinesForPeople(logging.Formatter):
    """Time, level if it matters, message, and what belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as a line."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        pairs = "  ".join(f"{key}={value}" for key, value in _extra(record).items())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{at}  {level}{record.getMessage()}" + (f"  {pairs}" if pairs else "") + trace

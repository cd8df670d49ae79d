"""End to end: the record of a serving pair is damaged, or gone. Nothing is done to its nodes because of that."""

from __future__ import annotations

import json
import os
from pathlib import Path

from support.lab.site import Site, a_site
from support.limits import LIMIT_SECONDS


def stopped(site: Site, *arguments: str) -> str:
    """A controller that ran until it had looked at everything; its log."""
    running = site.start("run", "--source", str(site.document.parent), *arguments)
    try:
        site.until(lambda: running.poll() is not None or '"True"' in site.hactl("status", "nas", "-o", "json").stdout)
    finally:
        running.terminate()
        log, _ = running.communicate(timeout=LIMIT_SECONDS)
    return log


def test_a_record_that_is_damaged_or_gone_costs_no_step(tmp_path: Path) -> None:
    """Damaged: nothing is done, and it is said. Salvaged, or new: the pair is looked at and stays as it is."""
    with a_site(tmp_path, "nas") as site:
        assert site.hactl("apply", "-f", str(site.document)).returncode == 0
        done = len(site.steps())
        record = tmp_path / "hactl.db"
        sound = record.read_bytes()
        record.write_bytes(sound[:4096] + os.urandom(len(sound) - 4096))
        for command in (("status",), ("history",), ("apply", "-f", str(site.document)), ("run", "--no-api",
                        "--source", str(site.document.parent))):  # fmt: skip
            said = site.hactl(*command)
            assert said.returncode not in (0, 3), command
            assert "is damaged" in said.stderr, command
            assert "Traceback" not in said.stderr + said.stdout, command
        assert site.hactl("record", "verify").returncode == 1

        place = len(sound) // 2 // 4096 * 4096
        record.write_bytes(sound[:place] + os.urandom(4096) + sound[place + 4096 :])
        salvaged = site.hactl("record", "salvage", "--yes")
        assert salvaged.returncode == 0, salvaged.stderr
        again = site.hactl("apply", "-f", str(site.document))
        assert "nothing was done" in again.stdout, again.stdout + again.stderr
        assert len(site.steps()) <= done

        for each in tmp_path.glob("hactl.db*"):
            if each.is_file():
                each.unlink()
        log = stopped(site, "--resync", "1s")
        assert "Traceback" not in log
        assert site.steps() == []
        conditions = {each["type"]: each["status"] for each in site.status()["conditions"]}
        assert conditions["FailoverReady"] in ("True", "Unknown")  # Unknown: no controller looks any more
        rows = json.loads(site.hactl("history", "-o", "json").stdout)
        assert "DocumentAccepted" in {row["kind"] for row in rows}
        assert "nothing was done" in site.hactl("apply", "-f", str(site.document)).stdout

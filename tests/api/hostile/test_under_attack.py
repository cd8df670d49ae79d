"""A controller at work, attacked by everybody: each attack is answered as it must be, and nothing is left of it.

What is sent and what may be seen is in support/attacks. It is one test, for one process has to bear all of it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from support.api.service import CLUSTERS
from support.attacks import bodies, credentials, crowds, heads
from support.attacks.attack import Attack
from support.attacks.daemon import Daemon, a_daemon
from support.limits import SLOW, wait_until

ATTACKS: list[Attack] = [*heads.ALL, *bodies.ALL, *credentials.ALL, *crowds.ALL]
#: As much memory as the process may have more in the end than after its start: asyncio's TLS takes 256 KiB for each
#: connection, which the heap keeps for the next ones; and what else it did (measured: 45 MB).
MORE_BYTES = crowds.HELD * 256 * 1024 + 80 * 1024 * 1024
#: The loop was later than this at most in five of a hundred measurements, and never later than that, seconds.
LATE_SECONDS, LATEST_SECONDS = 0.5 * SLOW, 5.0 * SLOW
#: What strangers and clients sent that must be in no log and no record as it was.
NEVER = ("\x1b", "\x00", "not-for-strangers", "hactl_" + "A" * 5)


async def played(daemon: Daemon, attacks: list[Attack]) -> list[str]:
    """What was seen that must not be: a line each."""
    wrong = []
    for attack in attacks:
        try:
            seen = await attack.play(daemon)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are tried too
            seen = f"{type(error).__name__}: {error}"
        if seen not in attack.expected:
            wrong.append(f"{attack.name}: sent {attack.sent}: expected {' or '.join(attack.expected)}, seen {seen}")
    return wrong


def test_the_names_of_attacks_are_their_own() -> None:
    """And there are many."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


def test_a_controller_at_work_bears_all_of_it(tmp_path: Path) -> None:
    """Answers, health on both listeners, the loop, the log, the record, memory, files, and the cluster in force."""
    with a_daemon(tmp_path) as daemon:
        before = daemon.as_owner("GET", f"{CLUSTERS}/nas")[1]
        memory, files = daemon.resident_bytes(), daemon.open_files()

        async def all_of_it() -> list[str]:
            async with crowds.lingering(daemon):
                return await played(daemon, ATTACKS)

        wrong = asyncio.run(all_of_it())
        assert wrong == [], "\n".join(["", *wrong])
        assert asyncio.run(daemon.ask("GET", "/healthz", role=""))[0] == 200
        assert daemon.as_owner("GET", "/healthz") == (200, "ok\n")
        _check_loop(daemon.lags())
        assert daemon.resident_bytes() - memory < MORE_BYTES
        wait_until(lambda: daemon.open_files() <= files + 20, "the end of the connections")
        _check_record(daemon, before)
    log = daemon.log
    assert "Traceback" not in log
    assert "unexpected" not in log
    assert [word for word in NEVER if word in log] == []
    assert sum("a stranger was refused" in line for line in log.splitlines()) <= 1 + log.count("strangers were refused")


def _check_loop(lags: dict[float, int]) -> None:
    count = max(lags.values())
    assert lags[LATEST_SECONDS if LATEST_SECONDS in lags else float("inf")] == count, lags
    in_time = max((number for bound, number in lags.items() if bound <= LATE_SECONDS), default=0)
    assert in_time >= 0.95 * count, lags


def _check_record(daemon: Daemon, before: dict[str, Any]) -> None:
    """What was in force is so, the controller goes on, strangers left nothing, nobody has more tokens."""
    after = daemon.as_owner("GET", f"{CLUSTERS}/nas")[1]
    assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], before["metadata"]["generation"])
    names = [each["metadata"]["name"] for each in daemon.as_owner("GET", CLUSTERS)[1]["items"]]
    assert names == ["nas"]
    tokens = [each["name"] for each in daemon.as_owner("GET", "/tokens")[1]["items"]]
    assert tokens == ["admin", "editor", "expired", "operator", "viewer"]
    rows = daemon.history()
    actors = {str((row.get("detail") or {}).get("actor", "")) for row in rows}
    assert "anonymous" not in actors
    text = str(rows)
    assert [word for word in NEVER if word in text] == []

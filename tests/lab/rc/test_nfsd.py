"""nfsd as rc(8) starts and stops it: what it needs comes first, and exit statuses say little."""

from __future__ import annotations

import pytest

from support.lab.pair import Pair


@pytest.fixture
def pair() -> Pair:
    """Two machines in virtual time."""
    return Pair()


def said_by(pair: Pair, script: str) -> str:
    """What a script on nas-a prints."""
    done = pair.sh(pair.a, script)
    return done.out + done.err


def test_a_stop_of_nfsd_exits_1_now_and_then_and_nfsd_is_stopped(pair: Pair) -> None:
    """rc signals a child that has gone with its master (docs/freebsd-facts.md#7.2)."""
    statuses = []
    for _ in range(4):
        assert said_by(pair, "service nfsd onestart >/dev/null; echo $?") == "0\n"
        said = said_by(pair, "service nfsd onestop 2>&1; echo $?").splitlines()
        statuses.append(said[-1])
        assert ("No such process" in said[-2]) == (said[-1] == "1")
        assert said_by(pair, "service nfsd onestatus") == "nfsd is not running.\n"
    assert statuses == ["1", "0", "1", "0"]
    pair.a.rc.nfsd_race = 0
    said_by(pair, "service nfsd onestart")
    assert said_by(pair, "service nfsd onestop >/dev/null; echo $?") == "0\n"


def test_nfsd_starts_what_it_needs_and_does_not_start_without_exports(pair: Pair) -> None:
    """Why it does not is in what mountd says, not in the last line (docs/freebsd-facts.md#7.20)."""
    said_by(pair, "rm /etc/exports")
    said = said_by(pair, "service nfsd onestart 2>&1; echo $?").splitlines()
    assert said[-1] == "1"
    assert any("/etc/exports is not readable" in line for line in said[:-2])
    assert "exports" not in said[-2]
    said_by(pair, "touch /etc/exports")
    assert said_by(pair, "service nfsd onestart; echo $?").splitlines() == [
        "NFSv4 is disabled",
        "Starting mountd.",
        "Starting nfsd.",
        "0",
    ]
    assert said_by(pair, "service rpcbind onestatus").startswith("rpcbind is running")

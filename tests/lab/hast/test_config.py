"""hast.conf as hastd reads it: traps and exact messages (docs/freebsd-facts.md#2.2; recordings 03, 04, 07)."""

from __future__ import annotations

import pytest

from hactl.lab.hast.config_grammar import ConfigError, HastConfig, parse
from hactl.lab.hast.worker.primary import PrimaryWorker
from support.lab.pair import CONF, Pair

UUID = "df054fd1-6fb3-4611-8597-2b06bfe944b8"
MINIMAL = "resource data {\n on nas-a {\n local /dev/vtbd1\n remote 198.51.100.12\n }\n}\n"


def read(text: str, hostname: str = "nas-a") -> HastConfig:
    return parse(text, hostname=hostname, hostuuid=UUID, hostid=4124571791)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "resource data {\n\ton other {\n\t\tlocal /dev/vtbd1\n\t\tremote 198.51.100.12\n\t}\n}\n",
            f"No resource data configuration for this node (acceptable node names: nas-a, {UUID}, hostid4124571791).",
        ),
        (
            "resource data {\n on nas-a {\n local /dev/vtbd1\n bogus 1\n }\n}\n",
            "Unable to parse configuration file at line 3 near 'bogus': syntax error",
        ),
        ("resource name { }\n", "Unable to parse configuration file at line 0 near 'name': syntax error"),
        ("resource 42 { }\n", "Unable to parse configuration file at line 0 near '42': syntax error"),
        (MINIMAL + "# the end", "Unable to parse configuration file at line 6 near 'the': syntax error"),
        ("resource data { on nas-a { local /dev/vtbd1 } }\n", "Remote address not configured for resource data."),
        (
            "resource data { on nas-a { remote 198.51.100.12 } }\n",
            "Path to local component not configured for resource data.",
        ),
        (MINIMAL + MINIMAL, "Resource data configured more than once."),
        ("timeout 0\n" + MINIMAL, "Negative or zero timeout."),
        ("replication quick\n" + MINIMAL, "Unable to parse configuration file at line 0 near 'quick': syntax error"),
    ],
)
def test_refused_texts(text: str, message: str) -> None:
    """Each mistake has hastd's own sentence."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.text == message
    assert caught.value.status == 78


def test_unknown_characters_are_echoed_and_skipped() -> None:
    """Quotes and semicolons are no error: they appear on stdout (docs/freebsd-facts.md#trap-31)."""
    config = read(MINIMAL.replace("/dev/vtbd1", '"/dev/vtbd1";'))
    assert config.echo == '"";'
    assert config.resources["data"].local == "/dev/vtbd1"


@pytest.mark.parametrize("name", ["nas-a.example.org", "nas-a", UUID.upper(), "hostid4124571791"])
def test_names_a_node_answers_to(name: str) -> None:
    """Full name, short name, uuid in any case, hostid."""
    config = read(MINIMAL.replace("on nas-a", f"on {name}"), hostname="nas-a.example.org")
    assert config.resources["data"].remote == "198.51.100.12"


def test_globals_after_resources_apply() -> None:
    """Global statements count wherever they stand; a listen replaces both defaults."""
    config = read(
        MINIMAL + "timeout 5\nreplication async\nlisten tcp4://198.51.100.11\non nas-a { control /var/run/c }\n"
    )
    assert (config.resources["data"].timeout, config.resources["data"].replication) == (5, "async")
    assert config.listen == ["tcp4://198.51.100.11"]
    assert config.control == "/var/run/c"


def test_empty_file_runs_and_answers_nothing() -> None:
    """Recording 04: the daemon runs, asks for all fail with 69, stop is refused."""
    pair = Pair()
    pair.a.files.write_text("/etc/hast.conf", "")
    assert pair.sh(pair.a, "service hastd onestart; hastctl status").out == "Starting hastd.\n"
    refused = "[ERROR] cannot receive reply from hastd via /var/run/hastctl: Socket is not connected.\n"
    stopped = pair.sh(pair.a, "service hastd onestop")
    assert (stopped.err, stopped.status) == (refused, 1)
    asked = pair.sh(pair.a, "hastctl status")
    assert (asked.err, asked.status) == (refused, 69)
    assert pair.sh(pair.a, "pkill hastd; sleep 6; service hastd onestatus").out == "hastd is not running.\n"


def test_reload_is_all_or_nothing() -> None:
    """A file that does not parse leaves everything as it was; a good one adds and removes."""
    pair = Pair()
    pair.hastd()
    extra = CONF + CONF.replace("resource data", "resource extra").replace("vtbd1", "vtbd2")
    pair.a.files.write_text("/etc/hast.conf", extra)
    pair.sh(pair.a, "service hastd onereload")
    pair.world.advance(6)
    assert set(pair.a.hast.resources) == {"data", "extra"}
    pair.a.files.write_text("/etc/hast.conf", "resource data {\n bogus\n}\n")
    pair.sh(pair.a, "service hastd onereload")
    pair.world.advance(6)
    assert set(pair.a.hast.resources) == {"data", "extra"}
    assert "Configuration not reloaded." in pair.sh(pair.a, "tail -1 /var/log/daemon.log").out
    pair.a.files.write_text("/etc/hast.conf", CONF)
    pair.sh(pair.a, "service hastd onereload; hastctl status")
    log = pair.sh(pair.a, "tail -2 /var/log/daemon.log").out
    assert "Resource extra removed.\n" in log
    assert log.endswith("Configuration reloaded successfully.\n")


def test_reload_of_a_primary() -> None:
    """A new timeout is taken live; a new local path destroys the device and makes it again.

    See docs/freebsd-facts.md#2.3.
    """
    pair = Pair()
    pair.mounted()
    worker = pair.a.hast.resources["data"].worker
    pair.a.files.write_text("/etc/hast.conf", CONF.replace("{\n\ton nas-a", "{\n\ttimeout 7\n\ton nas-a", 1))
    pair.sh(pair.a, "service hastd onereload; hastctl status")
    assert pair.a.hast.resources["data"].worker is worker
    assert pair.a.hast.resources["data"].config.timeout == 7
    pair.sh(pair.a, "hastctl create data 2>/dev/null")
    pair.a.files.write_text(
        "/etc/hast.conf", CONF.replace("on nas-a {\n\t\tlocal /dev/vtbd1", "on nas-a {\n\t\tlocal /dev/vtbd2")
    )
    pair.sh(pair.a, "hastctl create data; service hastd onereload; hastctl status")
    assert pair.a.hast.resources["data"].worker is not worker
    mount = pair.a.disks.mounts.at("/data")
    assert mount is not None
    assert mount.provider is not None
    assert mount.provider.gone


def test_stale_and_missing_socket() -> None:
    """SIGKILL leaves the socket behind, a clean stop does not (docs/freebsd-facts.md#2.4)."""
    pair = Pair()
    pair.hastd()
    asked = pair.sh(pair.a, "pkill -9 hastd; hastctl status")
    assert asked.err == "[ERROR] Unable to connect to hastd via /var/run/hastctl: Connection refused.\n"
    assert asked.status == 71
    asked = pair.sh(pair.b, "service hastd onestop >/dev/null; hastctl status")
    assert asked.err == "[ERROR] Unable to connect to hastd via /var/run/hastctl: No such file or directory.\n"
    assert asked.status == 71


def test_a_primary_that_closes_its_connection_while_it_reloads_hangs() -> None:
    """Worker and main process wait for each other until the worker is killed; the device stays.

    See docs/freebsd-facts.md#7.68.
    """
    pair = Pair()
    pair.mounted()
    worker = pair.a.hast.resources["data"].worker
    assert isinstance(worker, PrimaryWorker)
    assert worker.status == "complete"
    pair.a.files.write_text("/etc/hast.conf", CONF.replace("{\n\ton nas-a", "{\n\treplication fullsync\n\ton nas-a", 1))
    pair.sh(pair.a, "service hastd onereload")
    pair.world.advance(60)
    assert pair.a.hast.busy
    assert worker.status == "degraded"
    assert pair.sh(pair.a, "timeout 5 hastctl list").status == 124
    pair.sh(pair.a, f"kill -9 {worker.pid}")
    pair.world.advance(20)
    assert "replication: fullsync" in pair.sh(pair.a, "timeout 5 hastctl list").out
    assert "complete" in pair.sh(pair.a, "hastctl status").out
    assert pair.sh(pair.a, "touch /data/still").status == 0


def test_a_primary_without_a_connection_reloads_everything() -> None:
    """Where there is nothing to close nobody waits."""
    pair = Pair()
    pair.mounted()
    pair.sh(pair.b, "hastctl role init data")
    pair.world.advance(12)
    pair.a.files.write_text("/etc/hast.conf", CONF.replace("{\n\ton nas-a", "{\n\treplication fullsync\n\ton nas-a", 1))
    pair.sh(pair.a, "service hastd onereload")
    pair.world.advance(6)
    assert "replication: fullsync" in pair.sh(pair.a, "timeout 5 hastctl list").out

"""hast.conf by meaning, with the oddities of hastd's own parser (docs/freebsd-facts.md#2.2)."""

from __future__ import annotations

import pytest

from hactl.core.hastconf import render_hastconf
from hactl.core.parse.hastconf import HastConf, HastConfError, canonical_address, parse_hastconf
from support.facts.builder import nas_cluster

PLAIN = """resource data {
	on a {
		local /dev/da1
		remote 192.0.2.2
	}
	on b {
		local /dev/da1
		remote 192.0.2.1
	}
}
"""


def conf(text: str) -> HastConf:
    parsed = parse_hastconf(text)
    assert isinstance(parsed, HastConf), parsed
    return parsed


def test_defaults_are_filled_in() -> None:
    """What hastd uses where the file says nothing."""
    data = conf(PLAIN).resources["data"]
    assert (data.replication, data.checksum, data.compression, data.timeout_seconds) == ("memsync", "none", "hole", 20)
    assert (data.exec, data.metaflush, data.provname) == ("", True, "data")
    assert (data.nodes["a"].local, data.nodes["a"].remote, data.nodes["a"].source) == (
        "/dev/da1",
        "192.0.2.2:8457",
        None,
    )


@pytest.mark.parametrize(
    "same",
    [
        PLAIN.replace("\n", " \n# a comment {\n"),
        PLAIN.replace("\t", "").replace("\n", " ") + "\n",
        PLAIN.replace("192.0.2.2", "tcp4://192.0.2.2:8457"),
        PLAIN.replace("/dev/da1\n", '"/dev/da1";\n'),
        PLAIN.replace("\n", "\r\n"),
        PLAIN + "replication memsync\ntimeout 20\n",
        PLAIN.replace("on a {\n\t\tlocal /dev/da1", "local /dev/da1\n\tmetaflush on\n\tname data\n\ton a {"),
        PLAIN.replace("on a {", "on a { local /dev/other }\n on a {"),
        "listen tcp4://0.0.0.0:8457\n" * 0 + PLAIN + "#\n",
    ],
)
def test_files_that_mean_the_same_are_equal(same: str) -> None:
    """Layout, comments, junk, spelled-out defaults, order and overridden values do not matter."""
    assert conf(same) == conf(PLAIN)


@pytest.mark.parametrize(
    "other",
    [
        PLAIN.replace("192.0.2.2", "192.0.2.3"),
        PLAIN.replace("192.0.2.2", "192.0.2.2:8458"),
        PLAIN.replace("192.0.2.2", "none"),
        PLAIN + "replication async\n",
        PLAIN + "timeout 5\n",
        PLAIN + "listen 192.0.2.1\n",
        PLAIN.replace("resource data {", "resource data {\n\tname other"),
        PLAIN.replace("remote 192.0.2.2", "remote 192.0.2.2\n\t\tsource 192.0.2.1"),
        PLAIN.replace("on b", "on c"),
        PLAIN.replace("on a {", "on a {\n\t\tmetaflush off"),
        PLAIN + "on a { listen 192.0.2.1 }\n",
    ],
)
def test_files_that_mean_something_else_differ(other: str) -> None:
    """Each setting counts."""
    assert conf(other) != conf(PLAIN)


def test_globals_apply_wherever_they_stand() -> None:
    """A global after the resources is a default for them, and a resource's own value wins."""
    text = PLAIN.replace("resource data {", "resource data {\n\tchecksum crc32") + "checksum sha256\ncompression lzf\n"
    data = conf(text).resources["data"]
    assert (data.checksum, data.compression) == ("crc32", "lzf")


@pytest.mark.parametrize(
    ("text", "line", "near"),
    [
        ("resource data {\n bogus\n}\n", 1, "bogus"),
        ("resource 80 {\n}\n", 0, "80"),
        ("resource local {\n}\n", 0, "local"),
        ("replication sometimes\n", 0, "sometimes"),
        ("metaflush none\n", 0, "none"),
        ("timeout soon\n", 0, "soon"),
        ("resource data {\n", 1, ""),
        (PLAIN + "# the last line has no newline", 10, "the"),
        ("}\n", 0, "}"),
        ("listen\n", 1, ""),
    ],
)
def test_syntax_errors_as_hastd_tells_them(text: str, line: int, near: str) -> None:
    """Lines count from 0; keywords and numbers are no names; a comment needs its newline."""
    error = parse_hastconf(text)
    assert isinstance(error, HastConfError)
    assert (error.line, error.near, error.message) == (line, near, "syntax error")


def test_other_errors_as_hastd_tells_them() -> None:
    """A resource twice, a timeout of nothing."""
    assert str(parse_hastconf(PLAIN + PLAIN)) == "Resource data configured more than once."
    assert str(parse_hastconf("timeout 0\n")) == "Negative or zero timeout."


def test_names_may_look_like_keywords() -> None:
    """The longest word wins: on-line is a name, on is not."""
    assert "on-line" in conf("resource on-line {\n}\n").resources


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1:8457"),
        ("tcp://192.0.2.1", "192.0.2.1:8457"),
        ("[2001:DB8::1]", "[2001:db8::1]:8457"),
        ("tcp6://[2001:db8::1]:99", "[2001:db8::1]:99"),
        ("2001:db8::1", "[2001:db8::1]:8457"),
        ("none", "none"),
    ],
)
def test_addresses_have_one_spelling(text: str, canonical: str) -> None:
    """Scheme and default port are no difference."""
    assert canonical_address(text) == canonical


def test_what_hactl_writes_is_understood() -> None:
    """The rendered file of nas.yaml has both nodes, each with the other as its peer."""
    data = conf(render_hastconf(nas_cluster(), "nas-a")).resources["data"]
    assert {node: (on.local, on.remote) for node, on in data.nodes.items()} == {
        "nas-a": ("/dev/vtbd1", "198.51.100.12:8457"),
        "nas-b": ("/dev/vtbd1", "198.51.100.11:8457"),
    }

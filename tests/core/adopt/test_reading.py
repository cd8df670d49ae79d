"""Reading files that anybody may have written: what sh(1) and hastd(8) make of them, and garbage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hactl.adapters.yaml.documents import read_documents
from hactl.adapters.yaml.tree import read_trees
from hactl.adapters.yaml.write import written
from hactl.core.adopt.draft import draft
from hactl.core.adopt.hast import read_hast
from hactl.core.adopt.node import NodeFile
from hactl.core.adopt.shell import read_assignments

ASSIGNMENTS = [
    ('a="1 2"', "1 2", 1),
    ("# a=0\n\na=1 # b", "1", 3),
    ("a='x$b' ", "x$b", 1),
    ("export a=1; b=2", "1", 1),
    ('b="one"\na="${b} two"', "one two", 2),
    ('a="one \\\n  two"', "one   two", 1),
    ('a="one\ntwo"\n', "one\ntwo", 1),
    ("a=x\\ y", "x y", 1),
    ('a="x"y', "xy", 1),
    ("a=\r\n", "", 1),
    ("a=1\na=2", "2", 2),
]


@pytest.mark.parametrize(("text", "value", "line"), ASSIGNMENTS, ids=[a[0] for a in ASSIGNMENTS])
def test_an_assignment_is_read_as_sh_does(text: str, value: str, line: int) -> None:
    """Quotes, continued lines, variables that stand before it; the last one wins."""
    variables, findings = read_assignments("rc.conf", text, {})
    assert (variables["a"].value, variables["a"].place.line) == (value, line)
    assert findings == []


SAID = [
    ("a=1\nif true; then\n", "rc.conf:2: note: this line assigns nothing; it is not read"),
    ('a="$(hostname)"', "rc.conf:1: note: what this says is known only when a command has run"),
    ('a="1', "rc.conf:1: a quote is opened and not closed on its line"),
]


@pytest.mark.parametrize(("text", "said"), SAID)
def test_what_cannot_be_read_is_said_with_its_line(text: str, said: str) -> None:
    """And reading goes on."""
    variables, findings = read_assignments("rc.conf", text, {})
    assert "a" in variables
    assert [str(each).startswith(said) for each in findings] == [True]


HAST_FILES = [
    "resource a { on x { local /dev/da0\n remote 192.0.2.1 }\n on y { local /dev/da1\n remote tcp://192.0.2.2:9 } }\n",
    "timeout 5\nresource a {\n local /dev/da0\n on x {\n remote none\n source ::9\n}\n}\nresource b { on z { } }\n",
    "listen 0.0.0.0\non x {\n control /a\n}\nresource a {name n\n metaflush off\n on x { metaflush on\n local /f } }\n",
]  # fmt: skip


@pytest.mark.parametrize("text", HAST_FILES)
def test_a_file_that_hastd_takes_is_read_as_hastd_does(text: str) -> None:
    """Resources, sections and devices are those of the parser that follows hastd."""
    file, findings = read_hast("hast.conf", text)
    assert findings == []
    assert file.read is not None
    assert [block.name for block in file.resources] == list(file.read.resources)
    for block in file.resources:
        theirs = file.read.resources[block.name].nodes
        ours = {part.name: part.value("local") or block.value("local") or None for part in block.parts}
        assert ours == {name: on.local for name, on in theirs.items()}


_WORDS = st.sampled_from(
    """
    ifconfig_em0="inet 192.0.2.1/24"|ifconfig_em0_alias0="inet|vhid 1|vhid|advskew 300|advskew -1|pass s3cretword
    alias 192.0.2.50|192.0.2.50/24|192.0.2.50/99|inet6 2001:db8::1/64|inet6 fe80::1%em0|192.0.2.1|"|'|\\|+=|=|kld_list
    $(|`|${a}|#|resource r {|resource|on carp1 {|on a {|}|{|local /dev/da0|remote 192.0.2.2|remote [::1]:x|timeout 0
    timeout 99999999999999|source none|name x|listen tcp://|hostname=a|hostname="b"|\0|\x1b[2J|é|/dev/hast/r /mnt ufs rw
    net.inet.carp.preempt=1|cloned_interfaces="carp0"|ifconfig_carp0="vhid 3 10.0.0.1"|_alias1|netmask|prefixlen
    """.strip()
    .replace("\n    ", "|")
    .split("|")
    + ["\n"] * 5
)
_TEXT = st.lists(_WORDS | st.text(max_size=5), max_size=25).map(" ".join)
_FILE = st.builds(
    NodeFile, st.sampled_from(["rc.conf", "rc.conf.x", "hast.conf", "sysctl.conf", "loader.conf", "fstab", "y"]), _TEXT
)


@given(st.lists(st.lists(_FILE, max_size=4), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_garbage_gives_findings_or_a_valid_document_and_never_a_secret(files: list[list[NodeFile]]) -> None:
    """No exception; the same twice; what is called valid reads back and is valid; no password is in any of it."""
    made = draft(files)
    again = draft(files)
    assert (made.data, made.findings, made.missing) == (again.data, again.findings, again.missing)
    text = written(made.data, made.remarks, "made of\nthese") if not made.missing else ""
    assert "s3cretword" not in text
    if text:
        content = read_documents(text.encode(), source="x.yaml", directory="")
        assert content.problems == ()
        assert len(content.documents) == 1


_RC = """\
hostname="nas-{0}.example.org"
kld_list="carp"
ifconfig_em0="inet 192.0.2.1{1} netmask 255.255.255.0"
ifconfig_em0_alias0="inet 192.0.2.50/24 vhid 1 advskew {1}0 pass s3cretword"
ifconfig_em0_alias1="inet vhid 2 pass s3cretword alias 192.0.2.51/32"
"""
_HAST = """\
resource shared {
    local /dev/ada0p4
    on nas-a { remote tcp4://198.51.100.12 }
    on nas-b { remote tcp4://198.51.100.11 }
}
"""


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300), st.integers(0, 12), _WORDS | st.just("")), max_size=4)
)
@settings(max_examples=200, deadline=None)
def test_damaged_files_of_a_sound_pair(cuts: list[tuple[int, int, int, str]]) -> None:
    """As above, where most of it can be read: pieces are cut out, and words stand in their place."""
    texts = [_RC.format("a", 0), _HAST, _RC.format("b", 1), _HAST]
    for which, start, length, word in cuts:
        texts[which] = texts[which][:start] + word + texts[which][start + length :]
    files = [NodeFile(name, text) for name, text in zip(["rc.conf", "hast.conf"] * 2, texts, strict=True)]
    made = draft([files[:2], files[2:]])
    assert made.missing or made.data["spec"]["groups"]
    assert cuts or not made.missing
    if not made.missing:
        content = read_documents(written(made.data, made.remarks).encode(), source="x.yaml", directory="")
        assert content.problems == ()
        assert len(content.documents) == 1


def test_a_text_that_yaml_would_take_for_something_else_is_quoted() -> None:
    """Names such as on, 007 and 1e3; remarks are comments, however long."""
    data = {"a": [{"name": "on", "vhid": 1, "devices": {"007": "1e3"}, "rest": ["2026-11-30", "x: y", "#", ""]}]}
    text = written(data, {("a", 0, "vhid"): "ssh-keygen " * 30, ("a",): "first"}, "head\nsecond")
    assert text.count("ssh-keygen") == 30
    (tree,), problems = read_trees(text.encode(), "x")
    assert (tree.data, problems) == (data, [])
    assert max(map(len, text.splitlines())) <= 120
    assert [line.strip() for line in text.splitlines()[:2]] == ["# head second", "# first"]

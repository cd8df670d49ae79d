"""Documents as text: what is refused, where, and with which advice; what loads anyway."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hactl.adapters.yaml.tree import MAX_BYTES
from support.documents import EXAMPLES, FIREWALL, NAS, problems, read

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_examples_load_unchanged(path):
    """Every example is valid as it stands, and keeps its text."""
    content = read(path.read_bytes())
    assert content.problems == ()
    assert [document.cluster.name for document in content.documents] == [
        {"nas.yaml": "nas", "firewall.yaml": "edge"}.get(path.name, path.stem)
    ]
    assert content.documents[0].text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "nas.yaml:1:1: the file is empty"),
        ("  \n\n", "nas.yaml:1:1: the file is empty"),
        ("# only a comment\n---\n", "nas.yaml:1:1: the file holds no document, only comments"),
        ("just words\n", "nas.yaml:1:1: a document is a mapping, not text"),
        ("- a\n", "nas.yaml:1:1: a document is a mapping, not a list"),
        ("a: b: c\n", "nas.yaml:1:5: not YAML: mapping values are not allowed here; check the indentation"),
        ("a: 'open\nb: 1\n", "nas.yaml:1:4: not YAML: while scanning a quoted scalar"),
        ("a: [1, 2\nb: 3\n", "not YAML: while parsing a flow sequence"),
        ("a: @x\n", "nas.yaml:1:4: not YAML: while scanning for the next token, found character '@'"),
        ("spec:\n\tnodes: []\n", "nas.yaml:2:1: a tab is used for indentation; YAML is indented with spaces"),
        (b"\x7fELF\x00\x01", "nas.yaml: the file is binary or UTF-16"),
        ("kind: HACluster".encode("utf-16"), "nas.yaml: the file is binary or UTF-16"),
        (b"a: 1\nb: \xff\n", "nas.yaml:2:4: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"a: \x1b[31m\n", "nas.yaml:1:4: the character U+001B is not allowed"),
        ("a: x\u2028y\n", "nas.yaml:1:5: the character U+2028 is not allowed"),
        (b"a: 1\n" * (10 * 1024 * 1024 // 5), "nas.yaml: the file is larger than 1024 KiB; split it"),
        (LAUGHS, "more than 20000 values, aliases expanded"),
        ("a: &a [*a]\n", "nas.yaml:1:8: an alias inside its own anchor has no end"),
        ("a: *nowhere\n", 'nas.yaml:1:4: undefined alias "nowhere"'),
        ("a: " + "[" * 5000 + "]" * 5000, "more than 40 levels deep"),
        ("- " * 5000, "more than 40 levels deep"),
        ("- a\n" * 30000, "more than 20000 values"),
        ("---\na\n" * 1001, "the file has more than 1000 documents"),
        ("a: !!python/object/apply:os.system ['id']\n", 'nas.yaml:1:4: the tag "!!python/object/apply:os.system"'),
        ("a: !mine 1\n", 'the tag "!mine" is not read; remove the tag'),
        ("%YAML 1.1\n---\na: 1\n", "nas.yaml:1:1: directives are not read"),
        ('a: "\\ud800"\n', "half a surrogate pair is no character"),
        ('a: "\\U00110000"\n', "not YAML"),
        ("kind: HACluster\nkind: HACluster\n", 'nas.yaml:2:1: kind: the key "kind" is there twice (first in line 1)'),
        ("? [a, b]\n: 1\n", "a key must be text, not a list or a mapping"),
        ("1: a\n", 'the key "1" is a number, a key must be text; quote it'),
    ],
)
def test_bad_text_is_refused(text, expected):
    """Each kind of broken text has its own message, and nothing is loaded."""
    content = read(text)
    assert content.documents == ()
    assert any(expected in str(problem) for problem in content.problems), [str(p) for p in content.problems]


@pytest.mark.parametrize(
    "scalar",
    [
        "on",
        "off",
        "yes",
        "no",
        "y",
        "n",
        "Yes",
        "NO",
        "On",
        "010",
        "089",
        "0o10",
        "0b11",
        "1_000",
        "1:30",
        "20:30:40",
        "+0x1F",
        "1e3",
        "1.5e3",
        "1_0.5",
        "2001-12-14",
        "=",
    ],
)
def test_scalars_two_yamls_read_differently(scalar):
    """A plain scalar that 1.1 and 1.2 read differently is refused as a value and as a key; quoted it is text."""
    bad = NAS.replace("site: example", f"site: {scalar}")
    assert [line for line in problems(bad) if "nas.yaml:7:11: metadata.labels.site: plain" in line]
    assert any("quote it" in line for line in problems(bad))
    as_key = NAS.replace("site: example", f"{scalar}: example")
    assert any("nas.yaml:7:5: metadata.labels: as a key, plain" in line for line in problems(as_key))
    quoted = NAS.replace("site: example", f'site: "{scalar}"')
    assert not any("plain" in line for line in problems(quoted))


@pytest.mark.parametrize("scalar", ["text", "198.51.100.11", "a:b", "2001:db8::1", "/dev/da1", "1.2.3", "a b", "-x"])
def test_scalars_both_yamls_read_as_text(scalar):
    """Ordinary texts need no quotes."""
    bad = NAS.replace("annotations", "a").replace("labels:\n    site: example", f"annotations:\n    site: {scalar}")
    assert problems(bad) == []


def test_all_tabs_are_shown():
    """Tabs come in herds: each line is named."""
    text = NAS.replace("  mode: Apply", "\tmode: Apply").replace("  groups:", "\tgroups:")
    assert [line.split(": ")[0] for line in problems(text)] == ["nas.yaml:9:1", "nas.yaml:23:1"]


def test_good_documents_of_a_file_load_beside_bad_ones():
    """A syntax error, a wrong kind and a comment-only part do not hide the good documents; positions are the file's."""
    text = f"{NAS}---\na: [\n---\n# nothing\n---\nkind: Deployment\nmetadata: {{name: web}}\n---\n{FIREWALL}"
    content = read(text)
    lines = NAS.count("\n")
    assert [document.source for document in content.documents] == ["nas.yaml", "nas.yaml#4"]
    found = [str(problem) for problem in content.problems]
    assert found[0].startswith(f"nas.yaml:{lines + 2}:")
    assert f'nas.yaml:{lines + 6}:7: kind: hactl knows no kind "Deployment"; write HACluster' in found
    assert content.broken == {"web"}
    assert content.nameless == 1


def test_line_ends_and_byte_order_mark():
    """Windows line ends and a byte order mark change nothing."""
    content = read(b"\xef\xbb\xbf" + NAS.replace("\n", "\r\n").encode())
    assert content.problems == ()
    assert content.documents[0].digest == read(NAS).documents[0].digest


def test_anchors_and_merge_keys_within_limits():
    """Anchors, aliases and merge keys are read; an own key wins over a merged one; positions point at the source."""
    text = NAS.replace(
        "        host: 127.0.0.1\n        port: 2221", "        &ssh\n        host: 127.0.0.1\n        port: 2221"
    )
    text = text.replace("        host: 127.0.0.1\n        port: 2222", "        <<: *ssh\n        port: 2222")
    content = read(text)
    assert content.problems == ()
    assert [node.ssh.port for node in content.documents[0].cluster.spec.nodes] == [2221, 2222]


def test_merge_key_needs_a_mapping():
    """A merge key that takes no mapping is refused."""
    assert any("a merge key takes a mapping" in line for line in problems("a: &a 1\nb: {<<: *a}\n"))


def test_name_of_a_broken_document_is_still_known():
    """So that its last good generation stays in force: from data, and from text that is no YAML."""
    assert read(NAS.replace("vhid: 80", "vhid: 0")).broken == {"nas"}
    assert read(NAS + "\t}{\n").broken == {"nas"}
    assert read(NAS.encode() + b"\xff").broken == {"nas"}
    assert read("metadata:\n  name: Bad Name\n").broken == frozenset()


def test_digest_is_of_the_meaning():
    """Comments, order of keys, spelled-out defaults and address spelling make no new generation; a value does."""
    same = NAS.replace("          advbase: 1\n", "").replace("  mode: Apply\n", "") + "# the end\n"
    assert read(same).documents[0].digest == read(NAS).documents[0].digest
    assert read(NAS.replace("advbase: 1", "advbase: 2")).documents[0].digest != read(NAS).documents[0].digest
    long = FIREWALL.replace("2001:db8:1::1/64", "2001:DB8:1:0::0001/64")
    assert read(long).documents[0].digest == read(FIREWALL).documents[0].digest


def test_secrets_are_not_repeated():
    """Who writes a password into a document is told where it belongs, and the message does not repeat it."""
    for line in ("password: 012345", "passwordFrom: hunter2-secret", "passwordFrom: {file: [hunter2-secret]}"):
        text = NAS.replace("passwordFrom:\n            file: secrets/files.carp", line)
        found = problems(text)
        assert found
        assert not any("hunter2" in line or "012345" in line for line in found)


def test_messages_are_safe_for_a_terminal():
    """Control characters of a document never reach the terminal."""
    text = NAS.replace("site: example", '"a\\e[31mb\\n": "\\e]0;x\\a"').replace("mode: Apply", '"\\e[2J": 1')
    found = problems(text)
    assert len(found) >= 2
    assert all(line.isprintable() for line in found)


@settings(max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=300), st.text(alphabet=" \n\t-:[]{}&*!|>'\"%@`#,?ab10~<=.\\", max_size=120).map(str.encode)
    )
)
@example(b"? ")
@example(b"- !<tag:x> &a *a")
@example(b"a: >\n\t\n")
def test_no_bytes_raise(content):
    """Whatever the bytes, there are documents or problems, never an exception, and every message is one line."""
    read_content = read(content)
    assert read_content.problems
    assert all("\n" not in str(problem) for problem in read_content.problems)


@settings(max_examples=100)
@given(st.data())
def test_no_damage_raises(data):
    """An example with a piece cut out or replaced loads or is refused, and never raises."""
    start = data.draw(st.integers(0, len(NAS)))
    length = data.draw(st.integers(0, 60))
    piece = data.draw(st.sampled_from(["", "\t", "- ", ": ", "[", "null", "{}", "*a", "&a ", "999", '"', "---\n"]))
    content = read(NAS[:start] + piece + NAS[start + length :])
    assert content.documents or content.problems


def test_size_limit_is_exact():
    """A file of the limit's size is read, one byte more is not."""
    comment = b"#" * (MAX_BYTES - len(NAS.encode()))
    assert read(NAS.encode() + comment).problems == ()
    assert "larger than" in str(read(NAS.encode() + comment + b"#").problems[0])


def test_many_problems_are_cut():
    """A hundred problems of a document are shown, and how many more there are."""
    found = problems(NAS.replace("  mode: Apply\n", "".join(f"  field{number}: 1\n" for number in range(130))))
    assert len(found) == 101
    assert found[-1].endswith("and 30 more problems in this document")


def test_blank_lines_do_not_slow_the_search_for_a_name():
    """A broken document with very many blank lines is read in linear time (the test's timeout is the check)."""
    assert read("metadata:\n" + "  \n" * 100_000 + "  name: nas\n  x: [\n").broken == {"nas"}

"""Any text at all: parsers refuse what they do not know, and a probe's answer never makes an exception."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hactl.core.facts import Known
from hactl.core.parse import geom, hastctl, kernel, parse_probe, rc, storage
from hactl.core.parse.answer.frames import FRAME
from hactl.core.parse.hastconf import HastConf, HastConfError, parse_hastconf
from hactl.core.parse.ifconfig import parse_ifconfig
from hactl.core.parse.text import Failed, NotUnderstood
from support.facts.builder import nas_cluster

CLUSTER = nas_cluster()
NONCE = "0123456789abcdef"
RECORDED = [
    step["stdout"] + step["stderr"]
    for path in sorted((Path(__file__).parents[2] / "recordings").glob("*.json"))
    for step in json.loads(path.read_text())["steps"]
    if step.get("stdout") or step.get("stderr")
]
PARSERS = [
    lambda text: parse_ifconfig(text, len),  # type: ignore[arg-type]
    kernel.parse_sysctl,
    kernel.parse_boottime,
    kernel.parse_netstat_carp,
    kernel.parse_carp_log,
    lambda text: kernel.parse_kldstat(0, text),
    hastctl.parse_list,
    hastctl.meaning,
    lambda text: hastctl.parse_dump(text, 0),
    lambda text: hastctl.parse_dump(text, 255),
    storage.parse_mount,
    storage.parse_swapinfo,
    storage.parse_diskinfo,
    storage.parse_dumpdev,
    storage.parse_fstat,
    # What is understood can be asked, whoever stands on whom.
    lambda text: geom.parse_mesh(text).users("vtbd1"),
    storage.parse_zpool_list,
    storage.parse_zpool_import,
    rc.parse_boot_files,
    rc.parse_rcvar,
    rc.parse_sysctl_conf_line,
    lambda text: rc.parse_service_status(text, 1, "unclear"),
    lambda text: rc.parse_variables(text, "mark"),
    lambda text: rc.carp_aliases({"ifconfig_em0_alias0": text, "ifconfig_em0": text}, ["em0"], {}, str.upper),
]
WORDS = [
    "\n",
    "\t",
    " ",
    "inet ",
    "carp: ",
    "vhid ",
    "pass ",
    "resource ",
    "{",
    "}",
    '"',
    ":",
    "-",
    "0x",
    "geom ",
    "class PART\n",
    "provider 0x1 r0w0e0 vtbd1\n",
    "consumer 0x1 r1w1e1\n",
    "end\n",
    "9" * 30,
    "٣",
    "\0",
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A recorded output with pieces cut out, doubled and replaced; or words of ours in a row."""
    text = draw(st.sampled_from([*RECORDED, ""]))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        text = text[:start] + draw(st.sampled_from([*WORDS, "", text[start:end] * 2])) + text[end:]
    return text + "".join(draw(st.lists(st.sampled_from(WORDS), max_size=6))) + draw(st.text(max_size=10))


@given(text=mutated())
@settings(max_examples=150, derandomize=True)
def test_parsers_raise_nothing_but_refusals(text: str) -> None:
    """NotUnderstood or Failed, or a value."""
    for parse in PARSERS:
        try:
            parse(text)
        except (NotUnderstood, Failed):
            continue


@given(text=mutated())
@settings(max_examples=150, derandomize=True)
def test_hast_conf_of_any_text_is_a_value(text: str) -> None:
    """A configuration or hastd's error, never an exception."""
    assert isinstance(parse_hastconf(text), HastConf | HastConfError)


SECTIONS = (
    "sysctl who uname ifconfig netstat dmesg mount hastpid hastconf list pgrep g_gate dump.0 service.0 rcvar.0"
    " bootfiles rc files nodes zfs zpool diskinfo.d0 first.d0 last.d0 diskinfo.h0 first.h0 mesh real.d0 fstat.d0"
    " swapinfo dumpdev"
)


@given(
    parts=st.lists(
        st.tuples(st.sampled_from(SECTIONS.split()), mutated(), st.sampled_from([0, 1, 2, 72, 124, 137, 255])),
        max_size=20,
    ),
    cut=st.integers(0, 4000),
    done=st.booleans(),
)
@settings(max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_any_answer_becomes_facts(parts: list[tuple[str, str, int]], cut: int, done: bool) -> None:
    """Whatever the sections hold and wherever the answer ends, there are facts and no exception."""
    text = f"{FRAME} {NONCE} begin start\n\n{FRAME} {NONCE} end start 0\n"
    for name, body, status in parts:
        text += f"{FRAME} {NONCE} begin {name}\n{body}\n{FRAME} {NONCE} end {name} {status}\n"
    text = text + f"{FRAME} {NONCE} done\n" if done else text[: 80 + cut]
    facts = parse_probe(CLUSTER, "nas-a", text, nonce=NONCE, seen_at=5.0, salt=b"salt").facts
    assert facts.node == "nas-a"
    # Nothing is free of proof: no interface is known without the section that shows it.
    if isinstance(facts.interfaces, Known):
        assert re.search(rf"begin ifconfig\n[\s\S]*?\n{FRAME} {NONCE} end ifconfig 0", text)


@given(text=st.text())
@settings(max_examples=50, derandomize=True)
def test_text_without_frames_is_refused(text: str) -> None:
    """ValueError, as promised, and nothing else."""
    with pytest.raises(ValueError, match="no frame"):
        parse_probe(CLUSTER, "nas-a", text, nonce=NONCE, seen_at=0.0, salt=b"")

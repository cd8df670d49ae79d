"""`hactl import HOST HOST`: two nodes that their owner set up, and the plan of the document that comes of it."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lab.site import Site, a_site

CARP = """
sysrc kld_list+=carp; echo 'net.inet.carp.preempt=1' >> /etc/sysctl.conf
kldload carp; sysctl net.inet.carp.preempt=1 net.inet.carp.allow=1
echo net.inet.carp.allow=1 >> /etc/sysctl.conf
echo 'ifconfig_vtnet1_alias0="inet 192.0.2.80/24 vhid 80 advskew {0} pass s3cret"' >> /etc/rc.conf
ifconfig vtnet1 inet vhid 80 advskew {0} pass s3cret alias 192.0.2.80/24
"""
DISK = """
sysrc hastd_enable=YES
cat > /etc/hast.conf <<'X'
resource data {{
    local /dev/vtbd1
    on nas-a {{ remote 198.51.100.12 }}
    on nas-b {{ remote 198.51.100.11 }}
}}
X
hastctl create data; service hastd start
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running lab for nas.yaml whose nodes have CARP as their owner set it up."""
    with a_site(tmp_path, "nas") as place:
        for node, advskew in (("nas-a", 0), ("nas-b", 100)):
            place.on(node, CARP.format(advskew))
        yield place


def imported(site: Site) -> Path:
    """The document of what was found, in a directory of its own."""
    ports = re.findall(r"port: (\d+)", site.document.read_text())
    target = site.directory / "found" / "found.yaml"
    target.parent.mkdir()
    done = site.hactl("import", *(f"127.0.0.1:{port}" for port in ports), "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout + done.stderr + target.read_text()
    secret = target.parent / "secrets" / "vhid-80.carp"
    assert secret.read_text() == "s3cret\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    return target


def test_a_sound_pair_has_nothing_to_do_by_its_own_document(site: Site) -> None:
    """The empty plan is the proof that the document says what runs; host keys are those that the nodes showed."""
    target = imported(site)
    for node in ("nas-a", "nas-b"):
        key = " ".join((site.document.parent / "lab" / f"{node}.pub").read_text().split()[:2])
        assert key in target.read_text()
    done = site.hactl("plan", "-f", str(target))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to do" in done.stdout


def test_of_a_pair_with_a_disk_only_the_node_hook_is_left_to_do(site: Site) -> None:
    """What is mounted is in the document; no disk, address or filesystem would change; then nothing is left."""
    for node in ("nas-b", "nas-a"):
        site.on(node, DISK.format())
        site.on(node, f"hastctl role {'primary' if node == 'nas-a' else 'secondary'} data")
    site.until(lambda: "complete" in site.on("nas-a", "hastctl status"))
    site.on("nas-a", "newfs -U /dev/hast/data; mkdir -p /data; mount -o noatime /dev/hast/data /data")
    site.on("nas-a", "service nfsd onestart")
    target = imported(site)
    assert "- name: nfsd" in target.read_text()
    assert "mountpoint: /data" in target.read_text()
    assert "options: [noatime]" in target.read_text()
    (plan,) = json.loads(site.hactl("plan", "-f", str(target), "-o", "json").stdout)
    verbs = {step["verb"] for stage in plan["stages"] for step in stage["steps"]}
    hook = {"WriteHook", "WriteHastConf", "ReloadHastd", "ReloadDevd", "RestartDevd", "ConfirmCopy", "SetRcVariable"}
    assert "WriteHook" in verbs
    assert verbs <= hook, verbs - hook
    assert plan["holds"] == []
    target.write_text(target.read_text().replace("mode: Observe", "mode: Apply"))
    assert site.hactl("apply", "-f", str(target)).returncode == 0
    assert "nothing to do" in site.hactl("plan", "-f", str(target)).stdout
    assert "/dev/hast/data on /data" in site.on("nas-a", "mount")


def test_a_node_that_does_not_answer_and_words_that_are_no_host_are_errors(site: Site) -> None:
    """No traceback; hosts and files together are too many."""
    done = site.hactl("import", "127.0.0.1:1")
    assert done.returncode == 1
    assert "port 1 shows no host key" in done.stderr
    assert "Traceback" not in done.stderr
    assert site.hactl("import", "nas-a:ssh").returncode == 64
    assert site.hactl("import", "127.0.0.1", "--from", "x").returncode == 64

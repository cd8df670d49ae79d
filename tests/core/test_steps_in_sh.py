"""Commands and checks of steps, run for real under dash where what a file or a path looks like decides."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hactl.core.plan import checks, make_plan
from support.facts.builder import NOW, healthy_pair

DASH = shutil.which("dash") or "/bin/sh"


def sh(text: str) -> int:
    """Exit status of the text, as a node's sh would have it."""
    return subprocess.run([DASH, "-s"], input=f"set -u\n{text}\n".encode(), timeout=30, check=False).returncode


@pytest.mark.parametrize(
    "before",
    [
        'ifconfig_vtnet2_mtu="9000"',
        'ifconfig_vtnet2_mtu="9000"\n',
        '# BEGIN hactl\nold="1"\n# END hactl\nifconfig_vtnet2_mtu="9000"',
        'ifconfig_vtnet2_mtu="9000"\n# BEGIN hactl\nold="1"\n# END hactl',
    ],
    ids=["no newline at its end", "as it should be", "our block before it", "our block at its end, cut"],
)
def test_the_boot_block_stands_on_lines_of_its_own(tmp_path: Path, before: str) -> None:
    """A file whose last line has no newline: sed(1) would leave it so, and BEGIN would be glued to it."""
    scene = healthy_pair()
    scene = scene.boot("nas-a", aliases=())
    (step,) = [s for s in make_plan(scene.cluster, scene.snapshot, NOW).steps if s.verb == "WriteBootAliases"]
    netif = tmp_path / "netif"
    netif.write_text(before)
    assert sh("HACTL_PASS_1=secret\n" + step.command.replace("/etc/rc.conf.d", str(tmp_path))) == 0
    after = netif.read_text().splitlines()
    assert after[:2] == ['ifconfig_vtnet2_mtu="9000"', "# BEGIN hactl"]
    assert after[-1] == "# END hactl"
    assert "pass secret" in after[2]
    assert "old" not in netif.read_text()
    assert netif.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["netif"]


def test_a_mountpoint_behind_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """A mountpoint below a link is mounted where the link points: the mount table would never show it."""
    (tmp_path / "usr").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "usr")
    for place, status in (("usr", 0), ("usr/files", 0), ("new/files", 0), ("home", 1), ("home/files", 1)):
        assert sh(f"( {checks.mountpoint_real(str(tmp_path / place)).test}\n)") == status, place

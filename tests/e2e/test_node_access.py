"""A key that only looks, from the document to the node and back, with the program as people run it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from hactl.adapters.ssh.keys import new_key_file, public_line
from support.lab.site import Site, a_site


def observing(site: Site, key: str = "lab/look", mode: str = "Propose") -> None:
    """The document says that hactl only looks, with a key of its own."""
    text = site.document.read_text()
    text = re.sub(r"^  mode: .*\n", "", text, flags=re.MULTILINE)
    text = text.replace("\nspec:\n", f"\nspec:\n  mode: {mode}\n", 1)
    text = re.sub(r"^ +(access: Observe|identityFrom: .*)\n", "", text, flags=re.MULTILINE)
    own = f"access: Observe\n        identityFrom: {{file: {key}}}\n        hostKeyFrom:"
    assert text.count("hostKeyFrom:") == 2, text
    text = text.replace("hostKeyFrom:", own)
    site.document.write_text(text)


def steps_of(plan: str) -> list[str]:
    """The steps of a plan, without its head and the holds."""
    return re.findall(r"^ +[0-9]+\. .*", plan, re.MULTILINE)


def test_a_key_that_only_looks(tmp_path: Path) -> None:
    """Refused with mode Apply; installed, it plans what root plans, and nothing can be done with it; rotated, the old
    key is worth nothing.
    """
    with a_site(tmp_path, "nas") as site:
        file, admin = str(site.document), site.environment["HACTL_IDENTITY"]
        look = site.document.parent / "lab" / "look"
        public = new_key_file(look)
        planned = site.hactl("plan", "-f", file)
        assert planned.returncode == 2, planned.stderr
        assert steps_of(planned.stdout)

        observing(site, mode="Apply")
        refused = site.hactl("validate", "-f", file)
        assert refused.returncode == 1
        assert "a key that only looks cannot do what mode Apply may take" in refused.stdout + refused.stderr

        observing(site)
        assert site.hactl("validate", "-f", file).returncode == 0
        before = site.hactl("plan", "-f", file)
        assert before.returncode == 1
        assert not steps_of(before.stdout)

        printed = site.hactl("node-access", "-f", file, "--from", "127.0.0.0/8", "--node", "nas-a")
        command = "/usr/local/libexec/hactl/gate observe"
        assert f'restrict,from="127.0.0.0/8",command="{command}" {public} hactl-observe\n' in printed.stdout
        assert "nas-b" not in printed.stdout
        assert site.hactl("render", "nas-a", "--gate", "-f", file).stdout.startswith(
            "#!/bin/sh\n# hactl: the gate of nas-a"
        )

        given = ("-f", file, "--admin-key", admin, "--from", "127.0.0.0/8")
        missing = site.hactl("node-access", "check", *given)
        assert missing.returncode == 1
        assert missing.stdout.count("not so: ") == 6
        installed = site.hactl("node-access", "install", *given)
        assert (installed.returncode, installed.stdout) == (0, "nas-a: as it should be\nnas-b: as it should be\n"), (
            installed.stderr
        )
        again = site.hactl("node-access", "install", *given)
        assert again.stdout == installed.stdout
        assert site.on("nas-a", "wc -l </root/.ssh/authorized_keys").strip() == "1"

        looked = site.hactl("plan", "-f", file)
        assert looked.returncode == 2, looked.stdout + looked.stderr
        assert steps_of(looked.stdout) == steps_of(planned.stdout)

        site.on("nas-a", "chmod 640 /usr/local/libexec/hactl/gate; chmod 666 /root/.ssh/authorized_keys")
        spoilt = site.hactl("node-access", "check", *given)
        assert spoilt.returncode == 1
        assert "not so: ~root/.ssh/authorized_keys is root's, and nobody else but root can write it" in spoilt.stdout
        assert "not so: /usr/local/libexec/hactl/gate belongs to root, who alone may use it" in spoilt.stdout
        assert "nas-b: as it should be" in spoilt.stdout
        assert site.hactl("node-access", "install", *given).returncode == 0

        shutil.copy(look, look.with_name("stolen"))
        rotated = site.hactl("node-access", "rotate", "-f", file, "--admin-key", admin)
        assert rotated.returncode == 0, rotated.stdout + rotated.stderr
        assert public_line(look) != public
        assert not look.with_name("look.new").exists()
        keys = site.on("nas-b", "cat /root/.ssh/authorized_keys")
        assert public not in keys
        assert f'restrict,from="127.0.0.0/8",command="{command}" {public_line(look)} ' in keys
        assert steps_of(site.hactl("plan", "-f", file).stdout) == steps_of(planned.stdout)
        observing(site, "lab/stolen")
        assert site.hactl("plan", "-f", file).returncode == 1

"""A key that only looks, from the document to the node and back, with the program as people run it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hactl.adapters.ssh.keys import new_key_file, public_line
from support.lab.site import Site, a_site

COMMAND = 'command="/usr/local/libexec/hactl/gate observe"'


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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A lab with blank nodes, and a key that nobody knows yet."""
    with a_site(tmp_path_factory.mktemp("site"), "nas") as found:
        new_key_file(look_key(found))
        yield found


def look_key(site: Site) -> Path:
    """The private key that is to look."""
    return site.document.parent / "lab" / "look"


def given(site: Site) -> tuple[str, ...]:
    """The document, a key that may install, and where the other may come from."""
    return "-f", str(site.document), "--admin-key", site.environment["HACTL_IDENTITY"], "--from", "127.0.0.0/8"


def test_from_root_to_a_key_that_only_looks(site: Site) -> None:
    """Refused with mode Apply and before it is installed; then it plans to the letter what root plans."""
    file = str(site.document)
    planned = site.hactl("plan", "-f", file)
    assert planned.returncode == 2, planned.stderr
    assert steps_of(planned.stdout)

    observing(site, mode="Apply")
    refused = site.hactl("validate", "-f", file)
    assert refused.returncode == 1
    assert "a key that only looks cannot do what mode Apply may take" in refused.stdout + refused.stderr
    observing(site)
    before = site.hactl("plan", "-f", file)
    assert before.returncode == 1
    assert not steps_of(before.stdout)

    printed = site.hactl("node-access", "-f", file, "--from", "127.0.0.0/8", "--node", "nas-a")
    assert f'restrict,from="127.0.0.0/8",{COMMAND} {public_line(look_key(site))} hactl-observe\n' in printed.stdout
    assert "nas-b" not in printed.stdout
    rendered = site.hactl("render", "nas-a", "--gate", "-f", file).stdout
    assert rendered.startswith("#!/bin/sh\n# hactl: the gate of nas-a")

    missing = site.hactl("node-access", "check", *given(site))
    assert missing.returncode == 1
    assert missing.stdout.count("not so: ") == 6
    for _ in range(2):
        installed = site.hactl("node-access", "install", *given(site))
        assert installed.stdout == "nas-a: as it should be\nnas-b: as it should be\n", installed.stderr
        assert installed.returncode == 0
    assert site.on("nas-a", "wc -l <~root/.ssh/authorized_keys").strip() == "1"
    looked = site.hactl("plan", "-f", file)
    assert looked.returncode == 2, looked.stdout + looked.stderr
    assert steps_of(looked.stdout) == steps_of(planned.stdout)


def test_what_was_spoilt_is_told_and_a_rotated_key_is_worth_nothing(site: Site) -> None:
    """The new key has the options of the old one, and works; whoever has the old one gets in nowhere."""
    observing(site)
    assert site.hactl("node-access", "install", *given(site)).returncode == 0
    site.on("nas-a", "chmod 640 /usr/local/libexec/hactl/gate; chmod 666 ~root/.ssh/authorized_keys")
    spoilt = site.hactl("node-access", "check", *given(site))
    assert spoilt.returncode == 1
    assert "not so: ~root/.ssh/authorized_keys is root's, and nobody else but root can write it" in spoilt.stdout
    assert "not so: /usr/local/libexec/hactl/gate belongs to root, who alone may use it" in spoilt.stdout
    assert "nas-b: as it should be" in spoilt.stdout
    assert site.hactl("node-access", "install", *given(site)).returncode == 0

    look = look_key(site)
    old = public_line(look)
    shutil.copy(look, look.with_name("stolen"))
    rotated = site.hactl("node-access", "rotate", *given(site))
    assert rotated.returncode == 0, rotated.stdout + rotated.stderr
    assert public_line(look) != old
    assert not look.with_name("look.new").exists()
    keys = site.on("nas-b", "cat ~root/.ssh/authorized_keys")
    assert old not in keys
    assert f'restrict,from="127.0.0.0/8",{COMMAND} {public_line(look)} ' in keys
    assert site.hactl("plan", "-f", str(site.document)).returncode == 2
    observing(site, "lab/stolen")
    assert site.hactl("plan", "-f", str(site.document)).returncode == 1

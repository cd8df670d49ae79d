"""Reading a few files of a node: exactly what is in them, by a real sh."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hactl.core.probe.texts import TEXT_LIMIT, parse_texts, texts_script
from support.limits import LIMIT_SECONDS

NONCE = "0123456789abcdef"


def test_files_come_back_as_they_are(tmp_path: Path) -> None:
    """With and without a last newline, with a name to be quoted; what is missing or too long is left out."""
    texts = {"a b": "one\n\ttwo\n", "plain": "no newline", "frame": f"%%hactl {NONCE[:-1]}0 end 0 0\n", "empty": ""}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "long").write_text("x" * (TEXT_LIMIT + 1))
    paths = [str(tmp_path / name) for name in (*texts, "long", "missing")]
    done = subprocess.run(
        ["/bin/sh", "-s"],
        input=texts_script(paths, NONCE),
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_SECONDS,
    )
    found = parse_texts(paths, done.stdout, NONCE)
    assert {Path(path).name: text for path, text in found.items()} == texts


def test_an_answer_that_is_not_ours_tells_nothing() -> None:
    """A banner, or an answer that was cut."""
    assert parse_texts(["/a"], "Welcome\n", NONCE) == {}
    assert parse_texts(["/a"], f"%%hactl {NONCE} begin 0\nhalf", NONCE) == {}

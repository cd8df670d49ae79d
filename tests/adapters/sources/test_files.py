"""Files and directories as a source: partial writes, replacements, broken, vanished and doubled documents."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hactl.adapters.sources.files import POLL_SECONDS, FileSource, list_files, load_files
from support.documents import FIREWALL, NAS

BROKEN = NAS.replace("vhid: 80", "vhid: 300")
START = 1_700_000_000.0


class StoppedClock:
    """Time that moves only when somebody sleeps; what happens meanwhile is called at its time."""

    def __init__(self):
        self.seconds = 0.0
        self.sleeps = 0
        self.events = []

    def monotonic(self):
        """Seconds slept so far."""
        return self.seconds

    def now(self):
        """The wall clock."""
        return datetime.fromtimestamp(START + self.seconds, UTC)

    async def sleep(self, seconds):
        """Let time pass."""
        self.sleeps += 1
        assert self.sleeps < 200, "nothing happens any more"
        self.seconds += seconds
        due = [event for event in self.events if event[0] <= self.seconds]
        self.events = [event for event in self.events if event[0] > self.seconds]
        for _, action in due:
            action()

    def at(self, seconds, action):
        """Have something happen during a sleep."""
        self.events.append((seconds, action))


@pytest.fixture
def clock():
    """A clock that stands still."""
    return StoppedClock()


@pytest.fixture
def clusters(tmp_path):
    """An empty directory of documents."""
    directory = tmp_path / "clusters"
    directory.mkdir()
    return directory


def write(file: Path, text: str, clock: StoppedClock, *, age: float = 60.0) -> None:
    """Write a file in place, as old as it should be on the stopped clock."""
    file.write_text(text, encoding="utf-8")
    moment = START + clock.seconds - age
    os.utime(file, (moment, moment))


def replace(file: Path, text: str, clock: StoppedClock, *, age: float = 0.0) -> None:
    """Replace a file atomically, as careful editors and git do."""
    fresh = file.with_name(file.name + ".tmp")
    write(fresh, text, clock, age=age)
    fresh.replace(file)


async def next_change(source: FileSource, clock: StoppedClock) -> float:
    """How long until the source says that something changed."""
    began = clock.seconds
    changes = source.changes()
    await anext(changes)
    await changes.aclose()
    return clock.seconds - began


async def test_directory_gives_its_documents(clusters, clock):
    """Every *.yaml and *.yml file, with the directory its references start from."""
    write(clusters / "nas.yaml", NAS, clock)
    write(clusters / "edge.yml", FIREWALL, clock)
    state = await FileSource([clusters], clock).read()
    assert sorted(state.documents) == ["edge", "nas"]
    assert state.documents["nas"].source == str(clusters / "nas.yaml")
    assert state.documents["nas"].directory == str(clusters)
    assert (state.problems, state.broken, state.down) == ((), frozenset(), None)


def test_editors_files_are_not_documents(clusters, clock):
    """Swap files, backups, locks, hidden files, other suffixes, directories and pipes are left alone."""
    write(clusters / "nas.yaml", NAS, clock)
    for name in [
        ".nas.yaml.swp",
        ".nas.yaml",
        "nas.yaml~",
        "#nas.yaml#",
        ".#nas.yaml",
        "nas.yaml.tmp",
        "4913",
        "nas.yaml.bak",
        "~nas.yaml",
        "README",
    ]:
        write(clusters / name, "garbage: [", clock)
    (clusters / "sub.yaml").mkdir()
    os.mkfifo(clusters / "pipe.yaml")
    assert [name for name, _ in list_files([str(clusters)]).files] == [str(clusters / "nas.yaml")]


async def test_links_are_followed_from_where_they_stand(clusters, clock, tmp_path):
    """A linked document starts its references at the link; a dead link is broken, not gone."""
    write(tmp_path / "real", NAS, clock)
    (clusters / "nas.yaml").symlink_to(tmp_path / "real")
    write(clusters / "edge.yaml", FIREWALL, clock)
    source = FileSource([clusters], clock)
    state = await source.read()
    assert state.documents["nas"].directory == str(clusters)
    (tmp_path / "real").unlink()
    state = await source.read()
    assert state.broken == {"nas"}
    assert [problem.message for problem in state.problems] == ["cannot be read: no such file or directory"]


async def test_unchanged_files_are_not_read_again(clusters, clock, monkeypatch):
    """A pass over unchanged files costs a stat each."""
    write(clusters / "nas.yaml", NAS, clock)
    source = FileSource([clusters], clock)
    first = await source.read()
    monkeypatch.setattr("hactl.adapters.sources.files.read_documents", lambda *_, **__: pytest.fail("read again"))
    assert (await source.read()).documents["nas"] is first.documents["nas"]


async def test_change_is_seen_within_a_second(clusters, clock):
    """A write, an atomic replace, a new and a vanished file each wake the source, and nothing else does."""
    file = clusters / "nas.yaml"
    write(file, NAS, clock)
    write(clusters / "edge.yaml", FIREWALL, clock)
    source = FileSource([clusters], clock)
    before = (await source.read()).documents["nas"].digest
    clock.at(2.1, lambda: replace(file, NAS.replace("advbase: 1", "advbase: 2"), clock))
    assert 2.0 < await next_change(source, clock) <= 2.1 + POLL_SECONDS
    assert (await source.read()).documents["nas"].digest != before
    clock.at(clock.seconds + 1, file.unlink)
    assert await next_change(source, clock) <= 1 + POLL_SECONDS
    state = await source.read()
    assert set(state.documents) == {"edge"}
    assert (state.broken, state.down) == (frozenset(), None)


async def test_broken_file_names_what_it_held(clusters, clock):
    """A file that stops loading leaves its cluster named as broken, whatever is left of the text."""
    write(clusters / "a.yaml", NAS, clock)
    write(clusters / "b.yaml", FIREWALL, clock)
    source = FileSource([clusters], clock)
    await source.read()
    for text in (BROKEN, "", "\x00\x01", "a: [", "# gone\n", NAS.replace("name: nas\n", "name: NAS\n")):
        write(clusters / "a.yaml", text, clock, age=5)
        state = await source.read()
        assert set(state.documents) == {"edge"}
        assert state.broken == {"nas"}
        assert state.problems
        assert all(problem.source == str(clusters / "a.yaml") for problem in state.problems)
    write(clusters / "a.yaml", NAS, clock, age=4)
    assert (await source.read()).broken == frozenset()


async def test_broken_since_the_start(clusters, clock):
    """After a restart the name comes from the text, else from the file's name."""
    write(clusters / "a.yaml", BROKEN, clock)
    write(clusters / "edge.yaml", "\x00", clock)
    state = await FileSource([clusters], clock).read()
    assert state.broken == {"nas", "edge"}


async def test_renamed_cluster_is_gone(clusters, clock):
    """A good file that names another cluster now no longer holds the old one."""
    write(clusters / "a.yaml", NAS, clock)
    source = FileSource([clusters], clock)
    await source.read()
    write(clusters / "a.yaml", NAS.replace("name: nas\n", "name: box\n"), clock, age=5)
    state = await source.read()
    assert set(state.documents) == {"box"}
    assert state.broken == frozenset()


async def test_half_written_file_is_given_time(clusters, clock):
    """A file that does not load and is younger than a second keeps its documents; then it is read again."""
    file = clusters / "nas.yaml"
    write(file, NAS, clock)
    source = FileSource([clusters], clock)
    await source.read()
    write(file, NAS[:700], clock, age=0.3)
    state = await source.read()
    assert set(state.documents) == {"nas"}
    assert (state.problems, state.broken) == ((), frozenset())
    # Nothing changes any more: the source itself asks for another look once the file has settled.
    assert await next_change(source, clock) <= 1.0 + POLL_SECONDS
    state = await source.read()
    assert state.broken == {"nas"}
    assert state.problems


async def test_half_written_new_file_is_broken_not_gone(clusters, clock):
    """Right after a restart a half-written file must not look like a vanished cluster."""
    write(clusters / "nas.yaml", NAS[:700], clock, age=0.3)
    state = await FileSource([clusters], clock).read()
    assert state.broken == {"nas"}
    assert state.problems == ()


async def test_half_a_document_that_is_valid(clusters, clock):
    """A file being written this moment is not read before it is quiet: half of it can be a valid document."""
    file = clusters / "nas.yaml"
    write(file, NAS.replace("      services:\n        - name: nfsd\n          runOn: Active\n", ""), clock, age=0.0)
    clock.at(0.05, lambda: write(file, NAS, clock, age=0.0))
    state = await FileSource([clusters], clock).read()
    assert state.documents["nas"].cluster.spec.groups[0].services


async def test_one_name_in_two_files(clusters, clock):
    """Neither is loaded, both are told, and the cluster counts as broken."""
    write(clusters / "a.yaml", FIREWALL, clock)
    write(clusters / "b.yaml", NAS + "---\n" + FIREWALL, clock)
    state = await FileSource([clusters], clock).read()
    assert set(state.documents) == {"nas"}
    assert state.broken == {"edge"}
    assert [(Path(problem.source).name, problem.line) for problem in state.problems] == [
        ("a.yaml", 5),
        ("b.yaml", NAS.count("\n") + 6),
    ]
    assert "also in" in state.problems[0].message
    assert state.problems[1].source == str(clusters / "b.yaml")


def test_one_name_twice_in_a_file(clusters, clock):
    """The same within one file."""
    write(clusters / "a.yaml", NAS + "---\n" + NAS, clock)
    state = load_files([str(clusters / "a.yaml")])
    assert state.documents == {}
    assert len(state.problems) == 2


async def test_source_down(clusters, clock):
    """A directory that is gone, or empty at once or from the start, is an outage: it says so, nothing has vanished."""
    source = FileSource([clusters], clock)
    assert (await source.read()).down == f"{clusters}: no *.yaml file in it"
    write(clusters / "nas.yaml", NAS, clock)
    write(clusters / "edge.yaml", FIREWALL, clock)
    assert (await source.read()).down is None
    (clusters / "nas.yaml").unlink()
    (clusters / "edge.yaml").unlink()
    assert (await source.read()).down == f"{clusters}: no *.yaml file in it"
    clusters.rmdir()
    assert (await source.read()).down == f"{clusters}: the directory is gone"


async def test_last_file_taken_away(clusters, clock):
    """One file removed is a decision, the last one too; the directory with it is an outage."""
    write(clusters / "nas.yaml", NAS, clock)
    source = FileSource([clusters], clock)
    await source.read()
    (clusters / "nas.yaml").unlink()
    for _ in range(2):
        state = await source.read()
        assert (dict(state.documents), state.broken, state.down) == ({}, frozenset(), None)
    write(clusters / "nas.yaml", NAS, clock)
    assert set((await source.read()).documents) == {"nas"}
    (clusters / "nas.yaml").unlink()
    clusters.rmdir()
    assert (await source.read()).down is not None


async def test_unreadable_directory_and_file(clusters, clock, monkeypatch):
    """No permission on the directory: down. On a file: that file's clusters are broken. (Root may read anything.)"""
    write(clusters / "a.yaml", NAS, clock)
    write(clusters / "b.yaml", FIREWALL, clock)
    source = FileSource([clusters], clock)
    await source.read()
    write(clusters / "a.yaml", NAS, clock, age=30)
    opened = os.open

    def refuse(path, *rest, **more):
        if str(path).endswith("a.yaml"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        state = await source.read()
    assert state.broken == {"nas"}
    assert [problem.message for problem in state.problems] == ["cannot be read: permission denied"]

    def no_scan(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", no_scan)
    state = await source.read()
    assert state.down == f"{clusters}: permission denied"


async def test_file_source_of_files(clusters, clock):
    """Files named one by one: one gone is gone, whichever; all gone at once is an outage."""
    first, second = clusters / "a", clusters / "b"
    write(first, NAS, clock)
    write(second, FIREWALL, clock)
    source = FileSource([first, second], clock)
    assert set((await source.read()).documents) == {"nas", "edge"}
    first.unlink()
    state = await source.read()
    assert (set(state.documents), state.down) == ({"edge"}, None)
    second.unlink()
    state = await source.read()
    assert (dict(state.documents), state.down) == ({}, None)
    write(first, NAS, clock)
    write(second, FIREWALL, clock)
    await source.read()
    first.unlink()
    second.unlink()
    assert (await source.read()).down is not None


def test_load_files_for_a_command(clusters, clock, tmp_path):
    """Files, directories and standard input together; a file named twice is one file."""
    write(clusters / "nas.yaml", NAS, clock)
    state = load_files([str(clusters), str(clusters / "nas.yaml"), "-"], stdin=io.BytesIO(FIREWALL.encode()))
    assert set(state.documents) == {"nas", "edge"}
    assert state.documents["edge"].source == "<stdin>"
    assert state.documents["edge"].directory == str(Path.cwd())
    assert state.problems == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing.yaml", "no such file or directory"),
        ("empty", "no *.yaml file in it"),
        ("a\0b", "no such file or directory"),
        ("x" * 300, "file name too long"),
    ],
)
def test_load_files_that_are_not_there(tmp_path, name, expected):
    """Somebody named it, so it is a problem."""
    (tmp_path / "empty").mkdir()
    state = load_files([f"{tmp_path}/{name}"])
    assert state.documents == {}
    assert any(expected in str(problem) for problem in state.problems), state.problems


def test_load_a_device():
    """A device is no document, and reading it would not end."""
    assert "not a regular file" in str(load_files(["/dev/zero"]).problems[0])


def test_file_names_are_safe_to_print(tmp_path):
    """A file name with control characters does not reach the terminal as it is."""
    name = tmp_path / "a\x1b[31m.yaml"
    name.write_text("", encoding="utf-8")
    assert all(str(problem).isprintable() for problem in load_files([str(name)]).problems)

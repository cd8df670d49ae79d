"""A git repository as a source: real repositories, real git, whole commits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hactl.adapters.sources.git import GOOD, GitPlace, GitSource
from hactl.adapters.sources.git_command import Git, GitFailed
from support.contracts.sources import SourceContract
from support.sources import GREEDY, Repository, StillClock, document


@pytest.fixture(autouse=True)
def nobodys_configuration(monkeypatch, tmp_path):
    """The user's own git configuration decides nothing here."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)


class GitWorld:
    """A repository with its documents in `clusters`."""

    remote = True

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.repository = Repository(tmp_path / "repository")
        self.secrets = tmp_path / "secrets"
        self.clock = StillClock()
        self.source = self.make()

    def make(self, **place) -> GitSource:
        """A source as after a restart."""
        asked = {"ref": "main", "path": "clusters", **place}
        return GitSource(
            GitPlace(self.repository.url, **asked),
            self.clock,
            state_directory=self.tmp_path / "state",
            secrets_directory=self.secrets,
        )

    async def put(self, **documents):
        """A commit."""
        self.repository.commit(
            {f"clusters/{name}.yaml": text for name, text in documents.items()} | {"README": "not a document"}
        )

    async def fail(self):
        """The repository is not there."""
        self.repository.directory.rename(self.tmp_path / "elsewhere")

    async def mend(self):
        """It is back."""
        (self.tmp_path / "elsewhere").rename(self.repository.directory)

    async def nobody_listens(self):
        """Nobody does."""

    def clone(self) -> Path:
        """Our bare clone."""
        [found] = (self.tmp_path / "state" / "git").iterdir()
        return found


@pytest.fixture
def world(tmp_path):
    """A fresh repository."""
    return GitWorld(tmp_path)


class TestContract(SourceContract):
    """The contract of all sources."""


async def test_a_document_names_the_commit_and_the_author_of_its_file(world):
    """Not those of a later commit that touched other files."""
    first = world.repository.commit({"clusters/one.yaml": document("one")}, author="Ada <ada@example.org>")
    world.repository.commit({"clusters/two.yaml": document("two", 8)}, author="Bob\x1b[31m <bob@example.org>")
    documents = (await world.source.read()).documents
    assert (documents["one"].revision, documents["one"].author) == (first, "Ada <ada@example.org>")
    assert documents["two"].author == "Bob\\u001b[31m <bob@example.org>"
    assert documents["two"].revised_at == "2026-11-01T10:00:00Z"
    assert documents["one"].source == f"git:{world.repository.url}#main:clusters/one.yaml"


async def test_a_commit_that_does_not_validate_is_refused_as_a_whole(world):
    """A good file in it is not taken either, nor is a deletion."""
    good = world.repository.commit({f"clusters/{name}.yaml": document(name) for name in ("one", "two", "three")})
    await world.source.read()
    bad = world.repository.commit(
        {
            "clusters/one.yaml": document("one", 300),
            "clusters/two.yaml": document("two", 9),
            "clusters/three.yaml": None,
        },
        author="Eve <eve@example.org>",
    )
    state = await world.source.read()
    assert sorted(state.documents) == ["one", "three", "two"]
    assert {each.revision for each in state.documents.values()} == {good}
    assert bad[:12] in state.trouble
    assert "Eve <eve@example.org>" in state.trouble
    assert f"commit {good[:12]}" in state.trouble
    world.repository.commit({"clusters/one.yaml": document("one", 11)})
    state = await world.source.read()
    assert sorted(state.documents) == ["one", "two"]
    assert state.trouble == ""


async def test_after_a_restart_the_refused_commit_is_still_not_in_force(world):
    """The clone knows which commit was good; also while the server is away."""
    good = world.repository.commit({"clusters/one.yaml": document("one")})
    await world.source.read()
    world.repository.commit({"clusters/one.yaml": "garbage: ["})
    await world.source.read()
    state = await world.make().read()
    assert state.documents["one"].revision == good
    assert "is refused" in state.trouble
    await world.fail()
    state = await world.make().read()
    assert state.documents["one"].revision == good
    assert "cannot be fetched" in state.trouble


async def test_a_rewritten_history_is_followed(world, caplog):
    """A force-pushed branch is what its owner says now; it is told in the log."""
    world.repository.commit({"clusters/one.yaml": document("one")})
    await world.source.read()
    world.repository.git("checkout", "--quiet", "--orphan", "other")
    new = world.repository.commit({"clusters/one.yaml": document("one", 9)})
    world.repository.git("branch", "--force", "main", "other")
    state = await world.source.read()
    assert state.documents["one"].revision == new
    assert "history was rewritten" in caplog.text


async def test_a_branch_that_is_deleted_changes_nothing(world):
    """What was in force stays; a source that never had one is down."""
    world.repository.commit({"clusters/one.yaml": document("one")})
    await world.source.read()
    world.repository.git("branch", "--move", "main", "trunk")
    state = await world.source.read()
    assert "one" in state.documents
    assert "cannot be fetched: couldn't find remote ref main" in state.trouble
    assert "couldn't find remote ref nowhere" in ((await world.make(ref="nowhere").read()).down or "")


@pytest.mark.parametrize("ref", ["v1", "refs/tags/v1", "HEAD", "main"])
async def test_a_ref_may_be_a_tag_or_a_branch(world, ref):
    """An annotated tag stands for its commit."""
    commit = world.repository.commit({"clusters/one.yaml": document("one")})
    world.repository.git("tag", "-a", "v1", "-m", "one")
    assert (await world.make(ref=ref).read()).documents["one"].revision == commit


async def test_a_path_may_be_a_file_or_the_top(world):
    """Only what is directly there is read."""
    world.repository.commit({"top.yaml": document("top"), "clusters/one.yaml": document("one")})
    assert set((await world.make(path="").read()).documents) == {"top"}
    assert set((await world.make(path="clusters/one.yaml").read()).documents) == {"one"}


@pytest.mark.parametrize("path", ["nowhere", "clusters/nowhere.yaml", "../etc", "linked"])
async def test_a_path_that_is_not_in_the_commit_is_an_outage(world, path):
    """Ways out of the repository and through links lead nowhere."""
    (world.repository.directory / "linked").symlink_to("clusters")
    world.repository.commit({"clusters/one.yaml": document("one")})
    state = await world.make(path=path).read()
    assert state.documents == {}
    assert path in (state.down or "")


async def test_a_symbolic_link_is_not_followed(world, tmp_path):
    """Neither out of the repository nor inside of it."""
    outside = tmp_path / "outside.yaml"
    outside.write_text(document("outside"))
    world.repository.commit({"clusters/one.yaml": document("one")})
    (world.repository.directory / "clusters" / "link.yaml").symlink_to(outside)
    world.repository.commit({})
    state = await world.source.read()
    assert state.documents == {}
    assert any("symbolic link" in str(problem) for problem in state.problems)
    assert "one" in state.broken


async def test_the_directory_vanishes_from_the_repository(world):
    """Git has no empty directories: that commit is refused, nothing is unmanaged."""
    world.repository.commit({"clusters/one.yaml": document("one"), "x": "y"})
    await world.source.read()
    world.repository.commit({"clusters/one.yaml": None})
    state = await world.source.read()
    assert "one" in state.documents
    assert "there is no clusters in it" in state.trouble


async def test_a_huge_file_is_not_read(world):
    """Its size is known before its content."""
    world.repository.commit({"clusters/one.yaml": document("one") + "#" * (1024 * 1024)})
    state = await world.source.read()
    assert any("larger than 1024 KiB" in str(problem) for problem in state.problems)


async def test_a_commit_without_a_signature_is_refused_when_signatures_are_wanted(world):
    """And what was good without one is not good any more."""
    world.repository.commit({"clusters/one.yaml": document("one")})
    await world.source.read()
    state = await world.make(verify=True).read()
    assert state.documents == {}
    assert "git verify-commit does not accept it" in (state.down or "")


def _new_key(file: Path) -> str:
    """Make a key pair; the public key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file.with_name(f"{file.name}.pub").read_text()


async def test_only_signatures_of_known_keys_are_accepted(world, tmp_path, monkeypatch):
    """As the user's own git is set up: here SSH keys and an allowed_signers file (git-config(1), gpg.ssh)."""
    keys = {name: _new_key(tmp_path / name) for name in ("ada", "eve")}
    signers = tmp_path / "allowed_signers"
    signers.write_text(f"ada@example.org {keys['ada']}")
    configuration = tmp_path / "gitconfig"
    configuration.write_text(f'[gpg]\n\tformat = ssh\n[gpg "ssh"]\n\tallowedSignersFile = {signers}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))

    def sign(name: str, files: dict[str, str | None]) -> str:
        world.repository.git("config", "gpg.format", "ssh")
        world.repository.git("config", "user.signingKey", str(tmp_path / name))
        world.repository.git("config", "commit.gpgSign", "true")
        return world.repository.commit(files)

    source = world.make(verify=True)
    good = sign("ada", {"clusters/one.yaml": document("one")})
    assert (await source.read()).documents["one"].revision == good
    sign("eve", {"clusters/one.yaml": document("one", 9)})
    state = await source.read()
    assert state.documents["one"].revision == good
    assert "verify-commit" in state.trouble


async def test_nothing_of_the_repository_is_run(world, tmp_path):
    """No hook, no file system monitor, no filter: the clone has no hooks and no work tree."""
    world.repository.commit({"clusters/one.yaml": document("one"), ".gitattributes": "*.yaml filter=evil"})
    await world.source.read()
    clone = world.clone()
    marker = tmp_path / "ran"
    hooks = clone / "hooks"
    assert not hooks.exists()
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (hooks / name).chmod(0o755)
    world.repository.commit({"clusters/one.yaml": document("one", 9)})
    assert "192.0.2.9/24" in (await world.source.read()).documents["one"].text
    assert not marker.exists()


async def test_a_clone_that_a_killed_git_left_locked_or_broken_is_mended(world):
    """Lock files are taken away; what is no repository is made anew."""
    world.repository.commit({"clusters/one.yaml": document("one")})
    await world.source.read()
    lock = world.clone() / f"{GOOD}.lock"
    lock.write_text("")
    world.repository.commit({"clusters/one.yaml": document("one", 9)})
    assert "192.0.2.9/24" in (await world.make().read()).documents["one"].text
    assert not lock.exists()
    (world.clone() / "HEAD").write_text("rubbish")
    assert "192.0.2.9/24" in (await world.make().read()).documents["one"].text


async def test_a_server_that_hangs_ends_with_the_time_limit_and_leaves_no_process(world, tmp_path, monkeypatch):
    """The whole process group of git is ended."""
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(program))
    source = GitSource(
        GitPlace("ssh://git@192.0.2.1/x.git", "main"), world.clock,
        state_directory=tmp_path / "state", secrets_directory=world.secrets, fetch_seconds=1.0,
    )  # fmt: skip
    state = await source.read()
    assert "git fetch took longer than 1 s" in (state.down or "")
    pid = int((tmp_path / "pid").read_text())
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    """Whether a process is there and is more than an entry that waits for its parent."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z")


@pytest.mark.parametrize("url", ["ext::sh -c true", "http://127.0.0.1:1/x.git", "git://127.0.0.1:1/x.git"])
async def test_other_protocols_are_refused_by_git_itself(world, tmp_path, url):
    """Even if one came past the command line."""
    git = Git(tmp_path / "bare.git")
    await git.prepare()
    with pytest.raises(GitFailed, match="not allowed"):
        await git.run("fetch", "--", url, "main")


async def test_without_git_the_source_is_down_and_says_what_to_install(world, tmp_path, monkeypatch):
    """Not an exception."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in ((await world.source.read()).down or "")


async def test_secrets_of_the_controller_are_out_of_reach(world):
    """The commit is refused."""
    world.repository.commit({"clusters/greedy.yaml": GREEDY})
    state = await world.source.read()
    assert state.documents == {}
    assert len(state.problems) == 3


async def test_failing_fetches_are_tried_more_rarely(world):
    """Up to five minutes apart."""
    world.repository.commit({"clusters/one.yaml": document("one")})
    await world.source.read()
    await world.fail()
    changes = world.source.changes()
    for _ in range(6):
        await anext(changes)
        await world.source.read()
    assert world.clock.slept == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]
    await changes.aclose()

"""Which server a command talks to, and how it is asked: contexts, Unix sockets, refusals in words."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from hactl.cli.api_client.client import Call, StatusError, Unreachable
from hactl.cli.api_client.contexts import SOCKET, Context, Contexts, chosen
from hactl.cli.api_client.remote import Remote
from hactl.cli.main import run
from hactl.errors import HactlError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test."""
    for name in ("HACTL_SERVER", "HACTL_CONTEXT", "HACTL_TOKEN", "HACTL_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HACTL_CONFIG", str(tmp_path / "config" / "config.yaml"))
    return tmp_path


class _Answers(BaseHTTPRequestHandler):
    """What a server might say."""

    seen: ClassVar[list[tuple[str, str, str, bytes]]] = []

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("Authorization", ""), body))
        if self.path.startswith("/watch"):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"type":"ADDED","object":{"n":1}}\n{"type":"DELETED","object":{"n":1}}\n')
            if self.path.endswith("open"):
                self.rfile.read(1)  # until whoever watches goes
            return
        code, reply = 200, {"method": self.command}
        if self.path.startswith("/refused"):
            causes = [{"field": "spec.a", "message": "bad"}, {"field": "spec.b", "message": "worse"}]
            code, reply = 422, {"reason": "Invalid", "message": "no", "details": {"causes": causes}}
        data = b"<html>" if self.path.startswith("/html") else json.dumps(reply).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815


@pytest.fixture
def server(place: Path) -> Iterator[Path]:
    """A server on a Unix socket where `hactl run` has its own."""
    path = place / SOCKET
    _Answers.seen = []
    with socketserver.ThreadingUnixStreamServer(str(path), _Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield path
        listening.shutdown()
        thread.join()


def test_the_socket_beside_the_record_is_found_when_somebody_answers(server: Path, place: Path) -> None:
    """Nobody has to configure anything on the machine of the controller."""
    found = chosen(None, None, place / "hactl.db")
    assert found == Context(f"unix:{server}")


def test_a_socket_without_a_server_is_no_server(place: Path) -> None:
    """A controller that was killed leaves its socket behind."""
    with socketserver.ThreadingUnixStreamServer(str(place / SOCKET), _Answers):
        pass
    assert (place / SOCKET).exists()
    assert chosen(None, None, place / "hactl.db") is None


def test_what_is_said_wins_over_what_is_found(server: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--server, --context, --state, HACTL_SERVER, HACTL_CONTEXT, the current context, the socket: in that order."""
    contexts = Contexts.load()
    contexts.contexts = {name: {"server": f"https://{name}:1"} for name in ("current", "other", "named")}
    contexts.current = "current"
    contexts.save()
    record = place / "hactl.db"

    def server_of(server: str | None = None, context: str | None = None, *, stated: bool = False) -> str:
        found = chosen(server, context, record, stated=stated)
        assert found is not None
        return found.server

    assert server_of() == "https://current:1"
    monkeypatch.setenv("HACTL_CONTEXT", "other")
    assert server_of() == "https://other:1"
    assert server_of(context="named") == "https://named:1"
    monkeypatch.setenv("HACTL_SERVER", "https://environment:1")
    assert server_of() == "https://environment:1"
    assert server_of(stated=True) == f"unix:{server}"
    assert server_of(context="named", stated=True) == "https://named:1"
    assert server_of("unix:/x", "named") == "unix:/x"


def test_requests_carry_the_token_and_the_query(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a query with characters that mean something."""
    monkeypatch.setenv("HACTL_TOKEN", "hactl_x")
    client = Remote(Context(f"unix:{server}"))
    assert client.send(Call("POST", "/a b", {"labelSelector": "a=b,c!=d", "empty": ""}, body={"n": 1})) == {
        "method": "POST"
    }
    assert _Answers.seen == [("POST", "/a%20b?labelSelector=a%3Db%2Cc%21%3Dd", "Bearer hactl_x", b'{"n": 1}')]


def test_a_refusal_names_every_cause(server: Path) -> None:
    """On its own line."""
    with pytest.raises(StatusError) as refused:
        Remote(Context(f"unix:{server}")).send(Call("GET", "/refused"))
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert str(refused.value).splitlines() == ["no", "  spec.a: bad", "  spec.b: worse"]


def test_a_watch_gives_every_line(server: Path) -> None:
    """Until the server ends it, or as long as the watcher cares to wait for another one."""
    client = Remote(Context(f"unix:{server}"))
    for watch in (client.watch(Call("GET", "/watch")), client.watch(Call("GET", "/watch/open"), quiet_seconds=0.3)):
        assert [each["type"] for each in watch] == ["ADDED", "DELETED"]


def test_who_is_no_hactl_is_said_to_be_none(server: Path, place: Path) -> None:
    """Not a traceback about JSON."""
    with pytest.raises(Unreachable, match="does not answer as hactl does"):
        Remote(Context(f"unix:{server}")).send(Call("GET", "/html"))
    with pytest.raises(Unreachable, match="does not answer"):
        Remote(Context(f"unix:{place}/missing.sock")).send(Call("GET", "/"))


@pytest.mark.parametrize("server", ["ftp://x", "https://", "nas", "https://x:port", "http://192.0.2.1:80"])
def test_what_is_no_server_is_refused(server: str) -> None:
    """Plain HTTP only to this machine: a token would be there for everybody to read."""
    with pytest.raises(HactlError):
        Remote(Context(server))


def test_contexts_are_made_used_shown_and_deleted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the commands; the file is for its owner only, and a token is never shown."""
    assert (
        run(["config", "set-context", "site", "--server", "https://ha:6443", "--token", "hactl_secret", "--use"]) == 0
    )
    path = place / "config" / "config.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert run(["config", "set-context", "site", "--token-file", "~/t"]) == 0
    assert run(["config", "get-contexts"]) == 0
    assert run(["config", "view"]) == 0
    shown = capsys.readouterr().out
    assert "hactl_secret" not in shown
    assert "https://ha:6443" in shown
    assert Contexts.load().find("site").fields["tokenFile"] == "~/t"
    assert run(["config", "set-context", "site", "--token", ""]) == 0
    assert "token" not in Contexts.load().contexts["site"]
    assert run(["config", "use-context", "nowhere"]) == 1
    assert run(["config", "delete-context", "site"]) == 0
    assert Contexts.load().current == ""
    assert run(["config", "delete-context", "site"]) == 1
    assert run(["config", "set-context", "new"]) == 64


@pytest.mark.parametrize("text", ["contexts: [a]", "contexts: {a: {sever: x}}", "contexts: {a: {server: 1}}", "{", "a"])
def test_a_file_that_is_wrong_says_where(text: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its path; nothing is guessed."""
    path = place / "config" / "config.yaml"
    path.parent.mkdir()
    path.write_text(text)
    assert run(["config", "get-contexts"]) == 1
    assert str(path) in capsys.readouterr().err


def test_no_server_and_no_record_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would make one."""
    assert run(["--state", str(place / "hactl.db"), "get"]) == 1
    assert "no server runs and there is no record" in capsys.readouterr().err
    assert not (place / "hactl.db").exists()


def test_a_token_file_that_is_missing_is_named(place: Path) -> None:
    """Before anything is sent."""
    context = Context("https://ha:1", "site", {"server": "https://ha:1", "tokenFile": str(place / "token")})
    with pytest.raises(HactlError, match="no token in"):
        context.token()
    (place / "token").write_text("hactl_y\n")
    assert context.token() == "hactl_y"
    assert "HACTL_TOKEN" not in os.environ

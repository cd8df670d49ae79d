"""What happened, and why, for who is elsewhere: the history, and explanations from the controller's last look."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from hactl.api.identity import Authenticator
from hactl.api.non_kubernetes.endpoints import Endpoints
from hactl.api.non_kubernetes.metrics import Metrics
from hactl.api.request.wire import Identity, Request, Response
from hactl.api.workers import Lane
from hactl.core.evidence.view import View
from hactl.core.facts import CarpState
from hactl.core.kube.access import allowed
from hactl.core.kube.errors import ApiError
from hactl.core.why.answer import explanation_data
from hactl.core.why.ask import explain
from hactl.core.why.looked import Seen
from support.contracts.store import ManualClock
from support.facts.builder import NOW, Scene
from support.facts.hooked_scene import hooked_pair, plan_of

ROW = {
    "id": 1,
    "at": "2026-11-24T03:00:00Z",
    "kind": "DocumentAccepted",
    "cluster": "nas",
    "node": "nas-a",
    "summary": "x",
}


class Record:
    """A history that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    async def history(self, query: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """As `History.history`."""
        self.asked.append(query)
        return [ROW]


class Place:
    """Endpoints behind which a controller has looked at one cluster."""

    def __init__(self, scene: Scene | None = None) -> None:
        scene = scene or hooked_pair()
        self.seen = Seen(scene.cluster, scene.snapshot, plan_of(scene), "nas.yaml")
        self.record, self.clock = Record(), ManualClock()
        metrics = Metrics(dict, lambda: 0, self.clock.now)
        self.endpoints = Endpoints(
            self.record, self.clock, dict, metrics, Authenticator(self.record, self.clock),  # type: ignore[arg-type]
            lambda label: None, self.changes, Lane("tests"),
            seen=lambda name: self.seen if name == "nas" else None,
        )  # fmt: skip

    async def changes(self, after: int | None) -> AsyncIterator[Mapping[str, Any]]:
        """None."""
        for each in ():
            yield each

    async def ask(self, path: str, **query: str) -> Response:
        """As a viewer."""
        return await self.endpoints.handle(Request("GET", path, Identity("bob@there", "viewer", "x"), query, {}, b""))


async def test_history_is_asked_for_what_the_query_says() -> None:
    """Every filter of `hactl history`; and as many rows as it shows, when nobody says."""
    place = Place()
    assert (await place.ask("/history")).body == {"items": [ROW]}
    assert place.record.asked.pop() == {"limit": 200}
    await place.ask(
        "/history", cluster="nas", node="nas-a", kind="Step", since="2026-11-24T03:00:00Z", limit="7", failed="true"
    )
    asked = place.record.asked.pop()
    assert str(asked["since"]) == "2026-11-24 03:00:00+00:00"
    assert {**asked, "since": 0} == {
        "cluster": "nas", "node": "nas-a", "kind": "Step", "since": 0, "limit": 7, "failed": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "5001"},
        {"limit": "many"},
        {"since": "yesterday"},
        {"kind": "Nothing"},
        {"failed": "perhaps"},
        {"order": "up"},
    ],
    ids=str,
)
async def test_what_history_does_not_understand_is_400_and_not_looked_up(query: Mapping[str, str]) -> None:
    """With words, and nothing is read."""
    place = Place()
    with pytest.raises(ApiError) as refused:
        await place.ask("/history", **query)
    assert refused.value.code == 400
    assert not place.record.asked


async def test_why_is_answered_from_the_last_look() -> None:
    """The same explanation that `hactl why` makes of the same look, as JSON; ages grow with the clock."""
    place = Place(hooked_pair().vhid("nas-a", state=CarpState.BACKUP).vhid("nas-b", state=CarpState.BACKUP))
    place.clock.seconds = NOW
    (found,) = (await place.ask("/clusters/nas/why")).body["items"]  # type: ignore[index]
    assert json.loads(json.dumps(found)) == found
    assert (found["cluster"], found["healthy"]) == ("nas", False)
    assert found["headline"]
    assert found["facts"]
    (again,) = (await place.ask("/clusters/nas/why", group="files")).body["items"]  # type: ignore[index]
    assert again == found
    assert place.record.asked[0]["cluster"] == "nas"
    place.clock.seconds += 5.0
    (later,) = (await place.ask("/clusters/nas/why")).body["items"]  # type: ignore[index]
    ages = [fact["ageSeconds"] for fact in found["facts"]]
    grown = [None if age is None else pytest.approx(age + 5.0) for age in ages]
    assert [fact["ageSeconds"] for fact in later["facts"]] == grown


async def test_why_not_asks_about_a_node() -> None:
    """`hactl why-not`: active unless it says otherwise."""
    place = Place()
    (found,) = (await place.ask("/clusters/nas/why", node="nas-b")).body["items"]  # type: ignore[index]
    (same,) = (await place.ask("/clusters/nas/why", node="nas-b", what="active")).body["items"]  # type: ignore[index]
    assert found["headline"] == same["headline"]
    assert found["headline"].startswith("nas-b is not active")


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/clusters/mail/why", {}, 404),
        ("/clusters/nas/why", {"group": "mail"}, 400),
        ("/clusters/nas/why", {"node": "mail-a"}, 400),
        ("/clusters/nas/why", {"node": "nas-a", "what": "tired"}, 400),
        ("/clusters/nas/why", {"what": "active"}, 400),
    ],
)
async def test_what_nobody_knows_is_told(path: str, query: Mapping[str, str], code: int) -> None:
    """A cluster, a group, a node, a word."""
    with pytest.raises(ApiError) as refused:
        await Place().ask(path, **query)
    assert refused.value.code == code


def test_who_may_read_them() -> None:
    """Viewers; strangers nothing."""
    for place in (("history", ""), ("clusters", "why")):
        assert allowed("viewer", "get", *place)
        assert not allowed(None, "get", *place)


def test_an_explanation_keeps_every_word_as_data() -> None:
    """Headline, facts, remedies and the rest."""
    scene = hooked_pair()
    answer = explain(View.at(scene.cluster, scene.snapshot, NOW), plan_of(scene))
    data = explanation_data("nas", answer)
    assert (data["headline"], data["healthy"], len(data["facts"])) == (answer.headline, True, len(answer.facts))

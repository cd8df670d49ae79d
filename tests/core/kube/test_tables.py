"""Tables: the columns people see, and that nothing anybody wrote can break or fool a listing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hactl.core.document.crd.cluster import custom_resource_definition
from hactl.core.kube import summary, tables
from hactl.core.kube.codec import event_body, operation_body, status_view
from hactl.core.kube.kinds import EVENTS, HACLUSTERS, HAOPERATIONS, LEASES, NAMESPACES, RESOURCES
from hactl.core.operations import Kind, Operation, State
from support.documents import nas_data

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def stored(body, **metadata):
    """An object as the store gives it."""
    made = {"uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-11-21T10:00:00Z", "generation": 3}
    return {**body, "metadata": {"namespace": "default", **body["metadata"], **made, **metadata}}


def status(**more):
    """A status of a well cluster."""
    well = {
        "nodes": [{"name": "nas-a", "hook": None}, {"name": "nas-b", "hook": {"drained": ""}}],
        "groups": [{"name": "files", "active": "nas-a", "storage": [{"status": "complete", "dirtyBytes": 0}]}],
        "holds": [],
        "problems": [],
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "AsDesired"},
            {"type": "FailoverReady", "status": "True", "reason": "StandbyReady"},
        ],
    }
    return status_view({**well, **more})


def cluster(**more):
    """The storage pair as an object."""
    return stored({**nas_data(), "status": status(**more)})


def row(resource, body, *, wide=True):
    """Cells by column name."""
    made = tables.table(resource, [body], rv="9", now=NOW)
    [found] = made["rows"]
    shown = zip(made["columnDefinitions"], found["cells"], strict=True)
    return {column["name"]: cell for column, cell in shown if wide or not column["priority"]}


def test_columns_of_a_cluster():
    """READY ACTIVE FAILOVER SYNC AGE, and with -o wide the machines, the generation and the reason."""
    assert row(HACLUSTERS, cluster(), wide=False) == {
        "Name": "nas",
        "Ready": "True",
        "Active": "nas-a",
        "Failover": "True",
        "Sync": "complete",
        "Age": "3d2h",
    }
    wide = row(HACLUSTERS, cluster())
    assert (wide["Nodes"], wide["Generation"], wide["Reason"]) == ("nas-a,nas-b", 3, "AsDesired")


def test_the_crd_has_the_same_columns():
    """A real API server that holds our CRD shows the same columns under the same names."""
    printed = custom_resource_definition()["spec"]["versions"][0]["additionalPrinterColumns"]
    ours = tables.COLUMNS["haclusters"][1:]
    assert [(c["name"], c.get("priority", 0)) for c in printed] == [(c.name, c.priority) for c in ours]
    for path, key in ((".status.nodeNames", "nodeNames"), (".status.reason", "reason"), (".status.sync", "sync")):
        assert path in [column["jsonPath"] for column in printed]
        assert cluster()["status"][key]


def test_a_cluster_nobody_looked_at_yet():
    """A new object says Unknown, never True and never nothing."""
    found = row(HACLUSTERS, stored(nas_data()))
    assert (found["Ready"], found["Failover"]) == ("Unknown", "Unknown")
    assert (found["Active"], found["Sync"], found["Reason"]) == ("-", "-", "-")


def opened(number, kind, **more):
    """An open request."""
    return Operation(number, "nas", kind, "alice@host", "because", NOW, **more)


def test_what_people_asked_for_shows_in_ready():
    """A request is never hidden: each open one about the cluster is a word behind READY, once."""
    asked = [
        opened(1, Kind.PAUSE),
        opened(2, Kind.DRAIN, node="nas-b"),
        opened(3, Kind.PAUSE, node="nas-a"),
        opened(4, Kind.SWITCHOVER, group="files", node="nas-b", state=State.DONE),
    ]
    view = status_view(status(), cluster="nas", operations=asked)
    assert [request["type"] for request in view["requests"]] == ["Pause", "Drain", "Pause"]
    assert view["requests"][1] == {"type": "Drain", "node": "nas-b", "actor": "alice@host", "reason": "because"}
    assert row(HACLUSTERS, stored({**nas_data(), "status": view}))["Ready"] == "True,Paused,Drained"
    assert "requests" not in status_view(status(), cluster="edge", operations=asked)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_request_has_a_word(kind):
    """No kind of request is silent."""
    view = status_view(status(), cluster="nas", operations=[opened(1, kind)])
    assert summary.ready(view).count(",") == 1


def test_a_pause_or_drain_shows_without_the_record():
    """What the plan and the nodes say themselves is enough."""
    assert row(HACLUSTERS, cluster(holds=[{"reason": "Paused", "message": "m"}]))["Ready"] == "True,Paused"
    nodes = [{"name": "nas-a", "hook": {"drained": "alice: disk swap"}}]
    assert row(HACLUSTERS, cluster(nodes=nodes))["Ready"] == "True,Drained"


def test_a_cluster_on_its_way_out_says_so():
    """Waiting for finalizers is visible."""
    assert row(HACLUSTERS, stored(nas_data(), deletionTimestamp="2026-11-24T11:00:00Z"))["Ready"] == (
        "Unknown,Terminating"
    )


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "AsDesired"),
        ({"Stalled": "Paused", "Reconciling": "Waiting"}, "Paused"),
        ({"Reconciling": "Waiting"}, "Waiting"),
        ({"Stalled": "NodeSilent", "SplitBrain": "TwoMasters"}, "TwoMasters"),
    ],
)
def test_the_reason_is_that_of_the_worst_condition(more, reason):
    """Split-brain before stalled before at work before Ready's own reason."""
    conditions = [{"type": kind, "status": "True", "reason": why} for kind, why in more.items()]
    conditions.append({"type": "Ready", "status": "True", "reason": "AsDesired"})
    assert row(HACLUSTERS, cluster(conditions=conditions))["Reason"] == reason


def test_a_bad_document_is_the_reason():
    """A document that does not validate shows although the cluster is well."""
    assert row(HACLUSTERS, cluster(problems=["nas.yaml:3: bad"]))["Reason"] == "DocumentProblems"


def operation(kind=Kind.SWITCHOVER, **more):
    """A request as an object."""
    made = Operation(4, "nas", kind, "alice@host", "disk\nswap\x1b[31m", NOW, **more)
    return stored(operation_body(made, f"{kind.value.lower()}-4"))


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (operation(group="files", node="nas-b"), "files->nas-b"),
        (operation(Kind.DRAIN, node="nas-b"), "nas-b"),
        (operation(Kind.PAUSE), "-"),
        (operation(Kind.PAUSE, group="files"), "files"),
        (operation(Kind.APPROVE, detail={"digest": "ab12"}), "ab12"),
        (operation(Kind.RESOLVE, node="nas-b", resource="disk0"), "disk0@nas-b"),
    ],
)
def test_what_a_request_is_about(body, target):
    """TARGET is one word, whatever the type."""
    assert row(HAOPERATIONS, body)["Target"] == target


def test_columns_of_a_request():
    """TYPE CLUSTER TARGET STATE AGE, and with -o wide who, why and how long it took."""
    found = row(HAOPERATIONS, operation(group="files", node="nas-b", state=State.DONE, seconds=4.25))
    assert list(found) == ["Name", "Type", "Cluster", "Target", "State", "Age", "Actor", "Reason", "Seconds"]
    assert (found["Type"], found["Cluster"], found["State"], found["Seconds"]) == ("Switchover", "nas", "Done", 4.2)
    assert found["Reason"] == "disk swap\\u001b[31m"
    fleet = stored(operation_body(Operation(5, "", Kind.PAUSE, "a", "", NOW), "pause-5"))
    assert (row(HAOPERATIONS, fleet)["Cluster"], row(HAOPERATIONS, fleet)["Seconds"]) == ("*", "-")


def event(**more):
    """An event of the history as an object."""
    row = {"id": 5, "at": "2026-11-24T11:55:00.5+00:00", "kind": "NodeLost", "cluster": "nas", "node": "nas-b",
           "summary": "nas-b is silent", "revision": 9, **more}  # fmt: skip
    return event_body(row, "u")


def test_columns_of_an_event():
    """As kubectl's own: LAST SEEN TYPE REASON OBJECT MESSAGE."""
    assert row(EVENTS, event(), wide=False) == {
        "Last Seen": "5m",
        "Type": "Warning",
        "Reason": "NodeLost",
        "Object": "hacluster/nas",
        "Message": "nas-b is silent",
    }
    assert row(EVENTS, event())["Source"] == "hactl, nas-b"
    assert row(EVENTS, event(cluster=""))["Object"] == "-"


def test_a_step_names_its_node():
    """Nothing else in the list of events says where a command ran."""
    step = {
        "id": 9, "revision": 9, "kind": "StepEnded", "at": NOW.isoformat(), "cluster": "nas", "node": "nas-b",
        "summary": "hastctl role primary data", "why": "nobody is primary", "verb": "SetRole", "outcome": "Done",
        "command": "hastctl role primary data", "output": "", "seconds": 0.1, "exit_status": 0, "reason": "",
    }  # fmt: skip
    shown = row(EVENTS, event_body(step, "u"))
    assert shown["Message"] == "nas-b hastctl role primary data (nobody is primary)"
    assert shown["Source"] == "hactl, nas-b"


@pytest.mark.parametrize(
    ("condition", "status", "kind"),
    [
        ("Ready", "False", "Warning"),
        ("Ready", "Unknown", "Warning"),
        ("Ready", "True", "Normal"),
        ("Stalled", "True", "Warning"),
        ("Stalled", "False", "Normal"),
        ("Reconciling", "True", "Normal"),
    ],
)
def test_a_condition_that_became_bad_is_a_warning(condition, status, kind):
    """`kubectl get events --field-selector type=Warning` shows it."""
    changed = event(kind="ConditionChanged", detail={"type": condition, "status": status})
    assert row(EVENTS, changed)["Type"] == kind


def test_columns_of_the_rest():
    """Leases have their holder, the namespace its phase."""
    lease = stored({"metadata": {"name": "leader"}, "spec": {"holderIdentity": "ctl-1"}})
    assert row(LEASES, lease) == {"Name": "leader", "Holder": "ctl-1", "Age": "3d2h"}
    assert row(LEASES, stored({"metadata": {"name": "free"}}))["Holder"] == "-"
    space = stored({"metadata": {"name": "default"}, "status": {"phase": "Active"}})
    assert row(NAMESPACES, space) == {"Name": "default", "Status": "Active", "Age": "3d2h"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (300, "5m"),
        (600, "10m"),
        (659, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 720, "3h12m"),
        (8 * 3600 + 3599, "8h"),
        (48 * 3600 - 1, "47h"),
        (48 * 3600, "2d"),
        (3 * 86400 + 7200, "3d2h"),
        (8 * 86400 + 7200, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (770 * 86400, "2y40d"),
        (8 * 365 * 86400 + 86400, "8y"),
    ],
)
def test_ages_read_as_kubectls(seconds, text):
    """Two units while the second one matters."""
    assert tables.human(seconds) == text


@given(st.integers(min_value=0, max_value=4_000_000_000))
def test_an_age_is_never_longer_than_the_truth(seconds):
    """Read back, the text is at most the duration, and less than one smallest shown unit off."""
    units = {"y": 365 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
    text, total, number = tables.human(seconds), 0, ""
    for character in text:
        if character.isdigit():
            number += character
        else:
            total, number = total + int(number) * units[character], ""
    assert 0 <= seconds - total <= units[text[-1]] * (24 if text[-1] in "dhm" else 365)


def test_a_time_that_is_none():
    """No creation time, or nonsense, is <unknown>; a clock that runs ahead is <invalid>."""
    assert tables.age(None, NOW) == "<unknown>"
    assert tables.age("yesterday", NOW) == "<unknown>"
    assert tables.age("2026-11-24T12:00:00", NOW) == "<unknown>"
    assert tables.age((NOW + timedelta(hours=1)).isoformat(), NOW) == "<invalid>"


def test_how_much_of_the_object_a_row_carries():
    """Metadata by default; all of it or nothing when asked."""
    body = cluster()
    assert tables.table_row(HACLUSTERS, body, now=NOW)["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": body["metadata"],
    }
    assert tables.table_row(HACLUSTERS, body, wide_objects="Object", now=NOW)["object"] == body
    assert "object" not in tables.table_row(HACLUSTERS, body, wide_objects="None", now=NOW)


def test_a_list_says_how_to_go_on():
    """The list's version, continue and what remains are the table's metadata."""
    more = {"continue": "abc", "remainingItemCount": 2}
    made = tables.table(HACLUSTERS, [], rv="9", now=NOW, more=more)
    assert made["metadata"] == {"resourceVersion": "9", **more}
    assert (made["kind"], made["apiVersion"], made["rows"]) == ("Table", "meta.k8s.io/v1", [])
    assert tables.partial_list([cluster()], rv="9", more=more)["metadata"] == made["metadata"]


def test_a_watch_tells_its_columns_once():
    """Later events have rows only, with the version of their object; a bookmark has its metadata."""
    first = tables.table_of_one(HACLUSTERS, cluster(), first=True, now=NOW)
    later = tables.table_of_one(HACLUSTERS, cluster(), first=False, now=NOW)
    assert first["columnDefinitions"]
    assert later["columnDefinitions"] == []
    assert first["rows"] == later["rows"]
    assert later["metadata"] == {"resourceVersion": "7"}
    mark = {"metadata": {"resourceVersion": "12", "annotations": {"k8s.io/initial-events-end": "true"}}}
    assert tables.bookmark_table(mark)["rows"][0]["object"]["metadata"] == mark["metadata"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "status", "reason", "conditions", "nodes", "hook", "requests", "holds", "name", "problems",
             "drained", "seconds", "active", "sync", "host", "kind"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150)
@given(st.sampled_from(RESOURCES), JSON, JSON, JSON)
def test_no_object_breaks_a_listing(resource, spec, found, other):
    """Whatever stands in an object, there is a row, and no cell has a character that plays tricks on a terminal."""
    body = {"metadata": {"name": "x"}, "spec": spec, "status": found, "source": other, "involvedObject": other,
            "lastTimestamp": other}  # fmt: skip
    for cell in tables.table_row(resource, body, now=NOW)["cells"]:
        assert isinstance(cell, str | int | float)
        assert not isinstance(cell, str) or cell.isprintable()

"""Schemathesis over the whole OpenAPI document: every answer is one that the document tells of.

A few requests for each operation, always the same ones; `make fuzz` sends many (EXAMPLES, FUZZ_SEED).
"""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hactl.core.kube.openapi import index as openapi
from support.api.served import ADMIN, a_site
from support.api.service import CLUSTERS, LEASES, document, lease

#: Requests made up for each operation, beside those for every edge of its parameters where there are many.
EXAMPLES = int(os.environ.get("HACTL_EXAMPLES") or 2)
SEED = int(os.environ.get("HACTL_SEED") or 0)
#: Names in paths, so that requests get further than 404.
NAMES = {"namespace": ["default"], "name": ["nas", "lead"], "cluster": ["nas"], "node": ["nas-a", "nas-b"]}
#: What the document cannot say (a selector has a grammar, a name exists or not) is no fault: all but that.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
    "ignored_auth", "use_after_free",
)  # fmt: skip


def whole_document() -> dict[str, Any]:
    """Every document in one; the stream of changes, which has no end, is left out."""
    documents = [found for path in openapi.index()["paths"] if (found := openapi.document(path)) is not None]
    whole: dict[str, Any] = {**documents[0], "paths": {}, "components": {"schemas": {}}}
    for each in documents:
        whole["paths"] |= {path: _named(found) for path, found in each["paths"].items() if path != "/stream"}
        whole["components"]["schemas"] |= each["components"]["schemas"]
        whole["components"]["securitySchemes"] = each["components"]["securitySchemes"]
    return whole


def _named(operations: dict[str, Any]) -> dict[str, Any]:
    """A path's operations with names of what there is, and without watches, which have no end."""
    found = copy.deepcopy(operations)
    for each in (found, *found.values()):
        if not isinstance(each, dict) or "parameters" not in each:
            continue
        each["parameters"] = [parameter for parameter in each["parameters"] if parameter["name"] != "watch"]
        for parameter in each["parameters"]:
            if parameter["in"] == "path":
                parameter["schema"] = {"type": "string", "enum": NAMES[parameter["name"]]}
    return found


async def test_every_answer_is_one_of_the_document(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As an admin, on a record with a cluster."""
    if importlib.util.find_spec("schemathesis") is None:
        pytest.skip("schemathesis is missing: pip install schemathesis (it has no wheel for this system)")
    place = tmp_path / "openapi.json"
    place.write_text(json.dumps(whole_document()))
    phases = "coverage,fuzzing" if EXAMPLES > 20 else "fuzzing"
    chance = ("--seed", str(SEED)) if SEED else ("--generation-deterministic",)
    async with a_site(tmp_path, failures=10**9) as site:
        await site.ada.ok("POST", CLUSTERS, document())
        await site.ada.ok("POST", LEASES, lease("lead"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "run", str(place), "--url", f"http://127.0.0.1:{site.port}",
            "--header", f"Authorization: Bearer {ADMIN}", "--checks", ",".join(CHECKS), "--phases", phases,
            "--max-examples", str(EXAMPLES), *chance, "--request-timeout", "30", "--no-color",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []

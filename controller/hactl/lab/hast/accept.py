"""The main process of a secondary answers a primary: who it is, whether it may, and what the two copies are.

Rules:
- The checks stand in hastd's order, each with its line in the log (sbin/hastd/hastd.c:listen_accept;
  docs/freebsd-facts.md#2.6).
- A first connection replaces a worker that is there.
- A split-brain or a mismatch is found by the new worker, which ends with 78; the main process only reports that.
"""

from __future__ import annotations

from hactl.lab.hast.processes import Answer, Link, MainProcess, Primary, Resource
from hactl.lab.hast.worker.route import resolve, split_address
from hactl.lab.hast.worker.secondary import EX_CONFIG, SecondaryWorker, WorkerExit, decide

#: What a worker needs to find that it must not go on.
GIVE_UP_SECONDS = 0.5


def accept(hast: MainProcess, primary: Primary, source: str) -> Answer:
    """A primary's two connections arrive from an address."""
    name, port = split_address(primary.resource.config.remote)
    host = resolve(primary.hast.machine.files, name)
    client = _hello(hast, source, host, port)
    if not any(_comes_from(hast, known, source) for known in hast.resources.values()):
        hast.log_main("error", f"Client {client} isn't known.")
        return "unknown"
    resource = hast.resources.get(primary.resource.name)
    if resource is None:
        hast.log_main("error", f"No resource '{primary.resource.name}' as requested by {client}.")
        return "unconfigured"
    if not _comes_from(hast, resource, source):
        hast.log_main("error", f"Client {client} has no access to the resource.", resource)
        return "forbidden"
    if resource.role != "secondary":
        text = f"We act as {resource.role} for the resource and not as secondary as requested by {client}."
        hast.log_main("warning", text, resource)
        return resource.role
    _hello(hast, source, host, port)
    if resource.worker is not None:
        resource.worker.terminate()
        resource.worker = None
    return _fork(hast, resource, primary)


def _comes_from(hast: MainProcess, resource: Resource, source: str) -> bool:
    return resolve(hast.machine.files, split_address(resource.config.remote)[0]) == source


def _url(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _hello(hast: MainProcess, source: str, host: str, port: int) -> str:
    client = _url(source, hast.machine.world.random.randint(10000, 65535))
    hast.log_main("info", f"Connection from {client} to {_url(host, port)}.")
    return client


def _fork(hast: MainProcess, resource: Resource, primary: Primary) -> Answer:
    world, virgin = hast.machine.world, primary.take_resuid()
    try:
        worker = SecondaryWorker.start(hast, resource)
    except WorkerExit:
        return "failed"
    resource.worker = worker
    verdict = decide(primary.metadata, worker.metadata, primary_virgin=virgin)
    segment = primary.hast.route(primary.resource).segment
    link = Link(segment, primary.hast.machine, hast.machine, primary, worker, world.clock.monotonic())
    worker.link = link
    if verdict.error:
        if verdict.error == "split-brain":
            hast.run_hook(resource, "split-brain")
        world.at(GIVE_UP_SECONDS, lambda: _give_up(resource, worker), machine=hast.machine)
    elif verdict.adopt:
        worker.adopt(primary.metadata.resuid)
    return worker, link, verdict


def _give_up(resource: Resource, worker: SecondaryWorker) -> None:
    if resource.worker is worker:
        worker.exit(EX_CONFIG)

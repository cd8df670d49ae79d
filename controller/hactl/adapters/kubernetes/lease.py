"""Leader election with a Lease of coordination.k8s.io, as client-go does it.

A lease is taken when nobody holds it or its holder has not renewed it for its duration, by our own monotonic clock
from when we saw it change last (clocks of machines are not compared). We renew long before that, and stop leading by
ourselves when we could not renew for `RENEW_SECONDS`, which is shorter: so there is never a second leader. Every write
names the resourceVersion it read.
https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from hactl.adapters.kubernetes.client import KubeClient, KubeError
from hactl.core.document.problems import printable
from hactl.ports import Clock

log = logging.getLogger("hactl.adapters.lease")

DURATION_SECONDS = 15
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0
REQUEST_SECONDS = 5.0
RELEASE_SECONDS = 1.5


class Election:
    """One lease, and whether we hold it."""

    def __init__(self, client: KubeClient, clock: Clock, *, identity: str, name: str = "hactl") -> None:
        """`identity` must be nobody else's."""
        self._client = client
        self._clock = clock
        self._identity = identity
        self._name = name
        self._held = False
        self._until = 0.0
        self._holder = ""
        self._seen: object = None
        self._seen_at = 0.0
        self._complained = ""
        self._won = asyncio.Event()

    @property
    def leads(self) -> bool:
        """Whether the lease is ours for certain."""
        return self._held and self._clock.monotonic() < self._until

    @property
    def leader(self) -> str:
        """Who held it when we looked last."""
        return self._holder

    async def campaign(self, changed: Callable[[], None]) -> None:
        """Until cancelled; then the lease is given back, so that another needs not wait for its end."""
        watchdog = asyncio.ensure_future(self._watch(changed))
        try:
            while True:
                led = self.leads
                try:
                    await self._attempt()
                    self._complained = ""
                except KubeError as error:
                    self._complain(error)
                if self.leads != led:
                    changed()
                await self._clock.sleep(RETRY_SECONDS)
        finally:
            watchdog.cancel()
            await asyncio.gather(watchdog, return_exceptions=True)
            if self._held:
                self._held = False
                await self._release()

    def _complain(self, error: KubeError) -> None:
        """Once for each new trouble."""
        if str(error) != self._complained:
            self._complained = str(error)
            log.error("the lease cannot be kept", extra={"lease": self._name, "error": str(error)})

    async def _watch(self, changed: Callable[[], None]) -> None:
        """Tell of the lapse the moment it comes, even while a request for the renewal hangs."""
        while True:
            await self._won.wait()
            left = self._until - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep(left)
                continue
            self._won.clear()
            if self._held:
                self._held = False
                log.error("the lease was not renewed in time; nothing is changed any more", extra={"lease": self._name})
                changed()

    async def _path(self) -> str:
        namespace = await self._client.namespace()
        return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    async def _attempt(self) -> None:
        """Take or renew it, if that can be done. Raises KubeError: then we know no more than before."""
        began = self._clock.monotonic()
        path = await self._path()
        try:
            lease = await self._client.request("GET", f"{path}/{self._name}", timeout_seconds=REQUEST_SECONDS)
        except KubeError as error:
            if error.status != 404:
                raise
            await self._write("POST", path, self._body({}, {}), began)
            return
        spec = lease.get("spec") or {}
        self._note(lease, spec, began)
        holder = str(spec.get("holderIdentity") or "")
        duration = spec.get("leaseDurationSeconds") or DURATION_SECONDS
        if holder not in ("", self._identity) and self._clock.monotonic() < self._seen_at + float(duration):
            self._lost(holder)
            return
        await self._write("PUT", f"{path}/{self._name}", self._body(lease.get("metadata") or {}, spec), began)

    def _note(self, lease: dict[str, Any], spec: dict[str, Any], now: float) -> None:
        """Remember since when the lease is as it is."""
        record = (spec.get("holderIdentity"), spec.get("renewTime"), lease.get("metadata", {}).get("uid"))
        if record != self._seen:
            self._seen, self._seen_at = record, now

    def _lost(self, holder: str) -> None:
        self._held, self._holder = False, printable(holder)

    def _body(self, metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = spec.get("holderIdentity") == self._identity
        transitions = int(spec.get("leaseTransitions") or 0)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {**metadata, "name": self._name},
            "spec": {
                **spec,
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": spec.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": transitions + (0 if ours or not spec else 1),
            },
        }

    async def _write(self, method: str, path: str, body: dict[str, Any], began: float) -> None:
        """Ours from now on, unless somebody was faster."""
        try:
            await self._client.request(method, path, body=body, timeout_seconds=REQUEST_SECONDS)
        except KubeError as error:
            if error.status == 409:
                # Somebody else wrote meanwhile: who, the next look says.
                self._held = False
                return
            raise
        self._held, self._holder = True, self._identity
        self._until = began + RENEW_SECONDS
        self._won.set()

    async def _release(self) -> None:
        """Nobody holds it. What cannot be told ends by itself."""
        try:
            path = f"{await self._path()}/{self._name}"
            lease = await self._client.request("GET", path, timeout_seconds=RELEASE_SECONDS / 2)
            spec = lease.get("spec") or {}
            if spec.get("holderIdentity") != self._identity:
                return
            now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            freed = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now}
            await self._client.request("PUT", path, body={**lease, "spec": freed}, timeout_seconds=RELEASE_SECONDS / 2)
        except KubeError as error:
            log.warning("the lease was not given back; it ends by itself", extra={"error": str(error)})

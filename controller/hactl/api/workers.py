"""What takes long, off the event loop: one thread for reads and one for writes, where each client has its turn.

- The loop that answers /healthz and reconciles clusters only waits for these threads; with two of them it gets the
  interpreter back within two switch intervals, whatever they compute.
- Who asks a lot waits for himself: within a lane the clients take turns, one piece of work each (as Kubernetes' API
  priority and fairness has it), and what is more than a client's share of waiting is refused (429).
- Reads never wait for writes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from hactl.core.kube.errors import too_many, unavailable

#: Pieces of work of one client that may wait in a lane, and of all together.
WAITING_EACH = 64
WAITING = 1024
#: A list of fewer objects is made where it stands: handing it over would cost as much.
INLINE_OBJECTS = 20
#: Large bodies of one client that are taken in at a time.
BODIES_EACH = 4


def is_long(body: object) -> bool:
    """Whether an answer is a list whose writing takes a while."""
    if not isinstance(body, Mapping):
        return False
    return any(isinstance(body.get(key), list) and len(body[key]) > INLINE_OBJECTS for key in ("items", "rows"))


_Result = TypeVar("_Result")


class Lane:
    """One thread, and those who wait for it."""

    def __init__(self, name: str) -> None:
        """The thread begins with the first piece of work."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"api-{name}")
        #: Who waits, in the order of their turns.
        self._waiting: OrderedDict[str, deque[tuple[Callable[[], Any], asyncio.Future[Any]]]] = OrderedDict()
        self._count = 0
        self._busy = False
        self._closed = False

    async def run(self, who: str, work: Callable[[], _Result]) -> _Result:
        """What `work` returns or raises.

        Raises ApiError: 429 when too much of `who`, or of all together, waits already; 503 after `close`.
        """
        if self._closed:
            raise unavailable("the server stops")
        waiting = self._waiting.get(who, ())
        if len(waiting) >= WAITING_EACH or self._count >= WAITING:
            raise too_many("too many requests of yours wait to be worked on" if waiting else "the server is busy", 1)
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append((work, future))
        self._count += 1
        self._next()
        try:
            return await future
        finally:
            # An error has this frame in its traceback and the future has the error: without a circle all of it, and
            # what was worked on, goes at once and not when the collector comes to it.
            del future

    def _next(self) -> None:
        while self._waiting and not self._busy:
            who, waiting = self._waiting.popitem(last=False)
            work, future = waiting.popleft()
            self._count -= 1
            if waiting:
                # After everybody else who waits.
                self._waiting[who] = waiting
            if not future.done():
                self._busy = True
                done = asyncio.get_running_loop().run_in_executor(self._thread, work)
                done.add_done_callback(partial(self._done, future))

    def _done(self, future: asyncio.Future[Any], found: asyncio.Future[Any]) -> None:
        self._busy = False
        if found.cancelled():
            future.cancel()
        elif (error := found.exception()) is not None:
            # Also when nobody waits for it any more: it was looked at.
            if not future.done():
                future.set_exception(error)
        elif not future.done():
            future.set_result(found.result())
        self._next()

    def close(self) -> None:
        """No more work; what waits is not done."""
        self._closed = True
        for waiting in self._waiting.values():
            for _, future in waiting:
                future.cancel()
        self._waiting.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)


class Bodies:
    """How many large bodies each client sends at a time: what is more is not read yet, so that it takes no memory."""

    def __init__(self) -> None:
        """Nobody sends."""
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, who: str, seconds: float) -> AsyncIterator[None]:
        """Its turn, until the end of the context. Raises ApiError (429) when it does not come within that time."""
        turns = self._turns.setdefault(who, asyncio.Semaphore(BODIES_EACH))
        self._users[who] = self._users.get(who, 0) + 1
        try:
            try:
                async with asyncio.timeout(seconds):
                    await turns.acquire()
            except TimeoutError:
                raise too_many("too many large requests of yours at a time", 1) from None
            try:
                yield
            finally:
                turns.release()
        finally:
            self._users[who] -= 1
            if not self._users[who]:
                del self._users[who], self._turns[who]

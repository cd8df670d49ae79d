"""A thread with an event loop, and the connections of one command to its nodes.

What a command looks at first and what it carries out then share them: a login costs more than a look, and what was read
once need not be read again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from hactl.app import Sight

T = TypeVar("T")


class NodeLoop:
    """Begins when it is first used; a context manager that ends what runs and closes the connections."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._began: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Sight]] = Future()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """What still runs is cancelled."""
        if self._thread is not None:
            if self._began.exception() is None:
                loop, over, _ = self._began.result()
                loop.call_soon_threadsafe(over.set)
            self._thread.join()

    def start(self, doing: Callable[[Sight], Coroutine[Any, Any, T]]) -> Future[T]:
        """Carry it out there; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nodes")
            self._thread.start()
        loop, _, sight = self._began.result()
        return asyncio.run_coroutine_threadsafe(doing(sight), loop)

    def run(self, doing: Callable[[Sight], Coroutine[Any, Any, T]]) -> T:
        """Carry it out there and wait for it; Ctrl-C cancels it."""
        future = self.start(doing)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            wait([future])
            raise
        except CancelledError:
            raise KeyboardInterrupt from None

    def soon(self, doing: Callable[[], object]) -> None:
        """Call it there, soon. Only after something was started."""
        self._began.result()[0].call_soon_threadsafe(doing)

    def _run(self) -> None:
        try:
            asyncio.run(self._stay())
        except BaseException as error:  # raised again where something is to be started
            if self._began.done():
                raise
            self._began.set_exception(error)

    async def _stay(self) -> None:
        from hactl.app import Sight

        over, sight = asyncio.Event(), Sight()
        self._began.set_result((asyncio.get_running_loop(), over, sight))
        try:
            await over.wait()
        finally:
            await sight.close()

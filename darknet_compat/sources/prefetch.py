"""Work that goes on in a thread of its own while its results are used."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


def ahead(items: Iterable[_Item], depth: int) -> Iterator[_Item]:
    """The same items in the same order, taken by a thread, at most `depth` of them before they are asked for.

    An error of the items arrives after those before it. When whoever listens stops, the thread is waited for, and the
    items are closed by it: nothing goes on behind anybody's back.
    """
    return _Ahead(items, depth).listen()


class _Ahead(Generic[_Item]):
    def __init__(self, items: Iterable[_Item], depth: int) -> None:
        self.items, self.depth = items, depth
        self.changed = threading.Condition()
        self.ready: deque[_Item] = deque()
        self.error: BaseException | None = None
        self.ended = self.stopped = False

    def listen(self) -> Iterator[_Item]:
        thread = threading.Thread(target=self._take, name="ahead", daemon=True)
        thread.start()
        try:
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.ready or self.ended)
                    if not self.ready:
                        break
                    item = self.ready.popleft()
                    self.changed.notify_all()
                yield item
                del item  # not kept while the next one is waited for
            if self.error is not None:
                raise self.error
        finally:
            with self.changed:
                self.stopped = True
                self.changed.notify_all()
            thread.join()

    def _take(self) -> None:
        iterator = iter(self.items)
        try:
            for item in iterator:
                with self.changed:
                    self.changed.wait_for(lambda: len(self.ready) < self.depth or self.stopped)
                    if self.stopped:
                        return
                    self.ready.append(item)
                    self.changed.notify_all()
                del item
        except BaseException as error:
            self.error = error
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
            with self.changed:
                self.ended = True
                self.changed.notify_all()

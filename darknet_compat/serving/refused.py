"""How a request is refused."""

from __future__ import annotations


class RequestRefused(Exception):
    """A request that is answered with this status and one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason

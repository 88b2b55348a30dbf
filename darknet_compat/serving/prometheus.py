"""Counts and times for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from darknet_compat.serving.models import Served


class Metrics:
    """What has been asked and answered since the start."""

    def __init__(self, models: Mapping[str, Served]) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter("darknet_requests", "Requests by address and status.", ["path", "status"], registry=own)
        self.seconds = Histogram("darknet_request_seconds", "Seconds a request took.", ["path"], registry=own)
        self.pictures = Counter("darknet_pictures", "Pictures answered.", ["model"], registry=own)
        self.objects = Counter("darknet_objects", "Objects found.", ["model"], registry=own)
        waiting = Gauge("darknet_waiting", "Pictures in hand or waiting.", ["model"], registry=own)
        for name, served in models.items():
            waiting.labels(name).set_function(lambda served=served: served.lanes.waiting)  # type: ignore[misc]

    def request(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        """A request is answered. Its address is the route's, so that strangers' addresses make no new rows."""
        route = scope.get("route")
        path = getattr(route, "path", "other")
        self.requests.labels(path, status).inc()
        self.seconds.labels(path).observe(seconds)

    def answered(self, model: str, objects: int) -> None:
        """A picture is answered."""
        self.pictures.labels(model).inc()
        self.objects.labels(model).inc(objects)

    def text(self) -> bytes:
        """All of it in Prometheus' own format."""
        return generate_latest(self.registry)

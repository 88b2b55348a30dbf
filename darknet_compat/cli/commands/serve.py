"""`darknet-compat serve`: models over HTTP, and a page to try them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from darknet_compat.cli.options import Json
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.serving.options import ServeOptions

if TYPE_CHECKING:
    from darknet_compat.serving.models import Served


def serve(options: ServeOptions, json: Json = False) -> None:
    """Serve models over HTTP, and a page to try them.

    POST a picture to /v1/models/NAME/detect, or open the page in a browser. Requests beyond --queue are answered 429;
    SIGTERM and Ctrl-C end after what has been taken is answered. By default only this machine is listened to. /docs
    describes all addresses, /metrics is for Prometheus, /v2 speaks the Open Inference Protocol. With --engine ray
    several processes answer, on as many machines as its cluster has.
    """
    from darknet_compat.serving.run import serve as run

    if options.engine == "ray":
        from darknet_compat.serving.replicas import serve_replicas as run

    run(options, terminal.say, _ready_for_programs if json else _ready)


def _ready_for_programs(address: str, models: dict[str, Served]) -> None:
    terminal.print_json({"address": address, "models": [served.to_dict() for served in models.values()]})
    sys.stdout.flush()


def _ready(address: str, models: dict[str, Served]) -> None:
    for served in models.values():
        backend = served.model().choice.backend
        terminal.print_line(f"{served.name}: {served.task}, {backend}, {served.how}")
    terminal.print_line(f"{address} is ready; Ctrl-C ends it", bold=True)
    sys.stdout.flush()

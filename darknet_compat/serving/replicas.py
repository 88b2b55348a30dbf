"""The same addresses from several processes, on one machine or many: a deployment of Ray Serve."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from darknet_compat.cluster.connection import connected, cores, serve_module
from darknet_compat.cluster.plan import SHARE
from darknet_compat.errors import BackendError
from darknet_compat.formats.textfile import first_line
from darknet_compat.serving.app import make_app
from darknet_compat.serving.models import Say, Served, open_models
from darknet_compat.serving.options import ServeOptions
from darknet_compat.serving.run import address_of, listener_of
from darknet_compat.signals import wish_to_end

_NAME = "darknet-compat"


def serve_replicas(
    options: ServeOptions, say: Say, ready: Callable[[str, dict[str, Served]], None] = lambda address, models: None
) -> None:
    """As `serving.run.serve`, by `options.workers` processes that Ray begins, watches and sends requests to; each has
    the models, one lane of them unless `options.lanes` says more, and a queue of its own. Raises BackendError without
    Ray."""
    serve = serve_module()
    with listener_of(options) as listener:
        host, port = listener.getsockname()[:2]
    models = open_models(options, say)  # what is wrong with them is told before there is a cluster
    for served in models.values():
        served.lanes.close()
    with connected(quiet=False) as ray:
        count = options.workers or cores(ray)
        each = replace(options, lanes=options.lanes or 1)

        def build() -> Any:
            return make_app(open_models(each, _tell), each)

        deployment = serve.deployment(
            name=_NAME,
            num_replicas=count,
            max_ongoing_requests=(each.lanes or 1) + each.queue,
            graceful_shutdown_timeout_s=options.timeout,
            ray_actor_options={"num_cpus": SHARE},
        )(serve.ingress(build)())
        for served in models.values():
            served.how = f"{count} processes"
        try:
            serve.start(http_options={"host": host, "port": port}, proxy_location="HeadOnly")
            serve.run(deployment.bind(), name=_NAME, route_prefix="/")
        except RuntimeError as error:
            raise BackendError(f"Ray Serve: {first_line(error)}") from None
        try:
            ended = threading.Event()
            with wish_to_end(lambda *_: ended.set()):
                ready(address_of(host, port), models)
                while not ended.wait(0.5):  # a wait without an end hears no signal on some systems
                    pass
                serve.delete(_NAME)  # which waits until its processes have answered what they took; `shutdown` does not
        finally:
            serve.shutdown()


def _tell(line: str) -> None:
    """What a replica says is in its log."""
    print(line, file=sys.stderr, flush=True)

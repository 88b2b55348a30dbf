"""The server's addresses (FastAPI, whose OpenAPI document is at /docs and /openapi.json)."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darknet_compat import __version__
from darknet_compat.errors import BackendError, DarknetCompatError, ImageError, OptionError
from darknet_compat.export.web.page import server_page
from darknet_compat.inference.results import Detections
from darknet_compat.serving import kserve
from darknet_compat.serving.lanes import Busy
from darknet_compat.serving.models import Served
from darknet_compat.serving.options import ServeOptions
from darknet_compat.serving.prometheus import Metrics
from darknet_compat.serving.refused import RequestRefused
from darknet_compat.serving.requests import (
    Picture,
    RequestPictures,
    asked_of,
    fraction,
    pictures_of,
    whole,
    words,
)

T = TypeVar("T")

_RELOAD_EVERY = 2.0
_OPEN_TO_ALL = ("/healthz", "/readyz")
"""What is answered without a token."""

_FULL = "as many requests as may wait are waiting; try again"
_DETECTS = {"thresh": fraction, "nms": fraction, "classes": words, "level": whole}
_CLASSIFIES = {"top": whole}
_PICTURE = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
            "application/json": {"example": {"images": ["<base64>"]}},
        },
    },
}
_FOUND = {
    "width": 768,
    "height": 576,
    "detections": [{"class": "dog", "class_id": 16, "score": 0.62, "box": [91.2, 211.4, 435.0, 550.1]}],
    "seconds": 0.021,
}


class Server:
    """What the addresses share."""

    def __init__(self, models: dict[str, Served], options: ServeOptions) -> None:
        self.models, self.options = models, options
        self.metrics = Metrics(models)
        self.draining = False
        self.token = None if options.token_file is None else _token(options.token_file)

    def find(self, name: str) -> Served:
        """The model of this name. Raises RequestRefused."""
        if name not in self.models:
            raise RequestRefused(404, f"no model {name!r}; there are {', '.join(self.models)}")
        return self.models[name]

    def expect_task(self, name: str, task: str) -> Served:
        """The model of this name, which does `task`. Raises RequestRefused."""
        served = self.find(name)
        if served.task != task:
            raise RequestRefused(400, f"{name} does not {task}: POST to /v1/models/{name}/{served.task}")
        return served

    def expect_room(self, served: Served) -> None:
        """Raise RequestRefused where no more may wait: before the body is read, which costs most of all."""
        if served.lanes.full:
            raise RequestRefused(429, _FULL)

    async def answer(self, served: Served, picture: Picture, asked: dict[str, Any]) -> Any:
        """What the model says. Raises RequestRefused."""
        return await self.awaited(served, lambda: served.lanes.submit(picture.data, asked))

    async def awaited(self, served: Served, begin: Callable[[], Future[T]]) -> T:
        """What comes of what `begin` gives to the model's lanes. Raises RequestRefused."""
        try:
            future = begin()
        except Busy:
            raise RequestRefused(429, _FULL) from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.options.timeout)
        except asyncio.TimeoutError:
            raise RequestRefused(503, f"not answered within {self.options.timeout:g} s") from None
        except ImageError as error:
            raise RequestRefused(400, str(error)) from None
        except BackendError as error:
            raise RequestRefused(400, served.without_paths(str(error))) from None
        except DarknetCompatError as error:
            raise RequestRefused(500, served.without_paths(str(error))) from None

    async def answer_all(self, name: str, task: str, request: Request) -> dict[str, Any]:
        """All pictures of a request: one as a document of its own, several as a list, in which one that cannot be read
        has an `error`."""
        served = self.expect_task(name, task)
        self.expect_room(served)
        names = _DETECTS if task == "detect" else _CLASSIFIES
        asked = asked_of(request.query_params.multi_items(), names)
        found = await pictures_of(request, self.options)
        asked |= asked_of(found.fields, names)
        shown = (asked.pop("top", 5),) if task == "classify" else ()
        if "level" in asked and served.model().runtime.description.tree is None:
            raise RequestRefused(400, f"level: {name} has no WordTree")

        async def one(picture: Picture) -> dict[str, Any]:
            began = time.perf_counter()
            answer = await self.answer(served, picture, asked)
            seconds = time.perf_counter() - began
            self.metrics.answered(name, len(answer) if isinstance(answer, Detections) else 1)
            named = {"file": picture.name} if picture.name else {}
            return {**named, **answer.to_dict(*shown), "seconds": round(seconds, 4)}

        if not found.many:
            return await one(found.pictures[0])
        return {"images": [await _or_error(one, picture) for picture in found.pictures]}


async def _or_error(one: Callable[[Picture], Awaitable[dict[str, Any]]], picture: Picture) -> dict[str, Any]:
    try:
        return await one(picture)
    except RequestRefused as refused:
        if refused.status in (429, 503):
            raise
        return {"file": picture.name, "error": refused.reason}


def make_app(models: dict[str, Served], options: ServeOptions) -> FastAPI:
    """The application. Raises OptionError for a token that is not there."""
    server = Server(models, options)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_reload(server)) if options.reload else None
        yield
        server.draining = True
        if task is not None:
            task.cancel()
        for served in models.values():
            await asyncio.to_thread(served.lanes.close)

    app = FastAPI(title="darknet-compat", version=__version__, lifespan=lifespan, redoc_url=None)
    app.state.server = server
    app.add_middleware(_Around, server=server)
    _add_state(app, server)
    _add_models(app, server)
    kserve.add(app, server)
    return app


class _Around:
    """Around every request: the token, one line for what is refused, and the count.

    Plain ASGI: FastAPI's own decorator for this runs each request in a task of its own and copies what it reads.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app, self.server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        server, began, status = self.server, time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        if server.token is None or scope["path"] in _OPEN_TO_ALL or _knows(Request(scope), server.token):
            await self.app(scope, receive, answer)
        else:
            await _refusal(RequestRefused(401, "expected the token: Authorization: Bearer …"))(scope, receive, answer)
        server.metrics.request(scope, status, time.perf_counter() - began)


def _refusal(refused: RequestRefused) -> JSONResponse:
    headers = {429: {"Retry-After": "1"}, 401: {"WWW-Authenticate": "Bearer"}}.get(refused.status)
    return JSONResponse({"error": refused.reason}, refused.status, headers)


def _add_state(app: FastAPI, server: Server) -> None:
    """Health, metrics and the page."""

    @app.exception_handler(RequestRefused)
    async def refused(request: Request, error: RequestRefused) -> JSONResponse:
        return _refusal(error)

    @app.get("/healthz", tags=["state"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["state"])
    async def readyz() -> JSONResponse:
        """Requests are taken; 503 while the server ends."""
        return JSONResponse({"ready": not server.draining}, 503 if server.draining else 200)

    @app.get("/metrics", tags=["state"])
    async def metrics() -> Response:
        """Counts and times, as Prometheus reads them."""
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        policy = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' blob: data:"
        return HTMLResponse(server_page(), headers={"Content-Security-Policy": policy})


def _add_models(app: FastAPI, server: Server) -> None:
    """What models there are, and what they answer."""

    @app.get("/v1/models", tags=["models"])
    async def models() -> dict[str, Any]:
        """All models, with what is asked of them and their classes."""
        return {"models": [served.to_dict() for served in server.models.values()]}

    @app.get("/v1/models/{name}", tags=["models"])
    async def model(name: str) -> dict[str, Any]:
        """One model."""
        return server.find(name).to_dict()

    @app.post(
        "/v1/models/{name}/detect",
        tags=["models"],
        openapi_extra=_PICTURE,
        responses={200: {"content": {"application/json": {"example": _FOUND}}}},
    )
    async def detect(name: str, request: Request) -> JSONResponse:
        """What is where in a picture. `?thresh=`, `?nms=` (0 to 1), `?classes=dog,cat` and `?level=` (how deep in a
        WordTree, 0 being the roots) are for this request."""
        return JSONResponse(await server.answer_all(name, "detect", request))

    @app.post("/v1/models/{name}/classify", tags=["models"], openapi_extra=_PICTURE)
    async def classify(name: str, request: Request) -> JSONResponse:
        """What is in a picture: the `?top=5` most probable classes."""
        return JSONResponse(await server.answer_all(name, "classify", request))


async def _reload(server: Server) -> None:
    """Look at the models' files every so often."""
    while True:
        await asyncio.sleep(_RELOAD_EVERY)
        for served in server.models.values():
            await asyncio.to_thread(served.refresh)


def _token(path: Path) -> str:
    try:
        text = path.read_text("utf-8").split("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: {getattr(error, 'strerror', None) or 'cannot be read'}", "token_file") from None
    if not text:
        raise OptionError(f"{path}: expected a token in the first line, found nothing", "token_file")
    return text


def _knows(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


__all__ = ["RequestPictures", "Server", "make_app"]

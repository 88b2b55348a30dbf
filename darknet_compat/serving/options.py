"""What can be asked of a server, each option stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from darknet_compat.cluster.options import Engine, WorkersOption, expect_engine
from darknet_compat.errors import OptionError
from darknet_compat.formats.textfile import shown
from darknet_compat.inference.options import Nms, RunOptions, Thresh
from darknet_compat.options import Option, parse_words
from darknet_compat.serving.addresses import allowed_place


@dataclass(frozen=True)
class ServeOptions(RunOptions):
    """Which models to serve, where, and what a request may cost."""

    models: Annotated[
        list[str],
        Option("A .cfg, an .onnx, an .engine or names of the catalogue.", metavar="MODEL", positional=True),
    ]
    thresh: Thresh = None
    nms: Nms = None
    host: Annotated[
        str, Option("The address to listen at. Default: this machine alone; 0.0.0.0 is the whole network.")
    ] = "127.0.0.1"
    port: Annotated[int, Option("The port; 0 takes a free one.", metavar="N", least=0, most=65535)] = 8000
    lanes: Annotated[
        int | None,
        Option("Pictures worked on at a time, each by one core. Default: one a core.", metavar="N", least=1, most=1024),
    ] = None
    max_batch: Annotated[
        int,
        Option(
            "Let up to so many requests go through the network together, where that measures faster at the start than"
            " one a lane.",
            metavar="N",
            least=1,
            most=1024,
        ),
    ] = 1
    max_delay_ms: Annotated[
        float, Option("How long the first of a batch waits for others.", metavar="MS", least=0, most=10_000)
    ] = 5.0
    queue: Annotated[
        int, Option("Requests that may wait; more are answered 429.", metavar="N", least=0, most=100_000)
    ] = 64
    timeout: Annotated[
        float, Option("Seconds that a request may take to arrive, and to be answered.", metavar="S", least=0.1)
    ] = 30.0
    max_bytes: Annotated[int, Option("The largest request.", metavar="N", least=1)] = 32 << 20
    token_file: Annotated[
        Path | None,
        Option("Answer only requests with `Authorization: Bearer …` and the first line of this file.", metavar="FILE"),
    ] = None
    allow_url: Annotated[
        tuple[str, ...] | None,
        Option(
            "Fetch pictures at these addresses and below, with commas between; others are refused.",
            metavar="URL,…",
            parse=parse_words,
        ),
    ] = None
    reload: Annotated[bool, Option("Open a model again when its file changes.")] = True
    engine: Engine = "local"
    workers: WorkersOption = None

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_engine(self.engine, self.workers)
        for url in self.allow_url or ():
            if allowed_place(url) is None:
                raise OptionError(f"expected an address such as https://host/folder, found {shown(url)}", "allow_url")

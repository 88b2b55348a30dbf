"""`darknet-compat darknet …`: Darknet's own command lines."""

from __future__ import annotations

from typing import Annotated

import typer

from darknet_compat.options import Option

Words = Annotated[
    list[str] | None, Option("Darknet's words; `darknet` alone lists them.", metavar="FUNCTION...", positional=True)
]


def darknet(words: Words = None) -> None:
    """Run one of Darknet's own command lines.

    The original's, or the fork's. `darknet detector test cfg/coco.data yolov3.cfg yolov3.weights dog.jpg -thresh 0.25`
    prints what that program prints. --explain, anywhere in the line, prints the same in this program's words.
    """
    from darknet_compat.cli.darknet.main import run

    raise typer.Exit(run(words or []))

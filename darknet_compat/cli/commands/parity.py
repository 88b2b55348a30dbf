"""`darknet-compat parity`: every layer against the original's."""

from __future__ import annotations

import typer

from darknet_compat.cli.options import Json, explaining
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.parity.options import ParityOptions


def parity(options: ParityOptions, json: Json = False) -> None:
    """Hold every layer's output against the original Darknet's.

    Both run the same input with the same weights; without any, with seeded ones. The original has to be installed
    (Debian: apt-get install darknet). What it does not know, such as the fork's words, `--reader opencv` holds against
    OpenCV's reader of Darknet's files. Differences are parts of each layer's largest value. Exit code 1 if one is
    above the tolerance, or if nothing could be compared.
    """
    from darknet_compat.cli.terminal.jobs import JobProgress
    from darknet_compat.cli.terminal.parity_report import print_chain, print_layers
    from darknet_compat.parity import job
    from darknet_compat.parity.layers import LayerParity

    with JobProgress(quiet=json) as progress, explaining(options.size):
        held = job.parity(options, progress=progress)
    if json:
        terminal.print_json(held.to_dict())
    elif isinstance(held.found, LayerParity):
        print_layers(held.found, held.files)
    else:
        print_chain(held.found, held.files)
    if not held.found.passed:
        raise typer.Exit(1)

"""`darknet-compat bench`: how fast a model is on this machine."""

from __future__ import annotations

from darknet_compat.benchmark.options import BenchOptions
from darknet_compat.cli.options import Json, explaining
from darknet_compat.cli.terminal import output as terminal


def bench(options: BenchOptions, json: Json = False) -> None:
    """Measure how fast a model runs on this machine.

    All in turn in one run, so that what disturbs the machine disturbs all alike. The network alone, and from file to
    detections: median, 90th and 99th percentile, pictures a second, and how many times as fast as the baseline. Without
    weights they are seeded, which run as fast as trained ones.
    """
    from darknet_compat.benchmark import job
    from darknet_compat.cli.terminal.jobs import JobProgress
    from darknet_compat.cli.terminal.speed_report import print_loading, print_measured

    with JobProgress(quiet=json) as progress, explaining(options.sizes[0] if options.sizes else None):
        measured = job.bench(options, progress=progress)
    if json:
        terminal.print_json(measured.document)
    elif options.load:
        print_loading(measured.document)
    else:
        print_measured(measured)

"""`darknet-compat evaluate`: how good a model is, on labelled pictures."""

from __future__ import annotations

import typer

from darknet_compat.cli.options import Json, Verbose, explaining
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.evaluation.options import EvaluateOptions


def evaluate(options: EvaluateOptions, verbose: Verbose = False, json: Json = False) -> None:
    """Score a model on labelled pictures.

    VOC's, COCO's or ImageNet DET's figures, recall, or top-1 and top-5. An interrupted run is taken up where it was,
    and what was detected once is not detected again. Whatever is wrong with a picture is said in a line; if any could
    not be used, the exit code is 1.
    """
    from darknet_compat.cli.terminal.jobs import JobProgress
    from darknet_compat.cli.terminal.score_report import print_evaluated
    from darknet_compat.evaluation import job

    with JobProgress(quiet=json, verbose=verbose) as progress, explaining(options.size):
        done = job.evaluate(options, progress=progress)
    for line in done.problems:
        terminal.say(line)
    if json:
        terminal.print_json(done.to_dict())
    else:
        print_evaluated(done)
    for point in done.points if isinstance(done, job.Traded) else ():
        if point.problem:
            terminal.say(f"{point.backend} at {point.width} x {point.height}: {point.problem}")
    if not done.complete:
        raise typer.Exit(1)

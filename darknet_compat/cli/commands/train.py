"""`darknet-compat train`: from labelled pictures to weights."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from darknet_compat.cli.options import Json
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.signals import wish_to_end
from darknet_compat.training.options import TrainOptions

if TYPE_CHECKING:
    from darknet_compat.training.trainer import Trainer


def train(options: TrainOptions, json: Json = False) -> None:
    """Train a network by the original's rules, or by its fork's.

    In --out: MODEL.cfg as it is trained, MODEL.backup and checkpoint.pt every so often, MODEL_final.weights at the
    end, log.csv, chart.png, and first_batch.png with what the network gets to see. Ctrl-C ends after the batch under
    way; --resume goes on from there. On several GPUs or machines: `torchrun --nproc-per-node N -m darknet_compat train
    …`; a batch is then spread over all of them.
    """
    from darknet_compat.cli.terminal.progress import TrainingProgress, print_trained
    from darknet_compat.training import job

    with ExitStack() as stack:

        def began(trainer: Trainer) -> None:
            stack.enter_context(_stopping(trainer))

        with TrainingProgress(began, quiet=json) as progress:
            trained = job.train(options, progress=progress)
    if progress.trainer is None:  # one of several processes, of which the first speaks for all
        return
    if json:
        terminal.print_json(trained.to_dict())
    else:
        print_trained(trained, progress.trainer.net.max_batches)


def _stopping(trainer: Trainer) -> AbstractContextManager[None]:
    """A context in which Ctrl-C and SIGTERM end training after the batch under way; a second Ctrl-C ends it at once."""

    def stop(number: int, frame: object) -> None:
        trainer.stop()
        terminal.say("stopping after this batch; --resume goes on from there")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return wish_to_end(stop)

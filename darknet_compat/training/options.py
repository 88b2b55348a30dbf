"""What can be asked of training, each option stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from darknet_compat.datasets.options import LabelsRule, LayoutName, PicturesFolder
from darknet_compat.errors import OptionError
from darknet_compat.inference.options import DialectOption, InputSize, NamesOption
from darknet_compat.options import MaxPixels, Option, Options, parse_sides

ObjectnessRule = Literal["darknet", "paper", "surest"]
"""Which box a whole picture's label is given to, and what happens to objectness.

`darknet`: the box of the highest objectness times probability of the label, whose objectness stays; the released code
computes the paper's rule and overwrites it with 0. All other boxes are background. `paper`: the same box, but pulled up
to an objectness of at least 0.3. `surest`: the box of the highest objectness, pulled up as well, and the others stay.

`darknet` is the default everywhere, because a cfg should train as it does in the original. But where classes of the
other pictures are sure of themselves, a new label finds its highest product beside the object, where no box was ever
told a class, and is learned there, in boxes that detection never uses, while the object's own box becomes background.
"""


@dataclass(frozen=True)
class TrainOptions(Options):
    """What to train on what, and how; raises OptionError for values that cannot be."""

    model: Annotated[str, Option("A .cfg, or a name from the catalogue.", metavar="MODEL", positional=True)]
    data: Annotated[
        str,
        Option(
            "What to learn from: a folder as any labelling tool leaves it, a .data, a list of pictures (.txt), a"
            " data.yaml, a COCO .json, a CSV, a folder of class folders, or `digits`.",
            metavar="DATA",
            positional=True,
        ),
    ]
    weights: Annotated[
        Path | None,
        Option(
            "Start from these: whole, only the first layers (darknet19_448.conv.23), or of other classes. Default: at"
            " random.",
            metavar="FILE",
        ),
    ] = None
    out: Annotated[Path | None, Option("Where the results go. Default: runs/MODEL.", metavar="DIR")] = None
    split: Annotated[str | None, Option("The part of DATA to learn from.", metavar="NAME")] = None
    layout: LayoutName = None
    labels: LabelsRule = "clip"
    pictures: PicturesFolder = None
    valid: Annotated[str | None, Option("A part of DATA, or other data, to measure mAP on.", metavar="NAME|DATA")] = (
        None
    )
    valid_every: Annotated[int, Option("Measure mAP every N batches, and at the end.", metavar="N", least=1)] = 500
    metric: Annotated[
        Literal["voc", "map"],
        Option("How --valid's mAP is measured: VOC's area under the curve, or as the fork's `detector map`."),
    ] = "voc"
    names: NamesOption = None
    size: InputSize = None
    sizes: Annotated[
        tuple[int, ...] | None,
        Option(
            "Sides of squares to train at in turn, another one every 10 batches, as random=1 of a cfg does from 320"
            " to 608.",
            metavar="N,N,…",
            parse=parse_sides,
        ),
    ] = None
    batch: Annotated[int | None, Option("Pictures a batch, not the cfg's.", metavar="N", least=1)] = None
    subdivisions: Annotated[
        int | None, Option("Parts that a batch is computed in; more need less memory.", metavar="N", least=1)
    ] = None
    max_batches: Annotated[int | None, Option("Batches, not the cfg's.", metavar="N", least=1)] = None
    epochs: Annotated[
        float | None,
        Option("Times all pictures; the steps of the rate move along.", metavar="X", least=0.001),
    ] = None
    paper: Annotated[bool, Option("Train as the paper of YOLO9000 says, not as the released cfg does.")] = False
    learning_rate: Annotated[float | None, Option("Not the cfg's.", metavar="X", least=0)] = None
    check: Annotated[bool, Option("Look at all labels first, and show what is in them.")] = True
    joint: Annotated[
        str | None,
        Option(
            "With a WordTree: learn from this as well, pictures with labels but no boxes; `digit-pictures`, say.",
            metavar="DATA",
        ),
    ] = None
    ratio: Annotated[
        float | None, Option("Pictures of --joint for each with boxes. Default: 4 at most.", metavar="X")
    ] = None
    map: Annotated[
        Path | None, Option("The tree's node for each class of DATA. Default: by their names.", metavar="FILE")
    ] = None
    joint_map: Annotated[Path | None, Option("The same for --joint's classes.", metavar="FILE")] = None
    objectness: Annotated[
        ObjectnessRule,
        Option(
            "Which box a whole picture's label goes to: as the original; as the paper, which pulls its objectness up"
            " to 0.3; or to the box that is surest to be an object, pulled up too, while the others stay."
        ),
    ] = "darknet"
    seed: Annotated[int, Option("Another one gives other random numbers throughout.", least=0)] = 0
    workers: Annotated[
        int | None, Option("Processes that read pictures ahead. Default: one a core.", metavar="N", least=0)
    ] = None
    precision: Annotated[Literal["fp32", "bf16"], Option("What the layers compute in.")] = "fp32"
    device: Annotated[str | None, Option("cpu, cuda, cuda:1. Default: a GPU if there is one.")] = None
    compile: Annotated[bool, Option("Have torch compile the network first.")] = False
    sync_batchnorm: Annotated[bool, Option("Under torchrun: normalize by the whole batch's statistics.")] = False
    ema: Annotated[
        float | None,
        Option("Keep a running average of the weights too; 0.999, say.", metavar="X", least=0, most=1),
    ] = None
    tensorboard: Annotated[bool, Option("Write events for TensorBoard as well.")] = False
    clear: Annotated[bool, Option("Count images from 0, whatever the weights say.")] = False
    resume: Annotated[bool, Option("Go on from the checkpoint in --out.")] = False
    checkpoint_every: Annotated[int, Option("Write a checkpoint every N batches.", metavar="N", least=1)] = 100
    max_pixels: MaxPixels = None
    dialect: DialectOption = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("joint_map", "ratio"):
            if self.joint is None and getattr(self, name) is not None:
                raise OptionError("goes with --joint", name)

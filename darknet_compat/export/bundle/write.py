"""What lies beside a model in a bundle: names, a sidecar, requirements, `run.py` and a page that says how to use them.

`run.py` (beside this file) goes in as it is. It fits pictures as Darknet does, runs an engine or the `.onnx`, and
suppresses class by class; what needs more, a WordTree or a classifier, is refused here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from darknet_compat.errors import ExportError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.formats.exported.enginefile import EngineRecord
from darknet_compat.formats.textfile import count
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.vision.boxes import distance_exponent

RUN = Path(__file__).with_name("run.py")


class Described(Protocol):
    """A model that describes itself: an Artefact, or a `runtime.base.Description`."""

    @property
    def task(self) -> str | None:
        """ "detect", or another."""
        ...

    @property
    def tree(self) -> WordTree | None:
        """The WordTree of its classes, or None."""
        ...

    @property
    def channels(self) -> int:
        """Channels of the pictures that it reads."""
        ...


def expect_runnable(model: Described, where: str, outputs: str = "boxes") -> None:
    """Raise ExportError for a model that `run.py` cannot run: before anything is written for it."""
    problem = None
    if model.task != "detect" or outputs in ("heads", "detections"):
        problem = "gives no boxes, and the bundle's run.py shows boxes"
    elif outputs != "boxes":
        problem = f"is of the layout {outputs}, and the bundle's run.py reads boxes"
    elif model.tree is not None:
        problem = "has a WordTree, which the bundle's run.py does not walk"
    elif model.channels != 3:
        problem = f"reads {model.channels} channel, and the bundle's run.py reads pictures in colour"
    if problem:
        raise ExportError(f"{where}: {problem}; `detect` takes the file by itself")


def write_bundle(folder: Path, model: Path, artefact: Artefact, record: EngineRecord | None = None) -> list[Path]:
    """Write what belongs beside `model`, an `.onnx` or an `.engine` that lies in `folder`; all files of the bundle.

    Raises ExportError for a model that `run.py` cannot run, and where a file cannot be written.
    """
    expect_runnable(artefact, str(model), artefact.outputs)
    if record is not None and record.profiles[0].least[0] != 1:  # the profile that run.py takes
        raise ExportError(f"{model}: takes no single picture, and the bundle's run.py gives one at a time")
    names = artefact.names or tuple(f"class {number}" for number in range(artefact.classes))
    texts = {
        f"{model.stem}.names": "".join(f"{name}\n" for name in names),
        "model.json": json.dumps(_sidecar(model, artefact, names, record), indent=1, ensure_ascii=False) + "\n",
        "requirements.txt": _requirements(record),
        "README.md": _page(model, artefact, record),
        "run.py": RUN.read_text(encoding="utf-8"),
    }
    for name, text in texts.items():
        with atomic_write(folder / name, ExportError) as file:
            file.write(text.encode())
    beside = [Path(f"{model}.json")] if record else []
    return [model, *beside, *(folder / name for name in texts)]


def _sidecar(model: Path, artefact: Artefact, names: tuple[str, ...], record: EngineRecord | None) -> dict[str, object]:
    """What `run.py` reads, and where it comes from."""
    sides = record.profiles[0].best[1:] if record else (artefact.height, artefact.width)
    shape = (1, *sides, artefact.channels) if artefact.input == "uint8" else (1, artefact.channels, *sides)
    return {
        "file": model.name,
        "tensorrt": "tensorrt_rtx" if record and record.target == "rtx" else "tensorrt",
        "size": sides[::-1],
        "shape": shape,
        **{name: getattr(artefact, name) for name in ("channels", "input", "resize", "thresh", "nms", "nms_kind")},
        "exponent": distance_exponent(artefact.nms_kind, artefact.beta_nms),
        "precision": record.precision if record else artefact.precision,
        "names": names,
        "cfg_sha256": artefact.cfg_sha256,
        "weights_sha256": artefact.weights_sha256,
        "made_by": dict(artefact.tools),
    }


def _requirements(record: EngineRecord | None) -> str:
    common = "numpy\nopencv-python-headless\n"
    if record is None:
        said = "JetPack has what is needed but onnxruntime, which runs the .onnx without a GPU."
        return f"# {said}\n{common}tensorrt\nonnxruntime\n"
    package = "tensorrt-rtx-cu13" if record.target == "rtx" else "tensorrt"
    return f"# An engine runs with the very version that built it.\n{common}{package}=={record.tensorrt}\n"


def _page(model: Path, artefact: Artefact, record: EngineRecord | None) -> str:
    """The bundle's README: one screen."""
    engine = model.with_suffix(".engine").name
    build = f"""
The engine has to be built first, once, on the machine that is to run it, with TensorRT's own tool (minutes):

    trtexec --onnx={model.name} --saveEngine={engine} --fp16

TensorRT 11 has no `--fp16`: leave it out there. `python3 run.py {model.name} dog.jpg` runs the file itself by ONNX
Runtime, without a GPU, to compare.
"""
    size = f"{artefact.width} x {artefact.height}"
    if record is not None:
        known = ", ".join(f"{major}.{minor}" for major, minor in record.capabilities)
        gpu = f"any GPU of compute capability {known}" if known else f"{record.gpu} only"
        name = "TensorRT-RTX" if record.target == "rtx" else "TensorRT"
        build = f"\nThe engine is for {name} {record.tensorrt} and {gpu}.\n"
    return (
        f"""# {artefact.name}

    pip install -r requirements.txt
    python3 run.py {engine} dog.jpg

prints a line for each object: picture, class, score, and its corners x1 y1 x2 y2 in pixels.
{build}
| file | what it is |
|---|---|
| `{model.name}` | the model: {size}, {count(artefact.classes, "class")}, one picture at a time |
| `model.json` | what run.py reads: size, input, names, thresholds; where the model comes from |
| `{model.stem}.names` | the classes, one a line |
| `run.py` | 60 lines: TensorRT, numpy and OpenCV, nothing else |

Scores above {artefact.thresh:g} are shown (`thresh` in model.json), boxes of a class that overlap a better one
by more than {artefact.nms:g} are not (`nms`), class by class, as the .cfg has it (`nms_kind` {artefact.nms_kind}).
run.py does not do WordTrees, classifiers, grey networks, or several pictures at once; darknet-compat does.
""".rstrip()
        + "\n"
    )

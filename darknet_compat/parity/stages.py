"""The whole chain held together: original → torch → each runtime of the exported file, down to the final answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from darknet_compat.definition.spec import Detection
from darknet_compat.errors import BackendError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.layer_outputs import expose_layers
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.cfg import read_cfg
from darknet_compat.formats.words import Precision, Resize
from darknet_compat.heads.answers import splits
from darknet_compat.inference.backends import open_runtime
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.answers import OutputDecoder, candidates_found, torch_answers
from darknet_compat.parity.compare import AGREEMENT, ANSWERS, TOLERANCES, Difference, compare, verdict
from darknet_compat.parity.layers import compare_layers
from darknet_compat.parity.matching import Matching, ObjectAgreement
from darknet_compat.parity.picture import loaded
from darknet_compat.parity.reference import Original
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.parity.single_layers import foreign_layers, remarks_on
from darknet_compat.runtime import registry
from darknet_compat.runtime.base import Use
from darknet_compat.runtime.exported import ExportedRuntime

ENGINES = tuple(row.name for row in registry.ROWS if registry.ONNX in row.suffixes)
"""What runs the exported file, in the order of the chain."""


@dataclass(frozen=True)
class StageParity:
    """A stage of the chain against one before it: a row for each value that both have, the worst of all pictures; and
    the final answers to each picture, or in low precision how far all of them agree."""

    reference: str
    stage: str
    precision: str
    rows: tuple[Difference, ...]
    answers: tuple[Matching, ...]
    agreement: ObjectAgreement | None = None

    @property
    def passed(self) -> bool:
        """Whether all is the same, and of both something was compared."""
        return verdict(self.rows) and (all_match(self.answers) if self.agreement is None else self.agreement.passed)

    @property
    def worst(self) -> Difference | None:
        """The row with the largest difference for its tolerance; the first of equal ones."""
        compared = [row for row in self.rows if row.verdict != "nothing to compare"]
        return max(compared, key=lambda row: row.relative / row.tolerance, default=None)

    @property
    def first(self) -> Difference | None:
        """The first row that departs."""
        return next((row for row in self.rows if row.verdict == "differs"), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "reference": self.reference,
            "stage": self.stage,
            "precision": self.precision,
            "passed": self.passed,
            "rows": [row.to_dict() for row in self.rows],
            "answers": [one.to_dict() for one in self.answers],
            "agreement": None if self.agreement is None else self.agreement._asdict(),
        }


@dataclass(frozen=True)
class Chain:
    """All stages of one network; `not_run` has those that could not be, with the reason."""

    cfg: str
    weights: str
    size: tuple[int, int]
    pictures: tuple[str, ...]
    thresh: float | None
    stages: tuple[StageParity, ...]
    not_run: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Whether there is an exported stage beside torch's, and every stage has passed."""
        return any(stage.reference == "torch" for stage in self.stages) and all(stage.passed for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "cfg": self.cfg,
            "weights": self.weights,
            "size": self.size,
            "pictures": self.pictures,
            "thresh": self.thresh,
            "passed": self.passed,
            "stages": [stage.to_dict() for stage in self.stages],
            "not_run": [{"stage": stage, "why": why} for stage, why in self.not_run],
        }


def all_match(matchings: Sequence[Matching]) -> bool:
    """Whether no picture's answers differ, and one at least had any."""
    return any(one.matched for one in matchings) and all(one.verdict != "differs" for one in matchings)


def stage_parity(
    cfg: str | Path,
    weights: str | Path | None,
    pictures: Sequence[Path],
    *,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    precision: Precision = "fp32",
    resize: Resize | None = None,
    thresh: float | None = None,
    layers: bool = False,
    names: Path | None = None,
    original: Original | None = None,
) -> Chain:
    """Send pictures through the original, torch, and the exported file in each runtime that is installed.

    The original and torch are compared layer by layer, torch and a runtime by what the heads read and what is decoded
    from it, with `layers` by every layer's value inside the graph. Then the answers of each, from file to detections or
    classes. Batch normalization is the CPU build's, all the way. With a WordTree the original's place is taken, after
    the last convolution, by the definition (see `parity.definition`). Without `weights` they are seeded, and then
    `thresh` is by default what some twenty boxes pass, else 0.25. For int8 the exported file is calibrated on the
    pictures themselves. What the original does not have leaves it out of the chain. `names` are the
    classes' where the list beside the cfg is another one's.
    Raises OriginalError where the original is not installed, and ExportError for what cannot be exported.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="darknet-compat-")))
        original = original or stack.enter_context(Original())
        named = f"seed {seed}" if weights is None else str(weights)
        if weights is None:
            fresh = load_network(cfg, batchnorm="cpu", size=size)
            seed_weights(fresh, seed)
            _calm(fresh)
            weights = folder / "seeded.weights"
            save_weights(fresh, weights)
        unknown = remarks_on(parsed := read_cfg(cfg), foreign_layers(parsed))
        network = load_network(cfg, weights, batchnorm="cpu", size=size, dialect=None if unknown else "original")
        resize = resize or network.spec.resize
        run = _Run(network, Path(cfg), Path(weights), pictures, size, resize, original, folder)
        seeded = named.startswith("seed ")
        answering = run.answering(thresh, seeded, names)
        stages = [] if unknown else [run.against_original(answering)]
        not_run = [("original", f"{unknown[0]}; without --stages its other layers are compared")] if unknown else []
        for engine, why in _engines(precision, seeded):
            if why:
                not_run.append((engine, why))
            else:
                stages.append(run.against_torch(engine, precision, answering, layers))
    side = network.spec.net
    pixels = (side.width, side.height)
    return Chain(str(cfg), named, pixels, tuple(map(str, pictures)), answering.thresh, tuple(stages), tuple(not_run))


@torch.no_grad()
def _calm(network: Network) -> None:
    """Bring the raw values of a [detection] head near 0..1, where training leaves them: nothing else bounds them, and
    a box many times as large as the picture would be compared in pixels."""
    if network.spec.heads and isinstance(network.spec.heads[-1], Detection):
        last = [slot for slot, _ in network.slots() if slot.name == "weights"][-1]
        network.parameter(last).mul_(0.25)


def _engines(precision: str, seeded: bool) -> Iterator[tuple[str, str]]:
    """Each engine, and why it is not run, if it is not."""
    for engine in ENGINES:
        key = ("torch", engine, precision)
        if why := _unable(engine):
            yield engine, why
        elif precision not in registry.named(engine).precisions:
            yield engine, f"does not compute in {precision}"
        elif key not in TOLERANCES or key not in ANSWERS.keys() | AGREEMENT.keys():
            yield engine, f"no tolerance stands for it in {precision}"
        elif seeded and key in AGREEMENT:
            yield engine, f"{precision} is judged by what trained weights find; name them with --weights"
        else:
            yield engine, ""


def _unable(engine: str) -> str:
    """Why an engine cannot run here at all; empty where it can."""
    try:
        registry.expect_usable(engine)
    except BackendError as error:
        return str(error)
    return ""


@dataclass
class _Run:
    """One network, in files and in torch, and the pictures."""

    network: Network
    cfg: Path
    weights: Path
    pictures: Sequence[Path]
    size: tuple[int, int] | None
    resize: Resize
    original: Original
    folder: Path

    def __post_init__(self) -> None:
        net = self.network.spec.net
        fit: Callable[..., Floats] = self.original.letterbox_image
        if self.resize == "stretch":
            fit = self.original.resize_image
        seen = (loaded(self.original, file, net.channels) for file in self.pictures)
        self.images = [fit(picture, net.width, net.height)[None] for picture in seen]
        self.torch = torch_answers(self.network)

    def answering(self, thresh: float | None, seeded: bool, names: Path | None) -> OutputDecoder:
        shared = {"names": names, "size": self.size, "resize": self.resize}
        return OutputDecoder.of(self.network, self.cfg, self.weights, shared, thresh, seeded, self.pictures)

    def against_original(self, answering: OutputDecoder) -> StageParity:
        """Torch against the original, layer by layer."""
        rows, originals = [], []
        for images in self.images:
            outputs = self.original.layer_outputs(self.cfg, self.weights, images, size=self.size)
            with torch.inference_mode():
                found = self.network.layer_outputs(torch.from_numpy(images))
            rows.append(compare_layers(self.network, outputs, found))
            by_tree = answering.detects_by_tree
            originals.append(answering.by_definition(self.network, outputs) if by_tree else None)
        reference = "definition" if answering.detects_by_tree else "original"
        expected = [
            answering.fixed(picture, outputs)
            if answering.detects_by_tree and outputs is not None
            else answering.originals(self.original, picture)
            for picture, outputs in zip(self.pictures, originals, strict=True)
        ]
        matchings = answering.matched(self.torch, self.pictures, expected, ANSWERS[reference, "torch", "fp32"])
        return StageParity("original", "torch", "fp32", tuple(worst_of(rows)), tuple(matchings))

    def against_torch(self, engine: str, precision: Precision, answering: OutputDecoder, layers: bool) -> StageParity:
        """An engine against torch: outputs, or with `layers` every value there is in the graph."""
        model, probed = self._exported(precision), self.folder / "layers.onnx"
        spec = self.network.spec
        read = {head.sources[0] for head in spec.heads} or {spec.output_index}
        read = set(spec.layers[-2].sources) if splits(spec) else read
        names = expose_layers(model, probed, None if layers else read)
        tolerance = TOLERANCES["torch", engine, precision]
        runtime = self._opened(probed, engine, precision)
        rows = []
        for images in self.images:
            found = runtime.run(images)
            with torch.inference_mode():
                values = self.network.outputs_of(torch.from_numpy(images), list(names)) if names else []
            inner = [
                compare(f"{index} {spec.layers[index].type}", value.numpy(), found[names[index]], tolerance)
                for index, value in zip(names, values, strict=True)
            ]
            expected, ours = candidates_found(self.network, self.torch.infer(images), found)
            rows.append(inner + [compare(name, expected[name], ours[name], tolerance) for name in expected])
        last = self._opened(model, engine, precision)
        values_of_all = tuple(worst_of(rows))
        if (least := AGREEMENT.get(("torch", engine, precision))) is not None:
            agreement = answering.agreement(last, self.torch, self.pictures, least)
            return StageParity("torch", engine, precision, values_of_all, (), agreement)
        answers = answering.answers(self.torch, self.pictures)
        matchings = answering.matched(last, self.pictures, answers, ANSWERS["torch", engine, precision])
        return StageParity("torch", engine, precision, values_of_all, tuple(matchings))

    def _exported(self, precision: Precision) -> Path:
        """The network as an ONNX file, made once."""
        model, quantized = self.folder / "model.onnx", self.folder / "model-int8.onnx"
        if not model.exists():
            export_onnx(self.network, model, resize=self.resize, cfg=self.cfg, names=())
        if precision != "int8":
            return model
        if not quantized.exists():
            quantize_onnx(model, quantized, self.images, None)
        return quantized

    def _opened(self, path: Path, engine: str, precision: Precision) -> ExportedRuntime:
        runtime, _ = open_runtime(path, None, Use(engine, precision, self.size, self.resize))
        if not isinstance(runtime, ExportedRuntime):
            raise BackendError(f"{engine}: does not run an exported file")
        return runtime


def worst_of(pictures: Sequence[Sequence[Difference]]) -> list[Difference]:
    """Of each row the one picture's where the difference is largest; what could be compared goes before what not."""

    def rank(row: Difference) -> float:
        return -1.0 if row.verdict == "nothing to compare" else row.relative

    return [max(rows, key=rank) for rows in zip(*pictures, strict=True)]

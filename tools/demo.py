"""The main job from one end to the other, for `make demo`, with nothing downloaded.

    python tools/demo.py             # a scene of digits → boxes and ways down the tree, the same from ONNX Runtime
    python tools/demo.py PICTURE     # a photo of yours, with a detector of photos

The digits' detectors come with this package, and no scene that they are shown here was used to train them; the second
had boxes of 0 to 4 only. For a photo it is the real detector in ../shared/data where that is present, else the smallest
of the catalogue that is on this machine or can be fetched.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from darknet_compat.catalogue import catalog
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.picture_report import output_paths
from darknet_compat.errors import DarknetCompatError, DownloadError

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_MODEL = REPOSITORY.parent / "shared" / "data" / "models" / "yolo-lite-coco" / "yolo-lite-coco.cfg"
OUT = REPOSITORY / "out"

DIGITS = ("yolov2-digits", "yolo9000-digits")
SCENE = 0
"""Which of the held-out scenes: one with six digits, large and small, and clutter."""
ENLARGED = 3
"""Times, since boxes and labels are drawn for larger pictures; the network sees the scene at its own size."""


def write_scene() -> Path:
    """A held-out scene as a picture. Raises DarknetCompatError."""
    import numpy as np

    from darknet_compat.datasets.readers.digits import DigitScenes
    from darknet_compat.vision.draw import save

    sample = DigitScenes("test")[SCENE]
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "scene.png"
    scene = np.asarray(sample.image)[..., ::-1]  # from BGR, as OpenCV has it
    save(scene.repeat(ENLARGED, 0).repeat(ENLARGED, 1), path)
    shown = ", ".join(DigitScenes.names[digit] for digit in sorted(sample.labels.classes))
    print(f"{path}: a scene composed of the handwritten digits {shown}\n", flush=True)
    return path


def print_parity(exported: dict[str, Path], scene: Path) -> None:
    """What torch and ONNX Runtime find, held against each other. SystemExit where it is not the same."""
    from darknet_compat.inference.detector import Detector
    from darknet_compat.parity.compare import ANSWERS
    from darknet_compat.parity.matching import PictureAnswers, match

    results = {}
    for name, onnx in exported.items():
        detectors = Detector(name, backend="torch"), Detector(onnx, backend="onnxruntime")
        answers = [
            PictureAnswers(one.class_ids, one.scores, one.boxes) for one in (detector(scene) for detector in detectors)
        ]
        results[name] = match(scene.name, *answers, ANSWERS["torch", "onnxruntime", "fp32"])
    print("torch → onnxruntime")
    terminal.print_table(
        ("model", "same class", "missing", "extra", "score", "box, px", ""),
        [
            (
                name, str(one.matched), str(one.missing), str(one.extra), f"{one.score:.1e}", f"{one.box:.1e}",
                one.verdict,
            )
            for name, one in results.items()
        ],
        left=("model", ""),
    )  # fmt: skip
    for name, one in results.items():
        if one.verdict != "same":
            raise SystemExit(f"demo: {name}: torch and ONNX Runtime should find the same, found {one.verdict}")


def digits() -> None:
    """A scene in, boxes and ways down the tree out; by the converted networks as well."""
    try:
        scene = write_scene()
    except DarknetCompatError as error:
        raise SystemExit(f"demo: {error}") from None
    exported = {name: OUT / f"{name}.onnx" for name in DIGITS}
    run("info", DIGITS[-1])
    for name in DIGITS:
        run("detect", name, str(scene), "--out", str(OUT / name))
        run("export", name, "--out", str(exported[name]))
    run("detect", str(exported[DIGITS[-1]]), str(scene), "--backend", "onnxruntime")
    print_parity(exported, scene)
    print("Against the original too, where it is installed: darknet-compat parity MODEL --stages")
    for name in DIGITS:
        print(f"The picture with the boxes of {name}: {OUT / name / scene.name}")


def photo(picture: Path) -> None:
    """What a detector of photos is, and what it finds in this one."""
    try:
        model = find_model()
        place = output_paths([picture], OUT)[picture]
    except DarknetCompatError as error:
        raise SystemExit(f"demo: {error}") from None
    run("info", model)
    run("detect", model, str(picture), "--thresh", "0.25", "--out", str(OUT))
    print(f"The picture with its boxes: {place}")


def find_model() -> str:
    """A detector whose weights are on this machine, if need be by fetching them. Raises DownloadError."""
    if SHARED_MODEL.is_file():
        return str(SHARED_MODEL)
    detectors = sorted(
        (model for model in catalog.MODELS.values() if model.task == "detect" and model.weights.mirrors),
        key=lambda model: model.weights.floats,
    )
    for model in detectors:
        if catalog.local_weights(model):
            return model.name
    reasons = []
    for model in detectors[:3]:
        print(f"fetching {model.weights.file}, {4e-6 * model.weights.floats:.0f} MB")
        try:
            catalog.fetch(model)
            return model.name
        except DownloadError as error:
            reasons.append(str(error))
    raise DownloadError("\n".join(["a photo needs a detector, and none is here or could be fetched:", *reasons]))


def run(*arguments: str) -> None:
    """Run a command of darknet-compat as a user would, showing it first; SystemExit with its code if it fails."""
    print(f"$ darknet-compat {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "darknet_compat", *arguments]).returncode
    if code:
        raise SystemExit(code)
    print(flush=True)


def main() -> None:
    """Of the digits, or of a picture."""
    if len(sys.argv) > 1:
        photo(Path(sys.argv[1]))
    else:
        digits()


if __name__ == "__main__":
    main()

"""The main job on real input, for `make demo`: what a detector is, what it finds in a photo, and the photo with boxes.

    python tools/demo.py [PICTURE]

The detector is the real one in ../shared/data where that is present, else the smallest of the catalogue that is on this
machine or can be fetched. The photo is the original's dog.jpg: installed with Debian's `darknet`, else fetched.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from darknet_compat.cli.pictures import output_paths
from darknet_compat.errors import DarknetCompatError, DownloadError
from darknet_compat.formats import catalog
from darknet_compat.formats.fetch.checksum import Expected
from darknet_compat.formats.fetch.download import download

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_MODEL = REPOSITORY.parent / "shared" / "data" / "models" / "yolo-lite-coco" / "yolo-lite-coco.cfg"
INSTALLED_PHOTO = Path("/usr/share/darknet/data/dog.jpg")
PHOTO_MIRRORS = (
    "https://raw.githubusercontent.com/pjreddie/darknet/master/data/dog.jpg",
    "https://raw.githubusercontent.com/AlexeyAB/darknet/master/data/dog.jpg",
)
PHOTO = Expected((163_759,), git_blob="77b0381222eaed50867643f4166092c781e56d5b")
"""The file that Debian installs."""

OUT = REPOSITORY / "out"


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
    raise DownloadError("\n".join(["the demo needs a detector, and none is here or could be fetched:", *reasons]))


def find_photo() -> Path:
    """The original's photograph of the dog. Raises DownloadError."""
    if INSTALLED_PHOTO.is_file():
        return INSTALLED_PHOTO
    print("fetching dog.jpg")
    try:
        return download(PHOTO_MIRRORS, catalog.cache_dir() / "dog.jpg", expected=PHOTO)
    except DownloadError as error:
        raise DownloadError(
            f"the demo needs a photo: apt-get install darknet brings its dog.jpg, and any other does as well:"
            f" .venv/bin/python tools/demo.py PICTURE\n{error}"
        ) from None


def run(*arguments: str) -> None:
    """Run a command of darknet-compat as a user would, showing it first; SystemExit with its code if it fails."""
    print(f"$ darknet-compat {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "darknet_compat", *arguments]).returncode
    if code:
        raise SystemExit(code)
    print(flush=True)


def main() -> None:
    """Show the model, detect, and say where the picture with its boxes is."""
    try:
        photo = Path(sys.argv[1]) if len(sys.argv) > 1 else find_photo()
        model = find_model()
        place = output_paths([photo], OUT)[photo]
    except DarknetCompatError as error:
        raise SystemExit(f"demo: {error}") from None
    run("info", model)
    run("detect", model, str(photo), "--thresh", "0.25", "--out", str(OUT))
    print(f"The picture with its boxes: {place}")


if __name__ == "__main__":
    main()

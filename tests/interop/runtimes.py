"""The runtimes of others that read our files, each in an environment of its own.

    python -m tests.interop.runtimes        # installs what is missing, and says loudly what cannot be had

`make test-interop` does that and runs the tests. Everything lies under share/interop of the environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PLACE = Path(os.environ.get("INTEROP", Path(sys.prefix) / "share" / "interop"))
READERS = Path(__file__).with_name("readers")


@dataclass(frozen=True)
class Runtime:
    """A reader of ONNX files. `name` is that of its module in readers/.

    `packages`: what pip installs for it; none for one that the project's own environment has. `alone`: the same,
    without what they ask for. `python`: the version that it wants. `npm`: packages for Node.js. `reader`: the
    module, if it is named otherwise. `compiles`: takes minutes a file.
    """

    name: str
    title: str
    packages: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    python: str | None = None
    npm: tuple[str, ...] = ()
    reader: str | None = None
    compiles: bool = False

    @property
    def folder(self) -> Path:
        """Where its environment lies."""
        return PLACE / self.name

    @property
    def program(self) -> Path:
        """The Python that runs its reader."""
        return self.folder / "bin" / "python" if self.packages else Path(sys.executable)

    def missing(self) -> str | None:
        """Why it cannot be asked; None where it can."""
        if self.name == "tensorrt":
            return None if tensorrt().is_dir() else "TensorRT-RTX is not installed (make test-trt installs it)"
        there = (self.folder / "ready").exists() or not (self.packages or self.npm)
        return None if there else f"{self.title} is not installed (make test-interop installs it)"


def tensorrt() -> Path:
    """Where `make test-trt` puts NVIDIA's libraries."""
    return Path(sys.prefix) / "share" / "tensorrt-rtx"


RUNTIMES = (
    Runtime("onnxruntime", "ONNX Runtime"),
    Runtime("openvino", "OpenVINO"),
    Runtime("opencv", "OpenCV 4"),
    Runtime("opencv5", "OpenCV 5", ("opencv-python-headless==5.0.0.93", "numpy==2.4.6"), reader="opencv"),
    Runtime("tensorrt", "TensorRT-RTX"),
    Runtime("tract", "tract", ("tract==0.23.9", "numpy==2.4.6")),
    Runtime("mnn", "MNN", ("mnn==3.6.1", "numpy==2.4.6")),
    Runtime("ncnn", "ncnn by pnnx", ("ncnn==1.0.20261020", "numpy==2.4.6", "torch==2.13.0"), ("pnnx==20261020",)),
    Runtime("tflite", "TFLite by onnx2tf", ("onnx2tf==2.6.9",), python="3.12"),
    Runtime("web", "onnxruntime-web", npm=("onnxruntime-web@1.30.0",)),
    Runtime("tvm", "TVM", ("apache-tvm==0.27.0.post1", "onnx==1.23.2", "numpy==2.4.6"), compiles=True),
    Runtime(
        "iree", "IREE", ("iree-base-compiler[onnx]==3.13.0", "iree-base-runtime==3.13.0", "numpy==2.4.6"), compiles=True
    ),
    Runtime("reference", "onnx's evaluator"),
)
"""Every reader that is tried. What other programs read our files but convert them themselves is behind these."""

TRITON = Runtime("triton", "tritonclient", ("tritonclient[grpc,http]==2.73.0", "numpy==2.4.6"))
"""Triton's own definition of its configurations, and its client."""

TRITON_SERVER = Runtime(
    "triton-server",
    "Triton's server",
    ("nvidia-pytriton==0.7.0", "onnxruntime==1.23.2", "opencv-python-headless==4.11.0.86", "numpy==1.26.4"),
)
"""The server itself, 2.51, in the one package that holds it: with its backend for Python alone."""

COREML = Runtime("coreml", "coremltools", ("coremltools==9.0", "numpy==2.3.5", "torch==2.13.0"))
"""Converts here and runs on Apple's systems alone."""


def install(runtime: Runtime) -> None:
    """Make its environment. Raises CalledProcessError or FileNotFoundError where that fails."""
    shutil.rmtree(runtime.folder, ignore_errors=True)
    runtime.folder.mkdir(parents=True)
    if runtime.npm:
        subprocess.run(["npm", "install", "--silent", "--prefix", runtime.folder, *runtime.npm], check=True)
    else:
        subprocess.run([interpreter(runtime.python), "-m", "venv", runtime.folder], check=True)
        pip = [runtime.program, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, *runtime.packages], check=True)
        if runtime.alone:
            subprocess.run([*pip, "--no-deps", *runtime.alone], check=True)
    (runtime.folder / "ready").touch()


def interpreter(version: str | None) -> str:
    """A Python of a version; of this one's where none is wanted. Raises FileNotFoundError where there is none."""
    if version is None or sys.version.startswith(version):
        return getattr(sys, "_base_executable", sys.executable)
    places = (shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))
    for found in filter(None, places):
        if subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return str(found)
    raise FileNotFoundError(f"there is no Python {version}")


def main() -> None:
    """Install what is missing, one after another; what cannot be had is named, and its tests are skipped."""
    for runtime in (*RUNTIMES, TRITON, TRITON_SERVER, COREML):
        if (runtime.packages or runtime.npm) and runtime.missing():
            print(f"installing {runtime.title}: {' '.join(runtime.packages + runtime.alone + runtime.npm)}", flush=True)
            try:
                install(runtime)
            except (subprocess.CalledProcessError, FileNotFoundError) as error:
                shutil.rmtree(runtime.folder, ignore_errors=True)
                print(f"{runtime.title.upper()} CANNOT BE INSTALLED HERE, its tests are skipped: {error}", flush=True)


if __name__ == "__main__":
    main()

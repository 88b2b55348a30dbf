"""What the tests share: the original Darknet, its photographs, the data beside the repository; a simulated GPU.

None of the first three is part of the project. A test that asks for one by fixture or marker is skipped with the
reason where it is absent; in CI a missing original is an error before the first test: a run that compared nothing is no
pass.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from darknet_compat.catalogue.catalog import CACHE_VARIABLE, cache_dir
from tests.runtime.simulation import Driver, Left, build_driver, use_version

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
PHOTOS = ("dog", "eagle", "giraffe", "horses", "kite", "person", "scream")
NO_ORIGINAL = "the original Darknet is not installed (apt-get install darknet)"
NO_TENSORRT = "TensorRT-RTX is not installed (make test-trt installs it, 95 MB, and runs these)"
NO_RAY = "Ray is not installed (make test-ray installs it, and runs these)"
TENSORRT = Path(sys.prefix) / "share" / "tensorrt-rtx"
"""Where `make test-trt` puts NVIDIA's libraries, which are not ours to hand on."""
IN_CI = os.environ.get("CI") == "true"

# One thread a process where several share the machine: torch and the BLAS read this when they are first imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if IN_CI else "local")


@dataclass(frozen=True)
class Original:
    """Where Debian's package `darknet` puts the original."""

    program: Path
    library: Path = Path("/usr/lib/darknet/libdarknet.so")
    include: Path = Path("/usr/lib/darknet/include")
    cfg: Path = Path("/usr/share/darknet/cfg")
    data: Path = Path("/usr/share/darknet/data")


def find_original() -> Original | None:
    program = shutil.which("darknet")
    found = Original(Path(program)) if program else None
    return found if found and found.library.exists() and found.data.is_dir() else None


def has_tensorrt() -> bool:
    if TENSORRT.is_dir() and str(TENSORRT) not in sys.path:
        sys.path.append(str(TENSORRT))
    return find_spec("tensorrt_rtx") is not None


def pytest_configure() -> None:
    if IN_CI and find_original() is None:
        raise pytest.UsageError(f"{NO_ORIGINAL}: in CI that is an error, tools/install-original installs it")


def pytest_report_header() -> list[str]:
    original = find_original()
    return [
        f"original Darknet: {original.library if original else 'NOT INSTALLED, reference tests are skipped'}",
        f"Ray: {'installed' if find_spec('ray') else 'NOT INSTALLED, its tests are skipped: make test-ray'}",
        f"TensorRT-RTX: {'installed' if has_tensorrt() else 'NOT INSTALLED, its tests are skipped: make test-trt'}",
        f"shared data: {SHARED_DATA if SHARED_DATA.is_dir() else 'absent, the tests that need it are skipped'}",
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not has_tensorrt():
        for item in items:
            if item.get_closest_marker("tensorrt"):
                item.add_marker(pytest.mark.skip(reason=NO_TENSORRT))
    if find_spec("ray") is None:
        for item in items:
            if item.get_closest_marker("ray"):
                item.add_marker(pytest.mark.skip(reason=NO_RAY))
    if find_original() is None:
        for item in items:
            if item.get_closest_marker("reference"):
                item.add_marker(pytest.mark.skip(reason=NO_ORIGINAL))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of its own for each run, so that nothing is found that other code of this version has made."""
    folder, downloads = tmp_path_factory.mktemp("cache"), cache_dir()
    for weights in downloads.glob("*.weights"):
        (folder / weights.name).symlink_to(weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield


@pytest.fixture(scope="session")
def original() -> Original:
    """The installed original; the test is skipped without it."""
    found = find_original()
    if found is None:
        pytest.skip(NO_ORIGINAL)
    return found


@pytest.fixture(scope="session")
def photos(original: Original) -> list[Path]:
    """The seven photographs that come with the original."""
    return [original.data / f"{name}.jpg" for name in PHOTOS]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder `../shared/data`: real models and labelled pictures; the test is skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is absent")
    return SHARED_DATA


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """The simulated CUDA driver, off until it is turned `on`. One a process: only the first of that name is found."""
    return build_driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def gpu(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """A simulated GPU with the newest TensorRT; everything has to be given back when the test ends."""
    use_version(monkeypatch)
    with driver.on():
        yield driver
        gc.collect()
        assert driver.left() == Left(0, 0, 0, 0, 0, 0)
        assert driver.library.sim_depth() == 0

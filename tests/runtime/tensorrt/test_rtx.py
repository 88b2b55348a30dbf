"""TensorRT-RTX, simulated: built without a GPU, run through the same execution on one that the engine names."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.errors import BackendError, ExportError
from darknet_compat.export.tensorrt.engine import build_engine
from darknet_compat.export.tensorrt.settings import Settings, settings_from
from darknet_compat.formats.exported.enginefile import read_record
from darknet_compat.inference.detector import Detector
from darknet_compat.runtime import registry
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from tests.export.support import pictures
from tests.runtime.simulation import Driver, use_version
from tests.runtime.test_exported import cfg, exported  # noqa: F401

ALL = ((7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1))


def rtx(**settings: object) -> Settings:
    return Settings(target="rtx", **settings)  # type: ignore[arg-type]


@pytest.fixture
def engine(exported: Path, tmp_path: Path, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """Built while there is no GPU."""
    use_version(monkeypatch, "rtx 1.7.1")
    record = build_engine(exported, tmp_path / "m.engine", settings=rtx())
    assert (record.target, record.gpu, record.capabilities) == ("rtx", "", ALL)
    assert record.artefact.tools["tensorrt-rtx"] == "1.7.1.0" and "tensorrt" not in record.artefact.tools
    assert record == read_record(tmp_path / "m.engine")
    return tmp_path / "m.engine"


def test_it_runs_where_its_capability_is_named(engine: Path, exported: Path, gpu: Driver) -> None:  # noqa: F811
    gpu.capability(8, 6)
    detector = Detector(engine, thresh=0.1)
    images = pictures(3, 96, 64)
    expected, found = OnnxRuntime(exported).infer(images), detector.runtime.infer(images)
    assert all(np.allclose(found[name], expected[name], atol=1e-5) for name in expected)
    detector.runtime.close()  # type: ignore[attr-defined]
    del detector
    gpu.capability(9, 0)
    with pytest.raises(BackendError, match=r"for compute capability 7\.5, .* here is Simulated GPU \(compute"):
        Detector(engine)


def test_only_its_own_runtime_takes_it(engine: Path, gpu: Driver) -> None:
    assert [row.name for row in registry.running(engine)] == ["tensorrt-rtx"]
    with pytest.raises(BackendError, match=r"tensorrt does not run an \.engine; tensorrt-rtx does"):
        Detector(engine, backend="tensorrt")


def test_without_a_gpu_that_is_said(engine: Path) -> None:
    with pytest.raises(BackendError, match=r"^tensorrt-rtx needs an NVIDIA GPU: "):
        Detector(engine)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"refittable": True}, "refittable: with target rtx, this takes a GPU's driver to build; leave it out"),
        ({"stripped": True}, "stripped: with target rtx, this takes a GPU's driver"),
        ({"version_compatible": True}, "version_compatible: with target rtx, this takes a part"),
        ({"hardware_compatible": True}, "hardware_compatible: with target rtx, this is what every engine"),
        ({"dla": 0, "precision": "fp16"}, "dla: with target rtx, this is not among the GPUs"),
        ({"workspace": 1 << 20}, "workspace: with target rtx, this is GPU memory"),
        ({"capabilities": ((9, 0),)}, "capabilities: TensorRT-RTX 1.7.1.0 builds for 7.5, 8.0, 8.6, 8.9, 12.0, 12.1,"),
        ({"capabilities": ((8, 6), (10, 0))}, "found 10.0; `--target tensorrt` builds for the GPU that is here"),
    ],
)
def test_what_it_does_not_build_is_one_line(
    settings: dict[str, object],
    said: str,
    exported: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_version(monkeypatch, "rtx 1.7.1")
    with pytest.raises(ExportError, match=re.escape(said)) as caught:
        build_engine(exported, tmp_path / "m.engine", settings=rtx(**settings))
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_capabilities_are_for_rtx_only() -> None:
    with pytest.raises(ExportError, match="target rtx takes capabilities"):
        Settings(capabilities=((8, 6),))


def test_settings_come_back_from_json() -> None:
    settings = rtx(capabilities=((8, 6), (8, 9)), sizes=((96, 64),))
    assert settings_from(settings.to_json()) == settings


def test_it_is_named_where_it_is_not_installed(
    exported: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(BackendError, match=r"^tensorrt-rtx is not installed: pip install 'darknet-compat\[tensorrt-r"):
        build_engine(exported, tmp_path / "m.engine", settings=rtx())


def test_engines_of_earlier_versions_are_for_tensorrt(engine: Path) -> None:
    import json

    beside = Path(f"{engine}.json")
    document = json.loads(beside.read_text())
    del document["target"], document["capabilities"]
    beside.write_text(json.dumps(document))
    assert read_record(engine).target == "tensorrt" and read_record(engine).capabilities == ()

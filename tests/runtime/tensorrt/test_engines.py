"""Engines as users meet them: Detector, Classifier and the command line, on a simulated GPU."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import darknet_compat
from darknet_compat.cli.main import application
from darknet_compat.errors import BackendError, ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.formats.exported.enginefile import read_record
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.nvidia.driver import find_gpu
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.tensorrt.engines import cached_engine, engine_key, rebuild_engine
from darknet_compat.runtime.tensorrt.inspection import context_memory, engine_layers
from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime
from tests.export.support import seeded
from tests.inference.support import classifier
from tests.runtime.simulation import Driver, use_version
from tests.runtime.test_exported import DETECTOR


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: Driver) -> Path:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.cfg"
    path.write_text(DETECTOR)
    save_weights(seeded(path), path.with_suffix(".weights"))
    return path


def engines(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "tensorrt").glob("*.engine"))


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(application(), ["engine", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_what_a_definition_says_to_no_effect_is_named_once(cfg: Path, tmp_path: Path) -> None:
    cfg.write_text(cfg.read_text().replace("[convolutional]", "[convolutional]\nfilter=9", 1))
    code, _, said = run(cfg, "--out", tmp_path / "m.engine")
    (line,) = [line for line in said.splitlines() if "unused option" in line]
    assert code == 0 and line.endswith("layer 0 [convolutional] unused option filter=9; did you mean filters?")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_detector_builds_on_first_use_and_keeps_the_engine(precision: str, cfg: Path, tmp_path: Path) -> None:
    expected = Detector(cfg, backend="torch", thresh=0.3)(picture())
    assert len(expected) > 3
    for _ in range(2):
        detector = Detector(cfg, backend="tensorrt", precision=precision, thresh=0.3)  # type: ignore[arg-type]
        found = detector(picture())
        assert isinstance(detector.runtime, TensorRtRuntime)
        assert detector.runtime.artefact.input == ("float" if precision == "fp32" else "uint8")
        tolerance = 1e-3 if precision == "fp32" else 2e-2
        if precision == "fp32":
            assert found.names == expected.names
            np.testing.assert_allclose(found.scores, expected.scores, atol=tolerance)
        assert abs(len(found) - len(expected)) <= (precision != "fp32")
        (engine,) = engines(tmp_path)
        written = engine.stat().st_mtime_ns
        detector.runtime.close()
    assert engine.stat().st_mtime_ns == written
    assert len(list((tmp_path / "cache" / "tensorrt").glob("timing-*.cache"))) == 1
    again = Detector(engine, thresh=0.3)
    assert again.choice.backend == "tensorrt"
    assert again(picture()).names == found.names
    again.runtime.close()  # type: ignore[attr-defined]


def test_a_classifier_too(cfg: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.cfg"
    path.write_text(classifier(5))
    save_weights(seeded(path), path.with_suffix(".weights"))
    expected = Classifier(path, backend="torch")(picture())
    ours = Classifier(path, backend="tensorrt")
    np.testing.assert_allclose(ours(picture()).probabilities, expected.probabilities, atol=1e-4)
    ours.runtime.close()  # type: ignore[attr-defined]


def test_a_broken_engine_of_the_cache_is_built_again(cfg: Path, tmp_path: Path) -> None:
    export_onnx(seeded(cfg), tmp_path / "m.onnx")
    path = cached_engine(tmp_path / "m.onnx", "fp32")
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert cached_engine(tmp_path / "m.onnx", "fp32") == path
    assert path.read_bytes() == whole
    assert cached_engine(tmp_path / "m.onnx", "fp16") != path
    assert cached_engine(tmp_path / "m.onnx", "fp32", (64, 64)) != path


def test_keys_change_with_everything_that_matters(gpu: Driver) -> None:
    settings, found = Settings(), find_gpu()
    base = engine_key("a", settings, "11.4.0", found)
    others = [
        engine_key("b", settings, "11.4.0", found),
        engine_key("a", settings, "11.4.1", found),
        *(
            engine_key("a", dataclasses.replace(settings, **change), "11.4.0", found)  # type: ignore[arg-type]
            for change in (
                {"precision": "fp16"}, {"sizes": ((96, 64),)}, {"batches": (1,)}, {"any_size": True},
                {"candidates": 5}, {"workspace": 1}, {"level": 1}, {"refittable": True}, {"stripped": True},
                {"version_compatible": True}, {"hardware_compatible": True}, {"outputs": ("x",)},
            )
        ),
        *(
            engine_key("a", settings, "11.4.0", dataclasses.replace(found, **change))  # type: ignore[arg-type]
            for change in ({"name": "x"}, {"capability": (8, 0)}, {"memory": 1}, {"cuda": "12.0"})
        ),
    ]  # fmt: skip
    assert len({base, *others}) == 19
    assert base == engine_key("a", Settings(), "11.4.0", find_gpu())


def test_a_backend_that_does_not_run_engines_says_so(cfg: Path, tmp_path: Path) -> None:
    export_onnx(seeded(cfg), tmp_path / "m.onnx")
    darknet_compat.build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", precision="fp16")
    with pytest.raises(BackendError, match=r"openvino does not run an \.engine; tensorrt does"):
        Detector(tmp_path / "m.engine", backend="openvino")
    with pytest.raises(ExportError, match="tensorrt runs in fp32, fp16, int8, fp8, not in bf16"):
        Detector(tmp_path / "m.onnx", backend="tensorrt", precision="bf16")


def test_rebuilding_finds_the_onnx_by_its_checksum(cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_onnx(seeded(cfg), tmp_path / "m.onnx")
    use_version(monkeypatch, "10.16.1")
    darknet_compat.build_engine(
        tmp_path / "m.onnx", tmp_path / "m.engine", precision="fp16", sizes=[(96, 64), (288, 288)]
    )
    before = read_record(tmp_path / "m.engine")
    use_version(monkeypatch)
    (tmp_path / "m.onnx").rename(tmp_path / "moved.onnx")
    code, out, err = run(tmp_path / "m.engine", "--rebuild")
    assert (code, err) == (0, "") and "TensorRT  11.4.0.0" in out
    after = read_record(tmp_path / "m.engine")
    assert (after.precision, after.profiles) == (before.precision, before.profiles)
    (tmp_path / "moved.onnx").unlink()
    with pytest.raises(ExportError, match=r"was built from moved\.onnx \(sha256 .*name it with --onnx"):
        rebuild_engine(tmp_path / "m.engine")


# ------------------------------------------------------------------------------------------ the command line


def test_the_command_builds_tells_lists_and_refits(cfg: Path, tmp_path: Path) -> None:
    engine = tmp_path / "made.engine"
    options = ("--precision", "fp16", "--sizes", "96x64,64x64", "--batches", "1,4", "--refittable", "--workspace", "64")
    code, out, err = run(cfg, "--out", engine, *options)
    assert (code, err) == (0, "")
    assert out.startswith(f"{engine}: ") and ", fp16, built in " in out
    assert "batch 2 to 4 (best 4), height 64, width 64" in out and out.endswith("refittable\n")
    told = json.loads(run(engine, "--json")[1])
    assert (told["precision"], told["gpu"], len(told["profiles"])) == ("fp16", "Simulated GPU", 4)
    assert told["settings"]["workspace"] == 64 << 20
    code, out, err = run(engine, "--layers")
    assert (code, err) == (0, "") and "0_convolutional/Conv" in out and "0.500" in out and "1.05 MB" in out
    listed = json.loads(run(engine, "--layers", "--json")[1])["layers"]
    assert len(listed) > 20 and listed[0].keys() == {"name", "type", "output", "tactic", "ms"}
    network = load_network(cfg, cfg.with_suffix(".weights"))
    seed_weights(network, 9)
    export_onnx(network.eval(), tmp_path / "later.onnx", input="uint8")
    code, out, err = run(engine, "--refit", tmp_path / "later.onnx", "--out", tmp_path / "after.engine")
    assert (code, err) == (0, "") and "later.onnx" in out
    assert read_record(tmp_path / "after.engine").onnx == "later.onnx"


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--batches", "none"), 2, "expected numbers from 1 to 1024 with commas between"),
        (("--sizes", "wide"), 2, "expected a number of pixels"),
        (("--layers",), 2, "are for an .engine as MODEL"),
        (("--sizes", "100"), 1, "takes sides from"),
        (("--precision", "int8"), 1, "is not quantized; export it with --precision int8"),
        (("--weights", "absent.weights"), 1, "absent.weights"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], code: int, reason: str, cfg: Path, tmp_path: Path) -> None:
    found = run(cfg, "--out", tmp_path / "m.engine", *arguments)
    assert found[0] == code and reason in found[2], found
    assert code == 2 or found[2].count("\n") == 1
    assert not (tmp_path / "m.engine").exists()


def test_an_engine_is_a_model_like_others(cfg: Path, tmp_path: Path) -> None:
    """As MODEL of info, bench and evaluate, and beside others in a bench."""
    path = tmp_path / "small.engine"
    cfg.with_suffix(".names").write_text("left\nright\n")
    assert run(cfg, "--out", path, "--precision", "fp16")[0] == 0
    assert read_record(path).artefact.names == ("left", "right")

    def told(*arguments: object) -> dict[str, Any]:
        done = CliRunner().invoke(application(), [*map(str, arguments), "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    assert told("info", path)["precision"] == "fp16"
    alone = told("bench", path, "--runs", "1", "--warmup", "1")
    assert [row["label"] for row in alone["rows"]] == ["tensorrt-fp16 small"] * 2
    beside = told("bench", cfg, "--runs", "1", "--warmup", "1", "--backends", "torch", "--artefact", path, "--peers")
    assert {"torch", "tensorrt-fp16 small"} <= {row["label"] for row in beside["rows"]}
    cv2.imwrite(str(tmp_path / "p.png"), picture())
    (tmp_path / "p.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    (tmp_path / "valid.list").write_text(f"{tmp_path}/p.png\n")
    scored = told("evaluate", path, tmp_path / "valid.list")
    assert scored == told("evaluate", path, tmp_path / "valid.list", "--backend", "tensorrt") | {
        key: scored[key] for key in scored if "second" in key or "settings" in key or "model" in key
    }


def test_layers_and_memory_can_be_asked_for_in_python(cfg: Path, tmp_path: Path) -> None:
    export_onnx(seeded(cfg), tmp_path / "m.onnx")
    darknet_compat.build_engine(tmp_path / "m.onnx", tmp_path / "m.engine")
    runtime = TensorRtRuntime(tmp_path / "m.engine")
    assert engine_layers(runtime)[0].name == "0_convolutional/Conv"
    assert context_memory(runtime) == [1 << 20] * 2
    runtime.close()


@pytest.mark.reference
@pytest.mark.parametrize("layers", [False, True])
def test_the_chain_reaches_tensorrt(layers: bool, cfg: Path, photos: list[Path]) -> None:
    from darknet_compat.parity.stages import stage_parity

    chain = stage_parity(cfg, None, photos[:1], layers=layers)
    assert [stage.stage for stage in chain.stages] == ["torch", "onnxruntime", "openvino", "tensorrt"]
    assert chain.passed and {name for name, _ in chain.not_run} == {"tensorrt-rtx", "onnxruntime-rtx"}
    assert len(chain.stages[-1].rows) == len(chain.stages[1].rows)


@pytest.mark.reference
@pytest.mark.usefixtures("cfg")
def test_the_chain_reaches_tensorrt_in_int8(shared_data: Path, photos: list[Path]) -> None:
    from darknet_compat.parity.stages import stage_parity

    model = shared_data / "models" / "yolo-lite-voc3" / "yolo-lite-voc3.cfg"
    chain = stage_parity(model, model.with_suffix(".weights"), photos[:2], precision="int8")
    last = chain.stages[-1]
    assert (last.stage, last.precision) == ("tensorrt", "int8")
    assert last.agreement is not None and last.agreement.passed and chain.passed


def test_the_first_layer_that_departs_is_found_in_an_engine(cfg: Path, tmp_path: Path) -> None:
    import onnx

    from tests.parity.bisect import first_departing

    network = load_network(cfg, cfg.with_suffix(".weights")).eval()
    export_onnx(network, tmp_path / "m.onnx")
    images = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    assert first_departing(network, tmp_path / "m.onnx", images, "tensorrt") is None
    model = onnx.load(tmp_path / "m.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "1_convolutional/weights":
            tensor.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, tmp_path / "m.onnx")
    found = first_departing(network, tmp_path / "m.onnx", images, "tensorrt")
    assert found is not None and found.name == "1 convolutional"

"""The runtimes of exported models: alone without torch, shared by threads, and clear about what they cannot take."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from onnx import version_converter

from darknet_compat.errors import BackendError, ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.options import OLDEST
from darknet_compat.formats.exported.artefact import PREFIX
from darknet_compat.formats.exported.onnxfile import OPSETS
from darknet_compat.formats.words import Mode
from darknet_compat.heads.output_layouts import LAYOUTS
from darknet_compat.inference import backends
from darknet_compat.inference.backends import Choice, choose
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.cache import cached_export
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import save_weights
from darknet_compat.runtime import registry
from darknet_compat.runtime.exported import ExportedRuntime, layout
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from darknet_compat.runtime.openvino import OpenVinoRuntime
from darknet_compat.runtime.processor import cores
from tests.export.support import SHIPPED, pictures, seeded, small
from tests.inference.support import noise

DETECTOR = """[net]
width=96
height=64
channels=3
[convolutional]
filters=8
size=3
stride=16
pad=1
activation=leaky
[convolutional]
filters=21
size=1
activation=linear
[region]
num=3
classes=2
anchors=1,2,3,4,.5,.7
softmax=1
"""
KINDS = (OnnxRuntime, OpenVinoRuntime)


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cfg") / "small.cfg"
    path.write_text(DETECTOR)
    save_weights(seeded(path), path.with_suffix(".weights"))
    return path


@pytest.fixture(scope="module")
def exported(cfg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    export_onnx(seeded(cfg), path, sizes=(32, 128), names=("left", "right"), resize="stretch")
    return path


# ------------------------------------------------------------------------------------------------ by itself

_ALONE = """
import sys
for absent in ("torch", "onnx", {hidden}):
    sys.modules[absent] = None
import darknet_compat as dc
import numpy as np
detector = dc.Detector(sys.argv[1], thresh=0.01)
found = detector(np.full((50, 70, 3), 100, np.uint8))
print(type(detector.runtime).__name__, detector.names, detector.runtime.description.resize, len(found) > 0)
"""


@pytest.mark.parametrize(("hidden", "kind"), [('"openvino"', "OnnxRuntime"), ('"onnxruntime"', "OpenVinoRuntime")])
def test_a_detector_needs_neither_torch_nor_the_cfg(hidden: str, kind: str, exported: Path) -> None:
    command = [sys.executable, "-c", _ALONE.format(hidden=hidden), str(exported)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SHIPPED.parent)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == f"{kind} ('left', 'right') stretch True\n"


def test_it_imports_little_more_than_numpy() -> None:
    code = "import sys, darknet_compat.inference.detector; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SHIPPED.parent)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "numpy" in loaded
    assert not loaded & {"torch", "onnx", "onnxruntime", "openvino", "cv2", "typer", "rich", "matplotlib", "cffi"}
    # Whoever has an export kept need not understand the definition, which would take longer to import than numpy.
    assert "darknet_compat.definition.spec" not in done.stdout.split()


def test_a_classifier_too(shared_data: Path, photos: list[Path], tmp_path: Path) -> None:
    from darknet_compat.network.load import load_network

    cfg = shared_data / "models/tiny-darknet/tiny.cfg"
    path = tmp_path / "tiny.onnx"
    export_onnx(load_network(cfg, cfg.with_suffix(".weights")), path)
    expected = Classifier(cfg, backend="torch")(photos)
    for backend in ("onnxruntime", "openvino"):
        for theirs, found in zip(expected, Classifier(path, backend=backend)(photos), strict=True):
            assert [name for name, *_ in found.top(5)] == [name for name, *_ in theirs.top(5)]
            assert np.abs(found.probabilities - theirs.probabilities).max() < 1e-5


# --------------------------------------------------------------------------------------------- the protocol


@pytest.mark.parametrize("kind", KINDS)
def test_threads_get_what_one_gets(kind: type[ExportedRuntime], exported: Path) -> None:
    runtime = kind(exported)  # type: ignore[call-arg]
    work = [pictures(3, 32 * (1 + number % 3), 64, 1 + number % 2) * (number + 1) / 9 for number in range(8)]
    alone = [runtime.infer(images) for images in work]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for expected, found in zip(alone, pool.map(runtime.infer, work), strict=True):
                for name, array in expected.items():
                    np.testing.assert_allclose(found[name], array, atol=1e-5)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("batch", [1, 3])
def test_many_pictures_at_once_get_what_one_gets(backend: str, batch: int, exported: Path, tmp_path: Path) -> None:
    sources: list[object] = [noise(40 + 9 * number, 70, number) for number in range(11)]
    sources[4] = tmp_path / "none.png"
    one, many = (
        Detector(exported, backend=backend, thresh=0.1, mode=mode, threads=3) for mode in ("latency", "throughput")
    )  # type: ignore[arg-type]
    assert (one.runtime.streams, many.runtime.streams) == (1, 3)
    found = list(many.stream(sources, batch))
    assert [source is given for (source, _), given in zip(found, sources, strict=True)] == [True] * 11
    for (_, answer), (_, expected) in zip(found, one.stream(sources), strict=True):
        if isinstance(expected, Failure):
            assert isinstance(answer, Failure)
            continue
        assert not isinstance(answer, Failure)
        assert answer.names == expected.names
        np.testing.assert_allclose(answer.boxes, expected.boxes, atol=1e-3)
        np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "threads", "expected"),
    [("latency", 5, (1, 5)), ("throughput", 5, (5, 1)), ("throughput", 40, (16, 2)), ("throughput", 1, (1, 1))],
)
def test_how_threads_are_shared_out(mode: Mode, threads: int, expected: tuple[int, int]) -> None:
    assert layout(mode, threads) == expected
    assert layout("latency", None) == (1, cores())


def test_openvino_computes_in_fp32_unless_asked(cfg: Path, tmp_path: Path) -> None:
    """Its own default on processors with bf16 would be bf16."""
    path = tmp_path / "m.onnx"
    export_onnx(seeded(cfg), path)
    exact, asked = OpenVinoRuntime(path), OpenVinoRuntime(path, precision="bf16")
    images = pictures(3, 96, 64)
    reference, found, rough = (runtime.infer(images)["classes"] for runtime in (OnnxRuntime(path), exact, asked))
    assert np.abs(found - reference).max() < 1e-5
    for runtime, precision in ((exact, "f32"), (asked, "bf16")):
        (compiled,) = runtime._compiled.values()
        hint = compiled.model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        assert hint in (precision, "f32")  # a processor without bf16 has f32 in its place
    assert np.abs(rough - reference).max() < 0.1
    assert asked.description.precision == "bf16"


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_batches_are_filled_up(kind: type[ExportedRuntime], cfg: Path, exported: Path, tmp_path: Path) -> None:
    fixed = tmp_path / "m.onnx"
    for outputs in ("boxes", "detections"):
        export_onnx(seeded(cfg), fixed, batch=2, outputs=outputs, thresh=0.05)  # type: ignore[arg-type]
        images = pictures(3, 96, 64, 5)
        found = kind(fixed).infer(images)  # type: ignore[call-arg]
        assert {len(array) for array in found.values()} == {5}
        if outputs == "boxes":
            for name, array in kind(exported).infer(images).items():  # type: ignore[call-arg]
                np.testing.assert_allclose(found[name], array, atol=1e-5)


def test_detections_become_candidates() -> None:
    outputs = {
        "boxes": np.array([[10, 20, 30, 60], [0, 0, 10, 10], [10, 20, 30, 60]], np.float32),
        "scores": np.array([0.9, 0.8, 0.7], np.float32),
        "class_ids": np.array([1, 0, 0]),
        "images_of": np.array([2, 0, 2]),
    }
    found = LAYOUTS["detections"].decode(outputs, 3, 2, (100, 200))
    assert found["objectness"].tolist() == [[1, 0], [0, 0], [1, 1]]
    np.testing.assert_allclose(found["boxes"][2, 0], [0.2, 0.2, 0.2, 0.2])
    np.testing.assert_allclose(found["classes"][2], [[0, 0.9], [0.7, 0]])
    none = {name: array[:0] for name, array in outputs.items()}
    assert LAYOUTS["detections"].decode(none, 3, 2, (100, 200))["boxes"].shape == (3, 0, 4)


# ------------------------------------------------------------------------------------------------ bad input


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_what_cannot_be_run_is_one_line(backend: str, exported: Path, tmp_path: Path) -> None:
    def refused(match: str, path: Path = exported, **options: object) -> None:
        with pytest.raises(BackendError, match=match) as caught:
            Detector(path, backend=backend, **options)  # type: ignore[arg-type]
        one_line(caught)

    refused("takes sides from 32 to 128 in steps of 16, found 100 x 100", size=100)
    refused("takes sides from 32 to 128", size=256)
    made = "`darknet-compat export --precision fp16` makes a file in fp16"
    refused(f"{backend} runs an fp32 file in fp32.*, not in fp16; {made}", precision="fp16")
    if backend == "onnxruntime":
        refused("onnxruntime runs an fp32 file in fp32, not in bf16; openvino has bf16", precision="bf16")

    model = onnx.load(exported)
    bad = tmp_path / "bad.onnx"
    del model.metadata_props[:]
    onnx.save(model, bad)
    refused("not exported by darknet-compat", bad)

    bad.write_bytes(exported.read_bytes()[:-100])
    refused("should have at least", bad)

    def fails(content: bytes) -> None:
        bad.write_bytes(content)
        with pytest.raises(BackendError, match=r"cannot load it|failed|found a damaged one") as caught:
            Detector(bad, backend=backend)(np.zeros((50, 50, 3), np.uint8))
        assert one_line(caught).startswith(str(bad))

    model = onnx.load(exported)
    model.graph.node[0].op_type = "Convoluted"
    fails(model.SerializeToString())
    content = bytearray(exported.read_bytes())
    at = content.index(b"convolutional/Conv")  # in the graph
    content[at : at + 200] = bytes(200)
    fails(bytes(content))


def test_raw_outputs_and_classifiers_are_no_detectors(cfg: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export_onnx(small("[convolutional]\nfilters=4\nsize=1\n", (3, 32, 32)), path, outputs="heads")
    with pytest.raises(BackendError, match=r"gives raw outputs; .* export it with --outputs boxes"):
        Detector(path)
    export_onnx(seeded(cfg), path)
    with pytest.raises(BackendError, match="does not classify; use Detector"):
        Classifier(path)


def finds_the_same(exported: Path, changed: Path, score: float, box: float) -> None:
    """What `detect` finds in a file that others have changed."""
    picture = noise(64, 96, 5)
    for backend in ("onnxruntime", "openvino"):
        expected, found = (Detector(path, backend=backend, thresh=0.1)(picture) for path in (exported, changed))
        assert len(found) == len(expected) > 0
        for one in expected:
            same = [two for two in found if two.class_id == one.class_id]
            assert any(
                abs(two.score - one.score) < score and np.abs(np.subtract(two.box, one.box)).max() < box for two in same
            ), (one, same)


@pytest.mark.parametrize("opset", range(OLDEST + 1, OPSETS[-1] + 1))
def test_files_lifted_by_onnxs_own_converter(opset: int, exported: Path, tmp_path: Path) -> None:
    model = onnx.load(exported)
    lifted = version_converter.convert_version(model, opset)
    onnx.helper.set_model_props(lifted, {one.key: one.value for one in model.metadata_props})
    onnx.save(lifted, tmp_path / "lifted.onnx")
    images = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    for kind in KINDS:
        expected = kind(exported).infer(images)
        for name, found in kind(tmp_path / "lifted.onnx").infer(images).items():
            np.testing.assert_allclose(found, expected[name], atol=1e-6)
    finds_the_same(exported, tmp_path / "lifted.onnx", 1e-5, 1e-3)


CONVERTERS = ("onnxruntime.transformers.float16", "onnxconverter_common.float16")


@pytest.mark.parametrize("tool", CONVERTERS)
@pytest.mark.parametrize("keep", [True, False])
def test_files_halved_by_others(tool: str, keep: bool, cfg: Path, tmp_path: Path) -> None:
    """Casts at the graph's end: OpenVINO takes them out, and the outputs have several names. Without `keep` the input
    and the outputs are in float16."""
    exported = tmp_path / "m.onnx"
    export_onnx(seeded(cfg), exported, sizes="fixed", resize="stretch")
    if find_spec(tool.partition(".")[0]) is None:
        pytest.skip(f"{tool.partition('.')[0]} is not installed")
    model = import_module(tool).convert_float_to_float16(onnx.load(exported), keep_io_types=keep)
    onnx.save(model, tmp_path / "half.onnx")
    images = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    for kind in KINDS:
        expected = kind(exported).infer(images)
        for name, found in kind(tmp_path / "half.onnx").infer(images).items():
            np.testing.assert_allclose(found, expected[name], atol=5e-3)
    finds_the_same(exported, tmp_path / "half.onnx", 5e-3, 0.5)


def altered(source: Path, path: Path, **properties: object) -> onnx.ModelProto:
    """A copy of an exported file that says something else of itself."""
    model = onnx.load(source)
    for entry in model.metadata_props:
        if (name := entry.key.removeprefix(PREFIX)) in properties:
            entry.value = json.dumps(properties[name])
    onnx.save(model, path)
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("outputs", "properties", "message"),
    [
        ("boxes", {"classes": 3}, r"an output classes \[1, any, 3\], found \[1, 72, 2\]"),
        ("boxes", {"outputs": "detections"}, r"an output boxes \[any, 4\], found \[1, 72, 4\]"),
        ("boxes", {"task": "classify"}, r"an output classes \[1, 2\], found \[1, 72, 2\]"),
        ("detections", {"task": "classify"}, r"an output classes \[1, 2\], found none of that name"),
        ("detections", {"outputs": "boxes"}, r"an output boxes \[1, any, 4\], found \[\d+, 4\]"),
        ("detections", {"classes": 1}, r"class_ids below 1, found 1"),
        ("heads", {"outputs": "boxes"}, r"an output boxes \[1, any, 4\], found none of that name"),
    ],
)
def test_what_the_metadata_promise_has_to_be_there(
    kind: type[ExportedRuntime], outputs: str, properties: dict[str, object], message: str, cfg: Path, tmp_path: Path
) -> None:
    export_onnx(seeded(cfg), tmp_path / "m.onnx", outputs=outputs, thresh=0.0)  # type: ignore[arg-type]
    bad = tmp_path / "bad.onnx"
    altered(tmp_path / "m.onnx", bad, **properties)
    runtime = kind(bad)  # type: ignore[call-arg]
    with pytest.raises(BackendError, match=f"^{bad}: its metadata promise {message}; export it again$"):
        runtime.infer(pictures(3, 96, 64, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_of_others_with_our_metadata_is_one_line(
    kind: type[ExportedRuntime], exported: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    model = altered(exported, path)
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 3, "H", "W"]) for name in "xy"]
    model.graph.CopyFrom(onnx.helper.make_graph([node], "other", values[:1], values[1:]))
    onnx.save(model, path)
    with pytest.raises(BackendError, match=r"promise an output boxes \[1, any, 4\], found none of that name"):
        kind(path).infer(pictures(3, 96, 64, 1))  # type: ignore[call-arg]


@pytest.mark.parametrize("properties", [{"batch": 0}, {"batch": -1}, {"batch": "x"}, {"classes": True}])
def test_metadata_that_mean_nothing_are_one_line(properties: dict[str, object], exported: Path, tmp_path: Path) -> None:
    altered(exported, tmp_path / "m.onnx", **properties)
    with pytest.raises(BackendError, match=f"the metadata {PREFIX}{next(iter(properties))} cannot be used") as caught:
        Detector(tmp_path / "m.onnx")
    one_line(caught)


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_do_not_fit_are_one_line(kind: type[ExportedRuntime], exported: Path) -> None:
    runtime = kind(exported)  # type: ignore[call-arg]
    with pytest.raises(BackendError, match="takes sides from 32 to 128"):
        runtime.infer(np.zeros((1, 3, 40, 40), np.float32))
    with pytest.raises(BackendError, match="reads 3 channels, found 1"):
        runtime.infer(np.zeros((1, 1, 64, 64), np.float32))


def test_export_refuses_what_does_not_fit_and_leaves_nothing(cfg: Path, tmp_path: Path) -> None:
    network = seeded(cfg)
    for options, match in (
        ({"sizes": (100, 200)}, "multiples of 16"),
        ({"sizes": (128, 64)}, "from least to most"),
        ({"outputs": "boxen"}, "outputs: expected one of heads, boxes, detections, found .boxen."),
    ):
        with pytest.raises(ExportError, match=match) as caught:
            export_onnx(network, tmp_path / "m.onnx", **options)  # type: ignore[arg-type]
        one_line(caught)
    with pytest.raises(ExportError, match="cannot be written: No such file or directory"):
        export_onnx(network, tmp_path / "none" / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_leaves_nothing(cfg: Path, tmp_path: Path) -> None:
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import darknet_compat as dc
network = dc.load_network({str(cfg)!r}, {str(cfg.with_suffix(".weights"))!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    dc.export_onnx(network, {str(tmp_path / "m.onnx")!r})
except dc.DarknetCompatError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SHIPPED.parent)
    assert done.stdout == f"{tmp_path / 'm.onnx'}: cannot be written: File too large\n", done.stderr[-1000:]
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------- which backend


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def there(*packages: str) -> None:
        monkeypatch.setattr(registry, "installed", lambda name: name in packages)

    there("openvino", "onnxruntime")
    assert choose(True, "auto", "fp32").backend == "onnxruntime"
    assert choose(True, "auto", "bf16").backend == "openvino"
    assert choose(True, "openvino", "fp32").backend == "openvino"
    assert choose(False, "auto", "fp32").backend == "onnxruntime"  # there is no torch to fall back on
    there("openvino", "onnxruntime", "torch")
    stays = choose(False, "auto", "fp32")
    assert stays.backend == "torch" and "darknet-compat[onnx]" in stays.why
    there("openvino", "onnxruntime", "onnx", "torch")
    monkeypatch.setattr(backends, "_torch_has_a_gpu", lambda: False)
    for mode in get_args(Mode):
        chosen = choose(False, "auto", "fp32", mode)
        assert chosen.backend == "onnxruntime" and "exported once into" in chosen.why
    assert choose(False, "auto", "bf16").backend == "openvino"
    assert choose(False, "auto", "fp16").backend == "torch"
    monkeypatch.setattr(backends, "_torch_has_a_gpu", lambda: True)
    assert choose(False, "auto", "fp32") == Choice("torch", "there is a GPU, which it uses")
    assert choose(True, "auto", "int8").backend == "openvino"
    there("openvino")
    assert choose(True, "auto", "fp32").backend == "openvino"
    assert choose(True, "auto", "fp16").backend == "openvino"
    there("onnxruntime")
    assert choose(True, "auto", "fp16").backend == "onnxruntime"
    assert choose(True, "auto", "fp32").backend == choose(True, "auto", "int8").backend == "onnxruntime"
    with pytest.raises(BackendError, match="bf16 needs openvino"):
        choose(True, "auto", "bf16")
    there()
    with pytest.raises(BackendError, match=r"pip install 'darknet-compat\[onnxruntime\]'"):
        choose(True, "auto", "fp32")
    with pytest.raises(BackendError, match=r"torch runs a \.cfg"):
        choose(True, "torch", "fp32")


def test_a_cfg_is_exported_once_into_the_cache(
    cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: list[Path]
) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path))
    expected = Detector(cfg, backend="torch", thresh=0.1)(photos[0])
    assert len(expected) > 0
    for backend in ("onnxruntime", "openvino"):
        found = Detector(cfg, backend=backend, thresh=0.1)(photos[0])
        assert sorted(found.names) == sorted(expected.names)
        # Scores that are equal but for rounding may change places.
        apart = np.abs(found.boxes[:, None] - expected.boxes[None]).max(2)  # [found, expected]
        assert max(apart.min(0).max(), apart.min(1).max()) < 0.5
    (file,) = (tmp_path / "onnx").iterdir()
    written, weights = file.stat().st_ino, cfg.with_suffix(".weights")
    assert cached_export(cfg, weights, None, sizes="fixed") == file
    assert file.stat().st_ino == written
    assert len({file, cached_export(cfg, weights, None), cached_export(cfg, weights, (64, 64), sizes="fixed")}) == 3
    file.write_bytes(file.read_bytes()[:1000])  # what another version wrote, or a disk has damaged
    assert cached_export(cfg, weights, None, sizes="fixed") == file
    assert file.stat().st_size > 1000
    other = tmp_path / "other.weights"
    save_weights(seeded(cfg).train(), other)
    content = bytearray(other.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    assert cached_export(cfg, other, None) not in (file, cached_export(cfg, weights, None))


def test_the_file_says_where_it_comes_from(cfg: Path, exported: Path) -> None:
    import hashlib

    properties = {p.key: p.value for p in onnx.load(exported).metadata_props}
    weights = hashlib.sha256(cfg.with_suffix(".weights").read_bytes()).hexdigest()
    assert properties[f"{PREFIX}weights_sha256"] == f'"{weights}"'
    assert properties[f"{PREFIX}cfg_sha256"] == f'"{hashlib.sha256(cfg.read_bytes()).hexdigest()}"'
    assert str(cfg.parent) not in "".join(properties.values())

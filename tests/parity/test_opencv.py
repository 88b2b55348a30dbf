"""Networks against OpenCV's own reader of Darknet's files, and what is said where it is no judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.errors import BackendError
from darknet_compat.parity import opencv
from darknet_compat.parity.layers import LayerParity
from darknet_compat.parity.opencv import opencv_parity

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
CONV = "[convolutional]\nfilters=8\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
HEAD = "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"
YOLO = "[yolo]\nclasses=1\nnum=3\nmask=0,1,2\nanchors=4,4,8,8,16,12\n"


def write(folder: Path, *sections: str) -> Path:
    (folder / "small.cfg").write_text(NET + "".join(sections))
    return folder / "small.cfg"


def differing(parity: LayerParity) -> list[str]:
    return [row.name for row in parity.rows if row.verdict == "differs"]


@pytest.mark.parametrize(
    "sections",
    [
        (CONV, CONV.replace("leaky", "mish"), HEAD, YOLO),
        (CONV, CONV.replace("leaky", "swish"), CONV.replace("leaky", "relu"), HEAD, YOLO),
        (CONV, "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n", HEAD, YOLO + "scale_x_y=1.2\n"),
        (CONV, CONV, "[shortcut]\nfrom=-2\nactivation=leaky\n", "[maxpool]\nsize=2\nstride=2\n", HEAD, YOLO),
        (CONV, "[reorg]\nstride=2\n", "[upsample]\nstride=2\n", "[route]\nlayers=-1,0\n", HEAD, YOLO),
        (CONV, "[maxpool]\nsize=5\nstride=1\n", "[dropout]\n", HEAD, YOLO),
        (CONV, HEAD, "[region]\nclasses=1\nnum=3\nanchors=1,1,2,2,3,2\nsoftmax=1\n"),
        (CONV, "[avgpool]\n", "[softmax]\n"),
    ],
    ids=range(8),
)
def test_every_layer_is_opencvs(sections: tuple[str, ...], tmp_path: Path) -> None:
    parity = opencv_parity(write(tmp_path, *sections), seed=3)
    assert parity.passed, [row for row in parity.rows if row.verdict == "differs"]
    assert [row.verdict for row in parity.rows] == ["same"] * len(sections)
    assert parity.reader.startswith("OpenCV 4") and "1e-6" in parity.remarks[0]


def test_other_sizes_and_the_first_of_equal_keys(tmp_path: Path) -> None:
    cfg = write(tmp_path, CONV + "activation=linear\n", HEAD, YOLO)
    parity = opencv_parity(cfg, size=(64, 32))
    assert parity.passed and parity.rows[0].shape == (1, 8, 32, 64)


def test_a_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = write(tmp_path, CONV, CONV, HEAD, YOLO)
    plain = opencv._plain

    def other(*arguments: object) -> Path:
        path = plain(*arguments)  # type: ignore[arg-type]
        first, second, rest = path.read_text().partition("leaky")
        path.write_text(first + second + rest.replace("leaky", "relu"))
        return path

    monkeypatch.setattr(opencv, "_plain", other)
    parity = opencv_parity(cfg)
    assert not parity.passed and differing(parity) == ["1 convolutional"]


def test_what_opencv_passes_over_is_no_comparison(tmp_path: Path) -> None:
    sections = (CONV, CONV + "xnor=1\n", CONV, CONV.replace("pad=1", "pad=1\ndilation=2"), HEAD, YOLO)
    parity = opencv_parity(write(tmp_path, *sections))
    assert [row.verdict == "same" for row in parity.rows] == [True, False, True, False, True, True]
    assert [row.note for row in parity.rows if row.note] == ["OpenCV passes over xnor", "OpenCV passes over dilation"]
    assert parity.passed


def test_weights_that_opencv_looks_for_in_vain(tmp_path: Path) -> None:
    shared = "[convolutional]\nfilters=8\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\nshare_index=1\n"
    parity = opencv_parity(write(tmp_path, CONV, CONV, shared, "[maxpool]\nsize=2\nstride=2\n", HEAD, YOLO))
    assert [row.verdict == "same" for row in parity.rows] == [True, True, False, False, False, False]
    assert parity.rows[4].note.startswith("OpenCV reads other weights from layer 2 on")


@pytest.mark.parametrize("section", ["[gru]\noutput=4\n", "[crnn]\nhidden_filters=4\noutput_filters=4\n"])
def test_what_opencv_does_not_read(section: str, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"small\.cfg: OpenCV 4\S+ does not take it: ") as error:
        opencv_parity(write(tmp_path, CONV, section))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["yolo-fastest-1.1", "mobilenetv2-yolov3-nano-coco", "yolo-lite-coco"])
def test_trained_models_are_opencvs(name: str, shared_data: Path) -> None:
    folder = shared_data / "models" / name
    parity = opencv_parity(folder / f"{name}.cfg", folder / f"{name}.weights")
    assert parity.passed and all(row.verdict == "same" for row in parity.rows)

"""What is wrong with a cluster, in one line; none of it needs Ray."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from darknet_compat.cluster.options import ClusterOptions
from darknet_compat.cluster.plan import part_of
from darknet_compat.errors import OptionError
from darknet_compat.evaluation.options import EvaluateOptions
from tests.cli.support import DETECTOR, in_process, paint, write_toy


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ray", "ray.data", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("verb", ["detect", "evaluate", "serve"])
def test_without_ray_one_line_says_so(verb: str, no_ray: None, tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "toy", DETECTOR, [0.0] * 14)
    picture = paint(tmp_path / "a.png", 40, 48)
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.9 0.9\n")
    (tmp_path / "toy.names").write_text("cat\ndog\n")
    (tmp_path / "list.txt").write_text(f"{picture}\n")
    data = {"detect": [picture, "--out", tmp_path / "out"], "evaluate": [tmp_path / "list.txt"], "serve": []}[verb]
    done = in_process(verb, toy.cfg, *data, "--engine", "ray")
    assert done.code == 1 and done.out == ""
    assert done.err.splitlines()[-1].startswith("darknet-compat: --engine ray needs Ray (")
    assert done.err.splitlines()[-1].endswith("pip install 'darknet-compat[ray]'")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "2"], "goes with --engine ray"),
        (["--engine", "ray"], "name a folder for it with --out"),
        (["--engine", "ray", "--out", "out", "--track"], "as Parquet, and nothing else"),
        (["--engine", "ray", "--out", "out", "--format", "csv"], "as Parquet, and nothing else"),
        (["--engine", "spark"], "spark"),
    ],
)
def test_options_that_do_not_go_together(words: list[str], said: str) -> None:
    done = in_process("detect", "yolov2-digits", "a.png", *words)
    assert done.code == 2 and said in " ".join(done.err.split())


def test_a_video_is_not_for_a_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    done = in_process("detect", "yolov2-digits", "0", "--engine", "ray", "--out", tmp_path / "out")
    assert done.code == 2 and "0 is a camera" in " ".join(done.err.split())


@pytest.mark.parametrize("given", [{"sizes": "96"}, {"flip": True}, {"metric": "recall"}])
def test_an_evaluation_that_is_not_for_a_cluster(given: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="does not go with --"):
        EvaluateOptions(model="a", data="b", engine="ray", **given)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="goes with --engine ray"):
        ClusterOptions(workers=2)


@pytest.mark.parametrize(
    ("pictures", "workers", "batch", "size"),
    [(10_000, 2, 1, 312), (10_000, 2, 5, 315), (100, 2, 1, 16), (10, 2, 1, 5), (10, 2, 4, 8), (10_000_000, 8, 1, 1024)],
)
def test_pieces_are_whole_batches(pictures: int, workers: int, batch: int, size: int) -> None:
    assert part_of(pictures, workers, batch) == size

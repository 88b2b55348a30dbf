"""`evaluate --metric map` against what the fork's own `detector map` printed for a trained model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import darknet_compat as dc
from darknet_compat.evaluation import job

OPTIONS = {"-iou_thresh": ("iou_thresh", float), "-points": ("points", int), "-thresh": ("conf", float)}


def asked(options: list[str]) -> dict[str, Any]:
    """Its flags as ours; -letter_box does nothing there."""
    flags = [flag for flag in options if flag != "-letter_box"]
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return {name: kind(value) for flag, value in pairs for name, kind in [OPTIONS[flag]]}


@pytest.mark.reference
def test_every_run_of_detector_map(
    shared_data: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All counts equal; percentages within half a point, since the fork decodes JPEG otherwise."""
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    told = json.loads((shared_data / "fork" / "map" / "map.json").read_text())
    listed = []
    for photo in photos:
        copy = tmp_path / photo.name
        copy.write_bytes(photo.read_bytes())
        copy.with_suffix(".txt").write_text("\n".join(told["labels"][photo.stem]) + "\n")
        listed.append(f"{copy}\n")
    (tmp_path / "all.txt").write_text("".join(listed))
    model = shared_data / "models" / "yolo-fastest-1.1" / "yolo-fastest-1.1.cfg"
    assert len(told["runs"]) == 7
    for run in told["runs"]:
        scored = dc.evaluate(model=str(model), data=str(tmp_path / "all.txt"), metric="map", **asked(run["options"]))
        assert isinstance(scored, job.Scored)
        counts, figures = scored.score.counts, scored.figures
        true, false, missed = (int(number) for number in run["counts"][0][:3])
        assert dict(counts) == {"true positives": true, "false positives": false, "missed": missed}, run["options"]
        assert figures["average IoU"] == pytest.approx(float(run["counts"][0][3]) / 100, abs=0.005)
        assert figures["mAP"] == pytest.approx(float(run["map"][0][1]), abs=0.005)
        rows = {str(row[0]): row[1:4] for row in scored.score.rows}
        for name, precision, right, wrong in run["classes"]:
            ours, found, lost = rows[name]
            assert (found, lost) == (right, wrong), (run["options"], name)
            # Two boxes of a person are 0.00002 beyond the overlap at which one goes; there they both stay.
            allowed = 0.01 if name == "person" else 0.005
            assert ours == pytest.approx(precision / 100, abs=allowed), (run["options"], name)

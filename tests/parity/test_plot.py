"""What the charts show: all that was compared."""

from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.parity.compare import compare
from darknet_compat.parity.plot import stages_figure, stages_plot
from darknet_compat.parity.stages import StageParity

pytest.importorskip("matplotlib")


def stage(name: str, precision: str, tolerance: float, *apart: float) -> StageParity:
    one = np.ones(4)
    rows = tuple(compare(f"{number} convolutional", one, one + by, tolerance) for number, by in enumerate(apart))
    return StageParity("torch", name, precision, rows, ())


def test_every_stage_s_values_and_tolerance_are_inside_its_panel() -> None:
    """Also where the next stage's differences are a thousand times as large."""
    stages = [stage("onnxruntime", "fp32", 1e-4, 1e-6, 0.0), stage("openvino", "int8", 0.5, 0.3, 0.9)]
    panels = stages_figure(stages).axes
    assert len(panels) == 2
    for panel, one in zip(panels, stages, strict=True):
        low, high = panel.get_ylim()
        shown = [value for line in panel.lines for value in line.get_ydata()]
        assert len(shown) >= 2 * len(one.rows) and all(low <= value <= high for value in shown)
    assert stages_plot(stages).startswith(b"\x89PNG")

"""The page's own resize against the package's, bit for bit, in Node.js."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.export.web.page import browser_page, server_page
from darknet_compat.inference.batch import prepare
from darknet_compat.runtime.base import Description

FIT = Path(__file__).resolve().parents[3] / "darknet_compat" / "export" / "web" / "fit.js"
RUN = """
import { readFileSync, writeFileSync } from "node:fs";
const { fit } = await import(`data:text/javascript;base64,${readFileSync(process.argv[1]).toString("base64")}`);
const [rgba, out, width, height, ...model] = process.argv.slice(2);
const [w, h, channels, resize] = [+model[0], +model[1], +model[2], model[3]];
const { planes } = fit(readFileSync(rgba), +width, +height, { width: w, height: h, channels, resize });
writeFileSync(out, planes);
"""


@pytest.mark.parametrize(
    ("picture", "network", "channels", "resize"),
    [
        ((77, 50), (64, 96), 3, "letterbox"),
        ((50, 77), (64, 96), 3, "letterbox"),
        ((50, 77), (33, 65), 3, "stretch"),
        ((16, 512), (448, 448), 3, "stretch"),
        ((1, 1), (32, 32), 3, "letterbox"),
        ((1, 400), (32, 32), 3, "letterbox"),
        ((40, 40), (1, 20), 3, "stretch"),
        ((30, 40), (32, 32), 1, "letterbox"),
    ],
)
def test_the_same_bits(
    picture: tuple[int, int], network: tuple[int, int], channels: int, resize: str, tmp_path: Path
) -> None:
    if not (node := shutil.which("node")):
        pytest.skip("no Node.js")
    (width, height), (w, h) = picture, network
    rgb = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    rgba = np.dstack([rgb, np.full((height, width), 255, np.uint8)])
    (tmp_path / "rgba").write_bytes(rgba.tobytes())
    sides = [str(value) for value in (width, height, w, h, channels)]
    command = [node, "--input-type=module", "-e", RUN, str(FIT), str(tmp_path / "rgba"), str(tmp_path / "planes")]
    subprocess.run([*command, *sides, resize], check=True)
    found = np.fromfile(tmp_path / "planes", np.float32).reshape(channels, h, w)
    description = Description("x", "detect", w, h, channels, 1, resize, "fp32")  # type: ignore[arg-type]
    assert (found == prepare(rgb[..., ::-1], description).pixels).all()


def test_both_pages_are_one() -> None:
    served, alone = server_page(), browser_page()
    assert "<!-- engine -->" not in served + alone
    assert served.count("<script") == alone.count("<script") == 2
    assert served[served.index("</script>") :] == alone[alone.index("</script>") :]
    assert "connect-src" not in alone and "default-src 'self'" in alone

#!/usr/bin/env bash
# torch 2.13.0: F.interpolate(mode="nearest") puts cells into the wrong place at some whole factors.
#
# Enlarging by a whole number should repeat every cell that many times, as Darknet's [upsample] does. At 41, 47, 55 and 61
# (of 2 to 69, a row of 32 cells) some outputs repeat their left neighbour instead, on the CPU, with scale_factor= and size=
# alike. By the look of it the source's index is rounded down from a float32 product with 1/factor, which falls just short.
#
# Seen: wrong outputs by factor, scale_factor: {41: 15, 47: 6, 55: 6, 61: 30}, size: the same.
#
# It matters to those who rebuild a [upsample] with a large stride= in torch: compared with Darknet's result the map is
# off by a whole cell here and there, which no tolerance excuses. repeat_interleave is exact.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F

row = torch.arange(32, dtype=torch.float32).view(1, 1, 1, 32)
wrong: dict[str, dict[int, int]] = {"scale_factor": {}, "size": {}}
for factor in range(2, 70):
    exact = row.repeat_interleave(factor, dim=3)
    for way, value in (("scale_factor", (1, factor)), ("size", (1, 32 * factor))):
        got = F.interpolate(row, mode="nearest", **{way: value})
        assert got.shape == exact.shape
        if count := int((got != exact).sum()):
            wrong[way][factor] = count
for way, counts in wrong.items():
    print(f"wrong outputs by factor, {way}: {counts}")
    assert list(counts) == [41, 47, 55, 61], "no longer these factors"
PYTHON

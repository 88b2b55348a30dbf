"""Joint training's loss against a plain reading of its definition in float64, one truth after another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition.spec import Region
from darknet_compat.parity.definition import region_with_tree
from darknet_compat.training.losses import Losses
from darknet_compat.training.options import ObjectnessRule
from tests.training.losses.making import TOLERANCE, batches, head_only, off, random_tree, truth_of

Doubles = NDArray[np.float64]
NODES, GRID = 40, (4, 5)
HEAD = (
    f"[region]\nclasses={NODES}\nnum=2\nanchors=0.6,0.9,2,1.5\nsoftmax=1\ntree=random.tree\nthresh=.3\nbias_match=1\n"
    "rescore=1\nobject_scale=5\nnoobject_scale=.5\nclass_scale=2\ncoord_scale=3"
)


def overlap(a: Doubles, b: Doubles) -> float:
    sides = np.minimum(a[:2] + a[2:] / 2, b[:2] + b[2:] / 2) - np.maximum(a[:2] - a[2:] / 2, b[:2] - b[2:] / 2)
    shared = np.prod(np.maximum(sides, 0))
    return float(shared / (np.prod(a[2:]) + np.prod(b[2:]) - shared))


def learn_class(spec: Region, output: Doubles, delta: Doubles, node: int) -> None:
    """At one slot: the groups on the way from the root to the node."""
    assert spec.tree is not None
    for step in spec.tree.path(node):
        group = spec.tree.groups[step]
        start = 5 + spec.tree.group_offsets[group]
        siblings = slice(start, start + spec.tree.group_sizes[group])
        delta[siblings] = -spec.class_scale * output[siblings]
        delta[5 + step] = spec.class_scale * (1 - output[5 + step])


def learn_picture(spec: Region, output: Doubles, delta: Doubles, node: int, rule: ObjectnessRule) -> None:
    """An image [slots, values] with a label as a whole."""
    assert spec.tree is not None
    delta[:, 4] = 0 if rule == "surest" else -spec.noobject_scale * output[:, 4]
    likely = output[:, 4] * (1 if rule == "surest" else output[:, [5 + step for step in spec.tree.path(node)]].prod(1))
    best = int(likely.argmax())
    learn_class(spec, output[best], delta[best], node)
    delta[best, 4] = spec.object_scale * max(0, 0.3 - output[best, 4]) if rule != "darknet" else 0


def learn_boxes(spec: Region, output: Doubles, delta: Doubles, truths: Doubles, seen: int) -> None:
    """An image [slots, values] with boxes, its slots anchor by anchor, row by row."""
    height, width = GRID
    anchors = np.array(spec.anchors) / (width, height)
    corner = np.array([(slot % width, slot // width % height) for slot in range(len(output))])
    shape = anchors.repeat(height * width, 0)
    boxes = np.hstack([(corner + output[:, :2]) / (width, height), np.exp(output[:, 2:4]) * shape])
    for slot, box in enumerate(boxes):
        taken = any(overlap(box, truth[:4]) > spec.thresh for truth in truths)
        delta[slot, 4] = 0 if taken else -spec.noobject_scale * output[slot, 4]
        if seen < 12_800:
            delta[slot, :4] = 0.01 * (np.array([0.5, 0.5, 0, 0]) - output[slot, :4])
    for truth in truths:
        column, row = int(truth[0] * width), int(truth[1] * height)
        alike = [overlap(np.array([0, 0, *anchor]), np.array([0, 0, *truth[2:4]])) for anchor in anchors]
        slot = (int(np.argmax(alike)) * height + row) * width + column
        wanted = [*(truth[:2] * (width, height) - corner[slot]), *np.log(truth[2:4] / shape[slot])]
        delta[slot, :4] = spec.coord_scale * (2 - truth[2] * truth[3]) * (np.array(wanted) - output[slot, :4])
        delta[slot, 4] = spec.object_scale * (overlap(boxes[slot], truth[:4]) - output[slot, 4])
        learn_class(spec, output[slot], delta[slot], int(truth[4]))


@pytest.mark.parametrize("rule", ["darknet", "paper", "surest"])
def test_pictures_with_boxes_and_with_labels_as_a_whole(tmp_path: Path, rule: ObjectnessRule) -> None:
    values = 5 + NODES
    for number, batch in enumerate(batches((2 * values, *GRID), NODES)):
        rng = np.random.default_rng(number)
        (tmp_path / "random.tree").write_text(random_tree(rng, NODES))
        network = head_only(tmp_path, HEAD, (2 * values, *GRID))
        (spec,) = network.spec.heads
        assert isinstance(spec, Region)
        batch.images[:, 4::values] -= 1  # so that some of the best boxes have an objectness below 0.3
        batch.rows[1] = 0
        batch.rows[1, 0] = [999_999] * 4 + [rng.integers(NODES)]
        output = region_with_tree(spec, batch.images).reshape(3, 2, values, -1).swapaxes(2, 3).reshape(3, -1, values)
        delta = np.zeros_like(output)
        seen = int(rng.choice([64, 12_800]))
        for image, rows in enumerate(batch.rows.astype(np.float64)):
            if rows[0, 0] > 100_000:
                learn_picture(spec, output[image], delta[image], int(rows[0, 4]), rule)
            else:
                learn_boxes(spec, output[image], delta[image], rows[rows[:, 0] > 0], seen)
        expected = delta.reshape(3, 2, -1, values).swapaxes(2, 3).reshape(3, -1).astype(np.float32)
        found = Losses(network, rule=rule)(torch.from_numpy(batch.images), truth_of(batch.rows), seen)
        assert off(found.heads[0].delta, expected) < TOLERANCE

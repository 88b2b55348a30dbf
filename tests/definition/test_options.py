"""The lists of what options are good for."""

from __future__ import annotations

import pytest

from darknet_compat.definition import dialects
from darknet_compat.definition.options import EVERY_LAYER, SILENT, TRAINING, UNFOLLOWED, known, not_followed
from darknet_compat.formats.cfg import parse_cfg
from tests.formats.making import IMAGE, lowered

TABLES = (TRAINING, UNFOLLOWED, SILENT)


@pytest.mark.parametrize("section", sorted({*TRAINING, *UNFOLLOWED, *SILENT} - {EVERY_LAYER}))
def test_an_option_stands_in_one_list_only(section: str) -> None:
    words = [word for table in TABLES for word in table.get(section, "").split()]
    if section != "net":
        words += [word for table in TABLES for word in table.get(EVERY_LAYER, "").split()]
    # Of "clip" there are two, that of [net] and a layer's.
    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("option", sorted(dialects._OPTIONS["net"]))
def test_what_only_the_fork_has_in_net_is_known(option: str) -> None:
    spec = lowered("[conv]", f"{IMAGE}\n{option}=1")
    assert spec.notes == (), "read, for training, or without effect"


def test_spellings_and_what_all_layers_have() -> None:
    assert known("conv") == known("convolutional") and "learning_rate" in known("crop") and "clip" in known("net")
    assert "onlyforward" not in known("conv")
    sections = parse_cfg("[network]\ncutmix=1\n[conv]\ncbn=1\ndot\n[yolo]\nembedding_layer=2\n").sections
    assert not_followed(sections) == ("[network] cutmix", "[conv] cbn", "[yolo] embedding_layer")
    assert not_followed(sections[:1]) == ()

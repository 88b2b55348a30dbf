"""Small WordNets to build trees from, and the real one where it is installed."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import strategies as st

from darknet_compat.errors import WordNetError
from darknet_compat.formats.tree.build import ENTITY
from darknet_compat.formats.tree.wordnet import WordNet, read_wordnet

Graph = Mapping[str, Sequence[str]]

LICENCE = "  1 This software and database is being provided to you, the LICENSEE\n"


def wnid(number: int) -> str:
    return f"n{number:08d}"


def synset(
    name: str, above: Sequence[str], words: Sequence[str], gloss: str = "a meaning", below: Sequence[str] = ()
) -> str:
    """A line of data.noun, hypernyms by turns as kinds and as instances, and pointers that are neither."""
    spelled = " ".join(f"{word.replace(' ', '_')} 0" for word in words)
    signs = ("@", "@i")
    pointers = [f"{signs[number % 2]} {target[1:]} n 0000" for number, target in enumerate(above)]
    pointers += [f"~ {target[1:]} n 0000" for target in below]
    pointers += ["%p 00000001 n 0000", "+ 00000002 v 0101"]
    return f"{name[1:]} 03 n {len(words):02x} {spelled} {len(pointers):03d} {' '.join(pointers)} | {gloss}  \n"


def write_nouns(folder: Path, above: Graph, words: Mapping[str, Sequence[str]] | None = None) -> Path:
    """data.noun and index.noun of a graph; a synset without words is called as itself."""
    folder.mkdir(parents=True, exist_ok=True)
    words = {name: (words or {}).get(name, [name]) for name in above}
    below = {name: [lower for lower in above if name in above[lower]] for name in above}
    lines = [synset(name, above[name], words[name], f"the meaning of {words[name][0]}", below[name]) for name in above]
    (folder / "data.noun").write_text(LICENCE + "".join(lines))
    senses: defaultdict[str, list[str]] = defaultdict(list)
    for name in above:
        for word in words[name]:
            senses[word.replace(" ", "_").lower()].append(name[1:])
    index = [
        f"{word} n {len(at)} 2 @ ~ {len(at)} 1 {' '.join(at)}  \n" for word, at in sorted(senses.items())
    ]  # lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset...
    (folder / "index.noun").write_text(LICENCE + "".join(index))
    return folder


@st.composite
def wordnets(draw: st.DrawFn, most: int = 16) -> WordNet:
    """A graph of up to `most` synsets below `entity`, whose wnids are in no order and whose words often coincide."""
    count = draw(st.integers(1, most))
    numbers = draw(st.permutations(range(2000, 2000 + count)))
    names = [ENTITY, *(wnid(number) for number in numbers)]
    above: dict[str, tuple[str, ...]] = {ENTITY: ()}
    for place in range(1, count + 1):
        targets = draw(st.lists(st.integers(0, place - 1), min_size=1, max_size=3, unique=True))
        above[names[place]] = tuple(names[target] for target in targets)
    words = {name: (draw(st.sampled_from("abcD")),) for name in names}
    return WordNet(words, above, dict.fromkeys(names, ""), Path("random"))


@functools.cache
def installed() -> WordNet:
    """Debian's WordNet; the test is skipped without it."""
    try:
        return read_wordnet()
    except WordNetError as error:
        pytest.skip(str(error))

"""WordNet's nouns: its files `data.noun` and `index.noun` → synsets, their words, and what each is a kind of.

A synset is a meaning and the words that have it; ImageNet's classes are synsets of WordNet 3.0, and their label, the
wnid, is `n` and the eight digits of the synset's place in `data.noun`. Debian's package `wordnet-base` installs these
files, NLTK's corpus `wordnet` and Princeton's own archives hold the same ones (format: the manual page wndb(5)).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from darknet_compat.errors import WordNetError
from darknet_compat.formats.textfile import read_text, shown

FOLDER_VARIABLE = "WNSEARCHDIR"
"""WordNet's own name for the environment variable that says where its files are."""

PHYSICAL_ENTITY = "n00001930"
"""What a camera can see is a kind of this."""

_USUAL_FOLDERS = (Path("/usr/share/wordnet"), Path("/usr/local/WordNet-3.0/dict"), Path("/usr/share/wordnet-3.0/dict"))
_MAX_BYTES = 128 << 20  # WordNet 3.0's data.noun has 15 MB
_ABOVE = frozenset(("@", "@i"))  # "is a kind of" and "is an instance of"
_BELOW = frozenset(("~", "~i"))
_PLURALS = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)


@dataclass(frozen=True, eq=False)
class WordNet:
    """The noun graph, by wnid. Build one with `read_wordnet`, which checks that the files are whole.

    `words` has each synset's words, the commonest first; `hypernyms` what it is a kind or an instance of, in the
    file's order, nothing for `entity` alone; `glosses` its meaning in a sentence. The graph has no cycles.
    """

    words: Mapping[str, tuple[str, ...]] = field(repr=False)
    hypernyms: Mapping[str, tuple[str, ...]] = field(repr=False)
    glosses: Mapping[str, str] = field(repr=False)
    source: Path

    def __contains__(self, wnid: object) -> bool:
        return wnid in self.words

    def __len__(self) -> int:
        return len(self.words)

    def title(self, wnid: str) -> str:
        """`n02084071 dog`, as messages and lists name a synset."""
        return f"{wnid} {self.words[wnid][0]}"

    def senses(self, word: str) -> tuple[str, ...]:
        """The synsets that have `word`, the commonest first; nothing for a word that is no noun.

        Upper or lower case, blanks, underscores and hyphens make no difference (`diningtable` finds `dining table`); a
        plural is looked up as its singular if it is no word itself.
        """
        key = squeeze(word)
        singulars = [key[: -len(end)] + instead for end, instead in _PLURALS if key.endswith(end)]
        return next((self._senses[form] for form in (key, *singulars) if form in self._senses), ())

    def ancestors(self, wnid: str) -> dict[str, int]:
        """Everything that `wnid` is a kind of, itself included, with the steps to it; the nearest first."""
        steps = {wnid: 0}
        for at in (queue := [wnid]):
            for above in self.hypernyms[at]:
                if above not in steps:
                    steps[above] = steps[at] + 1
                    queue.append(above)
        return steps

    def visual(self, wnids: Iterable[str]) -> tuple[str, ...]:
        """Those that a camera can see: the kinds of `physical entity`; what WordNet lacks is passed over."""
        return tuple(wnid for wnid in wnids if wnid in self and PHYSICAL_ENTITY in self.ancestors(wnid))

    @cached_property
    def _senses(self) -> Mapping[str, tuple[str, ...]]:
        """Synsets by squeezed word. A word's own spelling ranks its senses; what spells it otherwise comes after."""
        ranked: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for word, wnids in self._index.items():
            for rank, wnid in enumerate(wnids):
                known = ranked[squeeze(word)]
                known[wnid] = min(rank, known.get(wnid, rank))
        return {word: tuple(sorted(ranks, key=lambda wnid: (ranks[wnid], wnid))) for word, ranks in ranked.items()}

    @cached_property
    def _index(self) -> Mapping[str, tuple[str, ...]]:
        """`index.noun`: the synsets of each word, the commonest first."""
        index = {}
        path = self.source / "index.noun"
        for number, line in enumerate(_read(path), start=1):
            if line.startswith("  "):
                continue
            fields = line.split()
            # lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset...
            count = int(fields[2]) if len(fields) > 6 and fields[2].isdigit() else 0
            wnids = tuple(f"n{offset}" for offset in fields[len(fields) - count :])
            if not count or count > len(fields) - 4 or not all(wnid in self.words for wnid in wnids):
                raise _damaged(path, number, "a noun and the places of its synsets in data.noun", line)
            index[fields[0]] = wnids
        return index


def squeeze(word: str) -> str:
    """A word without what people write differently: case, blanks, underscores, hyphens, full stops, apostrophes."""
    return word.casefold().translate(_IGNORED)


_IGNORED = str.maketrans("", "", " _-.'")


def find_folder(folder: str | Path | None = None) -> Path:
    """The folder of WordNet's files: `folder`, $WNSEARCHDIR, or where distributions put it.

    Raises WordNetError if none of them has a `data.noun`.
    """
    told = folder or os.environ.get(FOLDER_VARIABLE)
    places = [Path(told), Path(told) / "dict"] if told else list(_USUAL_FOLDERS)
    for place in places:
        if (place / "data.noun").is_file():
            return place
    raise WordNetError(
        f"{told or places[0]}: there is no data.noun, WordNet's file of nouns;"
        " install it (Debian: apt-get install wordnet-base) or say where it is with --wordnet DIR"
    )


def read_wordnet(folder: str | Path | None = None) -> WordNet:
    """Read WordNet's nouns from `folder`, or from where `find_folder` finds them.

    Raises WordNetError for a folder without them, and for files that are damaged or cut short, with the line.
    """
    source = find_folder(folder)
    path = source / "data.noun"
    synsets: dict[str, _Synset] = {}
    lines: dict[str, int] = {}
    named_on: dict[str, int] = {}
    for number, line in enumerate(_read(path), start=1):
        if line.startswith("  "):  # the licence
            continue
        try:
            synset = _parse_synset(line)
        except (ValueError, IndexError):
            raise _damaged(path, number, "a synset (its place, words, pointers, | and meaning)", line) from None
        if synset.wnid in synsets:
            raise WordNetError(f"{path}:{number}: {synset.wnid} stands twice, first on line {lines[synset.wnid]}")
        synsets[synset.wnid], lines[synset.wnid] = synset, number
        for target in (*synset.above, *synset.below):
            named_on.setdefault(target, number)
    if not synsets:
        raise WordNetError(f"{path}: expected WordNet's nouns, found none")
    for target, number in named_on.items():
        if target not in synsets:
            raise WordNetError(f"{path}:{number}: names {target}, which is not in the file; is it cut short?")
    hypernyms = {wnid: synset.above for wnid, synset in synsets.items()}
    if cyclic := _on_a_cycle(hypernyms):
        raise WordNetError(f"{path}:{lines[cyclic]}: {cyclic} is a kind of itself; the file is damaged")
    words = {wnid: synset.words for wnid, synset in synsets.items()}
    return WordNet(words, hypernyms, {wnid: synset.gloss for wnid, synset in synsets.items()}, source)


class _Synset(NamedTuple):
    wnid: str
    words: tuple[str, ...]
    above: tuple[str, ...]
    below: tuple[str, ...]
    gloss: str


def _parse_synset(line: str) -> _Synset:
    """A line of `data.noun`. Raises ValueError or IndexError for any other line."""
    # synset_offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] p_cnt [ptr...] | gloss
    bar = line.index(" |")
    fields = line[:bar].split(" ")
    offset, kind, count = fields[0], fields[2], int(fields[3], 16)
    after = 4 + 2 * count
    words = tuple(word.replace("_", " ") for word in fields[4:after:2])
    pointers = fields[after + 1 :]  # symbol, place, part of speech, source and target: four fields each
    if len(offset) != 8 or not offset.isdigit() or kind != "n" or not count:
        raise ValueError
    if len(pointers) != 4 * int(fields[after]):
        raise ValueError
    nouns = [
        (symbol, f"n{place}")
        for symbol, place, part in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=True)
        if part == "n"
    ]
    above = tuple(noun for symbol, noun in nouns if symbol in _ABOVE)
    below = tuple(noun for symbol, noun in nouns if symbol in _BELOW)
    return _Synset(f"n{offset}", words, above, below, line[bar + 2 :].strip())


def _on_a_cycle(hypernyms: Mapping[str, tuple[str, ...]]) -> str | None:
    """A synset on a cycle or below one, if there is a cycle."""
    below: defaultdict[str, list[str]] = defaultdict(list)
    for wnid, above in hypernyms.items():
        for target in above:
            below[target].append(wnid)
    waiting = {wnid: len(above) for wnid, above in hypernyms.items()}
    ready = [wnid for wnid, count in waiting.items() if not count]
    for wnid in ready:
        for lower in below[wnid]:
            waiting[lower] -= 1
            if not waiting[lower]:
                ready.append(lower)
    return next((wnid for wnid, count in waiting.items() if count), None)


def _read(path: Path) -> list[str]:
    lines = read_text(path, WordNetError, "WordNet's nouns", _MAX_BYTES).split("\n")
    return lines if lines[-1] else lines[:-1]


def _damaged(path: Path, number: int, expected: str, line: str) -> WordNetError:
    return WordNetError(f"{path}:{number}: expected {expected}, found {shown(line)}; the file is damaged")

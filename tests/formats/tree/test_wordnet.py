from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.errors import WordNetError
from darknet_compat.formats.tree import wordnet
from darknet_compat.formats.tree.wordnet import PHYSICAL_ENTITY, WordNet, find_folder, read_wordnet, squeeze
from tests.formats.tree.nouns import LICENCE, installed, synset, wnid, write_nouns

THING, ANIMAL, PET, DOG, CAT, HOT_DOG = (wnid(number) for number in (1, 2, 3, 9, 7, 8))
GRAPH = {THING: [], ANIMAL: [THING], PET: [THING], DOG: [ANIMAL, PET], CAT: [ANIMAL, PET], HOT_DOG: [THING]}
WORDS = {
    THING: ["thing"],
    ANIMAL: ["animal"],
    PET: ["pet"],
    DOG: ["dog", "Canis familiaris"],
    CAT: ["cat"],
    HOT_DOG: ["hot dog", "dog"],
}


@pytest.fixture
def nouns(tmp_path: Path) -> WordNet:
    return read_wordnet(write_nouns(tmp_path / "wn", GRAPH, WORDS))


def refusal(folder: Path) -> str:
    with pytest.raises(WordNetError) as error:
        found = read_wordnet(folder)
        found.senses("anything")
    assert str(error.value).isprintable()
    return str(error.value)


# ------------------------------------------------------------------------------------------------ what is read


def test_words_hypernyms_and_meanings(nouns: WordNet) -> None:
    assert len(nouns) == 6
    assert nouns.words[DOG] == ("dog", "Canis familiaris")
    assert nouns.hypernyms[DOG] == (ANIMAL, PET)  # a kind of one, an instance of the other
    assert nouns.hypernyms[THING] == ()
    assert nouns.glosses[CAT] == "the meaning of cat"
    assert nouns.title(DOG) == f"{DOG} dog"
    assert DOG in nouns and wnid(4) not in nouns


def test_senses_come_in_the_order_of_the_index(nouns: WordNet) -> None:
    assert nouns.senses("dog") == (DOG, HOT_DOG)
    assert nouns.senses("DOGS") == (DOG, HOT_DOG)
    assert nouns.senses("hotdog") == nouns.senses("Hot-Dog") == nouns.senses("hot_dogs") == (HOT_DOG,)
    assert nouns.senses("canis familiaris") == (DOG,)
    assert nouns.senses("wolf") == ()


def test_ancestors_come_nearest_first(nouns: WordNet) -> None:
    assert list(nouns.ancestors(DOG).items()) == [(DOG, 0), (ANIMAL, 1), (PET, 1), (THING, 2)]


def test_a_camera_sees_kinds_of_physical_entity(tmp_path: Path) -> None:
    above = {THING: [], PHYSICAL_ENTITY: [THING], PET: [PHYSICAL_ENTITY], ANIMAL: [THING], DOG: [ANIMAL, PET]}
    found = read_wordnet(write_nouns(tmp_path, above))
    assert found.visual([ANIMAL, DOG, wnid(99), PET, DOG]) == (DOG, PET, DOG)


def test_what_people_write_differently_is_squeezed_out() -> None:
    assert squeeze("Ping-Pong ball") == squeeze("ping_pong Ball") == "pingpongball"


def test_windows_line_ends_make_no_difference(nouns: WordNet, tmp_path: Path) -> None:
    folder = write_nouns(tmp_path / "dos", GRAPH, WORDS)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    again = read_wordnet(folder)
    assert (again.words, again.hypernyms, again.glosses) == (nouns.words, nouns.hypernyms, nouns.glosses)
    assert again.senses("dog") == nouns.senses("dog")


# ------------------------------------------------------------------------------------------- where it is found


def test_the_folder_is_the_one_told_or_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, other = write_nouns(tmp_path / "told" / "dict", GRAPH), write_nouns(tmp_path / "other", GRAPH)
    monkeypatch.setenv(wordnet.FOLDER_VARIABLE, str(other))
    assert find_folder() == other
    assert find_folder(told) == told
    assert find_folder(told.parent) == told  # as WordNet's own archives are laid out


def test_a_folder_without_nouns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no data.noun" in refusal(tmp_path)
    monkeypatch.delenv(wordnet.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(wordnet, "_USUAL_FOLDERS", (tmp_path / "nowhere",))
    with pytest.raises(WordNetError, match=r"nowhere: .*apt-get install wordnet-base.*--wordnet DIR"):
        read_wordnet()


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "line",
    [
        "00000010 03 n 01 fox 0 001 @ 00000002 n 0000 a gloss without its sign\n",
        "0000010 03 n 01 fox 0 001 @ 00000002 n 0000 | seven digits\n",
        "00000010 03 v 01 fox 0 001 @ 00000002 n 0000 | a verb\n",
        "00000010 03 n 00 001 @ 00000002 n 0000 | no words\n",
        "00000010 03 n 01 fox 0 002 @ 00000002 n 0000 | a pointer too few\n",
        "00000010 03 n 01 fox 0 001 @ 00000002 n 0000 @ | half a pointer too many\n",
        "00000010 03 n zz fox 0 001 @ 00000002 n 0000 | no number of words\n",
        "00000010 03 n 7f fox 0 001 @ 00000002 n 0000 | more words than there are\n",
        "00000010\n",
        "\n",
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    folder = write_nouns(tmp_path, GRAPH)
    (folder / "data.noun").write_text((folder / "data.noun").read_text() + line + synset(wnid(20), [THING], ["last"]))
    assert refusal(folder).startswith(f"{folder}/data.noun:8: expected a synset")


def test_a_synset_twice_is_named(tmp_path: Path) -> None:
    folder = write_nouns(tmp_path, GRAPH)
    (folder / "data.noun").write_text((folder / "data.noun").read_text() + synset(CAT, [THING], ["cat"]))
    assert f"data.noun:8: {CAT} stands twice, first on line 6" in refusal(folder)


def test_a_file_cut_between_lines_lacks_what_its_lines_point_to(tmp_path: Path) -> None:
    lines = {name: above for name, above in GRAPH.items() if name != PET}
    assert f"data.noun:4: names {PET}, which is not in the file" in refusal(write_nouns(tmp_path, lines))


@pytest.mark.parametrize("last", range(2, 7))
def test_a_file_cut_after_any_line_lacks_what_is_below_its_lines(tmp_path: Path, last: int) -> None:
    file = write_nouns(tmp_path, GRAPH) / "data.noun"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:last]))
    assert "which is not in the file; is it cut short?" in refusal(tmp_path)


def test_a_file_cut_in_a_line_is_named(tmp_path: Path) -> None:
    file = write_nouns(tmp_path, GRAPH) / "data.noun"
    file.write_text(file.read_text()[:-60])
    assert "data.noun:7: expected a synset" in refusal(tmp_path)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    assert "is a kind of itself" in refusal(write_nouns(tmp_path, {**GRAPH, ANIMAL: [DOG]}))


@pytest.mark.parametrize("text", ["", LICENCE])
def test_a_file_without_nouns_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.noun").write_text(text)
    assert "found none" in refusal(tmp_path)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_bytes(b"\x7fELF\0\0\0")
    assert "found binary data" in refusal(tmp_path)


@pytest.mark.parametrize("line", ["fox n 1 1 @ 1 0 00000099\n", "fox\n", "fox n x 1 @ 1 0 00000009\n", "fox n 9 0 9\n"])
def test_a_damaged_index_is_named(tmp_path: Path, line: str) -> None:
    folder = write_nouns(tmp_path, GRAPH)
    (folder / "index.noun").write_text(LICENCE + line)
    assert "index.noun:2: expected a noun" in refusal(folder)


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    (write_nouns(tmp_path, GRAPH) / "index.noun").unlink()
    assert "index.noun: cannot be read" in refusal(tmp_path)


# ------------------------------------------------------------------------------------------------ the real one


@pytest.mark.reference
def test_wordnet_3_is_read_whole() -> None:
    whole = installed()
    assert len(whole) == 82115  # WordNet 3.0's count of noun synsets, wnstats(7)
    assert whole.words["n02084071"] == ("dog", "domestic dog", "Canis familiaris")
    assert whole.hypernyms["n02084071"] == ("n02083346", "n01317541")
    assert [name for name, above in whole.hypernyms.items() if not above] == ["n00001740"]


@pytest.mark.reference
def test_the_commonest_sense_comes_first() -> None:
    whole = installed()
    assert whole.senses("dog")[0] == "n02084071"
    assert whole.senses("diningtable") == whole.senses("dining tables") == ("n03201208",)
    assert len(whole.senses("mouse")) == 4

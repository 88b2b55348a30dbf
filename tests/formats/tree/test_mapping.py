from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from darknet_compat.errors import MetadataError
from darknet_compat.formats.metadata import read_map, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.tree.mapping import Match, map_labels, question, read_given
from darknet_compat.formats.tree.named import NamedTree, open_tree, write_lines
from darknet_compat.formats.tree.wordnet import PHYSICAL_ENTITY, WordNet, read_wordnet
from darknet_compat.formats.wordtree import from_parents
from tests.formats.tree.nouns import installed, wnid, write_nouns

ENTITY, ANIMAL, DEVICE, RODENT, POINTER, BAT, CLUB, KITE, TOY, PLAYTHING, IDEA, FOX, VIXEN = map(wnid, range(1, 14))
ABOVE = {
    ENTITY: [],
    PHYSICAL_ENTITY: [ENTITY],
    IDEA: [ENTITY],
    ANIMAL: [PHYSICAL_ENTITY],
    DEVICE: [PHYSICAL_ENTITY],
    PLAYTHING: [DEVICE],
    RODENT: [ANIMAL],
    POINTER: [DEVICE],
    BAT: [ANIMAL],
    CLUB: [DEVICE],
    TOY: [PLAYTHING],
    KITE: [ANIMAL],
    FOX: [ANIMAL],
    VIXEN: [FOX],
}
WORDS = {
    ENTITY: ["entity"],
    PHYSICAL_ENTITY: ["physical entity"],
    IDEA: ["idea", "fox"],  # which no camera sees, and which is the commonest meaning of fox here
    ANIMAL: ["animal", "beast"],
    DEVICE: ["device"],
    PLAYTHING: ["plaything"],
    RODENT: ["mouse"],
    POINTER: ["mouse", "computer mouse"],
    BAT: ["bat"],
    CLUB: ["club", "bat"],
    TOY: ["kite"],
    KITE: ["kite"],
    FOX: ["fox"],
    VIXEN: ["vixen"],
}
#        0       1       2       3        4    5     6     7
NODES = (ANIMAL, DEVICE, RODENT, BAT, KITE, FOX, POINTER, PLAYTHING)
CALLED = ("animal", "club", "mouse", "flying mouse", "kite", "fox", "mouse", "toy")


@pytest.fixture
def tree() -> NamedTree:
    return NamedTree(from_parents(NODES, (-1, -1, 0, 0, 0, 0, 1, 1), "my.tree"), CALLED)


@pytest.fixture
def nouns(tmp_path: Path) -> WordNet:
    return read_wordnet(write_nouns(tmp_path / "wn", ABOVE, WORDS))


def one(label: str, tree: NamedTree, nouns: WordNet | None = None, *, first: bool = False) -> Match:
    (match,) = map_labels([label], tree, nouns, first=first)
    return match


# ------------------------------------------------------------------------------------------------- what is settled


def test_a_wnid_is_a_node_or_it_is_not(tree: NamedTree, nouns: WordNet) -> None:
    assert one(POINTER, tree) == Match(POINTER, 6, "wnid")
    assert one(VIXEN, tree) == Match(VIXEN, None, "open")
    match = one(VIXEN, tree, nouns)
    assert (match.node, match.how, [(c.node, c.sense) for c in match.candidates]) == (None, "open", [(5, VIXEN)])
    assert one(wnid(999), tree, nouns) == Match(wnid(999), None, "open")


def test_a_word_is_settled_if_its_commonest_visible_sense_is_the_only_one_there(
    tree: NamedTree, nouns: WordNet
) -> None:
    assert one("Computer-Mouse", tree, nouns) == Match("Computer-Mouse", 6, "name")
    assert one("beasts", tree, nouns).node == 0
    assert one("fox", tree, nouns) == Match("fox", 5, "name")  # its commonest sense, an idea, cannot be meant
    assert one("bat", tree, nouns) == Match("bat", 3, "name")  # a club is a rarer bat


def test_a_word_of_several_senses_in_the_tree_is_open(tree: NamedTree, nouns: WordNet) -> None:
    match = one("mouse", tree, nouns)
    assert (match.node, match.how) == (None, "open")
    assert [(c.node, c.sense) for c in match.candidates] == [(2, RODENT), (6, POINTER)]


def test_a_word_whose_commonest_sense_the_tree_lacks_is_open(tree: NamedTree, nouns: WordNet) -> None:
    match = one("kite", tree, nouns)  # toys are commoner than birds of prey here, as they stand first
    assert [(c.node, c.sense) for c in match.candidates] == [(4, KITE), (7, TOY)]
    assert nouns.senses("kite") == (TOY, KITE)


def test_a_word_that_only_the_tree_knows_is_its(tree: NamedTree, nouns: WordNet) -> None:
    assert one("toy", tree, nouns) == Match("toy", 7, "name")
    match = one("club", tree, nouns)  # which WordNet knows as something else
    assert (match.node, [(c.node, c.sense) for c in match.candidates]) == (None, [(1, None), (1, CLUB)])
    assert one("nonsense", tree, nouns) == Match("nonsense", None, "open")


def test_without_wordnet_the_trees_own_words_decide(tree: NamedTree) -> None:
    assert one("toy", tree) == Match("toy", 7, "name")
    assert [c.node for c in one("Mouse", tree).candidates] == [2, 6]
    assert one("beast", tree) == Match("beast", None, "open")


def test_the_likeliest_is_taken_if_that_is_asked_for(tree: NamedTree, nouns: WordNet) -> None:
    match = one("mouse", tree, nouns, first=True)
    assert (match.node, match.how, len(match.candidates)) == (2, "open", 2)
    assert one("nonsense", tree, nouns, first=True).node is None


def test_what_is_given_comes_first(tree: NamedTree, nouns: WordNet) -> None:
    assert map_labels(["mouse", "fox"], tree, nouns, {"mouse": 6, "fox": 0}) == [
        Match("mouse", 6, "given"),
        Match("fox", 0, "given"),
    ]


# ------------------------------------------------------------------------------------------- what a person settles


def test_a_question_is_its_own_answer_once_a_line_is_chosen(tree: NamedTree, nouns: WordNet, tmp_path: Path) -> None:
    labels = ["mouse", "fox", "kite", "club", VIXEN]
    matches = map_labels(labels, tree, nouns)
    lines = [line for match in matches if match.how == "open" for line in question(match, tree, nouns)]
    assert lines[:2] == [
        f"mouse = {RODENT}    # mouse: the meaning of mouse",
        f"#mouse = {POINTER}    # mouse, computer mouse: the meaning of mouse",
    ]
    assert f"#kite = {PLAYTHING}    # toy, which is above kite: the meaning of kite" in lines
    assert f"club = {DEVICE}    # club" in lines
    assert f"{VIXEN} = {FOX}    # fox, which is above vixen: the meaning of vixen" in lines
    write_lines(lines, tmp_path / "first")
    assert read_given(tmp_path / "first", labels, tree) == {"mouse": 2, "kite": 4, "club": 1, VIXEN: 5}
    others = [line.removeprefix("#") if line.startswith("#") else f"# {line}" for line in lines]
    write_lines(others, tmp_path / "second")
    assert read_given(tmp_path / "second", labels, tree) == {"mouse": 6, "kite": 7, "club": 1}
    assert question(Match("x", None, "open"), tree, nouns) == ["#x =     # nothing in the tree is called so"]


def test_given_nodes_are_wnids_or_numbers_or_a_whole_map(tree: NamedTree, tmp_path: Path) -> None:
    labels = ["computer mouse", "a = b", "fox"]
    file = tmp_path / "given"
    file.write_text(f"\n# mine\nComputer_Mouse={POINTER}\na = b = 3 # the second sign\n\n fox = 5\nfox = {FOX}\n")
    assert read_given(file, labels, tree) == {"computer mouse": 6, "a = b": 3, "fox": 5}
    file.write_text("6\n3\n5\n")
    assert read_given(file, labels, tree) == {"computer mouse": 6, "a = b": 3, "fox": 5}
    file.write_text("")
    assert read_given(file, labels, tree) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fox 5\n", "given:1: expected LABEL = WNID or the number of a node, found 'fox 5'"),
        ("fox = the fox\n", "given:1: expected LABEL = WNID"),
        ("fox =\n", "given:1: expected LABEL = WNID"),
        ("\nwolf = 5\n", "given:2: 'wolf' is not one of the labels"),
        ("fox = 8\n", "given:1: my.tree has no node 8"),
        ("fox = n00000099\n", "given:1: my.tree has no node n00000099"),
        ("fox = 5\nfox = 4\n", "given:2: 'fox' has another node on a line before"),
        ("5\n4\n", "given: expected a node for each of 1 labels, found 2"),
        ("8\n", "given:1: expected a class from 0 to 7"),
    ],
)
def test_given_lines_that_cannot_be_meant_are_refused(tree: NamedTree, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "given").write_text(text)
    with pytest.raises(MetadataError) as error:
        read_given(tmp_path / "given", ["fox"], tree)
    assert message in str(error.value)
    assert str(error.value).isprintable()


# ------------------------------------------------------------------------------------------------ the released maps

IMAGENET_DET = """accordion, airplane, ant, antelope, apple, armadillo, artichoke, axe, baby bed, backpack, bagel,
balance beam, banana, band aid, banjo, baseball, basketball, bathing cap, beaker, bear, bee, bell pepper, bench,
bicycle, binder, bird, bookshelf, bow tie, bow, bowl, brassiere, burrito, bus, butterfly, camel, can opener, car, cart,
cattle, cello, centipede, chain saw, chair, chime, cocktail shaker, coffee maker, computer keyboard, computer mouse,
corkscrew, cream, croquet ball, crutch, cucumber, cup or mug, diaper, digital clock, dishwasher, dog, domestic cat,
dragonfly, drum, dumbbell, electric fan, elephant, face powder, fig, filing cabinet, flower pot, flute, fox,
french horn, frog, frying pan, giant panda, goldfish, golf ball, golfcart, guacamole, guitar, hair dryer, hair spray,
hamburger, hammer, hamster, harmonica, harp, hat with a wide brim, head cabbage, helmet, hippopotamus, horizontal bar,
horse, hotdog, iPod, isopod, jellyfish, koala bear, ladle, ladybug, lamp, laptop, lemon, lion, lipstick, lizard,
lobster, maillot, maraca, microphone, microwave, milk can, miniskirt, monkey, motorcycle, mushroom, nail, neck brace,
oboe, orange, otter, pencil box, pencil sharpener, perfume, person, piano, pineapple, ping-pong ball, pitcher, pizza,
plastic bag, plate rack, pomegranate, popsicle, porcupine, power drill, pretzel, printer, puck, punching bag, purse,
rabbit, racket, ray, red panda, refrigerator, remote control, rubber eraser, rugby ball, ruler, salt or pepper shaker,
saxophone, scorpion, screwdriver, seal, sheep, ski, skunk, snail, snake, snowmobile, snowplow, soap dispenser,
soccer ball, sofa, spatula, squirrel, starfish, stethoscope, stove, strainer, strawberry, stretcher, sunglasses,
swimming trunks, swine, syringe, table, tape player, tennis ball, tick, tie, tiger, toaster, traffic light, train,
trombone, trumpet, turtle, tv or monitor, unicycle, vacuum, violin, volleyball, waffle iron, washer, water bottle,
watercraft, whale, wine bottle, zebra"""


def detection_names() -> list[str]:
    return [name.strip() for name in IMAGENET_DET.replace("\n", " ").split(",")]


@pytest.mark.reference
@pytest.mark.parametrize(
    ("dataset", "by_name", "equal", "guessed", "guessed_equal"),
    [("coco", 42, 37, 77, 60), ("inet", 139, 138, 196, 174)],
)
def test_how_far_names_lead_to_the_released_maps(
    dataset: str, by_name: int, equal: int, guessed: int, guessed_equal: int
) -> None:
    tree = open_tree()
    labels = list(read_names(cfg_dir() / "data" / "coco.names")) if dataset == "coco" else detection_names()
    released = read_map(cfg_dir() / "data" / f"{dataset}9k.map", len(tree))
    matches = map_labels(labels, tree, installed())
    assert Counter(match.how for match in matches) == {"name": by_name, "open": len(labels) - by_name}
    assert sum(m.node == node for m, node in zip(matches, released, strict=True)) == equal
    guesses = map_labels(labels, tree, installed(), first=True)
    assert sum(m.node is not None for m in guesses) == guessed
    assert sum(m.node == node for m, node in zip(guesses, released, strict=True)) == guessed_equal


@pytest.mark.parametrize("dataset", ["coco", "inet"])
def test_a_released_map_is_a_given_one_and_is_written_as_it_was(dataset: str, tmp_path: Path) -> None:
    tree, file = open_tree(), cfg_dir() / "data" / f"{dataset}9k.map"
    labels = list(read_names(cfg_dir() / "data" / "coco.names")) if dataset == "coco" else detection_names()
    matches = map_labels(labels, tree, given=read_given(file, labels, tree))
    write_lines([match.node for match in matches], tmp_path / "again.map")
    assert (tmp_path / "again.map").read_bytes() == file.read_bytes()


def test_all_of_ilsvrcs_wnids_are_nodes_of_the_released_tree() -> None:
    matches = map_labels(read_names(cfg_dir() / "data" / "imagenet1k.labels"), open_tree())
    assert {match.how for match in matches} == {"wnid"}

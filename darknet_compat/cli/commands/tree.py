"""Build, show, count and draw WordTrees, and map labels to one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from darknet_compat.cli.options import Json
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.options import Option

if TYPE_CHECKING:
    from darknet_compat.formats.arrays import Array
    from darknet_compat.formats.tree.mapping import Match
    from darknet_compat.formats.tree.named import NamedTree
    from darknet_compat.formats.tree.wordnet import WordNet

Tree = Annotated[
    str,
    Option(
        "A .tree, its .names beside it; a model that has one, as yolo9000; 9k is the packaged one.",
        metavar="TREE",
        positional=True,
    ),
]
Folder = Annotated[
    Path | None,
    Option("WordNet's files. Default: $WNSEARCHDIR, or where Debian has them.", metavar="DIR"),
]
NodeNamesOption = Annotated[
    Path | None, Option("The nodes' names. Default: the .names beside the .tree.", metavar="FILE")
]


def build(
    labels: Annotated[
        str, Option("Wnids, one a line; imagenet1k is the packaged list.", metavar="LABELS", positional=True)
    ],
    out: Annotated[Path, Option("The .tree to write.", metavar="FILE")],
    names: Annotated[Path | None, Option("Write the nodes' names there, too.", metavar="FILE")] = None,
    wordnet: Folder = None,
    root: Annotated[str, Option("What all labels are a kind of; paths go up to there.", metavar="WNID")] = "n00001740",
    among: Annotated[
        str,
        Option("More wnids, whose paths are chosen with the labels'; of these only what can be seen.", metavar="FILE"),
    ] = "imagenet22k",
    alone: Annotated[bool, Option("Choose paths among the labels alone.")] = False,
    moves: Annotated[bool, Option("Hang signals and bubbles where the released tree has them.")] = True,
    json: Json = False,
) -> None:
    """Make a WordTree of labels and WordNet, by the paper's rule.

    What has one path to the root comes first, then path by path what adds fewest nodes; nodes with one child that are
    no label are merged away. With the packaged imagenet1k that is the paper's tree of 1369 nodes.
    """
    from darknet_compat.formats.metadata import read_names
    from darknet_compat.formats.tree.build import MOVES, build_tree
    from darknet_compat.formats.tree.named import NamedTree, write_lines, write_tree
    from darknet_compat.formats.tree.wordnet import read_wordnet

    file = _list_file(labels, ".labels")
    wanted = read_names(file)
    others = () if alone else read_names(_list_file(among, ".labels"))
    nouns = read_wordnet(wordnet)
    others = nouns.visual(others)
    tree = build_tree(nouns, wanted, among=others, root=root, moves=MOVES if moves else {}, source=str(file))
    words = tuple(nouns.words[name][0] for name in tree.names)
    write_tree(tree, out)
    if names:
        write_lines(words, names)
    facts = _facts(NamedTree(tree, words))
    if json:
        terminal.print_json({"file": str(out), "labels": len(wanted), **facts})
        return
    roots = ", ".join(facts["roots"])
    terminal.print_line(
        f"{out}: {terminal.count(len(tree), 'node')}, {terminal.count(len(wanted), 'label')} and"
        f" {len(tree) - len(wanted):,} between them and the roots ({roots}), {facts['levels']} levels"
    )


def show(
    tree: Tree = "9k",
    node: Annotated[
        str | None,
        Option("A word or part of one, a wnid, a number. Without: all roots.", metavar="NODE", positional=True),
    ] = None,
    depth: Annotated[int, Option("Levels below NODE to show.", least=0, metavar="N")] = 1,
    probabilities: Annotated[
        Path | None,
        Option("Every node's absolute probability: .npy, or a JSON list.", metavar="FILE"),
    ] = None,
    names: NodeNamesOption = None,
    json: Json = False,
) -> None:
    """Print the path to a node, and what is below it.

    With probabilities each step and each node shows its own, the most probable first.
    """
    from darknet_compat.formats.tree.named import read_probabilities

    named = _open(tree, names)
    values = read_probabilities(probabilities, named.tree) if probabilities else None
    start = None if node is None else _node(named, node)
    starts = _below(named, None, values) if start is None else [start]
    if json:
        found = [_subtree(named, at, depth, values) for at in starts]
        if start is None:
            terminal.print_json({"roots": found})
        else:
            terminal.print_json({**found[0], "path": [_entry(named, step, values) for step in named.tree.path(start)]})
        return
    if start is not None and (path := named.tree.path(start)[:-1]):
        print(terminal.printable(named.describe(path[-1], values)))
    for at in starts:
        print("\n".join(_outline(named, at, depth, values, 0)))


def stats(tree: Tree = "9k", names: NodeNamesOption = None, json: Json = False) -> None:
    """Count a tree's nodes, leaves, groups and levels."""
    named = _open(tree, names)
    facts = _facts(named)
    if json:
        terminal.print_json(facts)
        return
    groups = [f"{size:,} below {name}" for name, size in facts["largest_groups"]]
    terminal.print_fields(
        [
            ("nodes", f"{facts['nodes']:,}"),
            ("leaves", f"{facts['leaves']:,}"),
            ("roots", f"{len(facts['roots']):,}: {', '.join(facts['roots'])}"),
            ("groups", f"{facts['groups']:,} of siblings, {facts['only_children']:,} of them of one node"),
            ("largest", "; ".join(groups)),
            ("levels", f"{facts['levels']}; a leaf is {facts['mean_leaf_depth']:.1f} below its root on average"),
        ]
    )


def render(
    tree: Tree = "9k",
    out: Annotated[Path, Option("A .html, to fold and search, or an .svg.", metavar="FILE")] = Path("tree.html"),
    names: NodeNamesOption = None,
) -> None:
    """Draw a tree: a page that can be folded and searched, or an SVG.

    One file that needs no other and no network, and opens at once for thousands of nodes.
    """
    from darknet_compat.formats.tree.page import render as paint

    named = _open(tree, names)
    paint(named, out, title=Path(named.tree.source).name)
    terminal.print_line(f"{out}: {terminal.count(len(named), 'node')}, {terminal.in_bytes(out.stat().st_size)}")


def map_labels(
    labels: Annotated[
        str, Option("Words or wnids, one a line; coco, voc… are packaged lists.", metavar="LABELS", positional=True)
    ],
    tree: Tree = "9k",
    out: Annotated[Path | None, Option("The .map to write.", metavar="FILE")] = None,
    given: Annotated[
        Path | None,
        Option("What you have settled: lines of LABEL = WNID, or a .map.", metavar="FILE"),
    ] = None,
    first: Annotated[bool, Option("Take the likeliest sense of what is open.")] = False,
    wordnet: Folder = None,
    names: NodeNamesOption = None,
    json: Json = False,
) -> None:
    """Find the node of each label of another dataset.

    By wnid, or by word through WordNet. A word of several senses is yours to settle: the senses are printed in the form
    that --given reads, the likeliest first. Nothing is written, and the exit code is 1, while a label is open.
    """
    from darknet_compat.errors import MetadataError
    from darknet_compat.formats.metadata import read_names
    from darknet_compat.formats.tree import mapping
    from darknet_compat.formats.tree.named import write_lines
    from darknet_compat.formats.tree.wordnet import read_wordnet

    file = _list_file(labels, ".labels", ".names")
    wanted = read_names(file)
    named = _open(tree, names)
    settled = mapping.read_given(given, wanted, named) if given else {}
    nouns = None if set(wanted) <= set(settled) else read_wordnet(wordnet)
    matches = mapping.map_labels(wanted, named, nouns, settled, first=first)
    nodes = [match.node for match in matches if match.node is not None]
    complete = len(nodes) == len(matches)
    if out and complete:
        write_lines(nodes, out)
    if json:
        terminal.print_json(_map_to_dict(matches, named, out if complete else None))
    else:
        _print_map(matches, named, nouns, out)
    if not complete:
        raise MetadataError(
            f"{file}: {len(matches) - len(nodes)} of {len(matches)} labels are open; put the lines that you mean into a"
            " file and pass it with --given" + (", or take the likeliest with --first" if not first else "")
        )


COMMANDS: dict[str, Callable[..., None]] = {
    "build": build,
    "show": show,
    "stats": stats,
    "render": render,
    "map": map_labels,
}
"""The verbs of `darknet-compat tree`."""


def _open(tree: str, names: Path | None) -> NamedTree:
    """A `.tree`, or that of a model: a `.cfg`, or a name of the catalogue."""
    from darknet_compat.catalogue.catalog import MODELS
    from darknet_compat.errors import TreeError
    from darknet_compat.formats.packaged import cfg_dir
    from darknet_compat.formats.tree.named import open_tree

    known = MODELS.get(tree.lower())
    if known is None and not tree.lower().endswith(".cfg"):
        return open_tree(tree, names)
    from darknet_compat.definition.lower import load_spec

    own = load_spec(cfg_dir() / known.cfg if known else tree, quiet=True).tree
    if own is None:
        raise TreeError(f"{tree}: this network has no tree")
    return open_tree(own.source, names)


def _node(named: NamedTree, text: str) -> int:
    """The node called `text`, else the only one whose name has it in it. Raises TreeError, with what there is."""
    from darknet_compat.errors import TreeError
    from darknet_compat.formats.textfile import shown

    found = named.search(text)
    if named.find(text) or text.isdigit() or not found:
        return named.node(text)
    if len(found) == 1:
        return found[0]
    which = "; ".join(f"{named.tree.names[node]} ({named.words[node]})" for node in found[:6])
    more = f"; and {len(found) - 6:,} more" if found[6:] else ""
    raise TreeError(
        f"{named.tree.source}: {len(found):,} nodes have {shown(text)} in their names, choose by wnid: {which}{more}"
    )


def _list_file(name: str, *endings: str) -> Path:
    """A file, or the packaged list of that name."""
    from darknet_compat.formats.packaged import cfg_dir

    path = Path(name)
    if not path.exists() and path.name == name:
        for ending in ("", *endings):
            if (packaged := cfg_dir() / "data" / f"{name}{ending}").is_file():
                return packaged
    return path


def _facts(named: NamedTree) -> dict[str, Any]:
    tree = named.tree
    largest = sorted(range(len(tree.group_sizes)), key=lambda group: (-int(tree.group_sizes[group]), group))[:5]
    parents = [int(tree.parents[tree.group_offsets[group]]) for group in largest]
    return {
        "nodes": len(tree),
        "leaves": int(tree.leaves.sum()),
        "roots": [named.words[node] for node in named.children(None)],
        "groups": len(tree.group_sizes),
        "only_children": int((tree.group_sizes == 1).sum()),
        "largest_groups": [
            [named.words[parent] if parent >= 0 else "no root", int(tree.group_sizes[group])]
            for parent, group in zip(parents, largest, strict=True)
        ],
        "levels": int(tree.depths.max()) + 1,
        "mean_leaf_depth": round(float(tree.depths[tree.leaves].mean()), 3),
    }


def _below(named: NamedTree, node: int | None, values: Array | None) -> list[int]:
    """The nodes right below, or the roots: as in the file, or the most probable first."""
    children = list(named.children(node))
    return children if values is None else sorted(children, key=lambda child: (-values[child], child))


def _outline(named: NamedTree, node: int, depth: int, values: Array | None, indent: int) -> list[str]:
    """A line for the node, and indented below it those of what is below, `depth` levels of it."""
    value = "" if values is None else f"{values[node]:.4f}  "
    leaves = int(named.leaves_below[node])
    below = "" if named.tree.leaves[node] else f"  {terminal.count(leaves, 'leaf', 'leaves')}"
    text = f"{named.words[node]}  {named.tree.names[node]}{below}"
    lines = [indent * "  " + value + terminal.printable(text)]
    for child in _below(named, node, values) if depth else ():
        lines += _outline(named, child, depth - 1, values, indent + 1)
    return lines


def _subtree(named: NamedTree, node: int, depth: int, values: Array | None) -> dict[str, Any]:
    found = {**_entry(named, node, values), "leaves": int(named.leaves_below[node])}
    if depth:
        found["children"] = [_subtree(named, child, depth - 1, values) for child in _below(named, node, values)]
    return found


def _entry(named: NamedTree, node: int, values: Array | None = None) -> dict[str, Any]:
    known = {"node": node, "label": named.tree.names[node], "name": named.words[node]}
    return known if values is None else {**known, "probability": float(values[node])}


def _map_to_dict(matches: list[Match], named: NamedTree, out: Path | None) -> dict[str, Any]:
    return {
        "file": out and str(out),
        "tree": named.tree.source,
        "open": sum(match.node is None for match in matches),
        "found": dict(Counter(match.how for match in matches)),
        "labels": [
            {
                "label": match.label,
                "how": match.how,
                "to": None if match.node is None else _entry(named, match.node),
                "candidates": [{**_entry(named, c.node), "sense": c.sense} for c in match.candidates],
            }
            for match in matches
        ],
    }


def _print_map(matches: list[Match], named: NamedTree, nouns: WordNet | None, out: Path | None) -> None:
    from darknet_compat.formats.tree.mapping import question

    questions = [line for match in matches if match.how == "open" for line in question(match, named, nouns)]
    for line in questions:
        print(terminal.printable(line))
    if any(match.node is None for match in matches):
        return
    if out is None and not questions:
        for match in matches:
            assert match.node is not None
            print(
                terminal.printable(f"{match.label} = {named.tree.names[match.node]}    # {named.describe(match.node)}")
            )
    how = {"wnid": "by wnid", "name": "by name", "given": "as given", "open": "as the likeliest sense"}
    counts = Counter(match.how for match in matches)
    found = ", ".join(f"{number:,} {how[kind]}" for kind, number in counts.items())
    terminal.say(f"{out or named.tree.source}: {terminal.count(len(matches), 'label')}: {found}")

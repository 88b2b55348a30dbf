from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.errors import CfgError, MetadataError
from darknet_compat.formats.cfg import CfgOption, Section, SectionOptions
from darknet_compat.formats.metadata import data_roots, read_data, read_map, read_names, resolve_inside
from darknet_compat.formats.textfile import MAX_LIST_BYTES
from darknet_compat.formats.wordtree import read_tree
from tests.conftest import Original


def file_with(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    return path


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(MetadataError) as error:
        call()
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all of hypothesis's examples."""
    return tmp_path_factory.mktemp("written")


# --------------------------------------------------------------------------------------------------- names


def test_names(tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.names", "\ufeffperson\r\n traffic light \r\nJack-o'-lantern\n\n\n")
    assert read_names(path) == ("person", "traffic light", "Jack-o'-lantern")
    assert read_names(file_with(path, "person")) == ("person",)


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("utf-8", ("人", "汽车", "velo")),
        ("gbk", ("人", "汽车", "狗")),
        ("gbk", ("person 人", "安全帽_helmet", "no helmet")),
        ("gbk", ("朱镕基", "苹果")),  # the second character's last byte is a letter
        ("latin-1", ("piéton", "vélo", "Straßenbahn")),
        ("latin-1", ("Größe",)),  # two accented letters in a row, after one
        ("latin-1", ("café", "Übergang", "Löwe", "añil")),
        ("cp1252", ("œuf", "5 €", "vélo")),
    ],
)
def test_names_in_any_encoding_are_text(encoding: str, names: tuple[str, ...], tmp_path: Path) -> None:
    found = read_names(file_with(tmp_path / "m.names", "\r\n".join(names).encode(encoding)))
    assert found == names
    assert all(name.encode("utf-8") for name in found)  # a lone surrogate could not be printed


def test_names_in_no_encoding_are_still_text(tmp_path: Path) -> None:
    (name,) = read_names(file_with(tmp_path / "m.names", b"a\x81\xff\x90"))
    assert name.startswith("a") and name.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": expected one name a line, found an empty file"),
        ("\n \n", ": expected one name a line, found an empty file"),
        ("person\n\ncar\n", ":2: expected a name, found an empty line"),
        ("a\0b", ": expected a list of names (text), found binary data; is another file meant?"),
        (
            "x" * (MAX_LIST_BYTES + 1),
            ": expected a list of names, found a file of more than 4096 KiB; is another file meant?",
        ),
    ],
    ids=range(5),
)
def test_names_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.names", text)
    assert refusal(lambda: read_names(path)) == f"{path}{message}"


_LINES = st.characters(exclude_characters="\n\0", exclude_categories=["Cs"])
_NAMES = st.lists(
    st.text(_LINES, min_size=1).map(str.strip).filter(lambda name: name and name[0] != "\ufeff"), min_size=1
)


@given(names=_NAMES, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_names_that_are_written_read_back(names: list[str], end: str, last: bool, folder: Path) -> None:
    assert list(read_names(file_with(folder / "m.names", end.join(names) + (end if last else "")))) == names


@pytest.mark.reference
def test_the_originals_lists(original: Original) -> None:
    counts = {path.name: len(read_names(path)) for path in original.data.glob("*.names")}
    assert (counts["coco.names"], counts["voc.names"], counts["9k.names"]) == (80, 20, 9418)
    for name, count in {"9k.labels": 9418, "imagenet.labels.list": 21842, "imagenet.shortnames.list": 21842}.items():
        assert len(read_names(original.data / name)) == count
    assert read_names(original.data / "9k.labels") == read_tree(original.data / "9k.tree").names


# --------------------------------------------------------------------------------------------------- maps


def test_maps(tmp_path: Path) -> None:
    assert read_map(file_with(tmp_path / "m.map", "5177\r\n 0 \n12\n\n")) == (5177, 0, 12)


@given(numbers=st.lists(st.integers(0, 9417), min_size=1))
def test_maps_that_are_written_read_back(numbers: list[int], folder: Path) -> None:
    assert list(read_map(file_with(folder / "m.map", "".join(f"{number}\n" for number in numbers)), 9418)) == numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": expected one number a line, found an empty file"),
        ("1\n\n2\n", ":2: expected the number of a class, found ''"),
        ("1\ndog\n", ":2: expected the number of a class, found 'dog'"),
        ("-1\n", ":1: expected the number of a class, found '-1'"),
        ("1.5\n", ":1: expected the number of a class, found '1.5'"),
        ("٣\n", ":1: expected the number of a class, found '\\u0663'"),
        ("9999999999\n", ":1: expected the number of a class, found '9999999999'"),
        ("3\n4\n", ":2: expected a class from 0 to 3, found 4"),
    ],
)
def test_maps_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.map", text)
    assert refusal(lambda: read_map(path, 4)) == f"{path}{message}"


@pytest.mark.reference
def test_the_originals_maps(original: Original) -> None:
    coco, inet = (read_map(original.data / name, 9418) for name in ("coco9k.map", "inet9k.map"))
    assert (len(coco), len(inet)) == (80, 200)
    names = read_names(original.data / "9k.names")
    assert (names[coco[0]], names[coco[2]]) == ("person", "car")


# --------------------------------------------------------------------------------------------------- .data


def test_data_files(tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.data", "classes= 80\n# valid\nnames = data/coco.names\r\nbackup=\nclasses=3\n")
    section = read_data(path)
    assert section == Section(
        "data",
        (
            CfgOption("classes", "80", 1),
            CfgOption("names", "data/coco.names", 3),
            CfgOption("backup", "", 4),
            CfgOption("classes", "3", 5),
        ),
        1,
    )
    options = SectionOptions(section, str(path))
    assert (options.integer("classes", 2), options.text("names"), options.text("backup", "x")) == (
        80,
        "data/coco.names",
        "x",
    )
    assert options.finish() == [
        f"{path}:4: [data] nothing follows backup=, the line does not count",
        f"{path}:5: [data] classes stands twice; the first one counts",
    ]
    assert (
        refusal(lambda: read_data(file_with(path, "\nclasses 80\n")))
        == f"{path}:2: expected key=value, found 'classes80'"
    )
    with pytest.raises(CfgError, match=r"m\.data:1: \[data\] classes: expected a number, found 'many'$"):
        SectionOptions(read_data(file_with(path, "classes=many\n")), "m.data").integer("classes", 2)


@pytest.mark.reference
def test_the_originals_data_files(original: Original) -> None:
    paths = sorted([*original.cfg.glob("*.data"), *original.cfg.glob("*.dataset")])
    assert len(paths) >= 5
    for path in paths:
        assert read_data(path).find("classes") is not None, path


# ------------------------------------------------------------------------------------- files inside a folder


def test_the_first_folder_that_has_it_counts(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        file_with(tmp_path / name / "b", name)
    file_with(tmp_path / "two" / "c", "")
    roots = [tmp_path / "one", tmp_path / "two"]
    assert resolve_inside("b", roots, "m") == tmp_path / "one" / "b"
    assert resolve_inside("c", roots, "m") == tmp_path / "two" / "c"
    assert resolve_inside(str(tmp_path / "two" / "c"), roots, "m") == tmp_path / "two" / "c"
    assert refusal(lambda: resolve_inside("d", roots, "m.cfg:3")) == (
        f"m.cfg:3: there is no 'd' in {tmp_path}/one or {tmp_path}/two"
    )
    assert refusal(lambda: resolve_inside("../x", roots, "m.cfg:3")) == (
        f"m.cfg:3: '../x' leaves the model's folder; copy the file into {tmp_path}/one or {tmp_path}/two"
    )


def test_links_are_followed_before_deciding(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    file_with(tmp_path / "out", "")
    file_with(tmp_path / "in" / "real", "")
    (tmp_path / "in" / "far").symlink_to("../out")
    (tmp_path / "in" / "near").symlink_to("real")
    (tmp_path / "in" / "loop").symlink_to("loop")
    (tmp_path / "door").symlink_to("in")
    assert resolve_inside("near", [tmp_path / "in"], "m") == tmp_path / "in" / "real"
    assert resolve_inside("real", [tmp_path / "door"], "m") == tmp_path / "in" / "real"
    assert "leaves" in refusal(lambda: resolve_inside("far", [tmp_path / "in"], "m"))
    assert "there is no" in refusal(lambda: resolve_inside("loop", [tmp_path / "in"], "m"))


@pytest.mark.parametrize("name", [".", "", "n" * 300, "x/" * 200_000, "a\0b", "\udcff", "/dev/null"])
def test_names_of_nothing(name: str, tmp_path: Path) -> None:
    start = time.process_time()
    refusal(lambda: resolve_inside(name, [tmp_path], "m"))
    assert time.process_time() - start < 0.5


def test_where_a_cfgs_files_are_looked_for(tmp_path: Path) -> None:
    cfg, packaged = tmp_path / "cfg" / "m.cfg", Path("/packaged")
    assert data_roots(cfg, [packaged]) == [tmp_path / "cfg", tmp_path, packaged]
    assert data_roots(tmp_path / "m.cfg") == [tmp_path]
    assert data_roots("/cfg/m.cfg") == [Path("/cfg")]
    assert data_roots("/models/cfg/m.cfg") == [Path("/models/cfg"), Path("/models")]

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.definition.lower import lower
from darknet_compat.errors import CfgError
from darknet_compat.formats.cfg import (
    MAX_CFG_BYTES,
    Cfg,
    CfgOption,
    Section,
    SectionOptions,
    format_cfg,
    parse_cfg,
    read_cfg,
)
from tests.conftest import Original
from tests.formats import library
from tests.formats.users import unprivileged


def only(text: str) -> Section:
    """The one section of a text."""
    (section,) = parse_cfg(text).sections
    return section


def pairs(text: str) -> list[tuple[str, str | None]]:
    return [(option.key, option.value) for option in only(text).options]


def options(body: str) -> SectionOptions:
    return SectionOptions(only("[net]\n" + body), "m.cfg")


def refusal(text: str) -> str:
    with pytest.raises(CfgError) as error:
        parse_cfg(text, "m.cfg")
    assert str(error.value).isprintable()
    return str(error.value)


# ---------------------------------------------------------------------------------------------- the grammar


def test_sections_know_their_lines() -> None:
    cfg = parse_cfg("# a comment\n\n[net]\nwidth=416\n\n; another\n[maxpool]\nsize=2\nstride=2\n[route]\n")
    assert [(section.type, section.line) for section in cfg.sections] == [("net", 3), ("maxpool", 7), ("route", 10)]
    assert [(option.key, option.value, option.line) for option in cfg.sections[1].options] == [
        ("size", "2", 8),
        ("stride", "2", 9),
    ]


@pytest.mark.parametrize(
    "line", ["width=416", "  width = 416  ", "w i d\tth\t=4 1 6", "width=416\r", "\t width\v=\f416"]
)
def test_blanks_count_nowhere(line: str) -> None:
    assert pairs(f" [ n e t ]\n{line}\n") == [("width", "416")]


def test_windows_line_ends() -> None:
    assert parse_cfg("[net]\r\nwidth=4\r\n\r\n[route]\r\nlayers=-1\r\n").sections == (
        Section("net", (CfgOption("width", "4", 2),), 1),
        Section("route", (CfgOption("layers", "-1", 5),), 4),
    )


def test_comments_stand_at_the_start_of_a_line_only() -> None:
    assert pairs("[net]\n#a=1\n  ; b=2\n c=0.1 #x\n d=1;2\n") == [("c", "0.1#x"), ("d", "1;2")]


def test_the_first_equals_sign_divides() -> None:
    assert pairs("[net]\na=b=c\n=d\ne\n") == [("a", "b=c"), ("", "d"), ("e", None)]


def test_the_last_line_needs_no_end() -> None:
    assert pairs("[net]\na=1") == [("a", "1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.cfg: no sections; expected a .cfg that starts with [net]"),
        ("\n# nothing\n", "m.cfg: no sections; expected a .cfg that starts with [net]"),
        ("\nwidth=4\n[net]\n", "m.cfg:2: expected [net] first, found 'width=4'"),
        ("<!DOCTYPE html>\n", "m.cfg:1: expected [net] first, found '<!DOCTYPEhtml>'; this looks like a web page"),
        ("[net]\n\n[route # x\n", "m.cfg:3: expected a section such as [net], found '[route#x'"),
        ("[net] # x\n", "m.cfg:1: expected a section such as [net], found '[net]#x'"),
    ],
)
def test_what_is_no_definition(text: str, message: str) -> None:
    assert refusal(text) == message


# ------------------------------------------------------------------------------------------- the typed options


def test_the_first_of_two_counts_and_the_second_is_reported() -> None:
    read = options("batch=1\nsubdivisions=2\nbatch=64\n")
    assert read.integer("batch", 0) == 1
    assert read.integer("subdivisions", 0) == 2
    assert read.finish() == ["m.cfg:4: [net] batch stands twice; the first one counts"]


def test_a_line_that_ends_in_an_equals_sign_does_not_count() -> None:
    read = options("a=\na=3\n=\n")
    assert read.integer("a", 7) == 3
    assert read.finish() == [
        "m.cfg:2: [net] nothing follows a=, the line does not count",
        "m.cfg:4: [net] nothing follows =, the line does not count",
    ]


def test_a_line_without_an_equals_sign_counts_and_means_the_default() -> None:
    read = options("a\na=3\nb\n")
    assert (read.integer("a", 7), read.has("a")) == (7, False)
    assert read.finish() == [
        "m.cfg:2: [net] a has no value; its default is taken",
        "m.cfg:3: [net] a stands twice; the first one counts",
        "m.cfg:4: [net] unused option b",
    ]


def test_options_that_nobody_read_are_reported_with_their_line() -> None:
    read = options("a=1\nb=2\nc=3\n")
    assert read.integer("b", 0) == 2
    assert read.finish() == ["m.cfg:2: [net] unused option a=1", "m.cfg:4: [net] unused option c=3"]


@pytest.mark.parametrize("written", ["anchros", "anchor", "anchorss", "anchars", "nchors", "Anchors", "achnors"])
def test_a_slip_of_the_pen_is_understood(written: str) -> None:
    read = options(f"{written}=1,2\n")
    read.reals("anchors")
    meant = "; did you mean anchors?" if written != "achnors" else ""  # which are two
    assert read.finish() == [f"m.cfg:2: [net] unused option {written}=1,2{meant}"]


def test_known_options_may_stand_unread_and_be_meant() -> None:
    read = options("mosaic=1\nmosaik=1\nB3=1\nfoo=1\n")
    read.real("B1", 0.9)
    assert read.finish(["mosaic"]) == [
        "m.cfg:3: [net] unused option mosaik=1; did you mean mosaic?",
        "m.cfg:4: [net] unused option B3=1",
        "m.cfg:5: [net] unused option foo=1",
    ]


def test_an_option_without_effect_is_named_unless_it_stands_where_it_does_nothing() -> None:
    read = options("angle=7\nshift=0.0\n")
    read.without_effect("angle", 0.0)
    read.without_effect("shift", 0.0)
    assert read.finish() == ["m.cfg:2: [net] unused option angle=7"]


def test_defaults_stand_for_what_is_absent() -> None:
    read = options("x=1\n")
    assert (read.text("a", "b"), read.integer("a", 7), read.real("a", 0.5), read.flag("a")) == ("b", 7, 0.5, False)
    assert (read.integers("a"), read.reals("a"), read.has("a"), read.has("x")) == ((), (), False, True)


def test_numbers_are_the_longest_at_the_start() -> None:
    read = options("a=0.1#x\nb=4;5\nc=0.1\nd=1e3x\ne=-.5\nf=+7\n")
    assert [read.real(key, 9) for key in "ade"] == [0.1, 1000.0, -0.5]
    assert [read.integer(key, 9) for key in "bcf"] == [4, 0, 7]
    assert read.notes == [
        "m.cfg:2: [net] a='0.1#x' is read as 0.1",
        "m.cfg:5: [net] d='1e3x' is read as 1e3",
        "m.cfg:3: [net] b='4;5' is read as 4",
        "m.cfg:4: [net] c='0.1' is read as 0",
    ]


def test_lists_have_blanks_anywhere() -> None:
    read = options("anchors = 10, 13,  16 ,30\nlayers=-1, 8\n")
    assert read.reals("anchors") == (10, 13, 16, 30)
    assert read.integers("layers") == (-1, 8)
    assert read.finish() == []


def test_an_empty_place_in_a_list_is_0() -> None:
    read = options("layers=-1,,8,\nanchors=,1.5\nsteps=\n")
    assert read.integers("layers") == (-1, 0, 8, 0)
    assert read.reals("anchors") == (0, 1.5)
    assert read.integers("steps") == ()
    assert read.finish() == [
        "m.cfg:2: [net] layers='-1,,8,': an empty place in a list is read as 0",
        "m.cfg:3: [net] anchors=',1.5': an empty place in a list is read as 0",
        "m.cfg:4: [net] nothing follows steps=, the line does not count",
    ]


@pytest.mark.parametrize("value", ["2147483648", "-2147483649", "9" * 400, "9" * 100_000, "-" + "9" * 100_000])
def test_whole_numbers_have_32_bits(value: str) -> None:
    with pytest.raises(CfgError, match=r"^m\.cfg:2: \[net\] a: '.*' is beyond 32 bits$"):
        options(f"a={value}\n").integer("a", 0)
    assert options("a=2147483647\nb=-2147483648\n").integer("b", 0) == -(2**31)


@pytest.mark.parametrize("value", ["3.5e38", "-1e39", "1e400", "9" * 100_000])
def test_real_numbers_have_32_bits(value: str) -> None:
    with pytest.raises(CfgError, match=r"^m\.cfg:2: \[net\] a: '.*' is beyond 32 bits$"):
        options(f"a={value}\n").real("a", 0)
    assert options("a=3.4e38\nb=1e-400\n").real("b", 1) == 0


def test_digits_are_those_of_c() -> None:
    for value in ("٣", "³", "_0"):
        read = options(f"a=1{value}\n")
        assert (read.integer("a", 0), len(read.notes)) == (1, 1)
        with pytest.raises(CfgError, match="expected a number"):
            options(f"a=x{value}\n").integer("a", 0)


def test_whatever_stands_in_a_file_a_message_is_one_short_line() -> None:
    noise = "\x1b[31m\x1c\x85\u2028\udcff" * 1000
    section = Section(noise, (CfgOption(noise, noise, 2), CfgOption("a", noise, 3), CfgOption("b", "1" + noise, 4)), 1)
    read = SectionOptions(section, "m.cfg")
    with pytest.raises(CfgError) as error:
        read.integer("a", 0)
    assert read.integer("b", 0) == 1
    for message in (str(error.value), refusal(f"[net]\n[{noise}"), refusal(noise), *read.finish()):
        assert message.isprintable()
        assert len(message) < 300
    assert len(read.notes) == 2


@pytest.mark.parametrize("value", ["same", "", "nan", "inf", "--1", ".", "e5"])
def test_what_is_no_number(value: str) -> None:
    read = options(f"a=x{value}\n")
    with pytest.raises(CfgError, match=rf"^m\.cfg:2: \[net\] a: expected a number, found 'x{value}'$"):
        read.real("a", 0)
    with pytest.raises(CfgError, match="expected a number"):
        read.integer("a", 0)


def test_bounds_name_the_line() -> None:
    read = options("\n\na=-1\nb=1.5\n")
    with pytest.raises(CfgError, match=r"^m\.cfg:4: \[net\] a: expected 0 or more, found -1$"):
        read.integer("a", 1, minimum=0)
    with pytest.raises(CfgError, match=r"^m\.cfg:5: \[net\] b: expected 1.0 or less, found 1.5$"):
        read.real("b", 1, maximum=1.0)


_ODD_LINES = {
    "filters=3": 3,
    "f il\tters = 1 2": 12,
    "filters=3\nfilters=4": 3,
    "filters=\nfilters=4": 4,
    "filters\nfilters=4": 1,
    "#filters=3\n;filters=5\n filters=4#6": 4,
    "filters=+4.9": 4,
    "=\nfilters=2": 2,
    "filters=2\r": 2,
    "unknown=2\nfilters = 7;": 7,
}


@pytest.mark.reference
def test_the_original_reads_the_same_numbers(original: Original, tmp_path: Path) -> None:
    path = tmp_path / "odd.cfg"
    path.write_bytes(
        "\n".join(["[net]\nwidth=2\nheight=2\nchannels=1", *(f"[conv]\n{line}" for line in _ODD_LINES)]).encode()
    )
    seen = library.shapes(original, [path])[path]
    assert [c for _, _, c, _ in seen.layers] == list(_ODD_LINES.values())
    spec = lower(read_cfg(path))
    assert [layer.output.c for layer in spec.layers] == list(_ODD_LINES.values())


@pytest.mark.reference
def test_the_original_reads_the_same_lists(original: Original, tmp_path: Path) -> None:
    path = tmp_path / "lists.cfg"
    convs = "".join(f"[conv]\nfilters={filters}\n" for filters in (2, 3, 5))
    lists = ["-1,", " 1 , -1", "-2,,1", ",1", "2;,1"]
    routes = "".join(f"[route]\nlayers={numbers}\n" for numbers in lists)
    path.write_text("[net]\nwidth=2\nheight=2\nchannels=1\n" + convs + routes)
    seen = library.shapes(original, [path])[path]
    assert len(seen.layers) == 3 + len(lists)
    assert [layer.output.size for layer in lower(read_cfg(path)).layers] == [outputs for *_, outputs in seen.layers]


# --------------------------------------------------------------------------------------------------- files


def read_refusal(path: Path) -> str:
    with pytest.raises(CfgError) as error:
        read_cfg(path)
    assert str(error.value).isprintable()
    return str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    assert read_refusal(tmp_path) == f"{tmp_path}: cannot be read as a .cfg: Is a directory"
    assert read_refusal(tmp_path / "m.cfg") == f"{tmp_path}/m.cfg: cannot be read as a .cfg: No such file or directory"
    (tmp_path / "file").write_bytes(b"")
    assert read_refusal(tmp_path / "file") == f"{tmp_path}/file: no sections; expected a .cfg that starts with [net]"
    under = tmp_path / "file" / "m.cfg"
    assert read_refusal(under) == f"{under}: cannot be read as a .cfg: Not a directory"
    assert "too long" in read_refusal(tmp_path / ("n" * 300))
    with pytest.raises(CfgError, match="null byte"):
        read_cfg("m\0.cfg")


def test_weights_given_for_a_cfg(tmp_path: Path) -> None:
    path = tmp_path / "m.cfg"
    path.write_bytes(b"\0\0\0\0\2\0\0\0" + bytes(100))
    assert read_refusal(path) == f"{path}: expected a .cfg (text), found binary data; is another file meant?"


def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "m.cfg"
    path.write_text("[net]\n")
    path.chmod(0)
    with unprivileged():
        assert read_refusal(path) == f"{path}: cannot be read as a .cfg: Permission denied"


def test_a_byte_order_mark_and_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "m.cfg"
    path.write_bytes(b"\xef\xbb\xbf[net]\n# caf\xe9\nwidth=4\n")
    assert read_cfg(path) == Cfg((Section("net", (CfgOption("width", "4", 3),), 1),), str(path))


def test_a_large_file_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "m.cfg"
    path.write_bytes(b"#" * (MAX_CFG_BYTES + 1))
    assert "expected a .cfg, found a file of more than" in read_refusal(path)


# ----------------------------------------------------------------------------------------------- round trips

_VISIBLE = st.characters(exclude_characters=" \t\r\n\v\f\0", exclude_categories=["Cs"])
_TYPES = st.text(_VISIBLE, max_size=12)
_KEYS = st.text(_VISIBLE, max_size=12).map(lambda key: key.replace("=", "").lstrip("[#;"))
_VALUES = st.none() | st.text(_VISIBLE, max_size=20)
_OPTIONS = st.tuples(_KEYS, _VALUES).filter(lambda option: option != ("", None))
_SECTIONS = st.lists(st.tuples(_TYPES, st.lists(_OPTIONS, max_size=6)), min_size=1, max_size=5)


def content(cfg: Cfg) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """A definition without its lines."""
    return [(section.type, [(option.key, option.value) for option in section.options]) for section in cfg.sections]


@given(_SECTIONS)
def test_what_is_written_reads_back(sections: list[tuple[str, list[tuple[str, str | None]]]]) -> None:
    written = format_cfg(
        Section(type_, tuple(CfgOption(key, value, 0) for key, value in lines), 0) for type_, lines in sections
    )
    assert content(parse_cfg(written)) == sections


@given(st.text(st.sampled_from("[]=#; \t\r\nab1,.-")))
def test_what_is_read_writes_and_reads_the_same(text: str) -> None:
    try:
        cfg = parse_cfg("[net]\n" + text)
    except CfgError:
        return
    written = format_cfg(cfg)
    assert content(parse_cfg(written)) == content(cfg)
    assert format_cfg(parse_cfg(written)) == written


def test_the_projects_own_definitions_round_trip() -> None:
    paths = sorted((Path(__file__).parents[2] / "cfg").glob("*.cfg"))
    assert paths
    for path in paths:
        assert content(parse_cfg(format_cfg(read_cfg(path)))) == content(read_cfg(path))


def test_a_section_gives_the_values_that_count() -> None:
    (section,) = parse_cfg("[net]\nwidth=8\nheight\nwidth=9\nangle=\n").sections
    assert section.given == {"width": "8"}

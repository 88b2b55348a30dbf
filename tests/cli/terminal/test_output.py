"""What all commands print with."""

from __future__ import annotations

import sys

import pytest

from darknet_compat.cli.terminal import output


@pytest.mark.parametrize(
    ("quiet", "terminal", "expected"),
    [
        (False, False, ("2 pictures, 3 objects\n", "")),
        (True, True, ("", "darknet-compat: 2 pictures, 3 objects\n")),
        (True, False, ("", "")),
    ],
)
def test_the_last_line_goes_to_the_person(
    quiet: bool,
    terminal: bool,
    expected: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On stdout, or where a program reads that, on a terminal's stderr."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    output.say_last("2 pictures, 3 objects", quiet=quiet)
    assert tuple(capsys.readouterr()) == expected

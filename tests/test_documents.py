"""The documents: links lead somewhere, command lines have options that exist, examples in Python run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

from darknet_compat.cli.main import application, verbs
from tests.cli.support import DETECTOR, REPOSITORY, paint, write_toy

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("weights/*.md")])
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
RUN = ("README.md", "docs/guide/python.md")
"""Pages whose examples in Python name only the files that are made here."""


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def anchors(page: Path) -> set[str]:
    """What `#…` may name: each heading in lower case, without punctuation, its words joined by hyphens."""
    prose = FENCED.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.*)$", prose, re.M)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        other = page.parent / target if target else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), f"{target}#{anchor}"


def command_lines() -> list[Any]:
    """`darknet-compat VERB …` of all pages, joined where they go on in the next line, up to the first pipe."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = page.read_text("utf-8").replace("\\\n", " ")
        for line in re.findall(r"^ *\$ (?:\w+=\S+ )*darknet-compat (.*)$", text, re.M):
            if "…" not in line:
                found.setdefault(re.split(r" [|>&] ?| 2>", line)[0], name_of(page))
    return [pytest.param(line, id=f"{page}: {line}") for line, page in found.items() if line.split()[0] != "darknet"]


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_is_understood(line: str) -> None:
    verb, *rest = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(application([verb] if verb in verbs() else []))
    command = command.commands[verb]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    context = command.context_class(command, info_name=verb)
    left = command.make_parser(context).parse_args(list(rest))[1]
    assert not left


@pytest.mark.parametrize("name", RUN)
def test_every_example_in_python_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, "yolov2-voc", DETECTOR, [0, 0, 0, 0, 4, 3, 0] * 2)
    for picture in ("dog.jpg", "a.png", "b.png"):
        paint(tmp_path / picture)
    blocks = [
        code for _, language, code in FENCED.findall((REPOSITORY / name).read_text("utf-8")) if language == "python"
    ]
    assert blocks
    import torch

    for code in blocks:
        exec(compile(code, name, "exec"), {"images": torch.from_numpy(np.zeros((1, 3, 32, 32), np.float32))})

"""The notebooks run as they stand, from their first cell to their last, in an empty folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli.support import REPOSITORY

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks_and_none_keeps_what_it_printed() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"detector", "wordtree"}
    for path in NOTEBOOKS:
        cells = nbformat.read(str(path), 4).cells
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
        taken_in = f'--8<-- "{path.stem}.md"'  # what `make docs` makes of it
        assert taken_in in path.with_suffix(".md").read_text("utf-8")
        assert f"notebooks/{path.stem}.md\n" in (REPOSITORY / "mkdocs.yml").read_text("utf-8")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for name, value in {
        "PATH": programs,
        "PYTHONPATH": str(REPOSITORY),
        "DARKNET_COMPAT_CACHE": str(tmp_path / "cache"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    notebook = nbformat.read(str(path), 4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(work)}}).execute()
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert any("image/png" in output["data"] for output in pictures), "draws something"

"""The house itself: what imports what, what a wheel carries, how long a file may be, how the tests treat an absence."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import darknet_compat
from darknet_compat.errors import CatalogError
from darknet_compat.formats import packaged

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = sorted((REPOSITORY / "darknet_compat").rglob("*.py"))
HEAVY = {
    "torch",
    "cv2",
    "av",
    "PIL",
    "onnx",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "matplotlib",
    "cffi",
    "typer",
    "rich",
}


def run(*command: str | Path, cwd: Path = REPOSITORY, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def imported_by(*arguments: str) -> set[str]:
    """The top-level packages that a fresh interpreter loads for `python *arguments`."""
    done = run(sys.executable, "-X", "importtime", *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    names = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    return {name.split(".")[0] for name in names}


# ------------------------------------------------------------------------------------------------ imports


def test_rooms_import_only_the_rooms_below_them() -> None:
    done = run(Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_alone_imports_nothing_heavy() -> None:
    loaded = imported_by("-c", "import darknet_compat; darknet_compat.DarknetCompatError")
    assert "darknet_compat" in loaded
    assert not loaded & (HEAVY | {"numpy"})


def test_help_needs_neither_torch_nor_numpy() -> None:
    loaded = imported_by("-m", "darknet_compat", "--help")
    assert "typer" in loaded
    assert not loaded & ((HEAVY | {"numpy"}) - {"typer", "rich"})


def test_every_public_name_is_there_and_fetched_only_once() -> None:
    for name in darknet_compat.__all__:
        value = getattr(darknet_compat, name)
        assert vars(darknet_compat)[name] is value
        assert name in dir(darknet_compat)
    assert set(darknet_compat._ROOMS) == set(darknet_compat.__all__) - {"DarknetCompatError", "__version__"}
    with pytest.raises(AttributeError, match="'yolo'"):
        darknet_compat.yolo  # noqa: B018


def test_without_typer_the_command_says_which_extra_to_install() -> None:
    hide = "import sys; sys.modules['typer'] = None; from darknet_compat.__main__ import main; main()"
    done = run(sys.executable, "-c", hide)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "darknet-compat[torch]" in done.stderr


# ---------------------------------------------------------------------------------------------- packaging


def test_packaged_folders_are_the_repositorys_here() -> None:
    assert packaged.cfg_dir() == REPOSITORY / "cfg"
    assert packaged.weights_dir() == REPOSITORY / "weights"


def test_a_missing_packaged_folder_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "_PACKAGE", tmp_path / "darknet_compat")
    with pytest.raises(CatalogError, match="cfg/ is missing") as caught:
        packaged.cfg_dir()
    assert "\n" not in str(caught.value)


def test_the_wheel_carries_cfg_and_weights_but_no_downloads(tmp_path: Path) -> None:
    tree, dist, site = tmp_path / "tree", tmp_path / "dist", tmp_path / "site"
    left_out = shutil.ignore_patterns("__pycache__", "*.weights", "*.weights.json")
    for folder in ("darknet_compat", "cfg", "weights"):
        shutil.copytree(REPOSITORY / folder, tree / folder, ignore=left_out)
    for name in json.loads((REPOSITORY / "weights" / "manifest.json").read_text("utf-8"))["files"]:
        shutil.copy(REPOSITORY / "weights" / name, tree / "weights")
    for file in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(REPOSITORY / file, tree)
    for download in ("yolov3.weights", "yolov2-digits.weights.json"):
        (tree / "weights" / download).write_bytes(b"a download, or the record of a use")
    (tree / "weights" / "shipped.json").write_text("{}")

    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", dist, cwd=tree)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel.extractall(site)

    data = site / "darknet_compat" / "_data"
    assert (site / "darknet_compat" / "py.typed").exists()
    assert {entry.name for entry in site.iterdir() if not entry.name.endswith(".dist-info")} == {"darknet_compat"}
    for folder in ("cfg", "weights"):
        expected = {path.relative_to(tree / folder) for path in (tree / folder).rglob("*") if path.is_file()}
        carried = {path.relative_to(data / folder) for path in (data / folder).rglob("*") if path.is_file()}
        assert carried == expected - {Path("yolov3.weights"), Path("yolov2-digits.weights.json")}
    assert (data / "cfg" / "yolov2-voc.cfg").is_file()

    ask = "from darknet_compat.formats import packaged as p; print(p.cfg_dir()); print(p.weights_dir())"
    answer = run(sys.executable, "-c", ask, cwd=tmp_path, PYTHONPATH=str(site))
    assert answer.stdout.split() == [str(data / "cfg"), str(data / "weights")], answer.stderr


# -------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_and_functions_stay_readable(source: Path) -> None:
    """About 400 lines a file and 60 a function: the bounds are a tenth above, for the odd long table or docstring."""
    text = source.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 440, "too long for one subject: which second thing with a name hides in it?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 66, f"{node.name} has {length} lines: which part of it has a name?"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_functions_take_few_arguments(source: Path) -> None:
    """More than twelve belong into an options value (`darknet_compat.options`)."""

    def look(node: ast.AST, inside: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = f"{inside}{getattr(child, 'name', '')}"
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                arguments = child.args
                count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
                assert count <= 12, f"{name} takes {count} arguments"
            look(child, f"{name}." if isinstance(child, ast.ClassDef) else inside)

    look(ast.parse(source.read_text(encoding="utf-8")), "")


def types_of(source: Path) -> set[str]:
    """The public types that a file defines: classes, and names like a class's that stand for one."""
    found = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign) and "TypeVar" not in ast.unparse(node.value):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in found if name[0].isupper() and not name.isupper()}


def test_a_type_name_means_one_thing() -> None:
    """A kind of layer is called the same as a spec, as a module and as a head's meaning; nothing else is."""
    layers = set().union(*map(types_of, (REPOSITORY / "darknet_compat" / "definition" / "spec").glob("*.py")))
    files: dict[str, list[str]] = {}
    for source in SOURCES:
        for name in types_of(source) - layers:
            files.setdefault(name, []).append(str(source.relative_to(REPOSITORY)))
    assert len(files) > 400
    assert not {name: where for name, where in files.items() if len(where) > 1}


# ------------------------------------------------------------------------------------- the tests' own rules


@pytest.mark.reference
def test_the_originals_photographs_are_there(photos: list[Path]) -> None:
    assert len(photos) == 7
    assert all(photo.read_bytes().startswith(b"\xff\xd8") for photo in photos)


def without_the_original(ci: str) -> subprocess.CompletedProcess[str]:
    here = f"{Path(__file__).relative_to(REPOSITORY)}::{test_the_originals_photographs_are_there.__name__}"
    # An empty PATH hides the program `darknet`; -p no:xdist because this process may itself be a worker.
    return run(sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", here, PATH="", CI=ci)


def test_a_missing_original_is_reported_and_its_tests_skipped() -> None:
    done = without_the_original(ci="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT INSTALLED, reference tests are skipped" in done.stdout
    assert "1 skipped" in done.stdout


def test_a_missing_original_is_an_error_in_ci() -> None:
    done = without_the_original(ci="true")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "in CI that is an error" in done.stderr

"""onnxruntime-web's files, from the npm package that the user has."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from darknet_compat.errors import ExportError

NAME = "onnxruntime-web"
TRIED = "1.30.0"
"""The version that the tests run. Others are taken where they have the same files."""

FILES = {
    "dist/ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "dist/ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "dist/ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""What a page needs → its SHA-256 in version TRIED."""

GET = f"`npm pack {NAME}@{TRIED}` fetches it, and --ort-web names the .tgz (or a node_modules folder)"
MOST_BYTES = 1 << 27
_LICENCES = re.compile(r"(LICEN[CS]E|ThirdPartyNotices|NOTICE)[^/]*", re.IGNORECASE)

Read = Callable[[str], bytes | None]
"""A file of the package by its path there; None where it has none."""


def files_of(given: Path | None) -> Mapping[str, bytes]:
    """The files of the package at `given`, or beside the working directory, by their path in the written folder, with
    the package's own description and its licence.

    `given` is a node_modules folder, the package unpacked, or its .tgz. Raises ExportError where it is none of these,
    lacks a file, or has another one than npm has of that version.
    """
    place = given or _found()
    read, names = _opened(place)
    about = _about(read, place)
    version = about["version"]
    taken: dict[str, bytes] = {}
    for path, digest in FILES.items():
        if (data := read(path)) is None:
            raise ExportError(f"{place}: {NAME} {version} has no {path}; {GET}")
        if version == TRIED and hashlib.sha256(data).hexdigest() != digest:
            raise ExportError(f"{place}: {path} is not that of {NAME} {TRIED}: damaged or changed; {GET}")
        taken[f"ort/{Path(path).name}"] = data
    taken["ort/package.json"] = read("package.json") or b""
    licences = {f"ort/{name}": data for name in names if _LICENCES.fullmatch(name) and (data := read(name))}
    return taken | (licences or _licences_of_wheel())


def _found() -> Path:
    """The package where npm leaves it. Raises ExportError."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (package := folder / "node_modules" / NAME).is_dir():
            return package
    if packed := sorted(Path.cwd().glob(f"{NAME}-*.tgz")):
        return packed[-1]
    raise ExportError(f"{NAME}, which runs the model in a browser, is not here: {GET}")


def _opened(place: Path) -> tuple[Read, list[str]]:
    """How to read a file of the package, and the names at its top. Raises ExportError."""
    if place.is_dir():
        inner = next((one for one in (place / NAME, place / "node_modules" / NAME) if one.is_dir()), place)
        return lambda path: _of_folder(inner / path), sorted(one.name for one in inner.iterdir())
    try:
        with tarfile.open(place) as packed:
            wanted = [one for one in packed if one.isfile() and one.name.startswith("package/")]
            inside: dict[str, bytes] = {}
            for one in wanted:
                name = one.name.removeprefix("package/")
                if name in (*FILES, "package.json") or _LICENCES.fullmatch(name):
                    if one.size > MOST_BYTES:
                        raise ExportError(f"{place}: {name} has {one.size:,} bytes, which no file of {NAME} has")
                    file = packed.extractfile(one)
                    inside[name] = file.read() if file else b""
    except FileNotFoundError:
        raise ExportError(f"{place}: no such file or folder; {GET}") from None
    except (tarfile.TarError, EOFError, zlib.error):
        raise ExportError(f"{place}: cannot be read as a .tgz of npm: no archive, or damaged; {GET}") from None
    except OSError as error:
        raise ExportError(f"{place}: cannot be read as a .tgz of npm: {error.strerror or error}; {GET}") from None
    return inside.get, sorted(inside)


def _of_folder(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from None


def _about(read: Read, place: Path) -> dict[str, str]:
    """The package's name and version. Raises ExportError for another package."""
    try:
        about = json.loads(read("package.json") or b"null")
        found = {"name": about["name"], "version": str(about["version"])}
    except (ValueError, KeyError, TypeError):
        raise ExportError(f"{place}: expected the npm package {NAME}, found no package.json of one; {GET}") from None
    if found["name"] != NAME:
        raise ExportError(f"{place}: expected the npm package {NAME}, found {found['name']!s:.80}; {GET}")
    return found


def _licences_of_wheel() -> dict[str, bytes]:
    """The licence as the same project's Python package has it: npm's of 1.30.0 only names it."""
    try:
        files = metadata.files("onnxruntime") or []
    except metadata.PackageNotFoundError:
        return {}
    paths = {file.name: Path(str(file.locate())) for file in files if _LICENCES.fullmatch(file.name)}
    return {f"ort/{name}": path.read_bytes() for name, path in paths.items() if path.is_file()}

"""Compile the binding to the original's library, once per machine, into the cache folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from darknet_compat.catalogue.catalog import cache_dir
from darknet_compat.errors import OriginalError
from darknet_compat.parity._original.declarations import CDEF, MODULE, SOURCE
from darknet_compat.parity._original.installation import Installation

_SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or ".so"


def built_module(installation: Installation) -> Path:
    """The compiled binding's file, built first if this machine has not got it yet.

    It lies in the cache folder (DARKNET_COMPAT_CACHE, or the system's), under a name made of everything it depends on:
    header, library, declarations, Python and cffi. Any number of processes may build at once: each works in a folder
    of its own, and the first one to finish puts it in place. Raises OriginalError where cffi, a C compiler or Python's
    headers are missing.
    """
    folder = cache_dir().absolute() / "original" / _key(installation)
    module = folder / f"{MODULE}{_SUFFIX}"
    if module.is_file():
        return module
    missing = _missing()
    if missing:
        raise OriginalError(f"the original's library is there, but to call it {missing}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    except OSError as error:
        raise OriginalError(
            f"{folder.parent}: cannot be written, so the original's binding cannot be built there "
            f"({error.strerror}); set DARKNET_COMPAT_CACHE to another folder"
        ) from None
    try:
        _compile(installation, workshop)
        try:
            workshop.rename(folder)
        except OSError as error:
            if not module.is_file():  # otherwise another process was first: the same thing lies there
                reason = error.strerror
                raise OriginalError(f"{folder}: cannot be put in place ({reason}); remove it and try again") from None
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return module


def _key(installation: Installation) -> str:
    cffi_version = "none" if importlib.util.find_spec("cffi") is None else importlib.metadata.version("cffi")
    digest = hashlib.sha256()
    for path in (installation.header, installation.library):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for text in (str(installation.library), CDEF, SOURCE, sys.version, _SUFFIX, sysconfig.get_platform(), cffi_version):
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:24]


def _missing() -> str | None:
    """What a build lacks on this machine, in words that follow "to call it"."""
    if importlib.util.find_spec("cffi") is None:
        return "the Python package cffi is needed: `pip install cffi`"
    if not shutil.which(_compiler()[0]):
        return f"a C compiler is needed, and there is no {_compiler()[0]}: `apt-get install gcc`"
    if not (_python_headers() / "Python.h").is_file():
        return f"Python's headers are needed, and {_python_headers()} has no Python.h: `apt-get install python3-dev`"
    return None


def _compiler() -> list[str]:
    chosen = shlex.split(os.environ.get("CC", ""))
    return chosen or [next(filter(shutil.which, ("cc", "gcc", "clang")), "cc")]


def _python_headers() -> Path:
    return Path(sysconfig.get_path("include"))


def _compile(installation: Installation, folder: Path) -> None:
    """Write the binding's C file and call the compiler; setuptools, which cffi would go through, is not needed."""
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    ffi.set_source(MODULE, SOURCE, compiler_verbose=False)
    ffi.emit_c_code(str(folder / f"{MODULE}.c"))
    module = folder / f"{MODULE}{_SUFFIX}"
    command = [
        *(*_compiler(), "-shared", "-fPIC", "-O1"),
        *(f"-I{_python_headers()}", f"-I{installation.header.parent}"),
        *(f"{folder / MODULE}.c", str(installation.library), f"-Wl,-rpath,{installation.library.parent}"),
        *("-o", str(module)),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if "error" in line] or result.stderr.splitlines() or ["?"]
        raise OriginalError(f"{installation.header}: no binding to it could be compiled: {errors[0].strip()}")
    with module.open("rb") as file:
        os.fsync(file.fileno())

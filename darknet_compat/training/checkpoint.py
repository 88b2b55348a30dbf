"""Everything that training is at one moment, in one file: what resuming bit for bit takes.

A checkpoint is an archive as torch writes them, followed by `dcckpt02` and the SHA-256 of all before: torch reads it as
it is, and no damaged one is ever used, although nearly every byte is a weight that would be accepted.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from darknet_compat.errors import TrainingError
from darknet_compat.formats.atomic import atomic_write

_FORMAT = 2
_END = b"dcckpt02"
_TAIL = len(_END) + hashlib.sha256().digest_size
_BLOCK = 1 << 20


class Checkpoints:
    """The last two checkpoints of a training, `path` and the one before, `checkpoint_previous.pt` say.

    `made_with` is what may not change between two parts of one training: plain values with names that people
    understand.
    """

    def __init__(self, path: str | Path, made_with: Mapping[str, Any]) -> None:
        self.path, self.made_with = Path(path), dict(made_with)
        self.previous = self.path.with_name(f"{self.path.stem}_previous{self.path.suffix}")
        self._goes_on = False  # from the file at `path`
        self._read = False

    def write(self, state: Mapping[str, Any]) -> None:
        """Write `state`, tensors and plain values by name; whole or not at all, so that those before stay until then.

        Raises TrainingError where it cannot be written.
        """
        if not self._read:  # what is there belongs to another training
            with suppress(OSError):
                self.previous.unlink(missing_ok=True)
        previous = self.previous if self._goes_on else None
        content = {"format": _FORMAT, "made_with": self.made_with, "state": dict(state)}
        with atomic_write(self.path, TrainingError, previous=previous) as file:
            digested = _Digested(file)
            try:
                torch.save(content, cast("BinaryIO", digested))
            except RuntimeError:
                if digested.failure is None:
                    raise
                raise digested.failure from None
            file.write(_END + digested.sha256.digest())
        self._goes_on = self._read = True

    def read(self) -> tuple[dict[str, Any], str | None]:
        """The last state, on the CPU, and a line about why it is an older one, where it is; no code in it is run.

        Raises TrainingError where there is no checkpoint that is whole, and for one of other settings.
        """
        note = None
        try:
            content = _content(self.path)
        except TrainingError as error:
            try:
                content = _content(self.previous)
            except TrainingError:
                raise error from None
            note = f"{error}; going on from the one before, {self.previous.name}"
        for name, wanted in self.made_with.items():
            if (found := content["made_with"].get(name)) != wanted:
                raise TrainingError(
                    f"{self.path}: was made with {name} {found}, this run has {wanted}; nothing is resumed"
                )
        self._read, self._goes_on = True, note is None
        state: dict[str, Any] = content["state"]
        return state, note


class _Digested:
    """A file to write to that keeps the digest of it all, and what the system said where it failed: torch does not."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            self.file.write(data)
        except OSError as error:
            self.failure = error
            raise
        self.sha256.update(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        self.file.flush()


def _content(path: Path) -> dict[str, Any]:
    """What stands in a file that is whole. Raises TrainingError."""
    try:
        # Asked first: what is no archive torch takes for a pickle of some older version.
        whole = _is_whole(path) and zipfile.is_zipfile(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True) if whole else None
    except FileNotFoundError:
        raise TrainingError(f"{path}: there is no checkpoint to go on from") from None
    except (OSError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, KeyError):
        content = None
    if not _is_checkpoint(content):
        raise TrainingError(f"{path}: expected a checkpoint of this version, found another or a damaged file")
    found: dict[str, Any] = content
    return found


def _is_checkpoint(content: object) -> bool:
    """Whether it has what `Checkpoints.write` gives one."""
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        return False
    return all(isinstance(content.get(part), dict) for part in ("made_with", "state"))


def _is_whole(path: Path) -> bool:
    """Whether the digest at a file's end is that of all before. Raises OSError."""
    with open(path, "rb") as file:
        length = os.fstat(file.fileno()).st_size - _TAIL
        sha256 = hashlib.sha256()
        while length > 0 and (data := file.read(min(length, _BLOCK))):
            sha256.update(data)
            length -= len(data)
        return length == 0 and file.read() == _END + sha256.digest()

"""Everything that training is at one moment, in one file: what resuming bit for bit takes."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from darknet_compat.errors import TrainingError
from darknet_compat.formats.atomic import atomic_write

_FORMAT = 1


def write_checkpoint(path: str | Path, state: Mapping[str, Any], made_with: Mapping[str, Any]) -> None:
    """Write `state`, tensors and plain values by name; whole or not at all, so that the one before stays until then.

    `made_with` is what may not change between now and going on: plain values with names that people understand.
    Raises TrainingError where it cannot be written.
    """
    with atomic_write(path, TrainingError) as file:
        torch.save({"format": _FORMAT, "made_with": dict(made_with), "state": dict(state)}, file)


def read_checkpoint(path: str | Path, made_with: Mapping[str, Any]) -> dict[str, Any]:
    """The state in a file, on the CPU; no code in it is run.

    Raises TrainingError for a file that is no checkpoint, is damaged, or belongs to training with other settings.
    """
    try:
        with open(path, "rb"):
            # Asked first: what is no archive torch takes for a pickle of some older version.
            content = torch.load(path, map_location="cpu", weights_only=True) if zipfile.is_zipfile(path) else None
    except FileNotFoundError:
        raise TrainingError(f"{path}: there is no checkpoint to go on from") from None
    except (OSError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, KeyError):
        content = None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise TrainingError(f"{path}: expected a checkpoint of this program, found another or a damaged file")
    for name, wanted in made_with.items():
        if (found := content["made_with"].get(name)) != wanted:
            raise TrainingError(f"{path}: was made with {name} {found}, this run has {wanted}; nothing is resumed")
    state: dict[str, Any] = content["state"]
    return state

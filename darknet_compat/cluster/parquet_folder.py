"""A folder of Parquet files, here or at an address (s3://, gs://), which says what is done and what is left to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from pyarrow import fs

from darknet_compat.errors import CannotWriteError, OptionError
from darknet_compat.formats.textfile import first_line
from darknet_compat.sources.kind import ADDRESS

_SETTINGS = "_darknet-compat.json"
"""What the rows depend on; readers of Parquet pass over names that begin so."""


def opened(where: str) -> tuple[fs.FileSystem, str]:
    """The file system of an address or a path, and the path there. Raises OSError, ValueError."""
    if ADDRESS.match(where):
        return fs.FileSystem.from_uri(where)  # type: ignore[no-any-return]
    return fs.LocalFileSystem(), str(Path(where).absolute())


class Place:
    """The folder `out`. Raises CannotWriteError where it cannot be used, OptionError for one of other settings."""

    def __init__(self, out: str | Path, settings: Mapping[str, Any]) -> None:
        self.name = str(out)
        self.settings = json.loads(json.dumps(dict(settings), default=str))
        try:
            self.system, self.path = opened(self.name)
            self.system.create_dir(self.path, recursive=True)
            self.removed = self._sweep()
            self._expect_same()
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            raise CannotWriteError(f"{self.name}: cannot be written into: {reason}") from None

    def done(self) -> set[str]:
        """The pictures that have rows."""
        if not (files := self._files()):
            return set()
        names: list[str] = self._rows(files).to_table(columns=["file"])["file"].to_pylist()
        return set(names)

    def totals(self) -> tuple[int, int, list[tuple[str, str]]]:
        """All pictures and objects there are, and those pictures that could not be read, each with the reason."""
        pictures = objects = 0
        failed: list[tuple[str, str]] = []
        files = self._files()
        columns = {"file": pads.field("file"), "error": pads.field("error"), "detections": pads.field("detections")}
        for batch in self._rows(files).to_batches(columns=columns) if files else ():
            pictures += len(batch)
            objects += pc.sum(pc.list_value_length(batch["detections"])).as_py() or 0
            wrong = batch.filter(pc.is_valid(batch["error"]))
            failed += zip(wrong["file"].to_pylist(), wrong["error"].to_pylist(), strict=True)
        return pictures, objects, sorted(failed)

    def _files(self) -> list[str]:
        found = self.system.get_file_info(fs.FileSelector(self.path))
        return sorted(one.path for one in found if one.is_file and one.path.endswith(".parquet"))

    def _rows(self, files: list[str]) -> Any:
        return pads.dataset(files, format="parquet", filesystem=self.system)

    def _sweep(self) -> int:
        """Remove the files of a run that was killed while it wrote them; how many."""
        removed = 0
        for path in self._files():
            try:
                with self.system.open_input_file(path) as file:
                    pq.read_metadata(file)
            except pa.ArrowInvalid:
                self.system.delete_file(path)
                removed += 1
        return removed

    def _expect_same(self) -> None:
        """Keep the settings, or hold them against those kept here."""
        path = f"{self.path.rstrip('/')}/{_SETTINGS}"
        if self.system.get_file_info(path).type == fs.FileType.NotFound:
            if self._files():
                raise OptionError(f"{self.name}: has Parquet files of something else; name another folder", "out")
            with self.system.open_output_stream(path) as file:
                file.write(json.dumps(self.settings, indent=1).encode())
            return
        with self.system.open_input_stream(path) as file:
            kept = json.loads(file.read())
        if kept != self.settings:
            keys = [key for key in {**kept, **self.settings} if kept.get(key) != self.settings.get(key)]
            raise OptionError(
                f"{self.name}: was begun with other {', '.join(sorted(keys))}; name another folder", "out"
            )

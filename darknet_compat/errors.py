"""Everything that can go wrong with what a user gave us, as types.

Each message is one line that names the file and the line, layer or option concerned, what was expected and what
was found, and where it helps what to do next. The command line prints it and exits with 1; nothing here ever needs
a traceback to be understood.
"""

from __future__ import annotations


class DarknetCompatError(Exception):
    """The base of all errors that are about the input, not about this package."""


class CfgWarning(UserWarning):
    """What stands in a `.cfg` and has no effect, or another than its words say; the network runs."""


class CfgError(DarknetCompatError):
    """A `.cfg` that cannot be read or that describes no possible network."""


class WeightsError(DarknetCompatError):
    """A `.weights` file that does not belong to the network, is damaged, or is no weights file at all."""


class TreeError(DarknetCompatError):
    """A `.tree` that is no WordTree: cycles, unknown parents, groups torn apart."""


class WordNetError(DarknetCompatError):
    """WordNet's files are not there, or damaged."""


class MetadataError(DarknetCompatError):
    """A `.data`, `.names`, label list or map that cannot be used."""


class ImageError(DarknetCompatError):
    """A picture that cannot be read, or is too small or too large to be one."""


class SourceError(ImageError):
    """A video, a camera or a stream that cannot be opened, read or written."""


class DatasetError(DarknetCompatError):
    """Labelled pictures that cannot be used: a malformed list, annotation or label."""


class CatalogError(DarknetCompatError):
    """A model name that nobody knows, or one of its files that is nowhere to be found."""


class DownloadError(DarknetCompatError):
    """A download that failed, arrived damaged, or turned out to be something else (a web page, say)."""


class TrainingError(DarknetCompatError):
    """Training that cannot begin as asked, cannot be resumed, or whose loss has become nan or infinite."""


class OriginalError(DarknetCompatError):
    """The original Darknet is not installed, or it died on what it was given."""


class BackendError(DarknetCompatError):
    """A runtime that is not installed, or that cannot run this artefact."""


class ExportError(DarknetCompatError):
    """A network that cannot be exported as asked, or a place where it cannot be written."""


class CannotWriteError(DarknetCompatError):
    """A place for results that is no folder, or that nobody may write into."""


class OptionError(DarknetCompatError):
    """A value that the option of this name does not take, or options that do not go together."""

    def __init__(self, reason: str, option: str | None = None) -> None:
        super().__init__(f"{option}: {reason}" if option else reason)
        self.reason, self.option = reason, option

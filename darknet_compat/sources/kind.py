"""What a name on the command line stands for: pictures, a video, a camera, a stream, or standard input."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from darknet_compat.vision.signature import NEEDED, begins_like_picture, begins_like_video

SourceKind = Literal["pictures", "video", "camera", "url", "input"]

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".h264", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
"""What is taken for a video that begins like nothing known; pictures are recognized first."""

ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def kind_of(name: str) -> SourceKind:
    """What `name` is. Files are told apart by how they begin, so that a video may be called anything."""
    if name == "-":
        return "input"
    if ADDRESS.match(name) and not os.path.exists(name):
        return "url"
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        if re.fullmatch(r"\d{1,3}", name) or re.fullmatch(r"/dev/video\d+", name):
            return "camera"
        return "video" if Path(name).suffix.lower() in VIDEO_SUFFIXES and "*" not in name else "pictures"
    if stat.S_ISCHR(mode):
        return "camera"
    return "video" if stat.S_ISREG(mode) and _is_video(Path(name)) else "pictures"


def expanded(names: Iterable[str]) -> list[str]:
    """The names, each once, with those that a glob matches in its place where all of them are videos; the pictures of
    one are found elsewhere (`sources.pictures`)."""
    found: dict[str, None] = {}
    for name in names:
        glob_of = glob.has_magic(name) and not os.path.exists(name) and not ADDRESS.match(name)
        matches = sorted(glob.glob(name, recursive=True)) if glob_of else []
        videos = matches and all(kind_of(match) == "video" for match in matches)
        found |= dict.fromkeys(matches if videos else [name])
    return list(found)


def hidden(name: str) -> str:
    """An address as it may be shown: without the password in it."""
    try:
        password = urlsplit(name).password
    except ValueError:
        return name
    return name.replace(f":{password}@", ":***@", 1) if password else name


def _is_video(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            data = file.read(NEEDED)
    except OSError:
        return False
    return begins_like_video(data) or (path.suffix.lower() in VIDEO_SUFFIXES and not begins_like_picture(data))

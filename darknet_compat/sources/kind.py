"""What a name on the command line stands for: pictures, a video, a camera, a stream, or standard input."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["pictures", "video", "camera", "url", "input"]

VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".h264", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"}
)
"""What is taken for a video that begins like nothing known; pictures are recognized first."""

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_BEGINNINGS = (b"\x1aE\xdf\xa3", b"OggS", b"FLV\x01", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"0&\xb2u", b"YUV4MPEG2 ")
_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
NEEDED = 200
"""Bytes of a file's beginning that tell whether it is a video."""


def kind_of(name: str) -> Kind:
    """What `name` is. Files are told apart by how they begin, so that a video may be called anything."""
    if name == "-":
        return "input"
    if _ADDRESS.match(name) and not os.path.exists(name):
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


def begins_like_video(data: bytes) -> bool:
    """Whether a file with this beginning (`NEEDED` bytes suffice) holds a video in one of the usual containers."""
    if data[4:8] in (b"ftyp", b"moov", b"mdat"):
        return data[8:12] not in _STILL_BRANDS
    if data[:4] == b"RIFF":
        return data[8:12] == b"AVI "
    return data.startswith(_BEGINNINGS) or (data[:1] == b"G" == data[188:189])


def begins_like_picture(data: bytes) -> bool:
    """Whether a file with this beginning holds a picture in one of the usual formats."""
    usual = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return data.startswith(usual) or webp or data[4:8] == b"jP  " or data[4:12] == b"ftypavif"


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

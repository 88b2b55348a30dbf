"""How pictures and videos begin, which tells one from the other whatever a file is called."""

from __future__ import annotations

_BEGINNINGS = (b"\x1aE\xdf\xa3", b"OggS", b"FLV\x01", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"0&\xb2u", b"YUV4MPEG2 ")
_STILL = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
NEEDED = 200
"""Bytes of a file's beginning that tell whether it is a video."""


def begins_like_video(data: bytes) -> bool:
    """Whether a file with this beginning (`NEEDED` bytes suffice) holds a video in one of the usual containers."""
    if data[4:8] in (b"ftyp", b"moov", b"mdat"):
        return data[8:12] not in _STILL
    if data[:4] == b"RIFF":
        return data[8:12] == b"AVI "
    return data.startswith(_BEGINNINGS) or (data[:1] == b"G" == data[188:189])


def begins_like_picture(data: bytes) -> bool:
    """Whether a file with this beginning holds a picture in one of the usual formats."""
    usual = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return data.startswith(usual) or webp or data[4:8] == b"jP  " or data[4:12] == b"ftypavif"

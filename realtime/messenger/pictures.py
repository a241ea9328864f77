"""Which texts are pictures that may be somebody's avatar: PNG, JPEG, GIF or WebP, and not too large.

Judged in two steps. `read` is cheap: the length from the text alone, then the base64, then the format by the
bytes that each format begins with. `verify` is for a thread: the picture is really decoded, every frame of it,
within bounds that hold whatever its few bytes claim. What a ``data:`` address says of the type is not believed.
"""

from __future__ import annotations

import re
import warnings
from binascii import Error, a2b_base64
from io import BytesIO
from typing import Final

from msgspec import Struct
from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

AVATAR_BYTES: Final = 524_288
"""Longest picture, decoded (the document gives error "1" and no number): plenty for what is shown small."""

MOST_PIXELS: Final = 16_777_216
"""Pixels of one frame: 4096 by 4096, which takes 64 MiB while it is decoded, in an animation 260 MiB."""

MOST_PIXELS_IN_ALL: Final = 4 * MOST_PIXELS
"""Pixels of all frames, each as large as the whole picture: two seconds of work at most."""

MOST_FRAMES: Final = 500
"""Frames of an animation; a GIF of a few hundred KiB may claim tens of thousands."""

MOST_SCANS: Final = 64
"""Scans of a JPEG. Programs write ten or so; each costs a walk over all pixels, and takes a dozen bytes."""

_FORMATS: Final = {
    "image/png": PngImagePlugin.PngImageFile.format,
    "image/jpeg": JpegImagePlugin.JpegImageFile.format,
    "image/gif": GifImagePlugin.GifImageFile.format,
    "image/webp": WebPImagePlugin.WebPImageFile.format,
}

_DATA_ADDRESS = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_WHITESPACE = b" \t\r\n"

# Pillow's own check, at twice this number, covers what is allocated before we know a frame's size. What it
# has to say of odd pictures is for nobody's eyes.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureRefused(Exception):
    """A picture was not saved. ``code`` is the protocol's, the text is for the client."""

    code = ""
    text = ""

    def __init__(self) -> None:
        super().__init__(self.text)


class PictureTooLarge(PictureRefused):
    """More bytes than may be."""

    code = "1"
    text = "The picture is too large."


class NotAPicture(PictureRefused):
    """No PNG, JPEG, GIF or WebP; or a broken one, or one of too many pixels or frames."""

    code = "2"
    text = "Not a PNG, JPEG, GIF or WebP picture that can be shown."


class PicturesUnavailable(PictureRefused):
    """Pictures can't be saved at present: too many wait, or the disk or the database is away."""

    code = "3"
    text = "Pictures can't be saved now. Try again later."

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason


class Picture(Struct, frozen=True):
    """A picture's bytes and the type that they begin like."""

    data: bytes
    media_type: str


def read(text: str, most: int = AVATAR_BYTES) -> Picture:
    """Return what ``imageBase64`` holds: base64 (RFC 4648, section 4), at most ``most`` bytes when decoded.

    Line breaks are passed over, as common encoders put them there, and the padding may be missing. Raises
    `PictureTooLarge`, judged before anything is decoded, and `NotAPicture`.
    """
    # Twice the length leaves room for any line breaks: what is longer is not even looked at.
    if len(text) > 2 * (most + 2) // 3 * 4 + 1000:
        raise PictureTooLarge
    address = _DATA_ADDRESS.match(text)
    try:
        encoded = (text[address.end() :] if address else text).encode("ascii").translate(None, _WHITESPACE)
    except UnicodeEncodeError:
        raise NotAPicture from None
    digits = len(encoded.rstrip(b"="))
    if digits * 3 // 4 > most:
        raise PictureTooLarge
    if digits == len(encoded):
        encoded += b"=" * (-digits % 4)
    try:
        data = a2b_base64(encoded, strict_mode=True)
    except Error:
        raise NotAPicture from None
    kind = media_type(data)
    if kind is None:
        raise NotAPicture
    return Picture(data, kind)


def media_type(data: bytes) -> str | None:
    """Return the media type of a picture by its first 12 bytes; ``None`` if it is none of the four."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def verify(picture: Picture) -> None:
    """Decode a picture, every frame of it, and forget it; takes two seconds at most: for a thread.

    Raises `NotAPicture`.
    """
    # In a JPEG's compressed data FF DA can't stand: what is counted is scans, and at worst a few in thumbnails.
    if picture.media_type == "image/jpeg" and picture.data.count(b"\xff\xda") > MOST_SCANS:
        raise NotAPicture
    try:
        with Image.open(BytesIO(picture.data), formats=[_FORMATS[picture.media_type]]) as image:
            _decode(image)
    except Exception:  # decoders raise whatever they please at broken bytes
        raise NotAPicture from None


def _decode(image: Image.Image) -> None:
    pixels = 0
    for frame in range(MOST_FRAMES + 1):
        try:
            image.seek(frame)
        except EOFError:
            return
        width, height = image.size
        pixels += width * height
        if frame == MOST_FRAMES or width * height > MOST_PIXELS or pixels > MOST_PIXELS_IN_ALL:
            raise NotAPicture
        image.load()

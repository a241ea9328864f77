"""Pictures for the tests, made by Pillow."""

from __future__ import annotations

import base64
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


@cache
def picture(
    form: str = "PNG", width: int = 20, height: int = 10, shade: int = 0, frames: int = 1, **options: Any
) -> bytes:
    """A picture of one colour; an animation's frames have each their own."""
    images = [
        Image.new("RGB", (width, height), (shade, index * 37 % 256, index // 256 * 80))
        for index in range(frames)
    ]
    data = BytesIO()
    if frames > 1:
        options |= {"save_all": True, "append_images": images[1:]}
    images[0].save(data, form, **options)
    return data.getvalue()


def encoded(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode()

"""Small PNG pictures of products, from the supplier's raw photos."""

import base64
import struct
import zlib

from shop import suppliers

PHOTO_WIDTH, PHOTO_HEIGHT = 160, 120
_STEP = 4
_BYTES_PER_PIXEL = 3


def shrink(photo: bytes) -> str:
    """Return a quarter-size PNG as a `data:` address.

    Raises:
        ValueError: the photo is not 160 x 120 pixels of three bytes.
    """
    row_bytes = PHOTO_WIDTH * _BYTES_PER_PIXEL
    if len(photo) != row_bytes * PHOTO_HEIGHT:
        raise ValueError(f"a photo has {row_bytes * PHOTO_HEIGHT} bytes; the supplier sent {len(photo)}")
    rows = bytearray()
    for y in range(0, PHOTO_HEIGHT, _STEP):
        rows.append(0)  # PNG: this row is not filtered
        for x in range(0, PHOTO_WIDTH, _STEP):
            offset = y * row_bytes + x * _BYTES_PER_PIXEL
            rows += photo[offset : offset + _BYTES_PER_PIXEL]
    header = struct.pack(">IIBBBBB", PHOTO_WIDTH // _STEP, PHOTO_HEIGHT // _STEP, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
        for tag, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


def thumbnail(slug: str) -> str:
    """Download a product's photo and shrink it."""
    return shrink(suppliers.photo(slug))

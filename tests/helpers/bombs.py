"""Small files whose headers declare huge images, or that are not images at all."""

import io
import struct
import zlib

from PIL import Image, TiffTags

from tests.helpers.damage import chunk
from tests.helpers.samples import photo


def made(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(photo(24, 32)).save(buffer, kind, **options)
    return buffer.getvalue()


def replaced(data, position, value):
    return data[:position] + value + data[position + len(value) :]


def with_chunk(kind, data):
    return (png := made("PNG"))[:33] + chunk(kind, data) + png[33:]


def png_of(width, height):
    """A one-bit PNG with almost no pixel data: its header alone must be enough to refuse it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def tiff_with(tag, value, **options):
    """A TIFF with a wrong value in one tag."""
    data = made("TIFF", **options)
    start = struct.unpack_from("<I", data, 4)[0] + 2
    entry = next(i for i in range(start, len(data), 12) if struct.unpack_from("<H", data, i)[0] == tag)
    is_long = struct.unpack_from("<H", data, entry + 2)[0] == TiffTags.LONG
    return replaced(data, entry + 8, struct.pack("<I" if is_long else "<H", value))


def jpeg_of(side):
    data = made("JPEG")
    return replaced(data, data.index(b"\xff\xc0") + 5, struct.pack(">HH", side, side))


def ico_of(png, count=1):
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(png), 6 + 16 * count)
    return struct.pack("<HHH", 0, 1, count) + entry * count + png


def webp_of(width, height):
    """An animation with a canvas that is far larger than its frames."""
    data = made("WEBP", save_all=True, append_images=[Image.new("RGB", (32, 24))])
    return replaced(data, 24, (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


ZEROS = zlib.compress(bytes(100 << 20))
BOMBS = {
    "900 megapixels in a PNG": png_of(30000, 30000),
    "900 megapixels in a TIFF": tiff_with(0x100, 1 << 31),
    "65500x65500 in a JPEG": jpeg_of(65500),
    "a GIF's canvas": replaced(made("GIF"), 6, struct.pack("<HH", 60000, 60000)),
    "a WebP's canvas": webp_of(16384, 16384),
    "a PNG in an ICO": ico_of(png_of(30000, 30000)),
    "a BMP": replaced(made("BMP"), 18, struct.pack("<ii", 60000, 60000)),
}
TOO_LONG = {"WebP": webp_of(5_000_000, 24), "PNG": png_of(12, 10_000_000)}
METADATA_BOMBS = {
    "text in a PNG": with_chunk(b"zTXt", b"a\0\0" + ZEROS),
    "a profile": with_chunk(b"iCCP", b"a\0\0" + ZEROS),
}
NOT_IMAGES = {
    "text": b"hello",
    "HTML": b"<!DOCTYPE html><html>404</html>",
    "nothing": b"",
    "half a JPEG": made("JPEG")[:600],
    "the first bytes of a JPEG": made("JPEG")[:2],
}

"""Small files that promise too much, or are something else than their names say."""

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


def put(data, at, value):
    return data[:at] + value + data[at + len(value) :]


def with_chunk(kind, data):
    return (png := made("PNG"))[:33] + chunk(kind, data) + png[33:]


def png_of(width, height):
    """The header of a one-bit PNG, and no pixels: what is behind must not matter."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def tiff_with(tag, value, **options):
    """A TIFF whose directory says something else than what is there."""
    data = made("TIFF", **options)
    start = struct.unpack_from("<I", data, 4)[0] + 2
    entry = next(at for at in range(start, len(data), 12) if struct.unpack_from("<H", data, at)[0] == tag)
    wide = struct.unpack_from("<H", data, entry + 2)[0] == TiffTags.LONG
    return put(data, entry + 8, struct.pack("<I" if wide else "<H", value))


def jpeg_of(side):
    data = made("JPEG")
    return put(data, data.index(b"\xff\xc0") + 5, struct.pack(">HH", side, side))


def ico_of(png, count=1):
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(png), 6 + 16 * count)
    return struct.pack("<HHH", 0, 1, count) + entry * count + png


def webp_of(width, height):
    """An animation on a canvas that is far larger than its pictures."""
    data = made("WEBP", save_all=True, append_images=[Image.new("RGB", (32, 24))])
    return put(data, 24, (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


ZEROS = zlib.compress(bytes(100 << 20))
BOMBS = {
    "900 megapixels in a PNG": png_of(30000, 30000),
    "900 megapixels in a TIFF": tiff_with(0x100, 1 << 31),
    "65500x65500 in a JPEG": jpeg_of(65500),
    "a GIF's canvas": put(made("GIF"), 6, struct.pack("<HH", 60000, 60000)),
    "a WebP's canvas": webp_of(16384, 16384),
    "a PNG in an ICO": ico_of(png_of(30000, 30000)),
    "a BMP": put(made("BMP"), 18, struct.pack("<ii", 60000, 60000)),
}
LONG = {"WebP": webp_of(5_000_000, 24), "PNG": png_of(12, 10_000_000)}
UNPACKED = {"text in a PNG": with_chunk(b"zTXt", b"a\0\0" + ZEROS), "a profile": with_chunk(b"iCCP", b"a\0\0" + ZEROS)}
FOREIGN = {
    "text": b"hello",
    "HTML": b"<!DOCTYPE html><html>404</html>",
    "nothing": b"",
    "half a JPEG": made("JPEG")[:600],
    "a JPEG's head alone": made("JPEG")[:2],
}

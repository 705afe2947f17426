"""Image files in memory that Pillow cannot write."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import tifffile
from PIL import Image

from tests.helpers.samples import photo


def chunk(kind, data):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rgb, *chunks, **options):
    """A PNG file with more chunks after its header, each a kind and data."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", **options)
    data = buffer.getvalue()
    return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]


def heic(rgb, **options):
    """A HEIC file of RGB or RGBA uint8, without loss."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(rgb)).save(buffer, quality=-1, chroma=444, **options)
    return buffer.getvalue()


def avif(rgb, primaries, transfer):
    """An AVIF file that states color primaries and transfer characteristics of H.273."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "AVIF", quality=100, subsampling="4:4:4")
    data, at = buffer.getvalue(), buffer.getvalue().index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def dng(orientation=1):
    """A RAW photo of 64x48 pixels, whose thumbnail has 8x6."""
    mosaic, buffer = np.uint16(photo(48, 64)[..., 1]) * 60 + 500, io.BytesIO()
    tags = [(50706, 1, 4, b"\1\4\0\0"), (50708, 2, 0, "Phone"), (274, 3, 1, orientation)]
    with tifffile.TiffWriter(buffer) as tiff:
        tiff.write(photo(6, 8), photometric="rgb", subifds=1, subfiletype=1, extratags=tags)
        pattern = [(33421, 3, 2, (2, 2)), (33422, 1, 4, b"\0\1\1\2")]
        tiff.write(mosaic, photometric=32803, subfiletype=0, extratags=pattern)
    return buffer.getvalue()

"""Image formats that Pillow does not read by itself: HEIF, by pillow-heif, and RAW photos of cameras, by LibRaw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import BinaryIO

from PIL import Image, ImageFile, TiffImagePlugin

from ..errors import InputError
from ..utils.libraries import needs

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
RAW_ENDINGS = [".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef"]
RAW = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # RAF, ORF, RW2
TIFF = (b"II*\0", b"MM\0*")
DNG_VERSION, PHOTOMETRIC, SUB_IFDS = 50706, 262, 330  # tags of TIFF
MOSAIC, LINEAR_RAW = 32803, 34892  # photometric interpretations of RAW data
MAX_IFDS = 32  # image file directories of a TIFF that are searched for RAW data


def add_to_pillow() -> None:
    """Registers the formats with Pillow, and two layouts of white-is-zero TIFFs that it lacks."""
    Image.register_open("HEIF", _open_heif, lambda head: head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS)
    Image.register_extensions("HEIF", [".heic", ".heif", ".hif"])
    Image.register_open("JPEG XL", _refuse_jpeg_xl, lambda head: head.startswith(JPEG_XL))
    Image.register_open("RAW", RawImageFile, lambda head: head.startswith((*RAW, *TIFF)) or head[4:12] == b"ftypcrx ")
    Image.register_extensions("RAW", RAW_ENDINGS)
    info = TiffImagePlugin.OPEN_INFO
    info.setdefault((TiffImagePlugin.MM, 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))
    info.setdefault((TiffImagePlugin.II, 0, (1,), 1, (32,), ()), ("I", "I;32N"))


def _open_heif(file: BinaryIO, name: str) -> Image.Image:
    from pillow_heif import HeifImageFile

    return HeifImageFile(file, name)


def _refuse_jpeg_xl(*_: object) -> Image.Image:
    raise InputError("JPEG XL cannot be read here; convert it first, for example: djxl photo.jxl photo.png")


class RawImageFile(ImageFile.ImageFile):
    """A RAW photo of a camera, developed by LibRaw: upright, in sRGB, with the white balance of the camera."""

    format = "RAW"

    def _open(self) -> None:
        if not is_raw(self.fp):
            raise SyntaxError("no RAW photo")  # so that Pillow tries the other formats
        self.fp.seek(0)
        with _libraw() as rawpy:
            self._photo = rawpy.imread(self.fp)
        self._size, self._mode = (self._photo.sizes.iwidth, self._photo.sizes.iheight), "RGB"

    def load(self) -> Image.core.PixelAccess | None:
        if self._im is None:
            with self._photo as photo, _libraw():
                self.im = Image.fromarray(photo.postprocess(use_camera_wb=True)).im
            self._size = self.im.size
        return super().load()


@contextmanager
def _libraw() -> Iterator[ModuleType]:
    """The module rawpy; its errors in the block become InputErrors, as does its absence."""
    with needs("RAW photos"):
        import rawpy
    try:
        yield rawpy
    except rawpy.LibRawError as error:
        raise InputError(f"a RAW photo that LibRaw cannot read ({error.args[0].decode()})") from error


def is_raw(file: BinaryIO) -> bool:
    """Whether an image file is a RAW photo, by its signature, or for a TIFF by what its directories say."""
    file.seek(0)
    head = file.read(16)
    if not head.startswith(TIFF) or head[8:10] == b"CR":  # CR2
        return True
    with suppress(Exception):  # of damaged files
        offsets = [TiffImagePlugin.ImageFileDirectory_v2(head[:8]).next]
        for offset in offsets:
            directory = TiffImagePlugin.ImageFileDirectory_v2(head[:8])
            file.seek(offset)
            directory.load(file)
            if DNG_VERSION in directory or directory.get(PHOTOMETRIC) in (MOSAIC, LINEAR_RAW):
                return True
            offsets += directory.get(SUB_IFDS, ())[: MAX_IFDS - len(offsets)]
    return False

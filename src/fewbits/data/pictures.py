"""PNG and JPEG pictures as pixels. What a file says of itself is checked before anything is decoded.

Grey, RGB and palette pictures of up to 8 bits become uint8, grey ones of 16 bits uint16. Nothing is changed unsaid:
no picture is resized, no transparency laid over a background, no bits are dropped.
"""

from __future__ import annotations

import io
import stat
import struct
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from fewbits.arguments import shown
from fewbits.data.dataset import Array
from fewbits.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg")
"""Of files that are taken, in any case."""

_FORMATS = ("PNG", "JPEG")

_GREY = ("1", "L", "LA", "La")
_COLOR = ("RGB", "RGBA", "RGBa", "RGBX")
_SIXTEEN = ("I;16", "I;16B", "I;16L", "I")

_TURNED = range(5, 9)
"""EXIF orientations that exchange width and height."""

_NAMED = 3
"""Files that an error names before it only counts them."""


@dataclass(frozen=True)
class Header:
    """What a picture is, before it is decoded."""

    width: int
    """After it is turned."""

    height: int
    channels: int
    """1 for grey, 3 for color."""

    bits: int
    """8 or 16 a channel."""

    turned: bool
    """Whether EXIF says that it is to be turned or mirrored."""

    several: bool
    """Whether the file holds more pictures than the first, which is taken."""


def read_header(source: Path | bytes, name: str) -> Header:
    """What a file, or its content, says of the picture in it.

    Raises DataError if it is none, is no regular file, has more pixels than Pillow's limit for decompression bombs, or
    is of a kind that would have to be changed (CMYK, 16 bits of color).
    """
    with _opened(source, name) as picture:
        return _header(picture, name)


def read_pixels(source: Path | bytes, name: str, like: Header, channels: int) -> Array:
    """The pixels of a picture, channels x H x W, uint8 or uint16; grey ones three times where three channels are asked.

    like: the header as it was read. Raises DataError as `read_header` does, if the file is cut short, if a pixel is
    transparent, or if the file changed since.
    """
    with _opened(source, name) as picture:
        if _header(picture, name) != like:
            raise DataError(f"{name} changed while it was read: give the same command again")
        return _pixels(picture, name, channels)


def picture_header(picture: Image.Image, name: str) -> Header:
    """As `read_header`, of a picture that is open."""
    return _header(picture, name)


def picture_pixels(picture: Image.Image, name: str) -> Array:
    """As `read_pixels`, of a picture that is open: with one channel if it is grey, else three."""
    try:
        return _pixels(picture, name, _header(picture, name).channels)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes Pillow raise
        raise DataError(f"{name} cannot be decoded: {_reason(error)}") from error


def one_size(headers: Sequence[Header], names: Sequence[str]) -> tuple[int, int, int, np.dtype[Any]]:
    """Channels, height, width and type of an array that holds all pictures.

    Raises DataError if they are of several sizes or bits, naming one of each and how many there are.
    """
    sizes = Counter((header.width, header.height) for header in headers)
    if len(sizes) > 1:
        firsts = {(one.width, one.height): name for one, name in zip(reversed(headers), reversed(names), strict=True)}
        listed = [f"{count:,} of {w} x {h} (as {firsts[w, h]})" for (w, h), count in sizes.most_common(_NAMED)]
        more = f" and {len(sizes) - _NAMED} sizes more" if len(sizes) > _NAMED else ""
        (width, height), _ = sizes.most_common(1)[0]
        raise DataError(
            f"pictures are of {len(sizes)} sizes (width x height): {', '.join(listed)}{more}; fewbits resizes nothing: "
            f"bring all to one, with `mogrify -resize {width}x{height}!` or Pillow's Image.resize(({width}, {height}))"
        )
    bits = {header.bits: name for header, name in zip(reversed(headers), reversed(names), strict=True)}
    if len(bits) > 1:
        raise DataError(f"pictures of 8 bits ({bits[8]}) and of 16 ({bits[16]}) are mixed: store all alike")
    channels = max(header.channels for header in headers)
    (size,) = sizes
    return channels, size[1], size[0], np.dtype(np.uint16 if 16 in bits else np.uint8)


def notes_on(headers: Iterable[Header]) -> tuple[str, ...]:
    """What was done with pictures: turned, made color, taken as the first of several."""
    each = list(headers)
    turned, several = sum(header.turned for header in each), sum(header.several for header in each)
    grey = sum(header.channels == 1 for header in each)
    total = f"of {len(each):,} pictures"
    notes = [f"turned or mirrored as their EXIF says: {turned:,} {total}"] if turned else []
    notes += [f"files that hold more pictures, of which the first is taken: {several:,} {total}"] if several else []
    if 0 < grey < len(each):
        notes += [f"grey among color ones, made color with the same value in each channel: {grey:,} {total}"]
    return tuple(notes)


def _opened(source: Path | bytes, name: str) -> Any:
    """A picture whose header was read, to be closed. Raises DataError."""
    try:
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise DataError(f"{name} is no regular file: remove it")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _Decoding(
                Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS), name
            )
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise DataError(
            f"{name} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, Pillow's limit for decompression bombs: remove "
            "it, or make it smaller"
        ) from None
    except Image.UnidentifiedImageError:
        raise DataError(f"{name} is no PNG or JPEG picture, or is damaged: remove or replace it") from None
    except FileNotFoundError:
        raise DataError(f"{name} leads to no file: remove the link") from None
    except DataError:
        raise
    except Exception as error:  # a damaged header makes Pillow raise many kinds
        raise DataError(f"{name} cannot be read as a picture: {_reason(error)}") from error


class _Decoding:
    """A picture that closes its file at the end, and whose errors name it."""

    def __init__(self, picture: Image.Image, name: str) -> None:
        self._picture = picture
        self._name = name

    def __enter__(self) -> Image.Image:
        return self._picture

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._picture.close()
        if isinstance(error, Exception) and not isinstance(error, DataError):
            raise DataError(f"{self._name} is damaged: {_reason(error)}; remove or replace it") from error


def _header(picture: Image.Image, name: str) -> Header:
    """What an open picture is."""
    mode, width, height = picture.mode, picture.width, picture.height
    bits = 16 if mode in _SIXTEEN else 8
    if mode == "P":
        channels = 1 if _is_grey_palette(picture) else 3
    elif mode in _GREY or bits == 16:
        channels = 1
    elif mode in _COLOR:
        channels = 3
    else:
        raise DataError(f"{name} is of mode {mode}: convert it to RGB or grey, since how its colors look is not told")
    if bits == 8 and _stored_bits(picture) == 16:
        raise DataError(
            f"{name} has 16 bits a channel in several channels, of which Pillow reads 8: convert it to 8 bits, or "
            "store an .npz file of uint16"
        )
    if bits == 16 and "transparency" in picture.info:
        raise DataError(f"{name} names a transparent color: flatten it onto a background first")
    orientation: object = picture.getexif().get(ExifTags.Base.Orientation, 1)
    turned = isinstance(orientation, int) and 2 <= orientation <= 8
    if turned and orientation in _TURNED:
        width, height = height, width
    return Header(width, height, channels, bits, turned, getattr(picture, "n_frames", 1) > 1)


def _pixels(picture: Image.Image, name: str, channels: int) -> Array:
    """The pixels of an open picture."""
    turned = ImageOps.exif_transpose(picture)
    if picture.mode in _SIXTEEN:
        values: Array = np.asarray(turned)
        if values.size and not 0 <= values.min() <= values.max() <= 65535:
            raise DataError(f"{name} reaches from {values.min()} to {values.max()}, more than 16 bits")
        return np.ascontiguousarray(np.broadcast_to(values.astype(np.uint16), (channels, *values.shape)))
    if turned.has_transparency_data:
        with_alpha: Array = np.asarray(turned.convert("RGBA"))
        if with_alpha[..., 3].min() < 255:
            raise DataError(
                f"{name} has transparent pixels, whose color is not told: flatten it onto a background first, with "
                "`mogrify -background white -flatten`"
            )
        colors: Array = np.moveaxis(with_alpha[..., :3], 2, 0)
        return np.ascontiguousarray(colors[:channels])
    if channels == 1:
        return np.asarray(turned.convert("L"))[np.newaxis]
    return np.ascontiguousarray(np.moveaxis(np.asarray(turned.convert("RGB")), 2, 0))


def _is_grey_palette(picture: Image.Image) -> bool:
    palette = np.array(picture.getpalette() or [0, 0, 0], np.int64).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _stored_bits(picture: Image.Image) -> int:
    """Bits a channel by the first bytes of a PNG file; 8 of any other."""
    file: Any = getattr(picture, "fp", None)
    if picture.format != "PNG" or file is None:
        return 8
    position = file.tell()
    file.seek(0)
    start: bytes = file.read(26)
    file.seek(position)
    return struct.unpack_from("B", start, 24)[0] if len(start) == 26 else 8


def _reason(error: BaseException) -> str:
    return shown(" ".join(f"{error}".split()) or type(error).__name__)

"""Reading files of bounded size, and saying what is wrong with them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from fewbits.errors import DataError

MAX_BYTES = 2 * 1024**3
"""Largest array that a reader allocates: the largest of the known sets (SVHN extra) has 1.6 GB of pixels."""

_PIECE = 1 << 20


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytearray:
    """The content of a file, uncompressed if its name ends in .gz.

    Raises DataError if it cannot be read, is no gzip file, is cut short, or holds more than `limit` bytes.
    """
    try:
        with cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as file:
            content = bytearray()
            while piece := file.read(_PIECE):
                content += piece
                if len(content) > limit:
                    raise DataError(f"{path} holds more than the {limit} bytes that it should")
            return content
    except FileNotFoundError:
        raise DataError(f"no file {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {str(error) or type(error).__name__}") from error


def existing(folder: Path, *names: str) -> Path | None:
    """The first of the names that is there in the folder; None without any."""
    return next((folder / name for name in names if (folder / name).is_file()), None)

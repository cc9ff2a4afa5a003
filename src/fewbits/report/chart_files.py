"""Charts as files: names that tell them apart, images that say which figures they show, one chart in a file."""

from __future__ import annotations

import hashlib
import re
import struct
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.chart import Chart

_TAIL_LENGTH = 80
"""Characters of a network's and data set's names in a file's name; most systems take 255 bytes in all."""

DIGEST_KEY = b"fewbits-chart-sha256"
"""Keyword of the PNG text that holds a chart's digest."""

_HEADER_END = 8 + 4 + 4 + 13 + 4
"""Bytes of a PNG up to the end of its header: signature; the header chunk's length, type, data and checksum."""


def file_tails(names: Sequence[tuple[str, str]]) -> list[str]:
    """What tells the files of each network and data set apart: readable, bounded and unique.

    Where the words are cut short or those of another pair, a hash of the names makes the difference.
    """
    words = [_file_words(f"{model} on {data}") for model, data in names]
    return [
        f"-{text}"
        if len(text) <= _TAIL_LENGTH and words.count(text) == 1
        else f"-{text[:_TAIL_LENGTH]}-{_hash_of(pair, names[:number].count(pair))}"
        for number, (text, pair) in enumerate(zip(words, names, strict=True))
    ]


def _hash_of(pair: tuple[str, str], before: int) -> str:
    """before: how often the same pair came already (a network may be called as several are together)."""
    return hashlib.sha256(repr((*pair, before)).encode()).hexdigest()[:8]


def _file_words(title: str) -> str:
    """A title for a file's name; `alex+` and `alex*2` stay apart from `alex`."""
    words = title.replace("+", "plus").replace("*", "x")
    return re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-").lower()


def with_digest(png: bytes, sha256: str) -> bytes:
    """A PNG with a digest as a text chunk behind its header (PNG specification, sections 5.3 and 11.3.3)."""
    body = b"tEXt" + DIGEST_KEY + b"\0" + sha256.encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_HEADER_END] + chunk + png[_HEADER_END:]


def digest_in(png: bytes) -> str | None:
    """The digest that `with_digest` put into a PNG; None if there is none."""
    found = re.match(rb".{8}tEXt%b\0([0-9a-f]{64})" % re.escape(DIGEST_KEY), png[_HEADER_END - 4 :], re.DOTALL)
    return found[1].decode("ascii") if found else None


IMAGES = (".svg", ".png")
"""Endings of the files that a single chart is written to."""


def check_image(path: Path) -> None:
    """Raise StudyError if no chart can be written under this name."""
    if path.suffix.lower() not in IMAGES:
        raise StudyError(f"a chart is written to a file that ends in {' or '.join(IMAGES)}, not to {str(path)!r}")
    if path.is_symlink() or path.is_dir():
        raise StudyError(f"{str(path)!r} is a folder or a link: give the name of a file to write")


def write_image(chart: Chart, path: Path) -> None:
    """Write one chart, whole or not at all. Raises StudyError if the file cannot be written."""
    check_image(path)
    image = chart.svg() if path.suffix.lower() == ".svg" else chart.png()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fewbits-", dir=path.parent) as folder:
            written = Path(folder) / path.name
            written.write_bytes(image)
            written.replace(path)
    except OSError as error:
        raise StudyError(
            f"cannot write {str(path)!r}: {error.strerror or error}; make room or give another name"
        ) from None

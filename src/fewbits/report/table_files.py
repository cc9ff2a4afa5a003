"""Tidy tables as files: CSV, and Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import importlib.util
import io
from typing import TYPE_CHECKING, Any

from fewbits.errors import StudyError
from fewbits.report.tables import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fewbits.report.tables import Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""Beginnings of a text that a spreadsheet may take for a formula (OWASP, "CSV Injection"), and the mark against it."""


def table_files(tables: Mapping[str, Table]) -> dict[str, bytes]:
    """Files by name: each table as CSV, and as Parquet where pyarrow is installed."""
    written = {ending: write for ending, write in _WRITERS.items() if ending in _endings()}
    return {f"{name}.{ending}": write(table) for ending, write in written.items() for name, table in tables.items()}


def file_names() -> tuple[str, ...]:
    """Names of the files, before there are tables."""
    return tuple(f"{name}.{ending}" for ending in _endings() for name in NAMES)


def _endings() -> tuple[str, ...]:
    return ("csv", "parquet") if importlib.util.find_spec("pyarrow") is not None else ("csv",)


def tidy_csv(table: Table) -> bytes:
    """One line a row; a missing value is empty, numbers have all their digits, truth is True or False.

    A text that a spreadsheet would compute has an apostrophe in front (`safe_text`).
    """
    out = _Lines()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.name for column in table.columns])
    places = [place for place, column in enumerate(table.columns) if column.kind == "text"]
    for row in table.rows:
        cells = list(row)
        for place in places:
            cells[place] = safe_text(cells[place])
        writer.writerow(cells)
    return out.getvalue().encode()


class _Lines(io.StringIO):
    """Lines end with a line feed alone; the writer is told otherwise, since it quotes only the line ends it knows."""

    def write(self, line: str, /) -> int:
        """A whole line."""
        return super().write(line.removesuffix("\r\n") + "\n")


def safe_text(text: str | None) -> str | None:
    """With an apostrophe in front of what a spreadsheet would compute: `'=cmd()`; taking one off gives the text."""
    return f"'{text}" if text is not None and text.startswith(_FORMULA) else text


def parquet(table: Table) -> bytes:
    """The table with its columns' kinds, units and meanings. Raises StudyError if pyarrow is not installed."""
    try:
        import pyarrow as pa
        from pyarrow import parquet as pq
    except ImportError:
        raise StudyError("Parquet needs pyarrow, which is not installed: pip install 'fewbits[parquet]'") from None
    kinds: dict[str, Any] = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "truth": pa.bool_()}
    schema = pa.schema(
        [
            pa.field(column.name, kinds[column.kind], metadata={"unit": column.unit, "meaning": column.meaning})
            for column in table.columns
        ]
    )
    out = io.BytesIO()
    pq.write_table(pa.table(table.lists(), schema=schema), out)
    return out.getvalue()


_WRITERS: dict[str, Callable[[Table], bytes]] = {"csv": tidy_csv, "parquet": parquet}
"""By the ending of the files' names."""

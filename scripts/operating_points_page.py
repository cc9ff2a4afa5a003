"""Fill the figures of docs/operating_points.md in: what its commands print, and the errors of its rules."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from fewbits.cli import main
from fewbits.hardware import load_technology
from fewbits.hardware.process.operating_points import interpolation_errors, squared_voltage_errors

PAGE = Path(__file__).parents[1] / "docs" / "operating_points.md"

TABLES = {
    "--corner all": r"fixed8 +clock MHz|fixed8 signed|^ +(slow|typ|fast) ",
    "--clock 1": r"energy over|^ {20,}fixed8 +\d",
}
"""Lines of each command's output that the page shows, by a part of the command."""


def filled(text: str) -> str:
    """The page with today's figures."""
    text = re.sub(r"(?m)^    \$ fewbits (.*)\n(?:    (?!\$).*\n)*", lambda found: _shown(found[1]), text)
    table = load_technology()
    (line,) = interpolation_errors(table)
    parts = re.findall(r"[+-][\d.]+%", line)
    squared = squared_voltage_errors(table)
    rows = {
        "typical corner left out and found from slow and fast": parts,
        "typical energy times the ratio of voltages squared, slow": [f"{squared['slow']:+.1%}", "", ""],
        "the same, fast": [f"{squared['fast']:+.1%}", "", ""],
    }
    for name, values in rows.items():
        cells = "".join(f" {value} |" if value else " |" for value in values)
        text = re.sub(rf"(?m)^\| {re.escape(name)} \|.*$", f"| {name} |{cells}", text)
    return text


def _shown(command: str) -> str:
    """A command and the lines of its output that the page shows."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main(command.split())
    (wanted,) = (lines for part, lines in TABLES.items() if part in command)
    lines = [line for line in printed.getvalue().splitlines() if re.search(wanted, line)]
    common = min(len(line) - len(line.lstrip()) for line in lines)
    return "".join(f"    {line}\n" for line in (f"$ fewbits {command}", *(line[common:] for line in lines)))


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

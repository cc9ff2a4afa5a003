"""The study's tables in LaTeX: a file for input that needs booktabs and nothing else, and that any LaTeX compiles."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from fewbits.report.table import failure_lines, text_table
from fewbits.study.figures import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fewbits.report.rows import Group

_HEAD = """% Tables of fewbits. In the preamble: \\usepackage{booktabs}
% Where they shall stand, in a table of your own with its caption, or in the text: \\input{results}
"""

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",  # the mark itself is a command of babel's in some languages
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    **{mark: f"{{{mark}}}" for mark in "'`[]*"},  # by themselves: in pairs, or behind \\, they mean something
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "±": r"$\pm$",
    "²": "$^2$",
    "³": "$^3$",
    "·": r"$\cdot$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
"""What stands for a character that is more than itself in LaTeX, or no character of ASCII."""

_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
}
"""LaTeX's accents by Unicode's combining marks: those that OT1, the default font encoding, has."""


def latex(groups: Sequence[Group]) -> str:
    """Every group's table, one under another."""
    return _HEAD + "\n".join(_table(group) for group in groups if group.rows)


def latex_text(text: str) -> str:
    """A text as LaTeX prints it, whatever is in it; characters beyond accented Latin letters become `U+2603`."""
    made = ""
    for mark in " ".join(text.split()):
        made += "{}-" if mark == "-" and made.endswith("-") else _character(mark)
    return made


def _character(mark: str) -> str:
    if mark in _COMMANDS:
        return _COMMANDS[mark]
    if mark.isascii() and mark.isprintable():
        return mark
    base, *accents = unicodedata.normalize("NFD", mark)
    if base.isascii() and base.isalpha() and accents and all(accent in _ACCENTS for accent in accents):
        made = f"\\{base}" if base in "ij" else base
        for accent in accents:
            made = f"\\{_ACCENTS[accent]}{{{made}}}"
        return made
    return f"\\texttt{{U+{ord(mark):04X}}}"


def _table(group: Group) -> str:
    table = text_table(group)
    labels = len(table.labels)
    heads = [column.short.split("\n") for column in COLUMNS]
    high = max(len(lines) for lines in heads)
    stacked = [["" for _ in range(high - len(lines))] + lines for lines in heads]
    named = [*([""] * (high - 1)), None]
    rows = [
        *(
            _row([*(table.labels if name is None else [""] * labels), *(lines[i] for lines in stacked)])
            for i, name in enumerate(named)
        ),
        _row([*([""] * labels), *table.units]),
        r"\midrule",
        *(_row(row[:labels], row[labels:]) for row in table.cells()),
    ]
    notes = (table.title, table.note, *failure_lines(group))
    return "\n".join(
        [
            r"{\small\setlength{\tabcolsep}{4pt}%",
            rf"\begin{{tabular}}{{{'l' * labels}{'r' * len(COLUMNS)}}}",
            r"\toprule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}\par}",
            *(rf"{{\footnotesize {latex_text(note)}\par}}" for note in notes),
            "",
        ]
    )


def _row(texts: Iterable[str], figures: Iterable[str] = ()) -> str:
    cells = [*map(latex_text, texts), *map(_figure, figures)]
    return " & ".join(cells) + r" \\"


def _figure(text: str) -> str:
    """A number with the sign of a number; a missing one is a dash."""
    if text == "-":
        return "--"
    return f"$-${latex_text(text[1:])}" if text.startswith("-") else latex_text(text)

"""What of a library can be used: cells with a fault are set aside with a note, what synthesis needs is required."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fewbits.errors import HardwareError
from fewbits.hardware.process.library.boolean import MAXIMUM_VARIABLES, support, truth_table, variables
from fewbits.hardware.process.library.liberty import Cell, Library
from fewbits.hardware.process.library.liberty_reader import noted

_FOUR_TABLES = {"cell_rise", "cell_fall", "rise_transition", "fall_transition"}
_CLOCK_EDGES = ("rising_edge", "falling_edge")

_UNREAD = "cannot be read"
_NO_DELAYS = "no delay tables"

_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*(\[\d+\])?", re.ASCII)
"""What yosys, ABC and netlists take unescaped."""

_CAUSES = 2
"""Cells that a refusal names."""


@dataclass(frozen=True)
class CompleteLibrary:
    """A library that synthesis, timing and power can work with, and what was assumed to make it so."""

    library: Library
    """Its cells are those that mapping may use."""

    notes: tuple[str, ...]
    """One line for each fallback and each kind of cell set aside; empty where nothing was missing."""

    cells: str
    """One line: how many cells are used, and how many of which kinds are not."""


@dataclass(frozen=True)
class _Reason:
    """Why a cell is not used."""

    what: str
    is_fault: bool
    """Whether a note says so. Without: kinds of cells that mapping has no use for, as latches and fillers."""


def complete(library: Library) -> CompleteLibrary:
    """The library with its fallbacks in place, and without the cells that cannot be used.

    Cells with a fault are set aside with a note: those that cannot be read, without area or delay tables (they would
    be mapped as if they were free), flip-flops other than plain ones. So are, without one, the kinds of cells that
    mapping has no use for. A cell without leakage leaks nothing, one without internal power spends nothing inside, a
    flip-flop without setup constraints needs no setup time, and without a wire-load model nets bear their pins alone;
    each is noted.
    Raises HardwareError if no inverter, no buffer, no two-input gate or no plain flip-flop is left, and says why.
    """
    reasons = set_aside(library)
    usable = [cell for name, cell in library.cells.items() if name not in reasons]
    _require(library, usable, reasons)
    no_leakage = [cell.name for cell in usable if cell.leakage_uw is None and not cell.leakage_states]
    faults: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        if reason.is_fault:
            faults.setdefault(reason.what, []).append(name)
    notes = [
        *_remarks(library, {cell.name for cell in usable}),
        *(f"{noted(cells, what)}: not used" for what, cells in faults.items()),
        _note([c.name for c in usable if not c.powers], "no internal power", "counted as 0: dynamic energy is that of "
              "the nets alone", len(usable)),
        _note(no_leakage, "no leakage", "counted as 0", len(usable)),
        _note([c.name for c in usable if c.flip_flop and not _has_setup(c)], "no setup time", "counted as 0"),
        "" if library.wire_load else "no wire-load model: nets bear the load of their pins alone",
    ]  # fmt: skip
    cells = {c.name: replace(c, leakage_uw=0.0) if c.name in no_leakage else c for c in usable}
    return CompleteLibrary(replace(library, cells=cells), tuple(note for note in notes if note), _told(usable, reasons))


def _remarks(library: Library, used: set[str]) -> list[str]:
    """The reader's remarks about the header and about cells that are used."""
    held = {what: [cell for cell in cells if cell in used] for what, cells in library.remarks.items()}
    return [
        noted(held[what], what) if cells else what for what, cells in library.remarks.items() if held[what] or not cells
    ]


def set_aside(library: Library) -> dict[str, _Reason]:
    """The cells that mapping must not use, each with the first reason that holds."""
    unread = {name: _Reason(f"{_UNREAD} (line {why})", True) for name, why in library.unread.items()}
    found = {name: reason for name, cell in library.cells.items() if (reason := _reason(cell)) is not None}
    return unread | found


def _reason(cell: Cell) -> _Reason | None:
    try:
        return next((_Reason(what, fault) for rule, fault in _RULES if (what := rule(cell))), None)
    except HardwareError as error:
        return _Reason(f"{_UNREAD}: {error}", True)


def _marked(cell: Cell) -> str:
    return "marked dont_use" if cell.dont_use else ""


def _other_kind(cell: Cell) -> str:
    if cell.is_latch:
        return cell.purpose or "latch"
    if cell.purpose in ("multi-bit flip-flop", "bus pins"):
        return ""
    return cell.purpose or ("" if cell.inputs and cell.outputs else "no logic")


def _without_functions(cell: Cell) -> str:
    """A cell with an output of which nothing is told, as tie cells and analog ones have."""
    return "" if cell.flip_flop or all(cell.pins[name].function for name in cell.outputs) else "output without function"


def _unusual(cell: Cell) -> str:
    """A kind that might have been meant for mapping, and is not mapped to."""
    if cell.purpose:
        return cell.purpose
    if not all(_PLAIN_NAME.fullmatch(name) for name in (cell.name, *cell.pins)):
        return "a name with other than letters, digits and _"
    for name in cell.outputs if cell.flip_flop is None else ():
        names = variables(cell.pins[name].function or "")
        if unknown := set(names) - set(cell.pins):
            return f"{_UNREAD}: a function names {min(unknown)!r}, which is no pin"
        if len(names) > MAXIMUM_VARIABLES:
            return f"functions of more than {MAXIMUM_VARIABLES} pins"
    decisive = {pin for output in cell.outputs for pin in _decisive(cell, output)}
    return "an input that decides nothing" if set(cell.inputs) - decisive else ""


def _decisive(cell: Cell, output: str) -> tuple[str, ...]:
    """The input pins that an output depends on, for a flip-flop through its state."""
    if cell.flip_flop is None:
        return support(cell.pins[output].function or "")
    ff = cell.flip_flop
    return tuple(
        name for text in (ff.clocked_on, ff.next_state, ff.clear, ff.preset) if text for name in variables(text)
    )


def _falling_edge(cell: Cell) -> str:
    ff = cell.flip_flop
    return "flip-flop of the falling edge" if ff and ff.clocked_on[:1] == "!" and ff.clocked_on[1:] in cell.pins else ""


def _not_plain(cell: Cell) -> str:
    """What makes a flip-flop one that RTL without enables, scan and set does not need."""
    ff = cell.flip_flop
    if ff is None:
        return ""
    if ff.clocked_on not in cell.pins:
        return "flip-flop clocked by other than one pin"
    if ff.next_state not in cell.pins:
        return "flip-flop with enable or several data pins"
    if any(text and text.lstrip("!") not in cell.pins for text in (ff.clear, ff.preset)):
        return "flip-flop cleared or set by other than one pin"
    if any(cell.pins[name].function not in (ff.state, ff.inverted_state) for name in cell.outputs):
        return "flip-flop with an output other than its state"
    return ""


def _without_area(cell: Cell) -> str:
    return "" if cell.area_um2 else "no area"


def _without_delays(cell: Cell) -> str:
    """Whether an output lacks a delay or a transition, of a rise or of a fall, or any from a pin it depends on."""
    for output in cell.outputs:
        arcs = [arc for arc in cell.arcs if arc.pin == output]
        if cell.flip_flop is None:
            arcs = [arc for arc in arcs if arc.kind == "combinational"]
            needed = set(_decisive(cell, output))
        else:
            arcs = [arc for arc in arcs if arc.kind in _CLOCK_EDGES]
            needed = {cell.flip_flop.clocked_on}
        if not {name for arc in arcs for name in arc.tables} >= _FOUR_TABLES:
            return _NO_DELAYS
        if needed - {arc.related_pin for arc in arcs}:
            return "no delay tables from some pins"
    return ""


_RULES: tuple[tuple[Callable[[Cell], str], bool], ...] = (
    (_marked, False),
    (_other_kind, False),
    (_without_functions, False),
    (_falling_edge, False),
    (_unusual, True),
    (_not_plain, True),
    (_without_area, True),
    (_without_delays, True),
)
"""Each says why a cell is not used, or nothing; and whether that is a fault, which is noted."""


def _has_setup(cell: Cell) -> bool:
    return any(arc.kind in ("setup_rising", "setup_falling") for arc in cell.arcs)


_NEEDED: tuple[tuple[str, Callable[[Cell], bool]], ...] = (
    ("no inverter", lambda cell: _gate(cell) == "10"),
    ("no buffer", lambda cell: _gate(cell) == "01"),
    ("no two-input nand, nor, and or or gate", lambda cell: _gate(cell) in ("1110", "1000", "0001", "0111")),
    ("no plain flip-flop (one data input, no scan, rising edge)", lambda cell: cell.flip_flop is not None),
)
"""What synthesis needs, and how to tell it, also where it was set aside."""


def _require(library: Library, usable: Sequence[Cell], reasons: dict[str, _Reason]) -> None:
    if not usable and _NO_DELAYS in {reason.what for reason in reasons.values()}:
        raise HardwareError(
            f"{_files(library.paths)}: no logic cell has delay tables (cell_rise, cell_fall with transitions); other "
            "delay models are not read: give a library with delay_model table_lookup"
        )
    for what, is_one in _NEEDED:
        if any(is_one(cell) for cell in usable):
            continue
        candidates = [name for name, cell in library.cells.items() if is_one(cell)]
        causes = [f"{name}: {reasons[name].what}" for name in candidates or library.unread]
        more = "; ..." if len(causes) > _CAUSES else ""
        because = f" ({'; '.join(causes[:_CAUSES])}{more})" if causes else ""
        raise HardwareError(
            f"{_files(library.paths)}: the library has {what} that can be used: synthesis needs one{because}"
        )


def _files(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 1} more files" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"


def _gate(cell: Cell) -> str:
    """The values of a gate's function, first that at no input set: `10` is an inverter, `1110` a nand; else nothing."""
    if cell.flip_flop is not None or len(cell.outputs) != 1:
        return ""
    function = cell.pins[cell.outputs[0]].function or ""
    try:
        names = variables(function)
        values = truth_table(function, names) if 0 < len(names) <= MAXIMUM_VARIABLES else ()
    except HardwareError:
        return ""
    return "".join(str(int(value)) for value in values)


def _told(usable: Sequence[Cell], reasons: dict[str, _Reason]) -> str:
    counts = Counter(_UNREAD if reason.what.startswith(_UNREAD) else reason.what for reason in reasons.values())
    rest = ", ".join(f"{count} {what}" for what, count in counts.most_common())
    return f"{len(usable)} of {len(usable) + len(reasons)} mapped to" + (f"; not: {rest}" if rest else "")


def _note(cells: Sequence[str], what: str, then: str, of: int | None = None) -> str:
    """`no leakage in 3 of 9 cells (a, b, c): counted as 0`; empty for no cells."""
    if not cells:
        return ""
    text = noted(cells, what)
    return f"{text if of is None else text.replace(' cells (', f' of {of} cells (', 1)}: {then}"

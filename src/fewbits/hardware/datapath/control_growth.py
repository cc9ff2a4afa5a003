"""The control around neurons of another number of synapses than a technology table holds it for.

A synapse adds to the control what addresses and loads one more input of a row: that depends on the width of an input,
and not on what is multiplied. So each figure grows by as much as those of the two precisions of the nearest widths do
whose controls are known at several sizes: on the line through their sizes, then on the line between the widths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fewbits.hardware.datapath.lines import grown, neighbours, on_line
from fewbits.hardware.datapath.sizes import shipped, sizes_of, with_sizes
from fewbits.hardware.process.datapath_key import DEFAULT_SYNAPSES, DatapathKey
from fewbits.hardware.process.technology import ControlCost, Technology


@dataclass(frozen=True)
class ControlError:
    """How far a control's cost is from the one that was characterized, left out of the table for that."""

    name: str
    way: str
    """How it was found without: `between 8 and 32`, `from 16 as binary, float32`."""

    area_percent: float
    leakage_percent: float
    computing_percent: float
    """Of the energy of a cycle that computes."""


_Controls = Mapping[int, ControlCost]


def control_for(table: Technology, key: DatapathKey, base: ControlCost | None) -> tuple[ControlCost, str] | None:
    """The control around 16 neurons of a key's synapses, and how it was found in words.

    base: that of DEFAULT_SYNAPSES. None without it, or where neither the table nor the shipped one knows other sizes.
    """
    own = _controls_of(table, key)
    if len(own) > 1:
        low, high, _ = neighbours(list(own), key.synapses)
        return _at(own, key.synapses), f"on the line through those of {low} and {high} synapses"
    known = _known(table) or _known(shipped())
    return None if base is None or not known else _grown(base, key, known)


def control_errors(table: Technology) -> tuple[ControlError, ...]:
    """The errors on each control of other than DEFAULT_SYNAPSES, left out of the table for that.

    Between sizes, where it is not the smallest or the largest; grown as others, where its inputs are not the narrowest
    or the widest: nothing is grown beyond them.
    """
    return tuple(_errors(table))


def _errors(table: Technology) -> Iterator[ControlError]:
    known = _known(table)
    widths = [key.precision.inputs.bits for key, _ in known.values()]
    for name, (key, own) in known.items():
        others = {other: one for other, one in known.items() if other != name}
        for number, exact in own.items():
            wanted = replace(key, synapses=number)
            rest = {other: one for other, one in own.items() if other != number}
            if min(own) < number < max(own) and len(rest) > 1:
                low, high, _ = neighbours(list(rest), number)
                yield _error(wanted.name, f"between {low} and {high}", _at(rest, number), exact)
            if number != DEFAULT_SYNAPSES and min(widths) < key.precision.inputs.bits < max(widths):
                found, way = _grown(own[DEFAULT_SYNAPSES], wanted, others)
                yield _error(wanted.name, way, found, exact)


def _error(name: str, way: str, found: ControlCost, exact: ControlCost) -> ControlError:
    percents = [
        100 * (getattr(found, figure) / getattr(exact, figure) - 1)
        for figure in ("area_um2", "leakage_uw", "computing_pj")
    ]
    return ControlError(name, way, *percents)


def _controls_of(table: Technology, key: DatapathKey) -> _Controls:
    return {number: one.control for number, one in sizes_of(table, key).items() if one.control is not None}


def _known(table: Technology) -> dict[str, tuple[DatapathKey, _Controls]]:
    """The precisions whose controls are known at several sizes, DEFAULT_SYNAPSES among them, by name."""
    found = {key.name: (key, _controls_of(table, key)) for key in with_sizes(table)}
    return {name: one for name, one in found.items() if len(one[1]) > 1 and DEFAULT_SYNAPSES in one[1]}


def _at(own: _Controls, synapses: int) -> ControlCost:
    low, high, place = neighbours(list(own), synapses)
    return on_line(own[low], own[high], place)


def _grown(
    base: ControlCost, key: DatapathKey, known: Mapping[str, tuple[DatapathKey, _Controls]]
) -> tuple[ControlCost, str]:
    """A control with what those of the two nearest widths of inputs have more than at DEFAULT_SYNAPSES."""
    bits = key.precision.inputs.bits
    by_width = {one.precision.inputs.bits: (one.name, own) for one, own in known.values()}
    ends = {
        width: grown(base, own[DEFAULT_SYNAPSES], _at(own, key.synapses))
        for width, (_, own) in sorted(by_width.items())
    }
    if len(ends) == 1 or bits in ends:
        width = bits if bits in ends else next(iter(ends))
        return ends[width], f"from {DEFAULT_SYNAPSES} as {by_width[width][0]}"
    low, high, place = neighbours(list(ends), bits)
    way = f"from {DEFAULT_SYNAPSES} as {by_width[low][0]}, {by_width[high][0]}"
    return on_line(ends[low], ends[high], min(max(place, 0.0), 1.0)), way

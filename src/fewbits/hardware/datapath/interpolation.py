"""The cost of a fixedN/fixedM datapath that a technology table lacks, interpolated between those that it has.

Component by component, in the characterized neurons of equal widths fixedN: multipliers at the width n = sqrt(N * M),
since their area goes with the partial products' bits; all else at n = (N + M) / 2, as its width is the product's.
Between two widths each figure follows a power of n, as beyond the last ones; only neurons of the same architecture
(products summed whole or in carry-save form) are taken. `interpolation_errors` measures how far off that is. What
stands between numbers of synapses is in `sizes`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from fewbits.errors import HardwareError
from fewbits.formats import Precision
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.integer import Integer
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.process.datapath_key import DatapathKey, Element, equal_widths
from fewbits.hardware.process.technology import (
    ComponentCost,
    ControlCost,
    DatapathCost,
    NeuronShare,
    Technology,
)
from fewbits.hardware.rtl.pipelining import DEFAULT


@dataclass(frozen=True)
class InterpolationError:
    """How far the interpolation is from a datapath that was characterized, itself left out of the table."""

    precision: str
    area_percent: float
    """Interpolated less characterized, in percent of the characterized."""

    leakage_percent: float
    energy_percent: float


def can_interpolate(table: Technology, precision: Precision, element: Element = "neuron") -> bool:
    """Whether both formats are fixed point and the table has two fixedN datapaths of the same architecture.

    element: neurons of `DEFAULT_SYNAPSES` synapses, or processing elements.
    """
    return Integer.computes(precision) and _design(table, precision, element) is not None


def _design(table: Technology, precision: Precision, element: Element) -> Datapath | None:
    """The neuron of a precision with the pipelining of two fixedN datapaths of its architecture; None without two such.

    The standard pipelining comes first.
    """
    held = {datapath.pipelining for datapath in table.datapaths.values()}
    for stages in sorted(held, key=lambda name: (name != DEFAULT, name)):
        made = design(precision, stages=stages)
        if len(_same_architecture(table, made, element)) >= 2:
            return made
    return None


def interpolate(table: Technology, precision: Precision, element: Element = "neuron") -> DatapathCost:
    """The datapath of a fixedN/fixedM precision from the table's fixedN datapaths of the same architecture.

    `cell_counts` is empty; the longest path and the clock are the worse of the neighbours'.
    Raises HardwareError where it cannot (`can_interpolate`).
    """
    made = _design(table, precision, element) if can_interpolate(table, precision, element) else None
    if made is None:
        raise HardwareError(
            f"{precision.name} cannot be interpolated in technology {table.name!r}, which lacks fixedN datapaths of "
            f"its architecture: add it with 'fewbits characterize --precision {precision.name}'"
        )
    known = _same_architecture(table, made, element)
    weights, inputs = precision.weights.bits, precision.inputs.bits
    mean, product_mean = (weights + inputs) / 2, math.sqrt(weights * inputs)
    below, above, _ = _neighbours(known, mean)
    ends = (known[below], known[above])
    return DatapathCost(
        precision=DatapathKey(precision, element=element).name,
        components={
            name: _component(known, name, product_mean if name == "multipliers" else mean) for name in made.components
        },
        cell_counts={},
        accumulator_bits=made.accumulator_bits,
        longest_path_ns=max(end.longest_path_ns for end in ends),
        clock_mhz=min(end.clock_mhz for end in ends),
        meets_target=all(end.meets_target for end in ends),
        pipeline_stages=made.pipeline_stages if element == "neuron" else max(end.pipeline_stages for end in ends),
        accumulate_cycles=made.accumulate_cycles,
        multiplier=ends[0].multiplier,
        activity=ends[0].activity,
        pipelining=made.pipelining.name,
        control=_control(known, mean),
        synapses=ends[0].synapses,
    )


def interpolation_errors(table: Technology) -> tuple[InterpolationError, ...]:
    """The error on each fixedN/fixedM datapath of the table, left out of it for that; none where too few remain.

    The narrowest and the widest fixedN are not left out: nothing is interpolated beyond them.
    """
    widths = list(_equal_widths(table))
    ends = (*widths[:1], *widths[-1:])
    errors: list[InterpolationError] = []
    for precision in table.precisions():
        name, datapath = precision.name, table.datapath(precision)
        rest = replace(table, datapaths={other: cost for other, cost in table.datapaths.items() if other != name})
        if _WIDTHS.get(name) not in ends and can_interpolate(rest, precision):
            found = interpolate(rest, precision)
            errors.append(InterpolationError(name, *(_percent(found, datapath, figure) for figure in _FIGURES)))
    return tuple(errors)


_Figures = ComponentCost | ControlCost | NeuronShare

_FIGURES = ("area_um2", "leakage_uw", "energy_pj")


def _percent(found: DatapathCost, characterized: DatapathCost, figure: str) -> float:
    """Difference of a figure's sum over the components, in percent."""
    sums = [sum(getattr(part, figure) for part in cost.components.values()) for cost in (found, characterized)]
    return 100 * (sums[0] / sums[1] - 1)


_WIDTHS = {equal_widths(bits).name: bits for bits in range(2, 33)}
"""N of all fixedN, by the names of their keys."""


def _equal_widths(table: Technology, element: Element = "neuron") -> dict[int, DatapathCost]:
    """The fixedN datapaths of a table, by N."""
    found = ((bits, table.find(replace(equal_widths(bits), element=element))) for bits in _WIDTHS.values())
    return {bits: one for bits, one in found if one is not None}


def _same_architecture(table: Technology, made: Datapath, element: Element) -> dict[int, DatapathCost]:
    """The fixedN datapaths with a design's multiplier and pipelining, by N."""
    multiplier = made.multiplier if element == "neuron" else made.element_multiplier
    return {
        bits: datapath
        for bits, datapath in _equal_widths(table, element).items()
        if (datapath.multiplier, datapath.pipelining) == (multiplier, made.pipelining.name)
    }


def _neighbours(known: dict[int, DatapathCost], width: float) -> tuple[int, int, float]:
    """The characterized widths around a width (or the nearest two), and where between their logarithms it is."""
    widths: Sequence[int] = list(known)
    above = min(max(bisect_left(widths, width), 1), len(widths) - 1)
    low, high = widths[above - 1], widths[above]
    return low, high, math.log(width / low) / math.log(high / low)


def _control(known: dict[int, DatapathCost], width: float) -> ControlCost | None:
    """The control on the line through its neighbours' logarithms, its path and clock the worse of theirs."""
    low, high, place = _neighbours(known, width)
    ends = known[low].control, known[high].control
    if ends[0] is None or ends[1] is None:
        return None
    values = _between(ends[0], ends[1], place)
    values["longest_path_ns"] = max(end.longest_path_ns for end in ends if end is not None)
    values["clock_mhz"] = min(end.clock_mhz for end in ends if end is not None)
    shares = ends[0].each_neuron, ends[1].each_neuron
    share = _between(shares[0], shares[1], place) if shares[0] is not None and shares[1] is not None else None
    each = NeuronShare(**share) if share is not None else None  # pyright: ignore[reportArgumentType]
    return ControlCost(**values, each_neuron=each)  # pyright: ignore[reportArgumentType]


def _component(known: dict[int, DatapathCost], name: str, width: float) -> ComponentCost:
    """Every figure of a component on the line through its neighbours' logarithms; 0 where one of them is 0."""
    low, high, place = _neighbours(known, width)
    values = _between(known[low].components[name], known[high].components[name], place)
    return ComponentCost(**values)  # pyright: ignore[reportArgumentType]


def _between(low: _Figures, high: _Figures, place: float) -> dict[str, float]:
    """Every figure of two costs of a kind, `place` of the way between their logarithms; 0 where one of them is 0."""
    values: dict[str, float] = {}
    for field in fields(low):
        if field.type not in ("int", "float"):
            continue
        first, second = (float(getattr(end, field.name)) for end in (low, high))
        value = first ** (1 - place) * second**place if first > 0 and second > 0 else 0.0
        values[field.name] = round(value) if field.type == "int" else value
    return values

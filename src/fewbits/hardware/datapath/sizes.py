"""The cost of a neuron of another number of synapses than those that a technology table holds.

A synapse adds a multiplier, an addition and their registers, and leaves the accumulator and the output as they are: so
every figure of a component lies near a line in the number of synapses. It is taken on the line through the two nearest
of the table's sizes, beyond them too. Where a table holds one size of a precision alone, each component grows as that
of the nearest precision does of which it holds several, or the shipped table, where it holds none. `size_errors`
measures how far off both are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.lines import neighbours, on_line
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.process.datapath_key import DEFAULT_SYNAPSES, DatapathKey
from fewbits.hardware.process.technology import ComponentCost, DatapathCost, Technology, load_technology

Sizes = Mapping[int, DatapathCost]
"""Neurons that differ in the number of synapses alone, by that number, in order."""


@dataclass(frozen=True)
class SizeError:
    """How far a neuron's cost between sizes is from the one that was characterized, itself left out of the table."""

    name: str
    """Of the datapath."""

    way: str
    """How it was found without: `between 8 and 32`, `from 16 as fixed8`."""

    area_percent: float
    """Found less characterized, in percent of the characterized."""

    leakage_percent: float
    energy_percent: float


def sizes_of(table: Technology, key: DatapathKey) -> Sizes:
    """A table's neurons of a key, of any size; of one pipelining, that of the smallest."""
    numbers = sorted({one.synapses for one in table.datapaths.values()})
    found = {number: table.find(replace(key, synapses=number, element="neuron")) for number in numbers}
    there = {number: one for number, one in found.items() if one is not None}
    usual = next((one.pipelining for one in there.values()), "")
    return {number: one for number, one in there.items() if one.pipelining == usual}


def between_sizes(known: Sizes, key: DatapathKey) -> DatapathCost:
    """A neuron on the line through two of the known sizes, which must be two at least.

    Its path and clock are the worse of theirs, `cell_counts` is empty, and it has no control (`control_growth`).
    """
    low, high, _ = neighbours(list(known), key.synapses)
    ends = known[low], known[high]
    return replace(
        _sized(ends[0], key, _components(known, key.synapses)),
        longest_path_ns=max(end.longest_path_ns for end in ends),
        clock_mhz=min(end.clock_mhz for end in ends),
        meets_target=all(end.meets_target for end in ends),
    )


def scaled_like(cost: DatapathCost, key: DatapathKey, reference: Sizes) -> DatapathCost:
    """A neuron whose components have grown from those of one of another size as those of a reference have.

    cost: characterized, or interpolated, at `cost.synapses`. reference: another precision at two sizes at least.
    """
    before, after = _components(reference, cost.synapses), _components(reference, key.synapses)
    usual = key.synapses / cost.synapses
    grown = {name: _times(one, before.get(name), after.get(name), usual) for name, one in cost.components.items()}
    return _sized(cost, key, grown)


def reference_for(table: Technology, key: DatapathKey) -> tuple[DatapathKey, Technology] | None:
    """The precision whose sizes tell how a key's neuron grows, and the table that holds them.

    Of those that a table, or else the shipped one, holds at several sizes: of the same strategy if any, then of sums of
    the same kind, then of the nearest accumulator.
    """
    wanted = design(key.precision)
    for source in (table, shipped()):
        if candidates := with_sizes(source):
            return min(candidates, key=lambda one: _distance(wanted, design(one.precision), one)), source
    return None


def with_sizes(table: Technology) -> list[DatapathKey]:
    """The precisions that a table holds neurons of at several sizes."""
    if all(one.synapses == DEFAULT_SYNAPSES for one in table.datapaths.values()):
        return []
    keys = (DatapathKey(precision) for precision in table.precisions())
    return [key for key in keys if len(sizes_of(table, key)) > 1]


@cache
def shipped() -> Technology:
    """The table that tells how neurons grow where a user's own does not."""
    return load_technology()


def size_errors(table: Technology) -> tuple[SizeError, ...]:
    """The errors on each neuron that has others of its precision, left out of the table for that.

    First between the sizes next to it, where it is not the smallest or the largest; then scaled from DEFAULT_SYNAPSES
    as another precision grows, all sizes of its own but that left out.
    """
    return tuple(error for key in with_sizes(table) for error in _size_errors(table, key))


def _size_errors(table: Technology, key: DatapathKey) -> Iterator[SizeError]:
    known = sizes_of(table, key)
    own = {cost.precision for cost in known.values() if cost.synapses != DEFAULT_SYNAPSES}
    left = replace(table, datapaths={name: one for name, one in table.datapaths.items() if name not in own})
    reference = reference_for(left, key) if with_sizes(left) else None
    for number, exact in known.items():
        rest = {other: one for other, one in known.items() if other != number}
        if min(known) < number < max(known) and len(rest) > 1:
            low, high, _ = neighbours(list(rest), number)
            found = between_sizes(rest, replace(key, synapses=number))
            yield error_of(found, exact, f"between {low} and {high}")
        if number != DEFAULT_SYNAPSES and reference is not None and DEFAULT_SYNAPSES in known:
            like, source = reference
            found = scaled_like(known[DEFAULT_SYNAPSES], replace(key, synapses=number), sizes_of(source, like))
            yield error_of(found, exact, f"from {DEFAULT_SYNAPSES} as {like.name}")


def error_of(found: DatapathCost, exact: DatapathCost, way: str) -> SizeError:
    """Of the sums over all components."""
    percents = [
        100 * (sum(getattr(one, figure) for one in found.components.values())
               / sum(getattr(one, figure) for one in exact.components.values()) - 1)
        for figure in ("area_um2", "leakage_uw", "energy_pj")
    ]  # fmt: skip
    return SizeError(exact.precision, way, *percents)


def _distance(wanted: Datapath, other: Datapath, key: DatapathKey) -> tuple[bool, bool, float, str]:
    """How far another precision's neuron is from the wanted one, the nearest first."""
    widths = wanted.accumulator_bits, other.accumulator_bits
    kinds = type(wanted) is not type(other), wanted.accumulation != other.accumulation
    return *kinds, max(widths) / min(widths), key.name


def _sized(cost: DatapathCost, key: DatapathKey, components: dict[str, ComponentCost]) -> DatapathCost:
    """A datapath's cost with what follows from a key of another size."""
    made = design(
        key.precision, key.synapses, multiplier=key.multiplier, product_bits=key.product_bits, stages=cost.pipelining
    )
    return replace(
        cost,
        precision=key.name,
        components=components,
        cell_counts={},
        accumulator_bits=made.accumulator_bits,
        pipeline_stages=made.pipeline_stages,
        path_end="",
        control=None,
        synapses=key.synapses,
    )


def _components(known: Sizes, synapses: int) -> dict[str, ComponentCost]:
    """On the line of the two sizes nearest to a number."""
    low, high, place = neighbours(list(known), synapses)
    last = known[high].components
    return {name: on_line(one, last[name], place) for name, one in known[low].components.items()}


def _times(
    one: ComponentCost, before: ComponentCost | None, after: ComponentCost | None, usual: float
) -> ComponentCost:
    """A component grown as that of another neuron; as the synapses, where that has nothing of it."""

    def figure(name: str) -> float:
        start = 0.0 if before is None else float(getattr(before, name))
        growth = usual if start == 0 or after is None else float(getattr(after, name)) / start
        return growth * float(getattr(one, name))

    return ComponentCost(round(figure("cells")), figure("area_um2"), figure("leakage_uw"), figure("energy_pj"))

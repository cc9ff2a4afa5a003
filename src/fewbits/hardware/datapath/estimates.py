"""A datapath's cost in a technology table, found in this order, and a note where it was not characterized itself.

As it was characterized; on the line between other numbers of synapses (`sizes`); between other widths
(`interpolation`); at DEFAULT_SYNAPSES, grown as another precision does (`sizes`); a processing element from the parts
of a neuron (`element_of`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fewbits.hardware.datapath.control_growth import control_for
from fewbits.hardware.datapath.interpolation import can_interpolate, interpolate
from fewbits.hardware.datapath.lines import neighbours
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.datapath.sizes import SizeError, between_sizes, error_of, reference_for, scaled_like, sizes_of
from fewbits.hardware.process.corners import AT_CORNER
from fewbits.hardware.process.datapath_key import DEFAULT_SYNAPSES, DatapathKey
from fewbits.hardware.process.technology import ComponentCost, DatapathCost, Technology


@dataclass(frozen=True)
class Found:
    """A datapath's cost, and where its figures are from."""

    cost: DatapathCost
    notes: tuple[str, ...] = ()
    """What was not characterized, and how it was found; empty where all was."""

    control_note: str = ""
    """How the control around it was found, where it was not characterized."""

    is_estimate: bool = False
    """Whether the datapath was not characterized itself, whatever the control around it."""


def find(table: Technology, key: DatapathKey) -> Found | None:
    """A datapath with the control around it, characterized or estimated; None where the table has nothing like it.

    A table at a corner holds fewer datapaths than the typical one: what it lacks is not told from those of other sizes
    or kinds, as the corners of a cost would then rest on other ground than its typical figures.
    """
    ways = (_characterized, _between_sizes, _between_widths, _grown, _from_neuron)
    if AT_CORNER in table.provenance:
        ways = (_characterized, _between_widths)
    for way in ways:
        if (found := way(table, key)) is not None:
            return _with_control(found, table, key)
    return None


def _characterized(table: Technology, key: DatapathKey) -> Found | None:
    cost = table.find(key)
    return None if cost is None else Found(cost)


def _between_sizes(table: Technology, key: DatapathKey) -> Found | None:
    known = sizes_of(table, key) if key.element == "neuron" else {}
    if len(known) < 2:
        return None
    low, high, place = neighbours(list(known), key.synapses)
    how = "interpolated between those" if 0 < place < 1 else "extrapolated from those"
    note = f"the datapath of {key.name} is {how} of {low} and {high} synapses"
    return Found(between_sizes(known, key), (note,), is_estimate=True)


def _between_widths(table: Technology, key: DatapathKey) -> Found | None:
    if key != DatapathKey(key.precision, element=key.element) or not can_interpolate(table, key.precision, key.element):
        return None
    notes = () if key.element == "neuron" else (between_widths(key.name),)  # of a neuron, `Cost.interpolated` tells it
    return Found(interpolate(table, key.precision, key.element), notes, is_estimate=True)


def between_widths(name: str) -> str:
    """The note on a datapath that is interpolated between widths. name: of its key."""
    return f"the datapath of {name} is interpolated between characterized precisions"


def _grown(table: Technology, key: DatapathKey) -> Found | None:
    if key.element != "neuron" or key.synapses == DEFAULT_SYNAPSES:
        return None
    base_key = replace(key, synapses=DEFAULT_SYNAPSES)
    base = next((one for way in (_characterized, _between_widths) if (one := way(table, base_key))), None)
    reference = reference_for(table, key) if base is not None else None
    if base is None or reference is None:
        return None
    like, source = reference
    where = "" if source is table else f" in technology {source.name}"
    note = f"the datapath of {key.name} is estimated from that of {base_key.name}, as that of {like.name} grows{where}"
    cost = scaled_like(base.cost, key, sizes_of(source, like))
    return Found(cost, (*_of_base(base), note), is_estimate=True)


def _from_neuron(table: Technology, key: DatapathKey) -> Found | None:
    if key.element == "neuron":
        return None
    neuron_key = replace(key, element="neuron", synapses=DEFAULT_SYNAPSES)
    base = next((one for way in (_characterized, _between_widths) if (one := way(table, neuron_key))), None)
    if base is None:
        return None
    note = (
        f"the {key.name} is estimated from a neuron of {neuron_key.name}: one of its {DEFAULT_SYNAPSES} multipliers, "
        "one addition of its tree, their registers"
    )
    return Found(element_of(base.cost, key), (*_of_base(base), note), is_estimate=True)


def _of_base(base: Found) -> tuple[str, ...]:
    """What was not characterized of the neuron that an estimate starts from."""
    return (between_widths(base.cost.precision),) if base.is_estimate else ()


def element_of(neuron: DatapathCost, key: DatapathKey) -> DatapathCost:
    """A processing element from the parts of a neuron.

    One of its multipliers; one of the additions of its tree, in `rest`; of its flip-flops those of one synapse, and
    those that keep a weight, hand an input on and hold the sum of a tree: a float adder's own are among the former.
    There is no control around it.
    """
    synapses = neuron.synapses
    nothing = ComponentCost(0, 0.0, 0.0, 0.0)
    flip_flops = neuron.components["registers"]
    made = design(key.precision, multiplier=key.multiplier, product_bits=key.product_bits)
    bits = key.precision.weights.bits + key.precision.inputs.bits
    bits += 0 if made.accumulation == "float32" else made.tree_bits
    own = bits / flip_flops.cells if flip_flops.cells else 0.0
    parts = {name: nothing for name in neuron.components} | {
        "multipliers": _part(neuron.components["multipliers"], 1 / synapses),
        "registers": _part(flip_flops, 1 / synapses + own),
        "rest": _part(neuron.components["adder_tree"], 1 / max(1, synapses - 1)),
    }
    return replace(
        neuron, precision=key.name, components=parts, cell_counts={}, path_end="", control=None, synapses=key.synapses
    )


def element_errors(table: Technology) -> tuple[SizeError, ...]:
    """How far each characterized processing element is from that estimated from the neuron of its precision."""
    keys = [DatapathKey(precision, element="processing-element") for precision in table.precisions()]
    found: list[SizeError] = []
    for key in keys:
        exact, neuron = table.find(key), table.find(key.precision)
        if exact is not None and neuron is not None:
            found.append(error_of(element_of(neuron, key), exact, "from its neuron"))
    return tuple(found)


def _part(cost: ComponentCost, share: float) -> ComponentCost:
    return ComponentCost(
        round(cost.cells * share), cost.area_um2 * share, cost.leakage_uw * share, cost.energy_pj * share
    )


def _with_control(found: Found, table: Technology, key: DatapathKey) -> Found:
    """With the control around neurons of its synapses, where the table has one that it can be grown from."""
    if key.element != "neuron" or key.synapses == DEFAULT_SYNAPSES or found.cost.control is not None:
        return found
    usual = find(table, replace(key, synapses=DEFAULT_SYNAPSES))
    control = control_for(table, key, None if usual is None else usual.cost.control)
    if control is None:
        return found
    cost, way = control
    note = f"the control around {key.name} is estimated: {way}" if way else ""
    return replace(found, cost=replace(found.cost, control=cost), control_note=note)

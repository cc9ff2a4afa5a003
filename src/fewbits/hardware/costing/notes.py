"""What a cost's figures are of, where that is not what was asked for: one line for each such thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from fewbits.formats.switched_units import OUTPUTS_OF_A_UNIT, SYNAPSES_OF_A_CHUNK
from fewbits.hardware.costing.breakdown import Breakdown
from fewbits.hardware.costing.clock import Clock
from fewbits.hardware.costing.packing import Narrow, is_packed
from fewbits.hardware.costing.tiles import Tile, Tiles
from fewbits.hardware.dataflow.plan import Schedule
from fewbits.hardware.datapath.estimates import between_widths
from fewbits.hardware.process.corners import AT_CORNER
from fewbits.hardware.process.technology import GIVEN_NOTE
from fewbits.hardware.workload.workload import Workload

_Value = TypeVar("_Value")


def notes_of(
    workload: Workload, tiles: Tiles, clock: Clock, breakdown: Breakdown, plans: Sequence[Schedule]
) -> tuple[str, ...]:
    """The notes of a network's cost on its tiles. plans: of the tiles that are used."""
    used = list(dict.fromkeys(tiles.of(layer) for layer in workload.layers))
    return (
        *_of_tables(used),
        *clock.notes,
        *_other_clock(used, clock),
        *_own_accelerators(workload, tiles),
        *dict.fromkeys(line for tile in used for line in _estimates(tile, tiles)),
        *_narrower(workload, tiles),
        *(note for tile in used for note in _packing(tile, tiles, workload)),
        *(note for tile in used for note in tile.dataflow.size_notes(tile.name, tile.datapath, tile.accelerator)),
        *_flip_flop_buffers(used, breakdown),
        *_large_macros(used),
        *_searched(plans),
        *_passed_over(workload),
        *workload.uncounted,
        *tiles.main.dataflow.layer_notes(
            workload, {layer.name: tiles.of(layer).design for layer in workload.layers}, tiles.main.design
        ),
    )


def own_datapaths(workload: Workload, tiles: Tiles) -> dict[str, str]:
    """Layers that another datapath computes than the precision's, by name, with that datapath's name."""
    found = {layer.name: tiles.of(layer) for layer in workload.layers}
    return {name: tile.name for name, tile in found.items() if tile is not tiles.main}


def narrower_layers(workload: Workload, tiles: Tiles) -> dict[str, str]:
    """Layers of narrower formats than the datapath that computes them, by name, with theirs."""
    return {
        layer.name: layer.precision
        for layer in workload.layers
        if layer.precision is not None and layer.precision != tiles.of(layer).precision.name
    }


def _of_tables(used: Sequence[Tile]) -> Iterator[str]:
    """What the makers of the technology tables say of them."""
    for technology in {tile.technology.name: tile.technology for tile in used}.values():
        if note := technology.provenance.get(GIVEN_NOTE):
            yield f"technology {technology.name}: {note}"
        if at := technology.provenance.get(AT_CORNER):
            yield f"figures at {at}"


def _other_clock(used: Sequence[Tile], clock: Clock) -> Iterator[str]:
    characterized = used[0].technology.target_clock_mhz
    if clock.asked_mhz > characterized:
        path_ns = clock.paths_ns[clock.limited_by] or 0.0
        yield (
            f"area and energy are of circuits synthesized for {characterized:.4g} MHz, not for the "
            f"{clock.asked_mhz:.4g} asked for; the longest path is the {clock.limited_by}'s {path_ns:.3g} ns: make the "
            "technology table anew with a higher clock, or ask for this one"
        )
    if clock.asked_mhz < characterized:
        yield (
            f"area and energy are of circuits synthesized for {characterized:.4g} MHz, which are larger than "
            f"{clock.asked_mhz:.4g} MHz need"
        )


def _own_accelerators(workload: Workload, tiles: Tiles) -> Iterator[str]:
    found = {layer.name: tiles.of(layer) for layer in workload.layers}
    modes = {name: tile.name for name, tile in found.items() if tile.is_mode}
    for name, layers in _by(modes):
        yield (
            f"{layers} at {name}, another mode of the datapath of {tiles.main.name}: area and leakage are counted "
            "once, and memory words are as wide as its lanes in either mode"
        )
    for name, layers in _by(
        {layer: name for layer, name in own_datapaths(workload, tiles).items() if layer not in modes}
    ):
        yield (
            f"{layers} at {name}, on an accelerator of its own beside that of {tiles.main.precision.name}; what "
            "converts values between them is in no figure"
        )


def _estimates(tile: Tile, tiles: Tiles) -> Iterator[str]:
    """What was not characterized; that the main datapath lies between widths is told by `Cost.interpolated`."""
    yield from tile.estimates
    if tile.is_interpolated and not tile.estimates and tile is not tiles.main:
        yield between_widths(tile.name)


def _narrower(workload: Workload, tiles: Tiles) -> Iterator[str]:
    computed_by = {layer.name: tiles.of(layer).name for layer in workload.layers}
    narrower = narrower_layers(workload, tiles)
    for (name, datapath), layers in _by({layer: (name, computed_by[layer]) for layer, name in narrower.items()}):
        yield (
            f"{layers} at {name}, on the datapath of {datapath}: weights and values are stored and transferred at "
            f"their own width; biases, buffers, neurons and cycles are those of {datapath}"
        )


def _packing(tile: Tile, tiles: Tiles, workload: Workload) -> Iterator[str]:
    narrow = tiles.narrow(tile, workload.layers)
    packed = [one for one in narrow if is_packed(one)]
    if packed and tile.technology.packing is None:
        yield (
            f"unpacker not in this technology table: not counted; for what unpacks and packs {_conversions(packed)}, "
            "make it anew with fewbits characterize"
        )
    elif packed:
        parts = (tiles.parts(tile, workload.layers), tile.parts)
        with_packing, without = (sum(part.area_um2 for part in each.values()) for each in parts)
        yield (
            f"what unpacks and packs {_conversions(packed)} is counted with the buffers: "
            f"{(with_packing - without) * 1e-6:.2g} mm2, estimated from one row's at uniform activity"
        )
    if decoded := [one for one in narrow if not one.is_priced]:
        yield f"what decodes {_conversions(decoded)} is in no figure"


def _conversions(narrow: Iterable[Narrow]) -> str:
    """Such as `weights fixed4 to fixed8`."""
    texts = (
        (one.datapath, one.stored, one.holds) if one.holds == "outputs" else (one.stored, one.datapath, one.holds)
        for one in narrow
    )
    return ", ".join(f"{what} {start.name} to {end.name}" for start, end, what in texts)


def _flip_flop_buffers(used: Sequence[Tile], breakdown: Breakdown) -> Iterator[str]:
    """That buffers are flip-flops, where they are, and what that makes of area and energy."""
    sources = {buffer.macro.source for tile in used for buffer in tile.buffers.values() if buffer.macro.is_flip_flops}
    memories = used[0].buffers
    shares = ", ".join(
        f"{100 * sum(amounts[name] for name in memories) / sum(amounts.values()):.0f} % of the {what}"
        for what, amounts in (("area", breakdown.area_mm2), ("energy", breakdown.energy_uj))
    )
    for source in sorted(sources):
        yield f"buffers are {source}, since the technology has no SRAM macro of two ports: {shares}; no clock is gated"


def _large_macros(used: Sequence[Tile]) -> Iterator[str]:
    """Memories of many small instances, each of which takes a macro that is at least twice as large."""
    for tile in used:
        for memory in tile.memories:
            buffer = tile.buffers[memory.name]
            held, made = memory.rows * memory.row_bits, buffer.macros * buffer.macro.rows * buffer.macro.bits
            if memory.instances > 1 and 2 * held <= made:
                yield (
                    f"{memory.name}: each of {memory.instances} instances of {memory.rows} x {memory.row_bits} bits is "
                    f"made of {buffer.macro.name}, {made / held:.3g} times as large: no memory of the technology table "
                    "fits better; area and energy of accesses are the macro's"
                )


def _searched(plans: Sequence[Schedule]) -> Iterator[str]:
    """Of which layers the mapper did not look at all mappings."""
    layers = [layer for plan in plans for layer in plan.layers if layer.looked_at]
    if layers:
        named = ", ".join(repr(layer.name) for layer in layers[:3])
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        counts = sorted(layer.looked_at for layer in layers)
        yield (
            f"the mappings of {named}{more} are the best of those looked at ({counts[0]:,} to {counts[-1]:,} a layer), "
            "not of all: there are too many"
        )


def _passed_over(workload: Workload) -> Iterator[str]:
    """Of which layers the control passes over chunks."""
    for layer in workload.layers:
        if layer.chunks:
            taken = [chunk for group in layer.chunks for chunk in group]
            slots = len(layer.chunks) * (max(taken) - min(taken) + 1)
            yield (
                f"layer {layer.name!r}: of {slots} chunks of {SYNAPSES_OF_A_CHUNK} synapses, the first to the last, "
                f"by groups of {OUTPUTS_OF_A_UNIT} outputs, {slots - len(taken)} are passed over: a cycle each at each "
                "position, in which nothing is read or multiplied; the bit a chunk that says so is in no figure, nor "
                "in the generated circuit"
            )


def _by(named: Mapping[str, _Value]) -> list[tuple[_Value, str]]:
    """Each value of a dictionary, and its keys in a line."""
    keys: dict[_Value, list[str]] = {}
    for key, value in named.items():
        keys.setdefault(value, []).append(repr(key))
    return [(value, ", ".join(each)) for value, each in keys.items()]

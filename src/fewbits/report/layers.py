"""Layers on their accelerator: where cycles go, what limits each, what each memory does; as tables of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewbits.hardware.costing.chip_parts import OFF_CHIP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fewbits.study.layer_record import LayerRecord

OPERATIONS = "A product is two operations, a multiplication and an addition."

"""Where a memory's name stands, for the one beyond the chip's border."""

BITS_PER_KIB = 8 * 1024


@dataclass(frozen=True)
class LayerTable:
    """Cells of text; the columns of `words` are aligned to the left, the others are numbers."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int]

    def lines(self, indent: str = "  ") -> Iterator[str]:
        """For a terminal: columns as wide as their longest cell."""
        widths = [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        for row in (self.headings, *self.rows):
            cells = [
                cell.ljust(width) if place in self.words else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            yield (indent + "  ".join(cells)).rstrip()


def gops_of(layer: LayerRecord, clock_mhz: float) -> float:
    """Operations a second of a layer, in 10^9."""
    return layer.operations * clock_mhz / layer.cycles / 1000


def cycle_table(layers: Sequence[LayerRecord], clock_mhz: float) -> LayerTable:
    """A row for each layer: cycles by what they are spent on, throughput, energy, transfers, what limits it."""
    heads = ("layer", "cycles", "busy", "stalled", "filling", "set-up", "waiting for transfers")
    return LayerTable(
        headings=(*heads, "GOPS", "energy, µJ", "off-chip, KiB", "limited by"),
        rows=tuple(
            (
                layer.name,
                *(f"{count:,}" for count in (layer.cycles, layer.busy_cycles, layer.stall_cycles)),
                *(f"{count:,}" for count in (layer.fill_cycles, layer.setup_cycles, layer.transfer_stall_cycles)),
                f"{gops_of(layer, clock_mhz):.4g}" if layer.operations else "-",
                f"{layer.energy_uj:.4g}",
                f"{layer.traffic_bits / BITS_PER_KIB:,.4g}",
                layer.limit,
            )
            for layer in layers
        ),
        words=frozenset({0, len(heads) + 3}),
    )


def memory_table(layers: Sequence[LayerRecord]) -> LayerTable:
    """A row for each layer and memory level: rows read and written, bytes moved, energy; off-chip transfers last."""
    return LayerTable(
        headings=("layer", "memory", "row, bit", "rows read", "rows written", "moved, KiB", "energy, µJ"),
        rows=tuple(row for layer in layers for row in _memories(layer)),
        words=frozenset({0, 1}),
    )


def _memories(layer: LayerRecord) -> Iterator[tuple[str, ...]]:
    for one in layer.memories:
        bits = (one.reads + one.writes) * one.row_bits
        yield (
            *(layer.name, one.name, f"{one.row_bits:,}", f"{one.reads:,}", f"{one.writes:,}"),
            *(f"{bits / BITS_PER_KIB:,.4g}", f"{one.energy_uj:.4g}"),
        )
    yield (layer.name, OFF_CHIP, "-", "-", "-", f"{layer.traffic_bits / BITS_PER_KIB:,.4g}", "apart")

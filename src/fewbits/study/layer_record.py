"""What a run keeps of each layer on its accelerator: cycles, operations, accesses of memories. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from fewbits.study.declaration import STORED, Count, Size

if TYPE_CHECKING:
    from fewbits.hardware import Cost, LayerCost


@dataclass(frozen=True, kw_only=True)
class MemoryRecord:
    """A memory on the chip in one layer of one image; fields as `fewbits.hardware.MemoryCost` has them."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    name: str
    reads: Count
    writes: Count
    row_bits: Count
    rows_per_cycle: Count
    energy_uj: Size


@dataclass(frozen=True, kw_only=True)
class LayerRecord:
    """One layer of one image; fields as `fewbits.hardware.LayerCost` has them."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    name: str
    kind: str
    operations: Count
    cycles: Count
    busy_cycles: Count
    stall_cycles: Count
    fill_cycles: Count
    setup_cycles: Count
    transfer_stall_cycles: Count
    traffic_bits: Size
    energy_uj: Size
    limit: str
    memories: tuple[MemoryRecord, ...]
    mapping: tuple[str, ...] = ()


def layer_records(cost: Cost) -> tuple[LayerRecord, ...]:
    """Of each layer of a network's cost."""
    return tuple(layer_record(layer) for layer in cost.breakdown.layers)


def layer_record(layer: LayerCost) -> LayerRecord:
    """Of one layer."""
    return LayerRecord(
        name=layer.name,
        kind=layer.kind,
        operations=layer.operations,
        cycles=layer.cycles,
        busy_cycles=layer.busy_cycles,
        stall_cycles=layer.stall_cycles,
        fill_cycles=layer.fill_cycles,
        setup_cycles=layer.setup_cycles,
        transfer_stall_cycles=layer.transfer_stall_cycles,
        traffic_bits=float(layer.traffic_bits),
        energy_uj=layer.energy_uj,
        limit=layer.limit,
        mapping=layer.mapping,
        memories=tuple(
            MemoryRecord(
                name=one.name,
                reads=one.reads,
                writes=one.writes,
                row_bits=one.row_bits,
                rows_per_cycle=one.rows_per_cycle,
                energy_uj=one.energy_uj,
            )
            for one in layer.memories
        ),
    )

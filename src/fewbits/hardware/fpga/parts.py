"""An accelerator's parts on a family: each counted once, and times its instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.dataflow.registry import dataflow_of
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.fpga.counting import counted
from fewbits.hardware.fpga.families import Family
from fewbits.hardware.fpga.resources import Resources
from fewbits.hardware.mapping.synthesis import Progress


@dataclass(frozen=True)
class PartResources:
    """A part of an accelerator on an FPGA."""

    each: Resources
    """Of one instance."""

    instances: int

    @property
    def together(self) -> Resources:
        """Of all instances."""
        return self.each * self.instances


def resources_of_parts(
    design: NeuronDesign, accelerator: AnyAccelerator, family: Family, progress: Progress | None = None
) -> Mapping[str, PartResources]:
    """Every part of an accelerator by name: neurons, control, each memory.

    Raises HardwareError if its dataflow has no circuit, or yosys fails.
    """
    parts = dataflow_of(accelerator).needed("circuit_parts")(design, accelerator)
    return {
        part.name: PartResources(counted(part.rtlil(), part.top, family, progress, part.name), part.instances)
        for part in parts
    }


def total(parts: Mapping[str, PartResources]) -> Resources:
    """All parts together."""
    return reduce(add, (part.together for part in parts.values()))

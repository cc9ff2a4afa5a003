"""A DianNao-like tile as loops and memories, for drawings; its cycles are those of `scheduling`."""

from __future__ import annotations

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.loops.description import Axis, LoopAccelerator, LoopMemory


def described(accelerator: Accelerator) -> LoopAccelerator:
    """Neurons take other output channels, synapses other inputs of one output, which a tree adds."""
    rows, neurons, synapses = accelerator.buffer_rows, accelerator.neurons, accelerator.synapses
    return LoopAccelerator(
        space=(
            Axis("neurons", neurons, ("K",)),
            Axis("synapses", synapses, ("C", "FY", "FX"), flat=True, outputs="adder-tree"),
        ),
        memories=(
            LoopMemory("sb", ("weights",), values=rows * neurons * synapses, row_values=neurons * synapses),
            LoopMemory("bin", ("inputs",), values=rows * synapses, row_values=synapses),
            LoopMemory("bout", ("outputs",), values=rows * neurons, row_values=neurons),
        ),
        clock_mhz=accelerator.clock_mhz,
        bandwidth=accelerator.bandwidth,
        source="Chen et al., DianNao, ASPLOS 2014, section 5: the organization; sizes and clock are this project's",
    )

"""The accelerator in parts that are synthesized by themselves: neurons, buffers, and all that lies between them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.base import CircuitPart, Memory
from fewbits.hardware.dataflow.diannao.circuit.buffers import Buffer
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.dataflow.plan import Widths
from fewbits.hardware.datapath.neuron import to_rtlil
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.instances import component_rtlil


def circuit_parts(
    memories: Callable[[Accelerator, Widths], tuple[Memory, ...]], design: NeuronDesign, accelerator: Accelerator
) -> tuple[CircuitPart, ...]:
    """Neurons, control and each of the dataflow's memories; RTLIL is made where it is asked for."""
    precision = design.precision
    widths = Widths(precision.weights.bits, precision.inputs.bits, design.accumulator_bits)
    return (
        CircuitPart("neuron", accelerator.neurons, "neuron", partial(to_rtlil, design)),
        CircuitPart("control", 1, "control", partial(_control, design, accelerator)),
        *(
            CircuitPart(
                one.name, one.instances, "buffer", partial(_memory, one.rows, one.row_bits), (one.rows, one.row_bits)
            )
            for one in memories(accelerator, widths)
        ),
    )


@lru_cache(maxsize=8)
def _control(design: NeuronDesign, accelerator: Accelerator) -> str:
    """Once for all families that it is counted for: yosys takes it out of the whole circuit."""
    return control_rtlil(design, accelerator)


def _memory(rows: int, width: int) -> str:
    return component_rtlil(Buffer(rows, width), "buffer")

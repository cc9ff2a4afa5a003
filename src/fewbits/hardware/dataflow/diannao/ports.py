"""Buffers of one port: cycles that wait because a row is to be written while another is read.

The schedule has a row written while another is read, which takes two ports, or banks. A memory of one port does one
access a cycle: a layer's busy and waiting cycles are as many as its reads and writes at least. Of several banks, over
which rows are interleaved, one is read; a write meets it in one of so many cases, the two rows being taken as
independent (Rau, "Interleaved memory bandwidth in a model of a multiprocessor computer system", IEEE Transactions on
Computers, 1979), waits for a cycle, and finds it free. All buffers are written side by side, so that the one that waits
the longest counts. Cycles of set-up and fill are not used. That is an estimate; no circuit has such buffers.
"""

from __future__ import annotations

from dataclasses import replace

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.tiling import ceil_div
from fewbits.hardware.dataflow.plan import LayerSchedule, Schedule


def with_ports(plan: Schedule, accelerator: Accelerator) -> Schedule:
    """A schedule with the cycles that wait for the ports of the buffers; itself where they have two."""
    if accelerator.buffer_ports > 1:
        return plan
    return replace(plan, layers=tuple(_waiting(layer, accelerator.buffer_banks) for layer in plan.layers))


def _waiting(layer: LayerSchedule, banks: int) -> LayerSchedule:
    free = layer.busy_cycles + layer.stall_cycles
    needed = {name: one.reads + ceil_div(one.writes, banks) for name, one in layer.accesses.items()}
    name = max(needed, key=lambda one: needed[one])
    waits = max(0, needed[name] - free)
    if not waits:
        return layer
    utilization = layer.utilization * layer.cycles / (layer.cycles + waits)
    return replace(
        layer,
        stall_cycles=layer.stall_cycles + waits,
        utilization=utilization,
        limit=f"the port of {name}: {waits} cycles wait for rows that are written",
    )


def check_two_ports(accelerator: Accelerator) -> None:
    """Raise HardwareError for buffers that the circuit does not have."""
    if accelerator.buffer_ports != 2 or accelerator.buffer_banks != 1:
        raise HardwareError(
            f"the circuit's buffers have one bank of two ports each, not {accelerator.buffer_banks} of "
            f"{accelerator.buffer_ports}: leave buffer_ports and buffer_banks out, other buffers have a cost alone"
        )

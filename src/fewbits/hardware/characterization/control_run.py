"""A network's program run on the synthesized control, cycle by cycle: that it works, and how often its nets toggle.

Memory, buffers and tile around the control are modeled: they answer with the bit-exact network's own values, as the
circuit's would. Cycles and buffer accesses must be those of the schedule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.sequential_simulation import SequentialSimulation, Watch
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.sequencer import LANE_WORD_BITS
from fewbits.hardware.dataflow.diannao.compiler import compile_network
from fewbits.hardware.dataflow.diannao.latency import pipeline
from fewbits.hardware.dataflow.diannao.memory_images import encode_images
from fewbits.hardware.dataflow.diannao.operands import value_codes
from fewbits.hardware.dataflow.diannao.output_steps import STEPS
from fewbits.hardware.dataflow.diannao.program import WORD_BITS, layout
from fewbits.hardware.dataflow.diannao.scheduling import schedule, total_accesses
from fewbits.hardware.dataflow.network_compiler import Program
from fewbits.hardware.dataflow.plan import Schedule
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.workload.networks import workload_of

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.hardware.mapping.netlist import Netlist

COMPUTING, POOLING = 0, 1
"""Kinds of cycles: of layers with weights and of pooling, each with its set-up, fill and drain."""

Bits = NDArray[np.uint8]


def run_control(
    netlist: Netlist,
    design: NeuronDesign,
    accelerator: Accelerator,
    network: BitExactNetwork,
    image: Tensor,
    watch: Watch | None = None,
) -> SequentialSimulation:
    """Run one image's program from power-on to the end; the result holds the activity by kind of cycle.

    netlist: of `rtl.control.control_rtlil`, mapped. image: one, as for `network.run`, with the leading dimension of 1.
    watch: sees each cycle from the program's start on.
    Raises HardwareError if cycles or accesses are not those of the schedule, or the control asks for what there is not.
    """
    program = compile_network(network, design, accelerator)
    plan = _plan(design, accelerator, network)
    rows = _rows(network, design, image, accelerator.neurons)
    memory = _memory(network, program, image, design)
    run = _Run(netlist, design, accelerator, program, memory, rows, _descriptors(plan), watch)
    run.to_the_end(plan)
    return run.simulation


def planned_cycles(design: NeuronDesign, accelerator: Accelerator, network: BitExactNetwork) -> list[int]:
    """Cycles of each kind in the schedule."""
    plan = _plan(design, accelerator, network)
    kinds = _kinds(plan)
    return [
        sum(layer.cycles for layer, its in zip(plan.layers, kinds, strict=True) if its == k)
        for k in (COMPUTING, POOLING)
    ]


def _plan(design: NeuronDesign, accelerator: Accelerator, network: BitExactNetwork) -> Schedule:
    scheduled = replace(accelerator, synapses=design.products_per_cycle)  # of a split lane, the mode's
    return schedule(workload_of(network, None), scheduled, pipeline(design, scheduled))


def _kinds(plan: Schedule) -> list[int]:
    return [COMPUTING if layer.products else POOLING for layer in plan.layers]


@dataclass(frozen=True)
class _Descriptor:
    """What the model around the control must know of a layer, or of a piece of its chunks."""

    kind: int
    spills: bool
    """Whether its sums are partial: they leave past the output stage."""


def _descriptors(plan: Schedule) -> list[_Descriptor]:
    """All of a program, in their order."""
    return [
        _Descriptor(kind, piece < layer.pieces - 1)
        for layer, kind in zip(plan.layers, _kinds(plan), strict=True)
        for piece in range(layer.pieces)
    ]


class _Run:
    def __init__(
        self,
        netlist: Netlist,
        design: NeuronDesign,
        accelerator: Accelerator,
        program: Program,
        values: NDArray[np.uint32],
        rows: Iterator[Bits],
        descriptors: list[_Descriptor],
        watch: Watch | None,
    ) -> None:
        self.simulation = SequentialSimulation(netlist, kinds=2, watch=watch)
        self._accelerator = accelerator
        self._code_bits = design.output_port_bits
        self._descriptor_words = layout(design, accelerator).words
        self._words = _bits(program.words.reshape(-1, WORD_BITS // 32))
        self._weights, self._biases = _bits(program.weights), _bits(program.biases)
        self._values = values
        self._rows = rows
        self._descriptors = descriptors
        self._partial = np.zeros(accelerator.neurons * design.output_port_bits, np.uint8)
        self._buffers = {name: np.zeros((accelerator.buffer_rows, bits), np.uint8) for name, bits in (
            ("bin", accelerator.synapses * design.input_lane_bits),
            ("sb", accelerator.neurons * accelerator.synapses * design.weight_lane_bits),
        )}  # fmt: skip
        self._read: dict[str, Bits] = {}
        self._answers: deque[dict[str, Bits | None]] = deque()
        self._answers.extend({} for _ in range(accelerator.memory_latency))
        self._ends: deque[_Descriptor | None] = deque([None] * design.pipeline_stages)
        """Whose output's last chunk went into the tile in each of the last cycles."""
        self._accesses = np.zeros(6, np.int64)
        self._at = descriptors[0]

    def to_the_end(self, plan: Schedule) -> None:
        """Reset, start, run, compare with the schedule."""
        simulation = self.simulation
        simulation.set("rst", np.ones(1, np.uint8))
        simulation.settle()
        simulation.clock(COMPUTING, counts=False)
        simulation.set("rst", np.zeros(1, np.uint8))
        simulation.set("start", np.ones(1, np.uint8))
        simulation.settle()
        simulation.clock(COMPUTING, counts=False)
        simulation.set("start", np.zeros(1, np.uint8))
        cycle = 0
        while not self._is_done():
            if cycle > plan.cycles:
                raise HardwareError(f"the synthesized control does not end after the schedule's {plan.cycles} cycles")
            self._outputs()
            simulation.clock(self._at.kind)
            cycle += 1
        expected = list(total_accesses(plan).values())
        if cycle != plan.cycles or self._accesses.tolist() != expected:
            raise HardwareError(
                f"the synthesized control took {cycle} cycles and {self._accesses.tolist()} buffer accesses, the "
                f"schedule says {plan.cycles} and {expected}"
            )

    def _is_done(self) -> bool:
        """Begin a cycle."""
        self._inputs()
        self.simulation.settle()
        return bool(self.simulation.number("done"))

    def _inputs(self) -> None:
        """What memory, buffers and tile say in this cycle."""
        self._answer = self._answers.popleft()
        for port, bits in (self._answer | self._read).items():
            if bits is not None:
                self.simulation.set(port, bits)
        self._read.clear()
        if (end := self._ends.popleft()) is not None:
            self.simulation.set("tile.valid", np.ones(1, np.uint8))
            self.simulation.set("tile.outputs", self._partial if end.spills else next(self._rows))
        else:
            self.simulation.set("tile.valid", np.zeros(1, np.uint8))

    def _outputs(self) -> None:
        """What this cycle asks for."""
        get, number = self.simulation.get, self.simulation.number
        answer: dict[str, Bits | None] = {"program_word": None, "weight_data": None, "bias_data": None}
        if number("program_request"):
            self._at = self._descriptors[number("program_address") // self._descriptor_words]
            answer["program_word"] = self._row(self._words, "program_address")
        if number("weight_request"):
            answer["weight_data"] = self._row(self._weights, "weight_address")
        if number("bias_request"):
            answer["bias_data"] = self._row(self._biases, "bias_address")
        answer["load_data"] = self._loaded(get("load_request") != 0)
        self._answers.append(answer)
        self._ends.append(self._at if number("tile.last") else None)
        accesses = get("accesses")
        self._accesses += accesses.astype(np.int64)
        for place, (name, port) in enumerate((("bin", "load_data"), ("sb", "weight_data"))):
            self._access(name, self._answer.get(port) is not None, *accesses[2 * place : 2 * place + 2])

    def _row(self, rows: Bits, port: str) -> Bits:
        """The row of memory that an address asks for."""
        address = self.simulation.number(port)
        if address >= len(rows):
            raise HardwareError(f"the synthesized control asks for row {address} at {port}, memory has {len(rows)}")
        return rows[address]

    def _loaded(self, asked: NDArray[np.bool_]) -> Bits | None:
        """The row of inputs that the load port asks for."""
        if not asked.any():
            return None
        lanes = self.simulation.get("load_address").reshape(-1, LANE_WORD_BITS)
        addresses = (lanes << np.arange(LANE_WORD_BITS, dtype=np.uint64)).sum(axis=1)
        if (addresses[asked] >= len(self._values)).any():
            raise HardwareError("the synthesized control reads beyond the values in memory")
        codes = np.where(asked, self._values[np.where(asked, addresses, 0)], 0)
        return (codes[:, None] >> np.arange(self._code_bits) & 1).astype(np.uint8).ravel()

    def _access(self, name: str, arrives: bool, writes: np.uint64, reads: np.uint64) -> None:
        """What is read is there in the next cycle, and stays until the next is read."""
        rows = self._buffers[name]
        if reads:
            self._read[f"{name}.read_data"] = rows[self.simulation.number(f"{name}.read__addr")].copy()
        if writes:
            row = rows[self.simulation.number(f"{name}.write_row")]
            row[:] = self.simulation.get(f"{name}.write_data") if arrives else 0


def _memory(network: BitExactNetwork, program: Program, image: Tensor, design: NeuronDesign) -> NDArray[np.uint32]:
    """All values that are in memory in the end: the image, then what each layer and pooling stores."""
    memory = np.zeros(program.values, np.uint32)
    codes = encode_images(program.input_rounding, image)[0]
    memory[: len(codes)] = codes
    place = len(codes)
    for stored in _stored(network, image).values():
        memory[place : place + stored.size] = stored.ravel()
        place += stored.size
    return _on_port(memory.astype(np.int64), design).astype(np.uint32)


def _on_port(codes: NDArray[np.int64], design: NeuronDesign) -> NDArray[np.int64]:
    """Codes as the output's port shows them: of a wider port, the sign in the places above."""
    bits, room = design.output_bits, design.output_port_bits
    negative = codes >> (bits - 1) & 1
    return codes | negative * ((1 << room) - (1 << bits))


def _rows(network: BitExactNetwork, design: NeuronDesign, image: Tensor, neurons: int) -> Iterator[Bits]:
    """The tile's outputs in the order in which they come: convolution group, neuron group, position; zeros at last."""
    bits = design.output_port_bits
    stored = {name: _on_port(codes, design) for name, codes in _stored(network, image).items()}
    for layer in network.layers:
        if layer.name not in stored:
            break
        for group in np.split(stored[layer.name].reshape(len(layer.weight), -1), layer.groups):
            for start in range(0, len(group), neurons):
                some = group[start : start + neurons]
                for position in range(some.shape[1]):
                    row = np.zeros(neurons, np.int64)
                    row[: len(some)] = some[:, position]
                    yield (row[:, None] >> np.arange(bits) & 1).astype(np.uint8).ravel()
    while True:
        yield np.zeros(neurons * bits, np.uint8)


def _stored(network: BitExactNetwork, image: Tensor) -> dict[str, NDArray[np.int64]]:
    """Codes of what each layer and pooling stores, by its name and in order; not of the last, whose sums leave."""
    values = network.trace(image)
    operations = network.operations
    stored: dict[str, NDArray[np.int64]] = {}
    for index, operation in enumerate(operations[1:], start=1):  # behind the rounding of the images
        if type(operation) in STEPS:
            continue
        steps = takewhile(lambda each: type(each) in STEPS, operations[index + 1 :])
        *_, last = operation, *steps
        if last is not operations[-1]:
            stored[operation.name] = value_codes(network.precision.inputs, values[last.name])[0]
    return stored


def _bits(words: NDArray[np.uint32]) -> Bits:
    """Bits of rows of words, lowest first."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")

"""What an accelerator with defective neurons computes of a network.

A defective neuron computes its outputs on its mapped netlist, cycle by cycle, in the order of the schedule: group of
the convolution, group of neurons, position, chunk. Everything else is computed by the bit-exact network's own
arithmetic. A result is taken in the cycle that the accelerator's controller expects it in, whatever `valid` shows;
registers are zero as an image's layer begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.operands import LayerOperands, layer_operands
from fewbits.hardware.dataflow.diannao.output_steps import OutputSteps, output_steps
from fewbits.hardware.datapath import design
from fewbits.hardware.defects.faults import StuckAt
from fewbits.hardware.defects.faulty_neuron import FaultyNeuron, Words, lane_codes, lane_words
from fewbits.hardware.energy.compiled_netlist import (
    PIPELINING,
    CompiledNetlist,
    compiled_netlist_path,
    read_compiled_netlist,
)
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.rtl.pipelining import DEFAULT

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.graph.operations import Layer, Operation
    from fewbits.hardware.datapath.neuron_design import NeuronDesign

LANES = 256
"""Images that are computed at a time: four words, which suit a processor's vector registers."""

_CYCLES = 2048
"""Cycles whose operands are laid out at a time, which bounds the memory."""

_FLOAT64_BITS = 53
"""Wider sums are no float64 integers."""


@dataclass(frozen=True, eq=False)
class _Taken:
    """What a defective neuron gives for a layer: codes of its channels, (lanes, channels, positions)."""

    channels: list[int]
    totals: NDArray[np.int64]
    outputs: NDArray[np.int64]


class DefectiveNetwork:
    """A bit-exact network on an accelerator of which some neurons have stuck nets. Immutable."""

    def __init__(
        self,
        network: BitExactNetwork,
        faults: Iterable[StuckAt],
        netlist: CompiledNetlist | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        """netlist: of the neuron; None for the one that the technology `ihp-sg13g2` comes with.

        Raises HardwareError for floats, sums beyond 53 bits, a netlist of another datapath, a neuron that the tile does
        not have, or a layer that this order of operands does not describe.
        """
        self.network = network
        self.accelerator = accelerator or Accelerator()
        self.faults = tuple(faults)
        self.netlist, self.design = _neuron_of(network, netlist, self.accelerator)
        self.stuck: dict[int, list[tuple[int, int]]] = {}
        """By defective neuron, its stuck nets, each with its value."""
        for fault in self.faults:
            if not 0 <= fault.neuron < self.accelerator.neurons:
                raise HardwareError(f"neuron {fault.neuron} is not one of {self.accelerator.neurons}, 0 the first")
            self.stuck.setdefault(fault.neuron, []).append((fault.net, fault.value))
        for stuck in self.stuck.values():
            FaultyNeuron(self.netlist.model, stuck, 1)  # refuses what is no fault site
        self._steps = {layer.name: self._checked(layer) for layer in network.layers}

    def logits(self, images: Tensor) -> Tensor:
        """The last layer's accumulators, float64 integers, N first; images as for `BitExactNetwork.run`."""
        import torch

        parts = [self._values(images[start : start + LANES]) for start in range(0, max(1, len(images)), LANES)]
        return torch.cat([part[self.network.operations[-1].name] for part in parts])

    def observed(self, images: Tensor) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """By layer with a defective neuron: the right sums of the inputs that it was given, and what it gave.

        Of at most `LANES` images, as what takes the sums sees them: behind the ReLU, and within what the rounding
        tells apart; in units of the accumulator, (images, outputs, positions).
        """
        seen: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._values(images[:LANES], seen)
        return seen

    def predict(self, images: Tensor) -> Tensor:
        """Class of each image, int64; images as for `BitExactNetwork.run`."""
        return self.logits(images).argmax(dim=1)

    def _values(
        self, images: Tensor, seen: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None
    ) -> dict[str, Any]:
        from fewbits.bitexact.exact_arithmetic import exact_arithmetic

        operations = self.network.operations
        results: dict[str, Any] = {operations[0].inputs[0]: images}
        stored: dict[str, _Taken] = {}
        with exact_arithmetic("cpu"):
            for operation, step in zip(operations, self._executed, strict=True):
                value = step(*(results[name] for name in operation.inputs))
                if operation.name in self._steps and self.stuck:
                    sums = value
                    value, taken = self._with_defects(operation, value, results[operation.inputs[0]])
                    if seen is not None and taken is not None:
                        seen[operation.name] = self._as_taken(operation, sums), self._as_taken(operation, value, taken)
                    steps = self._steps[operation.name]
                    if steps.rounding is not None and taken is not None:
                        stored[steps.rounding.name] = taken
                if operation.name in stored:
                    value = self._stored(value, stored[operation.name])
                results[operation.name] = value
        return results

    @cached_property
    def _executed(self) -> list[Any]:
        from fewbits.bitexact import executors  # fills the tables
        from fewbits.bitexact.tables import INTEGER

        del executors
        return [INTEGER.of(operation)(operation) for operation in self.network.operations]

    def _with_defects(self, layer: Any, sums: Tensor, values: Tensor) -> tuple[Tensor, _Taken | None]:
        """A layer's accumulators with those of the defective neurons, and what these neurons give."""
        operands = layer_operands(self.network, layer, values, self.design)
        words = _element_words(operands, self.design.precision.inputs.bits)
        found = [
            taken
            for neuron, stuck in sorted(self.stuck.items())
            if (taken := self._computed(layer, operands, words, neuron, stuck)) is not None
        ]
        if not found:
            return sums, None
        channels = [channel for taken in found for channel in taken.channels]
        totals, outputs = (np.concatenate([getattr(t, what) for t in found], axis=1) for what in ("totals", "outputs"))
        bits = self.design.accumulator_bits
        signed = totals - ((totals >> (bits - 1)) << bits)
        return _replaced(sums, channels, signed), _Taken(channels, totals, outputs)

    def _as_taken(self, layer: Operation, sums: Tensor, taken: _Taken | None = None) -> NDArray[np.float64]:
        """Sums as what takes them sees them; those of `taken` as the neurons' output stages give them."""
        steps = self._steps[layer.name]
        values = sums.double().reshape(len(sums), layer.output_shape[0], -1).numpy()
        if steps.relu:
            values = np.maximum(values, 0)
        if steps.rounding is None:
            return values
        unit = 2.0**steps.rounding.shift
        low, high = (limit * unit for limit in steps.rounding.number_format.integer_limits)
        values = np.clip(values, low, high)
        if taken is not None:
            values[:, taken.channels] = self._integers(taken) * unit
        return values

    def _integers(self, taken: _Taken) -> NDArray[np.float64]:
        """What output stages give, as integers of the inputs' format."""
        import torch

        return self.design.precision.inputs.read_numbers(torch.from_numpy(taken.outputs)).numpy()

    def _stored(self, value: Tensor, taken: _Taken) -> Tensor:
        """Rounded values with those that the defective neurons' output stages give."""
        return _replaced(value, taken.channels, self._integers(taken))

    def _computed(
        self, layer: Layer, operands: LayerOperands, words: Words, neuron: int, stuck: list[tuple[int, int]]
    ) -> _Taken | None:
        """One defective neuron at work on a layer; None if it has no channel there."""
        order = self._channels(operands, neuron)
        idle = len(operands.weights) - 1
        if all(channel == idle for _, channel in order):
            return None
        lanes, positions = len(operands.inputs), operands.taps.shape[1]
        simulated = FaultyNeuron(self.netlist.model, stuck, lanes)
        model = self.netlist.model
        watched = np.concatenate([model.ports[name][1] for name in ("total", "output")])
        totals: list[NDArray[np.int64]] = []
        outputs: list[NDArray[np.int64]] = []
        biases = self._bias_bits(layer)
        for shared, own, due_totals, due_outputs in self._stretches(operands, order, biases, words):
            seen = simulated.run(shared, own, watched, due_totals | due_outputs)
            marked = np.flatnonzero(due_totals | due_outputs)
            width = len(model.ports["total"][1])
            totals.append(lane_codes(seen[due_totals[marked], :width], lanes))
            outputs.append(lane_codes(seen[due_outputs[marked], width:], lanes))
        kept = np.repeat([channel != idle for _, channel in order], positions)
        channels = [channel for _, channel in order if channel != idle]
        shape = (lanes, len(channels), positions)
        return _Taken(
            channels,
            np.concatenate(totals, axis=1)[:, kept].reshape(shape),
            np.concatenate(outputs, axis=1)[:, kept].reshape(shape),
        )

    def _channels(self, operands: LayerOperands, neuron: int) -> list[tuple[int, int]]:
        """The neuron's outputs in order: group of the convolution and channel, that of idle neurons where it has none.

        Idle ones behind the last leave no trace and are left out.
        """
        per_group, idle = operands.channels_per_group, len(operands.weights) - 1
        order = [
            (group, group * per_group + first + neuron if first + neuron < per_group else idle)
            for group in range(len(operands.taps))
            for first in range(0, per_group, self.accelerator.neurons)
        ]
        while len(order) > 1 and order[-1][1] == idle:
            order.pop()
        return order

    def _stretches(
        self, operands: LayerOperands, order: list[tuple[int, int]], biases: NDArray[np.uint8], words: Words
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any], NDArray[np.bool_], NDArray[np.bool_]]]:
        """Operands of the neuron in stretches of cycles, with the cycles in which sums and outputs are due.

        words: of each input element's bits in the lanes, (elements + 1, bits, words); the last is code 0.
        """
        chosen = self.design
        positions, chunks = operands.taps.shape[1:3]
        block = np.array(order)
        busy = len(order) * positions * chunks
        cycles = busy + chosen.pipeline_stages
        shift = np.array([operands.shift >> k & 1 for k in range(chosen.shift_bits)], np.uint8)
        for start in range(0, cycles, _CYCLES):
            cycle = np.arange(start, min(start + _CYCLES, cycles))

            def parts(at: NDArray[np.int64]) -> tuple[NDArray[np.bool_], Any, Any, Any]:
                """Whether there is an output at some cycles, and which: number in `order`, position, chunk."""
                within = (at >= 0) & (at < busy)
                held = np.clip(at, 0, busy - 1)
                return within, held // (positions * chunks), held // chunks % positions, held % chunks

            within, number, position, chunk = parts(cycle)
            group, channel = block[number].T
            weights = np.where(within[:, None], operands.weights[channel, chunk], 0)
            taps = np.where(within[:, None], operands.taps[group, position, chunk], -1)
            bias_within, bias_number, _, bias_chunk = parts(cycle - chosen.bias_delay)
            reads_bias = bias_within & (bias_chunk == 0)
            shared = {
                "weights": lane_bits(weights, chosen.precision.weights.bits),
                "first": (within & (chunk == 0))[:, None].astype(np.uint8),
                "last": (within & (chunk == chunks - 1))[:, None].astype(np.uint8),
                "bias": biases[block[bias_number, 1]] * reads_bias[:, None].astype(np.uint8),
                "shift": np.broadcast_to(shift, (len(cycle), len(shift))),
                "relu": np.full((len(cycle), 1), operands.relu, np.uint8),
                "rst": np.zeros((len(cycle), 1), np.uint8),
            }
            own = {"inputs": words[taps].reshape(len(cycle), -1, words.shape[-1])}
            total_within, _, _, total_chunk = parts(cycle - chosen.accumulator_delay)
            output_within, _, _, output_chunk = parts(cycle - chosen.pipeline_stages)
            yield (
                shared,
                own,
                total_within & (total_chunk == chunks - 1),
                output_within & (output_chunk == chunks - 1),
            )

    def _bias_bits(self, layer: Layer) -> NDArray[np.uint8]:
        """Bits of each channel's bias, less what lanes without a synapse add; the last row is an idle neuron's."""
        chosen = self.design
        outputs = layer.weight.shape[0]
        padding = chosen.lane_padding(layer.synapses)
        biases = [int(bias) - padding for bias in layer.bias or (0,) * outputs]
        codes = [chosen.accumulator_code(bias) for bias in biases] + [0]
        return np.array([[code >> k & 1 for k in range(chosen.accumulator_bits)] for code in codes], np.uint8)

    def _checked(self, layer: Layer) -> OutputSteps:
        """What the neuron does behind a layer. Raises HardwareError where the netlist cannot compute it."""
        steps = output_steps(layer, self.network.operations)
        why = ""
        if layer.output_shifts is not None or layer.scale_bits:
            why = "its outputs have scales of their own"
        elif layer.products is not None:
            why = "its products are not exact ones already"
        elif layer.accumulator_bits > _FLOAT64_BITS or self.design.accumulator_bits > _FLOAT64_BITS:
            why = f"its sums are wider than {_FLOAT64_BITS} bits"
        elif not self.design.takes(layer.synapses):
            why = f"its {layer.synapses} synapses may overflow the neuron's accumulator"
        elif steps.rounding is not None and steps.rounding.number_format != self.design.precision.inputs:
            why = f"its results are {steps.rounding.number_format.name}"
        elif steps.rounding is not None and self.design.output_shift(steps.rounding.shift) is None:
            why = f"its results move by {-steps.rounding.shift} places to the left"
        if why:
            raise HardwareError(
                f"layer {layer.name!r} is not computed with defects of the neuron of {self.design.precision.name}: "
                f"{why}; quantize it without that, or ask for flipped bits of memories"
            )
        return steps


def _element_words(operands: LayerOperands, bits: int) -> Words:
    """Each input element's bits in the lanes, an image a lane: (elements + 1, bits, words); the last is code 0."""
    lanes = len(operands.inputs)
    codes = np.concatenate([operands.inputs, np.zeros((lanes, 1), np.int64)], axis=1)
    return lane_words(codes[:, :, None], bits)


def lane_bits(codes: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Codes side by side, the first lowest: (cycles, codes) to (cycles, codes x bits)."""
    return (codes[:, :, None] >> np.arange(bits) & 1).astype(np.uint8).reshape(len(codes), -1)


def _replaced(values: Tensor, channels: list[int], numbers: NDArray[Any]) -> Tensor:
    """A result with other numbers in some channels. numbers: (lanes, channels, positions)."""
    import torch

    changed = values.clone()
    flat = changed.reshape(len(values), -1)
    positions = numbers.shape[2]
    places = (np.array(channels)[:, None] * positions + np.arange(positions)).ravel()
    flat[:, torch.from_numpy(places)] = torch.from_numpy(numbers.reshape(len(values), -1).astype(np.float64))
    return flat.reshape(values.shape)


def _neuron_of(
    network: BitExactNetwork, netlist: CompiledNetlist | None, accelerator: Accelerator
) -> tuple[CompiledNetlist, NeuronDesign]:
    key = DatapathKey(network.precision, product_bits=network.product_bits, synapses=accelerator.synapses)
    if network.precision.arithmetic != "integer":
        raise HardwareError(
            f"stuck nets are simulated in neurons of integers, not of {network.precision.name}: give an integer "
            "precision, or ask for flipped bits of memories"
        )
    if netlist is None:
        netlist = read_compiled_netlist(compiled_netlist_path("ihp-sg13g2", key.name))
    if netlist.precision != key.name:
        raise HardwareError(f"the netlist is of {netlist.precision!r}, the network of {key.name!r}")
    stages = netlist.provenance.get(PIPELINING, DEFAULT)
    return netlist, design(network.precision, accelerator.synapses, product_bits=network.product_bits, stages=stages)

"""The operands that a neuron sees while it computes a layer: from the bit-exact network, in the schedule's order.

For each group of `neurons` output channels, for each output position, for each chunk of `synapses` inputs, one cycle
(`schedule`); with float32's interleaving the chunks of a block of outputs take turns. A neuron without a channel in
the last group gets zero weights while the inputs, which all neurons share, go on. Of a layer that is computed in pieces
of its chunks, a stretch lies in one of them, and starts from the sums of those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.kernels import BLOCK_CYCLES, BLOCK_WORDS
from fewbits.hardware.activity.toggles import Stimulus, words_of_bits
from fewbits.hardware.dataflow.diannao.latency import pipeline
from fewbits.hardware.dataflow.diannao.tiling import Tiling, ceil_div
from fewbits.hardware.datapath.partial_sums import partial_sums

if TYPE_CHECKING:
    from fewbits.bitexact import BitExactNetwork
    from fewbits.bitexact.sum_order import SumOrder
    from fewbits.formats import Format
    from fewbits.graph.operations import Layer
    from fewbits.hardware.dataflow.accelerator import Accelerator
    from fewbits.hardware.datapath.neuron_design import NeuronDesign

STALL = -1


@dataclass(frozen=True, eq=False)
class LayerOperands:
    """A layer's operands as codes, to take streams from."""

    name: str
    weights: NDArray[np.int64]
    """Codes, (output channels + 1, chunks, synapses); the last channel is that of idle neurons: zeros."""

    inputs: NDArray[np.int64]
    """Codes of all images, (images, flattened padded input)."""

    taps: NDArray[np.int64]
    """Where each position's synapses lie in a flattened input, (groups, positions, chunks, synapses); -1 for none."""

    bias_bits: NDArray[np.uint8]
    """Bits of each channel's bias, (output channels + 1, accumulator bits)."""

    channels_per_group: int
    shift: int
    relu: bool


@dataclass(frozen=True, eq=False)
class Stream:
    """What a neuron's operand ports are given, one row a cycle."""

    weights: NDArray[np.int64]
    """Codes, (cycles, synapses)."""

    inputs: NDArray[np.int64]
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    channel: NDArray[np.int64]
    """Of the output that each cycle belongs to."""

    start_bits: NDArray[np.uint8]
    """What that output starts from, its bias or its sum so far: (cycles, accumulator bits)."""

    busy: NDArray[np.bool_]
    """False in cycles that wait for a block that is not full: operands stay."""


def sum_order(accelerator: Accelerator) -> SumOrder | None:
    """The order in which a neuron adds float products: those of its synapses in a tree, each cycle's to the sum.

    None for other numbers than powers of two, whose tree no bit-exact network has: no circuit is made of it.
    """
    from fewbits.bitexact.sum_order import SumOrder

    return None if accelerator.synapses & (accelerator.synapses - 1) else SumOrder(accelerator.synapses)


def check_sum_order(order: SumOrder | None, design: NeuronDesign, accelerator: Accelerator) -> None:
    """Raise HardwareError if the accelerator's neurons would round a network's sums otherwise than the network does.

    order: of the bit-exact network; None of what has none.
    """
    if order is None or not design.sums_depend_on_order:
        return
    design.check_circuit()
    own = sum_order(accelerator)
    if order != own:
        raise HardwareError(
            f"the bit-exact network adds floats {order}, and neurons of {accelerator.synapses} synapses would round "
            f"its sums otherwise: give {order.products} synapses, integers, or lower it with "
            f"sum_order=SumOrder({accelerator.synapses})"
        )


def layer_operands(network: BitExactNetwork, layer: Layer, values: object, design: NeuronDesign) -> LayerOperands:
    """A layer's operands for some images.

    values: the layer's input for each image, as `network.trace` gives it under `layer.inputs[0]`.
    """
    from fewbits.bitexact.gather import gather_of

    synapses = design.products_per_cycle
    gather = gather_of(layer)
    taps = gather.taps[:, None, :] + gather.positions[None, :, None]
    chunks = -(-taps.shape[2] // synapses)
    filled = np.full((*taps.shape[:2], chunks * synapses), -1)
    filled[:, :, : taps.shape[2]] = taps
    codes = value_codes(design.precision.inputs, values)
    if layer.padding:
        codes = np.pad(codes, ((0, 0), *gather.padding))
    weights = layer.weight.codes_in(design.precision.weights).reshape(len(layer.weight), -1)
    padded = np.zeros((len(weights) + 1, chunks * synapses), np.int64)
    padded[:-1, : weights.shape[1]] = weights
    shift, relu = _output_stage(network, layer)
    return LayerOperands(
        name=layer.name,
        weights=padded.reshape(len(padded), chunks, synapses),
        inputs=codes.reshape(len(codes), -1),
        taps=filled.reshape(*taps.shape[:2], chunks, synapses),
        bias_bits=_bias_bits(layer, design),
        channels_per_group=len(weights) // layer.groups,
        shift=design.simulated_shift(shift),
        relu=relu,
    )


def value_codes(number_format: Format, values: Any) -> NDArray[np.int64]:
    """Codes of integers, or of floats, that are values of a format."""
    import torch

    numbers = values.cpu() if isinstance(values, torch.Tensor) else torch.tensor(values.astype(np.float64))
    return number_format.encode(numbers.to(torch.float64), 0).numpy()


def _bias_bits(layer: Layer, design: NeuronDesign) -> NDArray[np.uint8]:
    channels, bits = layer.weight.shape[0], design.accumulator_bits
    result = np.zeros((channels + 1, bits), np.uint8)
    for channel, bias in enumerate(layer.bias or ()):
        code = design.accumulator_code(bias)
        result[channel] = [code >> k & 1 for k in range(bits)]
    return result


def _output_stage(network: BitExactNetwork, layer: Layer) -> tuple[int, bool]:
    """Shift and ReLU of the output stage: those of the rounding that follows, none for the last layer."""
    from fewbits.hardware.dataflow.diannao.output_steps import STEPS, Steps

    name, steps = layer.name, Steps()
    for operation in network.operations:
        if name in operation.inputs:
            steps = STEPS[type(operation)](steps, operation) if type(operation) in STEPS else steps
            if steps.rounding is not None:
                return steps.rounding.shift, steps.relu
            name = operation.name
    return 0, steps.relu


def stream(
    operands: LayerOperands,
    design: NeuronDesign,
    accelerator: Accelerator,
    image: int,
    cycles: int,
    generator: np.random.Generator,
) -> Stream:
    """So many cycles of a neuron at work on one image, from an output chosen at random on, in the schedule's order.

    A layer that is shorter than that is followed by the same layer in the next neuron, and so on.
    """
    piece = _drawn_piece(operands, design, accelerator, generator)
    outputs = _outputs(operands, accelerator, int(generator.integers(accelerator.neurons)))
    start = int(generator.integers(len(outputs)))
    chunks = piece.chunks
    needed = -(-cycles // chunks) + design.accumulate_cycles
    rows = [outputs[start : start + needed]]
    found = len(rows[0])
    while found < needed:
        rows.append(_outputs(operands, accelerator, int(generator.integers(accelerator.neurons)))[: needed - found])
        found += len(rows[-1])
    chosen = np.concatenate(rows)
    order, chunk = _interleaved(len(chosen), chunks, design.accumulate_cycles, operands.taps.shape[1])
    order, chunk = order[:cycles], chunk[:cycles]
    busy = order != STALL
    held = np.maximum.accumulate(np.where(busy, np.arange(len(order)), 0))  # a stall keeps the operands before it
    order, chunk = order[held], chunk[held]
    group, position, channel = chosen[order].T
    return Stream(
        weights=operands.weights[channel, piece.first_chunk + chunk],
        inputs=_inputs(operands, image, operands.taps[group, position, piece.first_chunk + chunk]),
        first=(chunk == 0) & busy,
        last=(chunk == chunks - 1) & busy,
        channel=channel,
        start_bits=_start_bits(operands, design, image, chosen, piece.first_chunk)[order],
        busy=busy,
    )


def _drawn_piece(
    operands: LayerOperands, design: NeuronDesign, accelerator: Accelerator, generator: np.random.Generator
) -> Tiling:
    """The layer, or one of the pieces that it is computed in, the more often the more chunks it has."""
    groups, positions, chunks = operands.taps.shape[:3]
    whole = Tiling(
        groups=groups,
        neuron_groups=ceil_div(operands.channels_per_group, accelerator.neurons),
        positions=positions,
        chunks=chunks,
        interleaved=design.accumulate_cycles,
        buffer_rows=accelerator.buffer_rows,
    )
    pieces = whole.pieces(accelerator, pipeline(design, accelerator).widths)
    if len(pieces) == 1:
        return whole
    return pieces[int(generator.choice(len(pieces), p=[piece.chunks / chunks for piece in pieces]))]


def _inputs(operands: LayerOperands, image: int, taps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes of an image's inputs at these places."""
    return np.where(taps >= 0, operands.inputs[image][np.maximum(taps, 0)], 0)


def _start_bits(
    operands: LayerOperands, design: NeuronDesign, image: int, outputs: NDArray[np.int64], chunks: int
) -> NDArray[np.uint8]:
    """What outputs (group, position, channel) start from after so many chunks of earlier pieces."""
    group, position, channel = outputs.T
    biases = operands.bias_bits[channel]
    if chunks == 0:
        return biases
    inputs = _inputs(operands, image, operands.taps[group, position, :chunks])
    return partial_sums(operands.weights[channel, :chunks], inputs, biases, design)


def _outputs(operands: LayerOperands, accelerator: Accelerator, neuron: int) -> NDArray[np.int64]:
    """All outputs of one neuron in order: (group of the convolution, position, channel or that of idle neurons)."""
    groups, positions = operands.taps.shape[:2]
    per_group, idle = operands.channels_per_group, len(operands.weights) - 1
    rows: list[NDArray[np.int64]] = []
    for group in range(groups):
        for first in range(0, per_group, accelerator.neurons):
            channel = group * per_group + first + neuron if first + neuron < per_group else idle
            output = np.empty((positions, 3), np.int64)
            output[:] = group, 0, channel
            output[:, 1] = np.arange(positions)
            rows.append(output)
    return np.concatenate(rows)


def _interleaved(
    outputs: int, chunks: int, interleaved: int, positions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each cycle: the output (STALL in a cycle that waits) and the chunk of it."""
    if interleaved == 1:
        return np.repeat(np.arange(outputs), chunks), np.tile(np.arange(chunks), outputs)
    size = interleaved if positions >= interleaved else interleaved // positions * positions
    order: list[int] = []
    chunk: list[int] = []
    for first in range(0, outputs, size):
        block = list(range(first, min(first + size, outputs)))
        for number in range(chunks):
            waiting = interleaved - len(block) if number < chunks - 1 else 0
            order += block + [STALL] * waiting
            chunk += [number] * (len(block) + waiting)
    return np.array(order), np.array(chunk)


def stream_bits(design: NeuronDesign, operands: LayerOperands, taken: Stream) -> dict[str, NDArray[np.uint8]]:
    """The bits at each operand port, (cycles, bits), by port name; the bias a `bias_delay` late, as it is read."""
    cycles = len(taken.first)
    bias = np.roll(taken.start_bits, design.bias_delay, axis=0)
    bias[: design.bias_delay] = 0
    shift = np.array([operands.shift >> k & 1 for k in range(design.shift_bits)], np.uint8)
    return {
        "weights": code_bits(taken.weights, design.weight_lane_bits // design.products_per_lane),
        "inputs": code_bits(taken.inputs, design.input_lane_bits // design.products_per_lane),
        "first": taken.first[:, None].astype(np.uint8),
        "last": taken.last[:, None].astype(np.uint8),
        "bias": bias,
        "shift": np.broadcast_to(shift, (cycles, len(shift))),
        "relu": np.full((cycles, 1), operands.relu, np.uint8),
        **{name: np.full((cycles, 1), held, np.uint8) for name, held in design.settings.items()},
    }


def code_bits(codes: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Codes side by side, the first lowest: (cycles, synapses x bits)."""
    return (codes[:, :, None] >> np.arange(bits) & 1).astype(np.uint8).reshape(len(codes), -1)


def stream_words(
    ports: dict[str, tuple[str, NDArray[np.int64]]], bits: dict[str, NDArray[np.uint8]]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Nets of the operand ports and the words of their bits, (nets,) and (blocks, nets, BLOCK_WORDS)."""
    nets = np.concatenate([ports[name][1] for name in bits])
    return nets, words_of_bits(np.concatenate(list(bits.values()), axis=1))


def counted_words(counted: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Which cycles count, as words: (blocks, BLOCK_WORDS)."""
    blocks = -(-len(counted) // BLOCK_CYCLES)
    return words_of_bits(counted[:, None].astype(np.uint8)).reshape(blocks, BLOCK_WORDS)


def layer_stimulus(
    operands: LayerOperands,
    design: NeuronDesign,
    accelerator: Accelerator,
    ports: dict[str, tuple[str, NDArray[np.int64]]],
    images: int,
    generator: np.random.Generator,
    blocks: int = 1,
) -> Stimulus:
    """A stretch of a layer for each image, one after the other; the cycles in which the pipeline fills do not count.

    ports: of the netlist, as its `EnergyModel` has them. blocks: of BLOCK_CYCLES cycles, in each stretch.
    """
    cycles = blocks * BLOCK_CYCLES
    words: list[NDArray[np.uint64]] = []
    counted: list[NDArray[np.uint64]] = []
    nets = np.zeros(0, np.int64)
    for image in range(images):
        taken = stream(operands, design, accelerator, image, cycles, generator)
        nets, own = stream_words(ports, stream_bits(design, operands, taken))
        words.append(own)
        counted.append(counted_words(taken.busy & (np.arange(cycles) > design.pipeline_stages)))
    return Stimulus(nets, np.concatenate(words), np.concatenate(counted), np.repeat(np.arange(images), blocks))


def operand_stream(
    network: BitExactNetwork,
    layer: Layer,
    values: object,
    design: NeuronDesign,
    accelerator: Accelerator,
    ports: dict[str, tuple[str, NDArray[np.int64]]],
    images: int,
    generator: np.random.Generator,
    blocks: int,
) -> Stimulus:
    """`layer_stimulus` of a network's layer, as `base.OperandStream` has it."""
    operands = layer_operands(network, layer, values, design)
    return layer_stimulus(operands, design, accelerator, ports, images, generator, blocks)

"""What a training can know of stuck nets: product tables of faulty multipliers, a straight line for all other faults.

A neuron whose faults leave every sum a sum of products, each of its own lane's weight and input alone, is described
exactly by a product table a lane: they are read off the netlist, and compared with it on random operands. Faults in
the adder tree, in registers or in control rarely are of that kind. Of those, what is known is how the neuron's
results lie to the right ones on training images: a straight line for each output (`FaultySums`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.formats.product_table import LARGEST_CHOICE, LARGEST_OPERAND_BITS, LayerProducts, ProductTable
from fewbits.hardware.defects.defective_network import DefectiveNetwork
from fewbits.hardware.defects.faulty_neuron import FaultyNeuron, lane_codes, lane_words
from fewbits.hardware.defects.neurons import neurons_of

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.graph.operations import Layer
    from fewbits.hardware.datapath.neuron_design import NeuronDesign
    from fewbits.hardware.energy.compiled_netlist import CompiledNetlist
    from fewbits.quantization.methods.known_defects import FaultySums, KnownDefects

_TRIED = 1024
"""Sums of random operands, of three cycles each, on which tables must give what the netlist gives."""

_CHUNKS = 3

FITTED_IMAGES = 64
"""On how many images lines are fitted, at most."""


@dataclass(frozen=True, eq=False)
class NeuronTables:
    """The products of a neuron whose faults are in its multipliers."""

    lanes: tuple[ProductTable, ...]
    """Of each lane."""


def known_faults(defective: DefectiveNetwork, images: Tensor) -> tuple[KnownDefects, int]:
    """What a training can know of a network's faults, and how many defective neurons are known by tables.

    images: training images, on which lines are fitted.
    """
    from fewbits.quantization.methods.known_defects import KnownDefects

    tables = {
        neuron: found
        for neuron, stuck in sorted(defective.stuck.items())
        if (found := neuron_tables(defective.netlist, defective.design, stuck)) is not None
    }
    products: dict[str, LayerProducts] = {}
    sums: dict[str, FaultySums] = {}
    by_lines = [neuron for neuron in defective.stuck if neuron not in tables]
    fits = _fitted(defective, by_lines, images[:FITTED_IMAGES]) if by_lines else {}
    for layer in defective.network.layers:
        if (made := _products(layer, defective, tables)) is not None:
            products[layer.name] = made
        if (line := _line(layer, defective, tables, fits.get(layer.name))) is not None:
            sums[layer.name] = line
    return KnownDefects(products=products, sums=sums), len(tables)


def neuron_tables(
    netlist: CompiledNetlist, design: NeuronDesign, stuck: Sequence[tuple[int, int]]
) -> NeuronTables | None:
    """The table of each lane of a neuron with stuck nets; None where its sums are not those of such tables."""
    formats = design.precision
    if max(formats.weights.bits, formats.inputs.bits) > LARGEST_OPERAND_BITS:
        return None
    exact = ProductTable.exact(formats.weights, formats.inputs).values.astype(np.int64)
    pairs = [axis.ravel() for axis in np.indices(exact.shape)]
    bench = _Bench(netlist, design, stuck)
    lanes = design.products_per_cycle
    none = np.zeros((len(pairs[0]), 1, lanes), np.int64)
    alone: list[NDArray[np.int64]] = []
    for lane in range(lanes):
        weights, inputs = none.copy(), none.copy()
        weights[:, 0, lane], inputs[:, 0, lane] = pairs
        alone.append(bench.sums(weights, inputs).reshape(exact.shape))
    base = int(alone[0][0, 0])  # of codes 0 in all lanes, the same whichever lane was looked at
    tables = [exact[0, 0] + sums - base for sums in alone]
    tables[0] = tables[0] + base - lanes * int(exact[0, 0])
    for number_format, axis in ((formats.weights, 0), (formats.inputs, 1)):
        if len(number_format.unused_codes):
            for table in tables:
                table[(slice(None),) * axis + (list(number_format.unused_codes),)] = 0
    if not _agree(bench, tables, design):
        return None
    names = [f"lane {lane} of a defective neuron" for lane in range(lanes)]
    kept = (ProductTable(name, formats.weights, formats.inputs, t) for name, t in zip(names, tables, strict=True))
    return NeuronTables(tuple(kept))


class _Bench:
    """A neuron with stuck nets that sums operands from zero, each lane of a word another sum."""

    def __init__(self, netlist: CompiledNetlist, design: NeuronDesign, stuck: Sequence[tuple[int, int]]) -> None:
        self._netlist, self._design, self._stuck = netlist, design, stuck

    def sums(self, weights: NDArray[np.int64], inputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums of operands' codes, (sums, cycles, lanes), in two's complement."""
        return self.run(weights, inputs, 0, 0, relu=False)[0]

    def run(
        self, weights: NDArray[np.int64], inputs: NDArray[np.int64], bias: int, shift: int, *, relu: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sums and codes of the results, each (sums,)."""
        design = self._design
        count, cycles = weights.shape[:2]
        model = self._netlist.model
        length = cycles + design.pipeline_stages
        at = np.arange(length)

        def padded(codes: NDArray[np.int64], bits: int) -> NDArray[np.uint64]:
            filled = np.zeros((count, length, codes.shape[2]), np.int64)
            filled[:, :cycles] = codes
            return lane_words(filled, bits)

        def flag(cycle: int) -> NDArray[np.uint8]:
            return (at == cycle).astype(np.uint8)[:, None]

        def constant(value: int, bits: int) -> NDArray[np.uint8]:
            return np.broadcast_to(np.array([value >> k & 1 for k in range(bits)], np.uint8), (length, bits))

        shared = {
            "first": flag(0),
            "last": flag(cycles - 1),
            "bias": constant(design.accumulator_code(bias), design.accumulator_bits) * flag(design.bias_delay),
            "shift": constant(shift, design.shift_bits),
            "relu": constant(int(relu), 1),
            "rst": constant(0, 1),
        }
        own = {
            "weights": padded(weights, design.precision.weights.bits),
            "inputs": padded(inputs, design.precision.inputs.bits),
        }
        total_at, output_at = cycles - 1 + design.accumulator_delay, cycles - 1 + design.pipeline_stages
        watched = np.concatenate([model.ports[name][1] for name in ("total", "output")])
        seen_in = (at == total_at) | (at == output_at)
        seen = FaultyNeuron(model, self._stuck, count).run(shared, own, watched, seen_in)
        width = len(model.ports["total"][1])
        totals, outputs = lane_codes(seen[:1, :width], count)[:, 0], lane_codes(seen[-1:, width:], count)[:, 0]
        bits = design.accumulator_bits
        return totals - ((totals >> (bits - 1)) << bits), outputs


def _agree(bench: _Bench, tables: list[NDArray[np.int64]], design: NeuronDesign) -> bool:
    """Whether sums and results of random operands are those of the tables."""
    import torch

    from fewbits.bitexact.integer import nearest_integers

    generator = np.random.default_rng(0)
    formats = design.precision
    shape = (_TRIED, _CHUNKS, design.products_per_cycle)
    weights, inputs = (
        generator.choice([code for code in range(2**one.bits) if code not in one.unused_codes], shape)
        for one in (formats.weights, formats.inputs)
    )
    products = np.zeros(_TRIED, np.int64)
    for lane, table in enumerate(tables):
        products += table[weights[..., lane], inputs[..., lane]].sum(axis=1)
    reach = 2 ** (design.accumulator_bits - 4)
    for relu in (False, True):
        bias = int(generator.integers(-reach, reach))
        shift = int(generator.integers(0, min(2**design.shift_bits, design.accumulator_bits - 2)))
        totals, outputs = bench.run(weights, inputs, bias, shift, relu=relu)
        wanted = products + bias
        if not np.array_equal(totals, wanted):
            return False
        shown = np.maximum(wanted, 0) if relu else wanted
        rounded = nearest_integers(torch.from_numpy(shown.astype(np.float64)) * 2.0**-shift, formats.inputs)
        if not np.array_equal(outputs, formats.inputs.code_numbers(rounded).numpy()):
            return False
    return True


def _products(layer: Layer, defective: DefectiveNetwork, known: dict[int, NeuronTables]) -> LayerProducts | None:
    """Tables of a layer's products, each output's and synapse's; None where all are exact."""
    exact = ProductTable.exact(layer.weight_format, layer.input_format)
    tables, choice = [exact], np.zeros((len(layer.weight), layer.synapses), np.int64)
    lane_of = np.arange(layer.synapses) % defective.design.products_per_cycle
    neuron_of = neurons_of(layer, defective.accelerator)
    for neuron, one in known.items():
        for lane, table in enumerate(one.lanes):
            here = (neuron_of == neuron)[:, None] & (lane_of == lane)
            if table == exact or not here.any() or len(tables) == LARGEST_CHOICE:
                continue
            choice[here] = len(tables)
            tables.append(table)
    return None if len(tables) == 1 else LayerProducts(tuple(tables), choice)


def _line(
    layer: Layer,
    defective: DefectiveNetwork,
    known: dict[int, NeuronTables],
    fitted: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> FaultySums | None:
    """Lines of a layer's outputs: the fitted ones, and what lanes without a synapse add where tables are known."""
    from fewbits.quantization.methods.known_defects import FaultySums

    outputs, neuron_of = len(layer.weight), neurons_of(layer, defective.accelerator)
    slope, offset = (np.ones(outputs), np.zeros(outputs)) if fitted is None else fitted
    lanes = defective.design.products_per_cycle
    empty = range(layer.synapses % lanes or lanes, lanes)  # of the last chunk
    exact = int(ProductTable.exact(layer.weight_format, layer.input_format).values[0, 0]) if known else 0
    for neuron, one in known.items():
        offset[neuron_of == neuron] += sum(int(one.lanes[lane].values[0, 0]) - exact for lane in empty)
    return None if bool((slope == 1).all() and (offset == 0).all()) else FaultySums(slope, offset)


def _fitted(
    defective: DefectiveNetwork, neurons: list[int], images: Tensor
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """By layer, slope and offset of its outputs: the least squares of what neurons give against the right sums.

    Both are taken as what takes them sees them: behind the ReLU, and within what the rounding can tell apart.
    """
    seen = defective.observed(images)
    found: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for layer in defective.network.layers:
        if layer.name not in seen:
            continue
        chosen = np.isin(neurons_of(layer, defective.accelerator), neurons)
        slope, offset = np.ones(len(chosen)), np.zeros(len(chosen))
        for channel in np.flatnonzero(chosen):
            right, given = (values[:, channel].ravel() for values in seen[layer.name])
            spread = float(np.var(right))
            slope[channel] = float(np.mean((right - right.mean()) * (given - given.mean()))) / spread if spread else 0
            offset[channel] = given.mean() - slope[channel] * right.mean()
        found[layer.name] = slope, offset
    return found

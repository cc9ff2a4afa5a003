"""What the exported modules are: a comment, their ports and what they were made for."""

from __future__ import annotations

from fewbits.formats import Format
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.latency import READ_STAGES
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, WORD_BITS
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.verilog import CLOCK_PORT, Header

LANE_HEADER = Header(
    "addresses of one lane of the load port: its place in the kernel, its address, whether padding is there. Two "
    "stages; set by start.",
    {
        **CLOCK_PORT,
        "start, steps, restarts": "of the first stage: begin a layer, go on by a chunk, go back to the first chunk",
        "..._later": "the same of the second stage",
        "position_...": "row, column and address of the window's first value",
        "loads": "ask for the value, if it lies inside the image",
        "request, address": "to memory",
        "inside, counted": "whether the place lies in the image, and counts in an average",
        "others": "fields of the layer's descriptor",
    },
)
"""Of a lane of the address generation."""


def neuron_headers(design: NeuronDesign) -> dict[str, Header]:
    """Of the neuron and the modules that it holds several instances of."""
    neuron = Header(_neuron(design), _neuron_ports(design), _neuron_constants(design))
    return {"neuron": neuron, **design.unit_headers()}


def _neuron(design: NeuronDesign) -> str:
    limits = f" {design.limits}" if design.limits else ""
    return (
        f"one neuron of precision {design.precision.name}: {design.products_per_cycle} products a cycle "
        f"({design.multiplier}), "
        f"their sum, an accumulator for outputs of up to {design.maximum_synapses} synapses, rounding to the format of "
        f"the inputs. output_value and valid come {design.pipeline_stages} cycles after the operands, total "
        f"{design.accumulator_delay}; chunks of one output take {design.accumulate_cycles} cycles each.{limits}"
    )


def _neuron_ports(design: NeuronDesign) -> dict[str, str]:
    weights, inputs = design.precision.weights, design.precision.inputs
    return {
        **CLOCK_PORT,
        "rst": "synchronous reset, one cycle: clears valid and what is on its way to it; data need none",
        "weights": _codes(design, weights, design.weight_lane_bits),
        "inputs": _codes(design, inputs, design.input_lane_bits),
        "first": "the operands are the first chunk of an output: its sum begins at the bias",
        "last": "they are its last chunk: valid follows",
        "bias": f"what a sum begins at, {design.accumulator_bits} bits; read {design.bias_delay} cycles after a first "
        "chunk",
        "shift": "places that the sum is moved right by before it is rounded; holds for a layer",
        "relu": "negative outputs become zero; holds for a layer",
        **{
            name: f"{design.setting_words[name]}; {held} for {design.precision.name}; holds for a layer"
            for name, held in design.settings.items()
        },
        "output_value": f"the output's code, {inputs.name}",
        "valid": "output_value belongs to a last chunk",
        "total": f"the accumulator, {design.accumulator_bits} bits",
    }


def _codes(design: NeuronDesign, number_format: Format, lane_bits: int) -> str:
    """What an operand port holds."""
    used = number_format.bits * design.products_per_lane
    lanes = "" if used == lane_bits else f", {lane_bits} bits apart: those between mean nothing"
    return (
        f"{design.products_per_cycle} codes of {number_format.name}, {number_format.bits} bits each, synapse 0 lowest"
        f"{lanes}"
    )


def _neuron_constants(design: NeuronDesign) -> dict[str, int]:
    return {
        "SYNAPSES": design.products_per_cycle,
        "MAXIMUM_SYNAPSES": design.maximum_synapses,
        "WEIGHT_BITS": design.precision.weights.bits,
        "INPUT_BITS": design.precision.inputs.bits,
        "OUTPUT_BITS": design.output_port_bits,
        "TOTAL_BITS": design.accumulator_bits,
        "SHIFT_BITS": design.shift_bits,
        "BIAS_DELAY": design.bias_delay,
        "ACCUMULATE_CYCLES": design.accumulate_cycles,
        "TOTAL_LATENCY": design.accumulator_delay,
        "LATENCY": design.pipeline_stages,
    }


def tile_header(design: NeuronDesign, neurons: int) -> Header:
    """Of the tile."""
    ports = _neuron_ports(design)
    del ports["output_value"], ports["total"]
    many = {
        "weights": f"those of {neurons} neurons, neuron 0 lowest; see the neuron",
        "inputs": "of all neurons; see the neuron",
        "bias": f"those of {neurons} neurons, neuron 0 lowest; see the neuron",
        "valid": "the outputs belong to a last chunk",
        "outputs": "codes of all neurons, neuron 0 lowest",
        "totals": "accumulators of all neurons, neuron 0 lowest",
    }
    about = f"{neurons} neurons side by side, all with the same inputs; latencies are the neuron's."
    return Header(about, ports | many, {"NEURONS": neurons, **_neuron_constants(design)})


def accelerator_headers(design: NeuronDesign, accelerator: Accelerator) -> dict[str, Header]:
    """Of the accelerator and a lane of its address generation."""
    neurons, latency = accelerator.neurons, accelerator.memory_latency
    lanes = design.address_lanes(accelerator.synapses)
    answer = f"the answer, {latency} cycles after the request"
    ports = {
        **CLOCK_PORT,
        "rst": "synchronous reset; one cycle is enough, whatever the registers hold (requests mean nothing before it)",
        "start": "run the program at address 0, where done is high",
        "done": "nothing is running",
        "program_request": "read a word of the program",
        "program_address": "which",
        "program_word": f"{answer}; {WORD_BITS} bits",
        "load_request": f"read values, a bit for each of {lanes} lanes",
        "load_address": "which: 32 bits a lane, lane 0 lowest",
        "load_data": f"{answer}: a code a lane; lanes that asked for nothing must read as zero",
        "weight_request": "read a row of weights",
        "weight_address": "which",
        "weight_data": f"{answer}: {lanes} codes for each of {neurons} neurons, neuron 0 lowest",
        "bias_request": "read a row of biases",
        "bias_address": "which",
        "bias_data": f"{answer}: {design.accumulator_bits} bits for each neuron",
        "store_valid": "write values",
        "store_address": "where that of lane 0 goes; with partial_valid, a row of biases",
        "store_stride": "how far apart the lanes' values lie",
        "store_mask": "lanes that hold a value",
        "store_data": "a code a lane",
        "result_valid": "accumulators of the last layer leave",
        "partial_valid": "partial sums leave: write them to the memory of biases, where they are read again",
        "result_mask": "neurons that hold one",
        "result_data": f"{design.accumulator_bits} bits for each neuron",
        "accesses": "in this cycle: Bin written, Bin read, SB written, SB read, Bout written, Bout read (bits 0 to 5)",
    }
    constants = {
        "NEURONS": neurons,
        "LANES": lanes,
        "BUFFER_ROWS": accelerator.buffer_rows,
        "MEMORY_LATENCY": latency,
        "ADDRESS_BITS": ADDRESS_BITS,
        "WORD_BITS": WORD_BITS,
        "OPERAND_STAGES": latency + READ_STAGES,
        **_neuron_constants(design),
    }
    about = (
        f"a DianNao-like accelerator of {neurons} neurons by {lanes} synapses at precision {design.precision.name}: "
        "controller, address generation, buffers, tile, pooling and the way out. It runs a program of layer "
        "descriptors; memory grants all requests of a cycle."
    )
    return {"accelerator": Header(about, ports, constants), "lane": LANE_HEADER}

"""What the exported modules are: a comment, their ports and what they were made for."""

from __future__ import annotations

from fewbits.hardware.dataflow.diannao.export.headers import LANE_HEADER
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, WORD_BITS
from fewbits.hardware.dataflow.systolic.circuit.accelerator import OUTPUT_STAGE
from fewbits.hardware.dataflow.systolic.latency import sum_stages
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.element_arithmetic import column_bits, product_stages
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.processing_element import ELEMENT, element_header
from fewbits.hardware.rtl.verilog import CLOCK_PORT, Header


def headers(design: NeuronDesign, array: Systolic) -> dict[str, Header]:
    """Of all modules by their name in RTLIL, the top first."""
    return {
        "accelerator": _accelerator(design, array),
        "lane": LANE_HEADER,
        OUTPUT_STAGE: _output_stage(design),
        "array": _array(design, array),
        ELEMENT: element_header(design, array.rows),
    }


def _constants(design: NeuronDesign, array: Systolic) -> dict[str, int]:
    return {
        "ROWS": array.rows,
        "COLUMNS": array.columns,
        "WEIGHT_BITS": design.precision.weights.bits,
        "INPUT_BITS": design.precision.inputs.bits,
        "SUM_BITS": column_bits(design, array.rows),
        "SUM_LATENCY": sum_stages(product_stages(design), array),
    }


def _array(design: NeuronDesign, array: Systolic) -> Header:
    """Of the array."""
    stages = sum_stages(product_stages(design), array)
    about = (
        f"a weight-stationary systolic array of {array.rows} rows (synapses) by {array.columns} columns (outputs) at "
        f"precision {design.precision.name}. Inputs are skewed and sums aligned inside: sums come {stages} cycles "
        "after their inputs. Without reset: it holds data alone."
    )
    ports = {
        **CLOCK_PORT,
        "load": "take a row of weights at the top; those before it move down a row. No input may be used meanwhile",
        "weights": f"{array.columns} codes of {design.precision.weights.name}, column 0 lowest",
        "inputs": f"{array.rows} codes of {design.precision.inputs.name}, row 0 lowest",
        "sums": f"{array.columns} sums of {column_bits(design, array.rows)} bits, column 0 lowest",
    }
    return Header(about, ports, _constants(design, array))


def _output_stage(design: NeuronDesign) -> Header:
    """Of the foot of a column."""
    about = (
        "an accumulator moved right, rounded half to even and saturated to the format of the inputs, "
        f"{design.output_stages} cycles later."
    )
    ports = {
        **CLOCK_PORT,
        "total": f"the accumulator, {design.accumulator_bits} bits",
        "shift": "places; holds for a layer",
        "relu": "negative outputs become zero; holds for a layer",
        "output_value": f"the output's code, {design.precision.inputs.name}",
    }
    return Header(about, ports, {"LATENCY": design.output_stages})


def _accelerator(design: NeuronDesign, array: Systolic) -> Header:
    """Of the accelerator."""
    rows, columns, latency = array.rows, array.columns, array.memory_latency
    answer = f"the answer, {latency} cycles after the request"
    bits = design.accumulator_bits
    ports = {
        **CLOCK_PORT,
        "rst": "synchronous reset; one cycle is enough, whatever the registers hold (requests mean nothing before it)",
        "start": "run the program at address 0, where done is high",
        "done": "nothing is running",
        "program_request": "read a word of the program",
        "program_address": "which",
        "program_word": f"{answer}; {WORD_BITS} bits",
        "load_request": f"read values, a bit for each of {rows} rows of the array",
        "load_address": "which: 32 bits a row, row 0 lowest",
        "load_data": f"{answer}: a code a row; rows that asked for nothing must read as zero",
        "weight_request": "read a row of weights",
        "weight_address": "which",
        "weight_data": f"{answer}: {columns} codes, column 0 lowest",
        "bias_request": "read a row of biases",
        "bias_address": "which",
        "bias_data": f"{answer}: {bits} bits for each column",
        "store_valid": "write values",
        "store_address": "where that of column 0 goes",
        "store_stride": "how far apart the columns' values lie",
        "store_mask": "columns that hold a value",
        "store_data": "a code a column",
        "result_valid": "accumulators of the last layer leave",
        "result_mask": "columns that hold one",
        "result_data": f"{bits} bits for each column",
        "accesses": "in this cycle: inputs written, read, accumulators written, read, outputs written, read (bits 0 to "
        "5)",
    }
    constants = {
        **_constants(design, array),
        "INPUT_ROWS": array.input_rows,
        "ACCUMULATOR_ROWS": array.accumulator_rows,
        "OUTPUT_ROWS": array.output_rows,
        "MEMORY_LATENCY": latency,
        "TOTAL_BITS": bits,
        "ADDRESS_BITS": ADDRESS_BITS,
        "WORD_BITS": WORD_BITS,
    }
    about = (
        f"an accelerator around a weight-stationary systolic array of {rows} by {columns} at precision "
        f"{design.precision.name}: controller, address generation, buffers, accumulators, output stages, pooling and "
        "the way out. It runs a program of layer descriptors; memory grants all requests of a cycle."
    )
    return Header(about, ports, constants)

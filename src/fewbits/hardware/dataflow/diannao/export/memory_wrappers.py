"""Wrappers of the buffers' memories: modules of their own, to put macros into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.verilog import verilog_file

BUFFER_PORTS = {
    "clk": "clk",
    "write": "write",
    "write_row": "write_row",
    "write_data": "write_data",
    "read__en": "read",
    "read__addr": "read_row",
    "read_data": "read_data",
}
"""Of a wrapper, by the names that a `Buffer` has in RTLIL. A memory needs no reset."""

_HOLDS = {
    "bin": "rows of inputs, read at most once a cycle",
    "sb": "rows of synapses (weights)",
    "bout": "rows of outputs on their way to memory",
}

_HEAD = """// The buffers of {prefix}_accelerator, each a module of its own to put an SRAM macro into.
//
// Put your macro in place of the array `row` of each module, or define {macro}, which
// leaves these modules out, and give others of the same names and ports. What is needed: a port that writes and a port
// that reads in the same cycle, never the same row; read_data is the row that was asked for a cycle before and stays
// until the next read. There is no reset, and no row is read before it was written.
`ifndef {macro}
"""

_WRAPPER = """
// {prefix}_{name}: {holds}; {rows} rows of {width} bits.
//   clk         clock, rising edge
//   write       write a row
//   write_row   which
//   write_data  what
//   read        read a row
//   read_row    which
//   read_data   what it holds, from the next cycle on
module {prefix}_{name} #(
  parameter ROWS = {rows},
  parameter WIDTH = {width},
  parameter ROW_BITS = {row_bits}
) (
  input wire clk,
  input wire write,
  input wire [ROW_BITS - 1:0] write_row,
  input wire [WIDTH - 1:0] write_data,
  input wire read,
  input wire [ROW_BITS - 1:0] read_row,
  output reg [WIDTH - 1:0] read_data
);
  reg [WIDTH - 1:0] row [0:ROWS - 1];
  always @(posedge clk) begin
    if (write) row[write_row] <= write_data;
    if (read) read_data <= row[read_row];
  end
endmodule
"""


def buffer_widths(design: NeuronDesign, accelerator: Accelerator) -> dict[str, int]:
    """Bits of a row of each buffer."""
    return {
        "bin": accelerator.synapses * design.input_lane_bits,
        "sb": accelerator.neurons * accelerator.synapses * design.weight_lane_bits,
        "bout": accelerator.neurons * design.output_port_bits,
    }


def memory_wrappers(design: NeuronDesign, accelerator: Accelerator, prefix: str) -> str:
    """Verilog of the wrappers, with memories as arrays inside."""
    rows = accelerator.buffer_rows
    widths = buffer_widths(design, accelerator)
    return wrappers([Wrapped(name, rows, width, _HOLDS[name]) for name, width in widths.items()], prefix)


@dataclass(frozen=True)
class Wrapped:
    """A buffer whose memory is a module of its own."""

    name: str
    rows: int
    width: int
    """Bits of a row."""

    holds: str
    """What, in words."""


def wrappers(buffers: Sequence[Wrapped], prefix: str) -> str:
    """Verilog of modules that a user may put macros into."""
    modules = [
        _WRAPPER.format(
            prefix=prefix,
            rows=one.rows,
            row_bits=(one.rows - 1).bit_length(),
            name=one.name,
            width=one.width,
            holds=one.holds,
        )
        for one in buffers
    ]
    macro = f"{prefix.upper()}_OWN_BUFFERS"
    return verilog_file(_HEAD.format(prefix=prefix, macro=macro) + "".join(modules) + "`endif\n")

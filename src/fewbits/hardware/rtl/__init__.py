"""The datapath in Amaranth: one neuron for each precision.

A neuron's instances are named `multiplier0`.., `adder_tree` (`adder_tree_L_P` in float32), `accumulator` and
`output_stage`: cost by component relies on these names.
"""

from fewbits.hardware.rtl.design import NeuronDesign, design
from fewbits.hardware.rtl.export import export_verilog, to_verilog
from fewbits.hardware.rtl.neuron import to_rtlil

__all__ = ["NeuronDesign", "design", "export_verilog", "to_rtlil", "to_verilog"]

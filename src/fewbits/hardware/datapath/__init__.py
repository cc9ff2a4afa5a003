"""The arithmetic of one neuron: its circuit, its widths and what it costs between characterized precisions.

`base.py` is what every datapath declares; a strategy is a file (`integer`, `shifter`, `sign_selection`,
`population_count`, `float32`, `narrow_float`), and `strategies.py` chooses by precision.

A neuron's instances are named `multiplier0`.., `adder_tree` (`adder_tree_L_P` in float32), `accumulator` and
`output_stage`: cost by component relies on these names.
"""

from fewbits.hardware.datapath.neuron import to_rtlil
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design

__all__ = ["NeuronDesign", "design", "to_rtlil"]

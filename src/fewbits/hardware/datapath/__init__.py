"""The arithmetic of one neuron: its circuit, its widths and what it costs between characterized precisions.

`base.py` is what every datapath declares; a strategy is a file (`integer`, `shifter`, `sign_selection`,
`population_count`, `float32`, `narrow_float`), and `strategies.py` chooses by precision. Circuits load where they are
built: a cost needs none.

A neuron's instances are named `multiplier0`.., `adder_tree` (`adder_tree_L_P` in float32), `accumulator` and
`output_stage`: cost by component relies on these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.hardware.datapath.neuron import to_rtlil

__all__ = ["NeuronDesign", "design", "to_rtlil"]

if not TYPE_CHECKING:  # it loads Amaranth
    __getattr__, __dir__ = lazily(__name__, {"to_rtlil": "fewbits.hardware.datapath.neuron"})

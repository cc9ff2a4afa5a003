"""What a precision costs in silicon: accelerators and their dataflows, schedules, technology tables and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.hardware.costing.breakdown import Breakdown, LayerCost, MemoryCost
from fewbits.hardware.costing.clock import Clock
from fewbits.hardware.costing.conversions import ConversionFigures
from fewbits.hardware.costing.layer_costs import LayerCosts, LayerFigures, PairCosts, Prediction, layer_costs
from fewbits.hardware.costing.layer_power import LayerPower, NetworkPower
from fewbits.hardware.costing.network_cost import Cost, cost
from fewbits.hardware.costing.sweep import CostPoint, costs
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.base import AccessCosts, CircuitPart, Dataflow, Memory, OperandStream, named, scaled
from fewbits.hardware.dataflow.diannao.opcodes import Opcode, Opcodes
from fewbits.hardware.dataflow.diannao.scheduling import Pipeline, schedule
from fewbits.hardware.dataflow.loops.description import Axis, LoopAccelerator, LoopMemory, StatedEnergy
from fewbits.hardware.dataflow.plan import Accesses, AnyAccelerator, LayerSchedule, Schedule, Widths
from fewbits.hardware.dataflow.registry import accelerator_from, accelerator_named, dataflow_of, dataflows
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.multipliers.kinds import MultiplierKind
from fewbits.hardware.process.corners import (
    ControlAtCorner,
    ConversionAtCorner,
    Corner,
    DatapathAtCorner,
    MacroAtCorner,
)
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import (
    ComponentCost,
    ControlCost,
    ConversionCost,
    DatapathCost,
    MacroCost,
    NeuronShare,
    PackingCost,
    ReadPath,
    Technology,
    load_technology,
)
from fewbits.hardware.rtl.pipelining import Pipelining
from fewbits.hardware.rtl.verilog import Header
from fewbits.hardware.workload.networks import workload_of
from fewbits.hardware.workload.workload import LayerShape, Workload
from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.hardware import defects as defects
    from fewbits.hardware import fpga as fpga
    from fewbits.hardware import multipliers as multipliers
    from fewbits.hardware.datapath.neuron import Neuron
    from fewbits.hardware.workload.operations import WORKLOAD

__all__ = [
    "WORKLOAD",
    "Accelerator",
    "AccessCosts",
    "Accesses",
    "AnyAccelerator",
    "Axis",
    "Breakdown",
    "CircuitPart",
    "Clock",
    "ComponentCost",
    "ControlAtCorner",
    "ControlCost",
    "ConversionAtCorner",
    "ConversionCost",
    "ConversionFigures",
    "Corner",
    "Cost",
    "CostPoint",
    "Dataflow",
    "DatapathAtCorner",
    "DatapathCost",
    "DatapathKey",
    "Header",
    "LayerCost",
    "LayerCosts",
    "LayerFigures",
    "LayerPower",
    "LayerSchedule",
    "LayerShape",
    "LoopAccelerator",
    "LoopMemory",
    "MacroAtCorner",
    "MacroCost",
    "Memory",
    "MemoryCost",
    "MultiplierKind",
    "NetworkPower",
    "Neuron",
    "NeuronDesign",
    "NeuronShare",
    "Opcode",
    "Opcodes",
    "OperandStream",
    "PackingCost",
    "PairCosts",
    "Pipeline",
    "Pipelining",
    "Prediction",
    "ReadPath",
    "Schedule",
    "StatedEnergy",
    "Technology",
    "Widths",
    "Workload",
    "accelerator_from",
    "accelerator_named",
    "cost",
    "costs",
    "dataflow_of",
    "dataflows",
    "layer_costs",
    "load_technology",
    "named",
    "scaled",
    "schedule",
    "workload_of",
]

if not TYPE_CHECKING:  # they load torch and Amaranth
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "WORKLOAD": "fewbits.hardware.workload.operations",
            "Neuron": "fewbits.hardware.datapath.neuron",
            "defects": "fewbits.hardware.defects",
            "fpga": "fewbits.hardware.fpga",
            "multipliers": "fewbits.hardware.multipliers",
        },
    )

"""What a precision costs in silicon: accelerators and their dataflows, schedules, technology tables and cost."""

from fewbits.hardware.costing.network_cost import Cost, cost
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.base import Dataflow, Memory, named, scaled
from fewbits.hardware.dataflow.diannao.scheduling import schedule
from fewbits.hardware.dataflow.plan import Accesses, AnyAccelerator, LayerSchedule, Schedule, Widths
from fewbits.hardware.dataflow.registry import accelerator_from, accelerator_named, dataflow_of, dataflows
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.process.technology import ComponentCost, DatapathCost, Technology, load_technology
from fewbits.hardware.workload.networks import workload_of
from fewbits.hardware.workload.workload import LayerShape, Workload

__all__ = [
    "Accelerator",
    "Accesses",
    "AnyAccelerator",
    "ComponentCost",
    "Cost",
    "Dataflow",
    "DatapathCost",
    "LayerSchedule",
    "LayerShape",
    "Memory",
    "NeuronDesign",
    "Schedule",
    "Technology",
    "Widths",
    "Workload",
    "accelerator_from",
    "accelerator_named",
    "cost",
    "dataflow_of",
    "dataflows",
    "load_technology",
    "named",
    "scaled",
    "schedule",
    "workload_of",
]

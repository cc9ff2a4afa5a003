"""What a precision costs in silicon: accelerator, schedule, technology tables and cost."""

from fewbits.hardware.costing.network_cost import Cost, cost
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.scheduling import schedule
from fewbits.hardware.dataflow.plan import Schedule
from fewbits.hardware.process.technology import Technology, load_technology
from fewbits.hardware.workload.networks import workload_of
from fewbits.hardware.workload.workload import LayerShape, Workload

__all__ = [
    "Accelerator",
    "Cost",
    "LayerShape",
    "Schedule",
    "Technology",
    "Workload",
    "cost",
    "load_technology",
    "schedule",
    "workload_of",
]

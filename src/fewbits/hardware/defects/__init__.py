"""Defects: stuck nets in neurons and flipped bits in the weights' memory, and what they cost in accuracy."""

from __future__ import annotations

from fewbits.hardware.defects.curve import Accuracies, DefectCurve, DefectRow, RepairPrice
from fewbits.hardware.defects.defective_network import DefectiveNetwork
from fewbits.hardware.defects.faults import PARTS, FaultSites, StuckAt, cell_areas, draw_faults, fault_sites
from fewbits.hardware.defects.measuring import Progress, Retrain, measure_defects
from fewbits.hardware.defects.memory import flip_weights
from fewbits.hardware.defects.plan import PLACES, REPAIRS, DefectPlan

__all__ = [
    "PARTS",
    "PLACES",
    "REPAIRS",
    "Accuracies",
    "DefectCurve",
    "DefectPlan",
    "DefectRow",
    "DefectiveNetwork",
    "FaultSites",
    "Progress",
    "RepairPrice",
    "Retrain",
    "StuckAt",
    "cell_areas",
    "draw_faults",
    "fault_sites",
    "flip_weights",
    "measure_defects",
]

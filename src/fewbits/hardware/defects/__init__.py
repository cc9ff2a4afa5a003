"""Defects: stuck nets in neurons and wrong bits in memories, what they cost, what retraining and repair give back."""

from __future__ import annotations

from fewbits.hardware.defects.curve import Accuracies, DefectCurve, DefectRow, RepairPrice
from fewbits.hardware.defects.defective_network import DefectiveNetwork
from fewbits.hardware.defects.error_rates import (
    ErrorRates,
    RateLimit,
    VoltagePoint,
    accuracy_by_voltage,
    highest_rate,
    read_error_rates,
)
from fewbits.hardware.defects.faults import PARTS, FaultSites, StuckAt, cell_areas, draw_faults, fault_sites
from fewbits.hardware.defects.measuring import Progress, Retrain, measure_defects
from fewbits.hardware.defects.memory import FaultyInputs, flip_weights, with_held_bits, wrong_cells
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
    "ErrorRates",
    "FaultSites",
    "FaultyInputs",
    "Progress",
    "RateLimit",
    "RepairPrice",
    "Retrain",
    "StuckAt",
    "VoltagePoint",
    "accuracy_by_voltage",
    "cell_areas",
    "draw_faults",
    "fault_sites",
    "flip_weights",
    "highest_rate",
    "measure_defects",
    "read_error_rates",
    "with_held_bits",
    "wrong_cells",
]

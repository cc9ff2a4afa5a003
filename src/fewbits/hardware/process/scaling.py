"""Scaling of a technology table to another process node: area, energy and delay by published factors, always named so.

Source of the factors: A. Stillmaker and B. Baas, "Scaling equations for the accurate prediction of CMOS device
performance from 180 nm to 7 nm", Integration, the VLSI Journal 58 (2017) 74-81: fits to HSpice simulations with PTM and
ITRS models. The paper itself was not at hand. The figures are those of a public transcription (nodeScale, NanoCAD
Laboratory of UCLA), which agrees with two others as far as those go (one has the areas and the energies, the other the
delays at 45, 14, 10 and 7 nm) and with the two energy fits in the authors' corrigendum. Supply voltages are the nominal
ones of the PTM model cards behind the fits; those at 130, 90, 65 and 20 nm were not verified.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fewbits.errors import HardwareError
from fewbits.hardware.process.corners import AT_CORNER, Corner, DatapathAtCorner
from fewbits.hardware.process.technology import (
    ComponentCost,
    ControlCost,
    ConversionCost,
    DatapathCost,
    MacroCost,
    PackingCost,
    ReadPath,
    Technology,
)

SOURCE = "Stillmaker and Baas, Integration 58 (2017) 74-81"

SHIPPED_NODES = {"ihp-sg13g2": 130.0}
"""Nodes of the tables that the package ships, nm; other tables say theirs in the provenance, as `node_nm`."""

VOLTAGE_TOLERANCE = 0.1
"""Assumed tolerance of a target's supply voltage, for the uncertainty."""

AREA = {130: 1.0, 90: 0.44, 65: 0.23, 45: 0.16, 32: 0.072, 20: 0.033, 16: 0.03, 14: 0.027, 10: 0.016, 7: 0.0092}
"""Area against that at 130 nm (the paper's table of area factors)."""

VOLTAGE_V = {130: 1.3, 90: 1.2, 65: 1.1, 45: 1.0, 32: 0.9, 20: 0.9, 16: 0.85, 14: 0.8, 10: 0.75, 7: 0.7}

DELAY = {
    130: (-76.65, 334.9, -493.4, 275.8),
    90: (-60.34, 262.5, -384.2, 210.9),
    65: (-53.3, 230.4, -333.9, 178.6),
    45: (-501.6, 1567.0, -1619.0, 566.1),
    32: (-1047.0, 2982.0, -2797.0, 873.5),
    20: (0.0, 34.63, -66.37, 41.15),
    16: (0.0, 24.8, -47.52, 28.87),
    14: (-40.66, 109.2, -100.6, 35.92),
    10: (-34.95, 93.65, -85.99, 30.4),
    7: (-28.58, 76.6, -70.26, 24.69),
}
"""Coefficients of V**3, V**2, V and 1; from 45 nm on of high-performance transistors. Low-power ones are slower."""

ENERGY = {
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.018, -0.3107, 0.1539),
    32: (0.8367, -0.4341, 0.1701),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239),
    10: (0.2068, -0.09311, 0.02375),
    7: (0.1776, -0.09097, 0.02447),
}
"""Coefficients of V**2, V and 1; from 45 nm on those of high-performance transistors."""

LOW_POWER_ENERGY = {
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.2632, -0.14, 0.06841),
    16: (0.2139, -0.1187, 0.05639),
    14: (0.1556, -0.06472, 0.03066),
    10: (0.1261, -0.0518, 0.02769),
    7: (0.09365, -0.03409, 0.02043),
}


@dataclass(frozen=True)
class Factor:
    """What a figure is multiplied by, and between what the rules differ."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"x{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True)
class NodeScaling:
    """Factors from one node and supply voltage to another.

    `low` and `high` span what the rules give: for area the published factor and the square of the nodes' ratio; for
    delay the published fit within VOLTAGE_TOLERANCE of the target's voltage and the nodes' ratio; for energy the fits
    of high-performance and low-power transistors within that tolerance, and ratio x voltage squared (Dennard et al.,
    IEEE JSSC 1974). Nothing of this was measured on silicon of the target.
    """

    from_nm: float
    to_nm: float
    from_v: float
    to_v: float
    area: Factor
    energy: Factor
    delay: Factor

    @property
    def interpolated(self) -> bool:
        """Whether the paper lacks one of the nodes, so that factors lie between its neighbours'."""
        return any(node not in AREA for node in (self.from_nm, self.to_nm))

    @property
    def heading(self) -> str:
        """One line for the head of every table of scaled figures."""
        between = ", interpolated between nodes" if self.interpolated else ""
        return (
            f"scaled from {self.from_nm:g} nm, {self.from_v:g} V to {self.to_nm:g} nm, {self.to_v:.3g} V{between}: "
            f"area {self.area}, energy {self.energy}, delay {self.delay}; {SOURCE}; leakage power as before"
        )


def node_of(technology: Technology) -> float:
    """The process node of a table, nm. Raises HardwareError if the table does not say it."""
    text = technology.provenance.get("node_nm", "")
    try:
        return float(text) if text else SHIPPED_NODES[technology.name]
    except (KeyError, ValueError):
        raise HardwareError(
            f"technology {technology.name!r} does not say its node, so it cannot be scaled: make the table with "
            "fewbits characterize --node NM"
        ) from None


def node_scaling(technology: Technology, node_nm: float) -> NodeScaling:
    """The factors from a table's node, at its voltage, to another node at its nominal voltage.

    Raises HardwareError if a node is outside of the published range or the table does not say its own.
    """
    start = node_of(technology)
    for node in (start, node_nm):
        if not min(AREA) <= node <= max(AREA):
            raise HardwareError(
                f"scaling from {start:g} to {node_nm:g} nm: factors are published from {max(AREA)} to {min(AREA)} nm"
            )
    from_v, to_v = technology.voltage_v, _at(VOLTAGE_V, node_nm)
    volts = [to_v * (1 + part) for part in (-VOLTAGE_TOLERANCE, 0.0, VOLTAGE_TOLERANCE)]
    shrink = node_nm / start
    area = _at(AREA, node_nm) / _at(AREA, start)
    delays = [_fit(DELAY, node_nm, v) / _fit(DELAY, start, from_v) for v in volts]
    low_power = {**ENERGY, **LOW_POWER_ENERGY}
    energies = [_fit(fits, node_nm, v) / _fit(fits, start, from_v) for fits in (ENERGY, low_power) for v in volts]
    return NodeScaling(
        start, node_nm, from_v, to_v,
        area=_factor(area, [area, shrink**2]),
        energy=_factor(energies[1], [*energies, shrink * (to_v / from_v) ** 2]),
        delay=_factor(delays[1], [*delays, shrink]),
    )  # fmt: skip


def scale(technology: Technology, node_nm: float) -> Technology:
    """The table at another node; its name and provenance say that it is scaled.

    Logic and macros alike: areas, energies and delays are multiplied by the factors, the clock is that of before or
    what a longer path allows. Leakage power stays as it is, as the source has no factor for it; from 65 nm on it would
    be a larger part. Corners keep their ratios to the typical figures, voltages among them. Raises HardwareError as
    `node_scaling` does, and for a table that is scaled itself or at a corner.
    """
    if "scaled" in technology.provenance:
        raise HardwareError(f"technology {technology.name!r} is scaled already: scale the table that it comes from")
    if AT_CORNER in technology.provenance:
        raise HardwareError(
            f"technology {technology.name!r} is at a corner: scale the table that it comes from, then take the corner, "
            "such as ihp-sg13g2@65nm@slow"
        )
    factors = node_scaling(technology, node_nm)
    return replace(
        technology,
        name=f"{technology.name} scaled to {node_nm:g} nm",
        voltage_v=factors.to_v,
        datapaths={
            name: _scaled_datapath(datapath, factors, technology.target_clock_mhz)
            for name, datapath in technology.datapaths.items()
        },
        macros=tuple(_scaled_macro(macro, factors) for macro in technology.macros),
        read_path=_scaled_read_path(technology.read_path, factors),
        packing=None
        if technology.packing is None
        else {name: _scaled_cells(each, factors) for name, each in technology.packing.items()},
        conversions={name: _scaled_conversion(each, factors) for name, each in technology.conversions.items()},
        provenance={**technology.provenance, "scaled": factors.heading, "node_nm": f"{node_nm:g}"},
        corners={name: _scaled_corner(corner, factors) for name, corner in technology.corners.items()},
    )


def _scaled_datapath(datapath: DatapathCost, factors: NodeScaling, target_mhz: float) -> DatapathCost:
    path = datapath.longest_path_ns * factors.delay.value
    meets = path <= 1000.0 / target_mhz
    return replace(
        datapath,
        components={name: _scaled_cells(part, factors) for name, part in datapath.components.items()},
        longest_path_ns=path,
        clock_mhz=target_mhz if meets else 1000.0 / path,
        meets_target=meets,
        control=_scaled_control(datapath.control, factors, target_mhz) if datapath.control is not None else None,
    )


def _scaled_control(control: ControlCost, factors: NodeScaling, target_mhz: float) -> ControlCost:
    path = control.longest_path_ns * factors.delay.value
    each = control.each_neuron
    return replace(
        control,
        area_um2=control.area_um2 * factors.area.value,
        longest_path_ns=path,
        clock_mhz=min(target_mhz, 1000.0 / path),
        computing_pj=control.computing_pj * factors.energy.value,
        pooling_pj=control.pooling_pj * factors.energy.value,
        clock_tree_pj=control.clock_tree_pj * factors.energy.value,
        each_neuron=None
        if each is None
        else replace(
            each,
            area_um2=each.area_um2 * factors.area.value,
            computing_pj=each.computing_pj * factors.energy.value,
            pooling_pj=each.pooling_pj * factors.energy.value,
        ),
    )


def _scaled_corner(corner: Corner, factors: NodeScaling) -> Corner:
    energy, delay = factors.energy.value, factors.delay.value
    return replace(
        corner,
        voltage_v=corner.voltage_v * factors.to_v / factors.from_v,
        setup_ns=corner.setup_ns * delay,
        selection_ns=corner.selection_ns * delay,
        packing_energy_pj={name: each * energy for name, each in corner.packing_energy_pj.items()},
        conversions={
            name: replace(each, energy_pj=each.energy_pj * energy, longest_path_ns=each.longest_path_ns * delay)
            for name, each in corner.conversions.items()
        },
        datapaths={name: _scaled_at_corner(each, factors) for name, each in corner.datapaths.items()},
        macros={
            name: replace(
                each,
                access_ns=each.access_ns * delay,
                read_energy_pj=each.read_energy_pj * energy,
                write_energy_pj=each.write_energy_pj * energy,
                cycle_energy_pj=each.cycle_energy_pj * energy,
            )
            for name, each in corner.macros.items()
        },
    )


def _scaled_at_corner(datapath: DatapathAtCorner, factors: NodeScaling) -> DatapathAtCorner:
    energy, control = factors.energy.value, datapath.control
    return replace(
        datapath,
        longest_path_ns=datapath.longest_path_ns * factors.delay.value,
        energy_pj={name: each * energy for name, each in datapath.energy_pj.items()},
        control=None
        if control is None
        else replace(
            control,
            longest_path_ns=control.longest_path_ns * factors.delay.value,
            computing_pj=control.computing_pj * energy,
            pooling_pj=control.pooling_pj * energy,
            clock_tree_pj=control.clock_tree_pj * energy,
            each_computing_pj=control.each_computing_pj * energy,
            each_pooling_pj=control.each_pooling_pj * energy,
        ),
    )


_Cells = TypeVar("_Cells", ComponentCost, PackingCost, ConversionCost)


def _scaled_cells(part: _Cells, factors: NodeScaling) -> _Cells:
    return replace(part, area_um2=part.area_um2 * factors.area.value, energy_pj=part.energy_pj * factors.energy.value)


def _scaled_conversion(cost: ConversionCost, factors: NodeScaling) -> ConversionCost:
    cells = _scaled_cells(cost, factors)
    return replace(cells, longest_path_ns=cost.longest_path_ns * factors.delay.value)


def _scaled_macro(macro: MacroCost, factors: NodeScaling) -> MacroCost:
    return replace(
        macro,
        area_um2=macro.area_um2 * factors.area.value,
        read_energy_pj=macro.read_energy_pj * factors.energy.value,
        write_energy_pj=macro.write_energy_pj * factors.energy.value,
        cycle_energy_pj=macro.cycle_energy_pj * factors.energy.value,
        access_ns=macro.access_ns * factors.delay.value,
    )


def _scaled_read_path(read_path: ReadPath | None, factors: NodeScaling) -> ReadPath | None:
    if read_path is None:
        return None
    return ReadPath(read_path.setup_ns * factors.delay.value, read_path.selection_ns * factors.delay.value)


def _fit(fits: dict[int, tuple[float, ...]], node_nm: float, volts: float) -> float:
    """A polynomial of the node at a voltage."""
    return _between(sorted(fits), node_nm, lambda node: _polynomial(fits[node], volts))


def _at(values: dict[int, float], node_nm: float) -> float:
    return _between(sorted(values), node_nm, lambda node: values[node])


def _between(nodes: Sequence[int], node_nm: float, value: Callable[[int], float]) -> float:
    """The value at a node; between two nodes, on a straight line through the logarithms of both."""
    below = max(node for node in nodes if node <= node_nm)
    above = min(node for node in nodes if node >= node_nm)
    if below == above:
        return value(below)
    part = math.log(node_nm / below) / math.log(above / below)
    return math.exp((1 - part) * math.log(value(below)) + part * math.log(value(above)))


def _polynomial(coefficients: Sequence[float], volts: float) -> float:
    total = 0.0
    for coefficient in coefficients:
        total = total * volts + coefficient
    return total


def _factor(value: float, rules: Sequence[float]) -> Factor:
    return Factor(value, min(rules), max(rules))

"""The clock that datapath, control and buffers keep together, and which of them limits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fewbits.hardware.process.memory.sram import Buffer
from fewbits.hardware.process.technology import DatapathCost, Technology

DATAPATH, CONTROL, BUFFERS = "datapath", "control", "buffers"


@dataclass(frozen=True)
class Clock:
    """The clock of a cost: the one asked for, or the highest below it that every part keeps."""

    mhz: float
    asked_mhz: float
    """Of the accelerator."""

    paths_ns: dict[str, float | None]
    """Longest path with setup by part: datapath, control, buffers (a read of a row); None where it is not known."""

    limited_by: str
    """The part that keeps no higher clock; of several that keep this one, the one with the longest path."""

    reason: str
    """Why it is not the clock that was asked for; empty where it is."""

    unknown: tuple[str, ...]
    """What of a part's timing the technology table does not tell, so that it was not checked."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What an architect must know beside the figure: why it is lower, what was not checked."""
        lower = f"clock {self.mhz:.4g} MHz, not the {self.asked_mhz:.4g} asked for: {self.reason}"
        return ((lower,) if self.reason else ()) + tuple(f"clock not checked: {one}" for one in self.unknown)

    def __str__(self) -> str:
        known = sorted(((path, part) for part, path in self.paths_ns.items() if path is not None), reverse=True)
        paths = ", ".join(f"{part} {path:.2f}" for path, part in known)
        return "; ".join((f"{self.limited_by} limits it; of {1000 / self.mhz:.4g} ns: {paths} ns", *self.notes))


def logic_mhz(datapath: DatapathCost, asked_mhz: float) -> float:
    """The clock asked for, or what datapath and control reach."""
    clocks = [datapath.clock_mhz, asked_mhz]
    return min(clocks if datapath.control is None else [*clocks, datapath.control.clock_mhz])


def clock_of(datapath: DatapathCost, buffers: Mapping[str, Buffer], table: Technology, asked_mhz: float) -> Clock:
    """The clock of an accelerator with these neurons, their control and these buffers (by name).

    A part that needs longer than the period lowers the clock to the one that it keeps, as a datapath does that misses
    the clock it was synthesized for. A buffer of unknown access time lowers nothing, and is told.
    """
    control = datapath.control
    slowest = max(buffers, key=lambda name: buffers[name].read_ns or 0.0, default=None)
    paths = {
        DATAPATH: datapath.longest_path_ns,
        CONTROL: control.longest_path_ns if control is not None else None,
        BUFFERS: None if slowest is None else buffers[slowest].read_ns,
    }
    mhz = logic_mhz(datapath, asked_mhz)
    period_ns = 1000.0 / mhz
    read_ns = paths[BUFFERS] or 0.0
    if slowest is not None and read_ns > period_ns:
        limited_by = BUFFERS
        mhz = 1000.0 / read_ns
        reason = _slow_buffer(slowest, buffers[slowest], period_ns)
    else:
        logic = {DATAPATH: datapath.clock_mhz} | ({CONTROL: control.clock_mhz} if control is not None else {})
        holding = [part for part, highest in logic.items() if highest <= mhz] or list(paths)
        limited_by = max(holding, key=lambda part: paths[part] or 0.0)
        reason = _slow_logic(limited_by, paths[limited_by] or 0.0, mhz) if mhz < asked_mhz else ""
    return Clock(mhz, asked_mhz, paths, limited_by, reason, _unknown(datapath, buffers, table))


def _slow_buffer(name: str, buffer: Buffer, period_ns: float) -> str:
    banks = f", {buffer.banks} banks to select from" if buffer.banks > 1 else ""
    return (
        f"the buffers' macros ({name}: {buffer.macro.name}{banks}) take {buffer.read_ns:.3g} ns to read into the "
        f"operand register, longer than the {period_ns:.3g} ns period, and no other of the technology's macros is "
        "faster: ask for a lower clock_mhz or fewer buffer_rows"
    )


def _slow_logic(part: str, path_ns: float, mhz: float) -> str:
    period_ns = 1000.0 / mhz
    if path_ns < 0.999 * period_ns:
        return f"the {part} is synthesized for {mhz:.4g} MHz, no higher clock is known of it"
    return f"the {part}'s longest path takes {path_ns:.3g} ns"


def _unknown(datapath: DatapathCost, buffers: Mapping[str, Buffer], table: Technology) -> tuple[str, ...]:
    """What the table does not tell."""
    untimed = list(dict.fromkeys(one.macro.name for one in buffers.values() if one.read_ns is None))
    timed = [one for one in buffers.values() if one.read_ns is not None]
    found: list[str] = []
    if datapath.control is None:
        found.append("the control, which the technology table lacks")
    if untimed:
        found.append(f"the buffers: the technology table has no access time of {', '.join(untimed)}")
    if timed and table.read_path is None:
        found.append("the operand registers' setup behind the buffers, which the technology table lacks")
    elif table.read_path is not None and not table.read_path.selection_ns and any(one.banks > 1 for one in timed):
        found.append("the selection among the buffers' banks, which the technology table lacks")
    return tuple(found)

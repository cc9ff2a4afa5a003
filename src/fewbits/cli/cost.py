"""The command `cost`: precisions, machines, clocks and corners, each with each, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbits.cli.accelerators import chosen, chosen_tile
from fewbits.cli.corners import ALL, operating_tables
from fewbits.cli.fpga import Best, Devices, Families, Fill, FpgaMultiplier, FpgaRequest
from fewbits.cli.shared import image_shape, progress_line

if TYPE_CHECKING:
    from fewbits.hardware import AnyAccelerator, Cost, Technology, Workload
    from fewbits.hardware.costing.corner_costs import Die, SignOff
    from fewbits.hardware.fpga import FpgaCost


@dataclass(frozen=True)
class _Machine:
    """An accelerator at a clock."""

    name: str
    """As the command names it; empty for the tile that costs are of by default."""

    accelerator: AnyAccelerator


@dataclass(frozen=True)
class _Costed:
    """A precision on a machine, at each corner or operating point that was asked for."""

    precision: str
    machine: _Machine
    at: Mapping[str, Cost]
    signed: SignOff | None
    dies: Mapping[str, Die]
    fpga: Sequence[FpgaCost]

    @property
    def label(self) -> str:
        """What tells it from others in lines."""
        return f"{self.precision} on {self.machine.name}" if self.machine.name else self.precision

    def labelled(self, compared: bool) -> dict[str, Cost]:
        """Its costs by what tells them apart: machine, clock (where several are compared) and corner."""
        clock = f" at {self.machine.accelerator.clock_mhz:g} MHz" if compared else ""
        return {f"{self.label}{clock}{f', {name}' if name else ''}": one for name, one in self.at.items()}


def cost(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="lenet, alex*2, package.module:function, file.py:function, ...")
    ],
    precisions: Annotated[list[str], typer.Argument(metavar="PRECISION", help="Such as fixed8 pow2-6/fixed16.")],
    image: Annotated[str | None, typer.Option("--input", metavar="CxHxW", help="Shape of one image.")] = None,
    technology: Annotated[str | None, typer.Option(help="A technology table's name or file.")] = None,
    node: Annotated[float | None, typer.Option(metavar="NM", help="Scale to this process node, such as 65.")] = None,
    multiplier: Annotated[str, typer.Option(help="booth, array or operator.")] = "booth",
    product_bits: Annotated[int | None, typer.Option(help="Width that products are cut to.")] = None,
    accelerator: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="As fewbits accelerators lists them; repeat to compare several."),
    ] = None,
    neurons: Annotated[int | None, typer.Option(help="Output neurons side by side; 16 if none.")] = None,
    synapses: Annotated[int | None, typer.Option(help="Products that each neuron adds in a cycle; 16 if none.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows of each buffer; 64 if none.")] = None,
    ports: Annotated[int | None, typer.Option(help="Of each buffer: 2, or 1 that reads or writes, and stalls.")] = None,
    banks: Annotated[int | None, typer.Option(help="That each buffer's rows are interleaved over.")] = None,
    clock: Annotated[
        list[float] | None,
        typer.Option(
            metavar="MHZ",
            help="The clock aimed at; the accelerator's, or the technology table's, if none. Repeat to compare.",
        ),
    ] = None,
    corner: Annotated[
        str | None, typer.Option(metavar="NAME|all", help="A corner of the technology, such as slow, typ or fast.")
    ] = None,
    voltage: Annotated[
        float | None, typer.Option(metavar="V", help="An operating point between corners of the technology.")
    ] = None,
    utilization: Annotated[
        float | None, typer.Option(metavar="PART", help="Of the die that cells and macros cover, such as 0.7.")
    ] = None,
    off_chip: Annotated[bool, typer.Option("--off-chip", help="Also the energy with off-chip DRAM.")] = False,
    bandwidth: Annotated[
        float | None, typer.Option(metavar="GB_PER_S", help="Of the memory: transfers beyond it stall.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Also cycles, accesses, energy and limit of each layer and memory.")
    ] = False,
    roofline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw each layer under its ceilings: .svg or .png.")
    ] = None,
    fpga: Families = None,
    device: Devices = None,
    best: Best = False,
    fill: Fill = 1.0,
    fpga_multiplier: FpgaMultiplier = "operator",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Cost of a network at precisions, without training."""
    from fewbits.hardware import cost as cost_of
    from fewbits.hardware import load_technology, workload_of
    from fewbits.hardware.process.scaling import scale
    from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY
    from fewbits.report.chart_files import check_image

    if roofline is not None:
        check_image(roofline)
    clocks = list(dict.fromkeys(clock or [None]))
    on_fpga = FpgaRequest(fpga or (), device or (), best, fill, fpga_multiplier, product_bits, clocks[0])
    on_fpga.check()
    table = load_technology(DEFAULT_TECHNOLOGY if technology is None else technology)
    if node is not None:
        table = scale(table, node)
    tables = operating_tables(table, corner, voltage) or {"": table}
    sizes = {"neurons": neurons, "synapses": synapses, "rows": rows, "ports": ports, "banks": banks}
    machines = [
        _Machine(name, made)
        for mhz in clocks
        for name, made in chosen(accelerator or [], sizes, mhz, bandwidth)
        or [("", chosen_tile(table.target_clock_mhz, sizes, mhz, bandwidth))]
    ]
    workload = workload_of(model, image_shape(image))

    def costed(precision: str, machine: _Machine) -> _Costed:
        def on(at: Technology, made: AnyAccelerator) -> Cost:
            return cost_of(
                workload, precision, technology=at, accelerator=made, multiplier=multiplier, product_bits=product_bits
            )

        at = {name: on(each, machine.accelerator) for name, each in tables.items()}
        signed = _signed(tables, machine, on) if corner == ALL else None
        dies = {} if utilization is None else _dies(at, workload, utilization)
        return _Costed(precision, machine, at, signed, dies, on_fpga.costs(workload, precision, machine.accelerator))

    found = [costed(precision, machine) for precision in precisions for machine in machines]
    if roofline is not None:
        _draw_roofline(model, _labelled(found, len(clocks) > 1), roofline)
    scaled = {key: table.provenance[key] for key in ("scaled",) if key in table.provenance}
    if as_json:
        typer.echo(json.dumps([one for each in found for one in _json(each, tables, scaled)]))
        return
    lines = [*scaled.values(), *_lines(found, tables, off_chip=off_chip, layers=layers, compared=len(clocks) > 1)]
    for line in lines:
        typer.echo(line)


def _labelled(found: Sequence[_Costed], compared: bool) -> dict[str, Cost]:
    return {label: one for each in found for label, one in each.labelled(compared).items()}


def _signed(tables: Mapping[str, Technology], machine: _Machine, on: Any) -> SignOff:
    """What holds at every corner."""
    from fewbits.hardware.costing.corner_costs import sign_off
    from fewbits.hardware.dataflow.registry import with_sizes

    def at_clock(table: Technology, mhz: float) -> Cost:
        return on(table, with_sizes(machine.accelerator, {"clock_mhz": mhz}))

    return sign_off(tables, machine.accelerator.clock_mhz, at_clock)


def _dies(at: Mapping[str, Cost], workload: Workload, utilization: float) -> dict[str, Die]:
    from fewbits.hardware.costing.corner_costs import die_of

    return {name: die_of(one, workload, utilization) for name, one in at.items()}


def _json(one: _Costed, tables: Mapping[str, Technology], scaled: Mapping[str, str]) -> list[dict[str, Any]]:
    """An object for each corner or operating point."""
    from fewbits.report.costs import cost_json
    from fewbits.report.fpga import fpga_json
    from fewbits.report.operating_points import die_json, point_json, signed_json

    return [
        {
            **cost_json(each),
            **scaled,
            **({"accelerator": one.machine.name} if one.machine.name else {}),
            **({"fpga": [fpga_json(count) for count in one.fpga]} if one.fpga else {}),
            **(point_json(name, tables[name], each) if name else {}),
            **({} if one.signed is None else signed_json(one.signed)),
            **(die_json(one.dies[name]) if name in one.dies else {}),
        }
        for name, each in one.at.items()
    ]


def _lines(
    found: Sequence[_Costed], tables: Mapping[str, Technology], *, off_chip: bool, layers: bool, compared: bool
) -> list[str]:
    """Tables of corners where some were asked for, then of costs, clocks, layers, dies and FPGAs. compared: clocks."""
    from fewbits.report.costs import cost_lines, layer_lines
    from fewbits.report.fpga import fpga_lines
    from fewbits.report.operating_points import clock_lines, corner_lines, die_line, operating_notes

    lines: list[str] = []
    all_corners = len(tables) > 1
    if all_corners:
        lines += operating_notes(tables)
    if "" not in tables:
        for one in found:
            lines += corner_lines(one.label, tables, one.at, one.signed)
    costs = [each for one in found for each in one.at.values()]
    if not all_corners:
        lines += cost_lines(costs, off_chip=off_chip, accelerators=[one.machine.name for one in found])
        if compared:
            lines += clock_lines(costs)
    if layers:
        lines += [line for label, each in _labelled(found, compared).items() for line in layer_lines(each, label)]
    lines += [die_line(one.at[name], die, name) for one in found for name, die in one.dies.items()]
    if counts := [count for one in found for count in one.fpga]:
        lines += ["", *fpga_lines(counts)]
    return lines


def _draw_roofline(model: str, costs: Mapping[str, Cost], path: Path) -> None:
    """Write the chart of several costs of a model, by their labels.

    The line that says so stands on standard error, beside JSON too.
    """
    from fewbits.report.chart_files import write_image
    from fewbits.report.roofline import cost_roofline
    from fewbits.report.roofline_chart import costs_roofline_chart

    chart = costs_roofline_chart(model, [cost_roofline(*one) for one in costs.items()], path.stem)
    write_image(chart, path)
    progress_line(f"{path}: {chart.caption}")

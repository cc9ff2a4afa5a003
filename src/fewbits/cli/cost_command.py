"""The command `cost`: precisions, machines, clocks and corners, each with each, and what is told of them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbits.cli.accelerators_command import chosen, chosen_tile
from fewbits.cli.corners import Clocks, CornerName, OperatingRequest, Utilization, Voltage
from fewbits.cli.fpga import Best, Devices, Families, Fill, FpgaMultiplier, FpgaRequest
from fewbits.cli.shared import DEFAULT_MULTIPLIER, Multiplier, image_shape, progress_line
from fewbits.errors import HardwareError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fewbits.formats import Assignment
    from fewbits.hardware import AnyAccelerator, Cost, Technology


def cost(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="lenet, alex*2, package.module:function, file.py:function, ...")
    ],
    precisions: Annotated[
        list[str],
        typer.Argument(metavar="PRECISION", help="Such as fixed8 pow2-6/fixed16, or an assignment's file."),
    ],
    image: Annotated[str | None, typer.Option("--input", metavar="CxHxW", help="Shape of one image.")] = None,
    technology: Annotated[str | None, typer.Option(help="A technology table's name or file.")] = None,
    node: Annotated[float | None, typer.Option(metavar="NM", help="Scale to this process node, such as 65.")] = None,
    multiplier: Multiplier = DEFAULT_MULTIPLIER,
    product_bits: Annotated[int | None, typer.Option(help="Width that products are cut to.")] = None,
    datapaths: Annotated[str, typer.Option(help="For layers of several precisions: one, each or composable.")] = "one",
    accelerator: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="As fewbits accelerators lists them; repeat to compare several."),
    ] = None,
    neurons: Annotated[int | None, typer.Option(help="Output neurons side by side; 16 if none.")] = None,
    synapses: Annotated[int | None, typer.Option(help="Products that each neuron adds in a cycle; 16 if none.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows of each buffer; 64 if none.")] = None,
    ports: Annotated[int | None, typer.Option(help="Of each buffer: 2, or 1 that reads or writes, and stalls.")] = None,
    banks: Annotated[int | None, typer.Option(help="That each buffer's rows are interleaved over.")] = None,
    clock: Clocks = None,
    corner: CornerName = None,
    voltage: Voltage = None,
    utilization: Utilization = None,
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
    from fewbits.hardware.workload.networks import where_unsigned
    from fewbits.report.chart_files import check_image
    from fewbits.report.costs import cost_json, cost_lines, layer_lines
    from fewbits.report.fpga import fpga_json, fpga_lines

    if roofline is not None:
        check_image(roofline)
    operating = OperatingRequest(corner, voltage, clock or (), utilization)
    operating.check(on_fpga=bool(fpga or device), off_chip=off_chip)
    on_fpga = FpgaRequest(fpga or (), device or (), best, fill, fpga_multiplier, product_bits, operating.one_clock_mhz)
    on_fpga.check()
    table = load_technology(DEFAULT_TECHNOLOGY if technology is None else technology)
    if node is not None:
        table = scale(table, node)
    sizes = {"neurons": neurons, "synapses": synapses, "rows": rows, "ports": ports, "banks": banks}
    machines = [
        one
        for mhz in operating.clocks_mhz
        for one in chosen(accelerator or [], sizes, mhz, bandwidth)
        or [("", chosen_tile(table.target_clock_mhz, sizes, mhz, bandwidth))]
    ]
    points = operating.tables(table)
    shape = image_shape(image)
    assignments = _assignments(precisions, datapaths, on_fpga=bool(fpga or device))
    workload = workload_of(model, shape)

    def cost_at(precision: str, name: str, at: Technology, machine: AnyAccelerator) -> Cost:
        try:
            return cost_of(
                model if precision in assignments or where_unsigned(model, precision) else workload,
                assignments.get(precision, precision),
                input_shape=shape,
                technology=at,
                accelerator=machine,
                multiplier=multiplier,
                product_bits=product_bits,
                datapaths=datapaths,
            )
        except HardwareError as error:
            raise HardwareError(
                f"{precision} on {name}: {error}" if len(machines) > 1 and name else str(error)
            ) from None

    asked = [
        operating.asked(precision, name, machine, points, partial(cost_at, precision, name))
        for precision in precisions
        for name, machine in machines
    ]
    costs = [each for one in asked for each in one.costs.values()]
    names = [one.accelerator for one in asked for _ in points]
    labelled = {label: each for one in asked for label, each in one.labelled.items()}
    if roofline is not None:
        _draw_roofline(model, labelled, roofline)
    fpgas = [on_fpga.costs(workload, precision, machine) for precision in precisions for _, machine in machines]
    scaled = {key: table.provenance[key] for key in ("scaled",) if key in table.provenance}
    if as_json:
        found = [
            cost_json(each)
            | scaled
            | ({"accelerator": one.accelerator} if one.accelerator else {})
            | ({"fpga": [fpga_json(count) for count in counts]} if counts else {})
            | operating.fields(one, point, points[point])
            for one, counts in zip(asked, fpgas, strict=True)
            for point, each in one.costs.items()
        ]
        typer.echo(json.dumps(found))
        return
    lines = operating.lines(asked, points, cost_lines(costs, off_chip=off_chip, accelerators=names))
    by_layer = [line for label, one in labelled.items() for line in layer_lines(one, label)] if layers else []
    for line in (*scaled.values(), *lines, *by_layer):
        typer.echo(line)
    if counts := [count for each in fpgas for count in each]:
        for line in ("", *fpga_lines(counts)):
            typer.echo(line)


def _assignments(precisions: Sequence[str], datapaths: str, *, on_fpga: bool) -> dict[str, Assignment]:
    """Those that are files of assignments, read. Raises HardwareError for what FPGA counts do not take."""
    from fewbits.formats import Assignment

    if on_fpga and datapaths != "one":
        raise HardwareError("--datapaths is of silicon, FPGA resources are of one datapath: leave one of them out")
    if datapaths != "one" and on_fpga:
        raise HardwareError("--datapaths is of silicon, FPGA resources are of one datapath: leave one of them out")
    found = {one: Assignment.read(one) for one in precisions if one.endswith(".toml")}
    if found and on_fpga:
        raise HardwareError("an assignment has no count of FPGA resources: give one precision for all layers")
    return found


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

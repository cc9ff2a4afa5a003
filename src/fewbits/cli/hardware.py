"""Commands of numbers and silicon: formats, cost, rtl, characterize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbits.cli.accelerators import chosen, chosen_tile
from fewbits.cli.corners import Clocks, CornerName, OperatingRequest, Utilization, Voltage, corner_files
from fewbits.cli.fpga import Best, Devices, Families, Fill, FpgaMultiplier, FpgaRequest
from fewbits.cli.shared import image_shape, progress_line, refuse_unused_cluster
from fewbits.errors import HardwareError, StudyError
from fewbits.exit_status import complain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.hardware import AnyAccelerator, Cost, Technology


def formats(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One format, such as fixed8.")] = None,
) -> None:
    """List the number formats, or describe one."""
    from fewbits.formats import all_format_names, broken_families, format_families, parse_format

    if name is None:
        typer.echo(f"{'format':<10} {'bits':>4} {'values':>11} {'lowest':>13} {'highest':>13} {'smallest > 0':>13}")
        for each in (parse_format(known).describe() for known in all_format_names()):
            typer.echo(
                f"{each.name:<10} {each.bits:>4} {each.values:>11} {each.lowest:>13.7g} {each.highest:>13.7g} "
                f"{each.smallest_positive:>13.7g}"
            )
        for family in format_families():
            if family.more:
                typer.echo(f"and {family.more}")
        for sentence in broken_families():
            complain(sentence)
        return
    about = parse_format(name).describe()
    typer.echo(f"{about.name}: {about.bits} bits, {about.values} values, family {about.family}")
    typer.echo(f"from {about.lowest:.9g} to {about.highest:.9g}; smallest above zero {about.smallest_positive:.9g}")
    typer.echo("zero is a value" if about.has_zero else "zero is not a value")
    typer.echo("all at radix point 0; a radix point of f divides each value by 2**f. For example:")
    for number, value, code in about.example:
        typer.echo(f"  {number:<8g} becomes {value:<14.9g} code {code:#0{2 + -(-about.bits // 4)}x}")


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
    clock: Clocks = None,
    corner: CornerName = None,
    voltage: Voltage = None,
    utilization: Utilization = None,
    ports: Annotated[int | None, typer.Option(help="Of each buffer: 2, or 1 that reads or writes, and stalls.")] = None,
    banks: Annotated[int | None, typer.Option(help="That each buffer's rows are interleaved over.")] = None,
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
    from functools import partial

    from fewbits.hardware import cost as cost_of
    from fewbits.hardware import load_technology, workload_of
    from fewbits.hardware.process.scaling import scale
    from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY
    from fewbits.report.chart_files import check_image
    from fewbits.report.costs import cost_json, cost_lines, layer_lines
    from fewbits.report.fpga import fpga_json, fpga_lines

    if roofline is not None:
        check_image(roofline)
    operating = OperatingRequest(corner, voltage, clock or (), utilization)
    operating.check(on_fpga=bool(fpga or device), draws=roofline is not None)
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
    workload = workload_of(model, image_shape(image))

    def cost_at(precision: str, at: Technology, machine: AnyAccelerator) -> Cost:
        return cost_of(
            workload,
            precision,
            technology=at,
            accelerator=machine,
            multiplier=multiplier,
            product_bits=product_bits,
        )

    asked = [
        operating.asked(precision, name, machine, points, partial(cost_at, precision))
        for precision in precisions
        for name, machine in machines
    ]
    costs = [each for one in asked for each in one.costs.values()]
    names = [one.accelerator for one in asked for _ in points]
    if roofline is not None:
        _draw_roofline(model, costs, roofline)
    fpgas = [on_fpga.costs(workload, precision, machine) for precision in precisions for _, machine in machines]
    scaled = {key: table.provenance[key] for key in ("scaled",) if key in table.provenance}
    if as_json:
        found = [
            cost_json(each)
            | scaled
            | ({"accelerator": one.accelerator} if one.accelerator else {})
            | ({"fpga": [fpga_json(each) for each in on_fpgas]} if on_fpgas else {})
            | operating.fields(one, point, points[point])
            for one, on_fpgas in zip(asked, fpgas, strict=True)
            for point, each in one.costs.items()
        ]
        typer.echo(json.dumps(found))
        return
    by_layer = [line for one in costs for line in layer_lines(one)] if layers else []
    lines = operating.lines(asked, points, cost_lines(costs, off_chip=off_chip, accelerators=names))
    for line in (*scaled.values(), *lines, *by_layer):
        typer.echo(line)
    if on_fpgas := [fpga_cost for each in fpgas for fpga_cost in each]:
        for line in ("", *fpga_lines(on_fpgas)):
            typer.echo(line)


def _draw_roofline(model: str, costs: Sequence[Cost], path: Path) -> None:
    """Write the chart of several costs of a model; the line that says so stands on standard error, beside JSON too."""
    from fewbits.report.chart_files import write_image
    from fewbits.report.roofline import cost_roofline
    from fewbits.report.roofline_chart import costs_roofline_chart

    chart = costs_roofline_chart(model, [cost_roofline(one.precision, one) for one in costs], path.stem)
    write_image(chart, path)
    progress_line(f"{path}: {chart.caption}")


def rtl(
    precision: Annotated[str, typer.Argument(metavar="PRECISION", help="Such as fixed8 or pow2-6/fixed16.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    multiplier: Annotated[str, typer.Option(help="booth, array or operator.")] = "booth",
    product_bits: Annotated[int | None, typer.Option(help="Width that products are cut to.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="What the test bench runs, untrained, such as lenet or file.py:function; with --study, its."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="The data set of the test bench's image; digits, or the study's.")
    ] = None,
    study: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of fewbits run: the bench runs a network trained there.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Of the study's network, where there are several.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same.")] = None,
) -> None:
    """Write a precision's datapath and test bench in Verilog."""
    from fewbits.hardware.costing.hand_over import hand_over_files
    from fewbits.hardware.dataflow.diannao.export import export_verilog

    options: dict[str, Any] = {
        **{"multiplier": multiplier, "product_bits": product_bits},
        **{"progress": progress_line, "hand_over": hand_over_files},
    }
    if study is None:
        if recipe is not None or seed is not None:
            raise StudyError("--recipe and --seed choose one of a study's networks: give its folder with --study")
        options |= {"model": model, "dataset": "digits" if data is None else data}
    else:
        from fewbits.study import stored_network

        stored = stored_network(study, precision, model=model, data=data, recipe=recipe, seed=seed)
        options |= {"network": stored.network, "images": stored.image, "origin": stored.about}
        options["accelerator"] = stored.accelerator
    try:
        files = export_verilog(precision, out, **options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted: give the same command again") from None
    for path in files:
        typer.echo(str(path))


def characterize(
    liberty: Annotated[
        list[Path],
        typer.Option(help="Liberty file of the standard cells (.lib or .lib.gz); again for each file of one library."),
    ],
    out: Annotated[Path, typer.Option(help="The technology table to write.")],
    sram: Annotated[
        Path | None, typer.Option(help="SRAM macros: a folder of liberty files and macro tables, or a table.")
    ] = None,
    precision: Annotated[list[str] | None, typer.Option(help="Repeat for several; the study's seven if none.")] = None,
    node: Annotated[
        float | None, typer.Option(metavar="NM", min=1.0, help="Process node, so that costs can be scaled.")
    ] = None,
    multiplier: Annotated[str, typer.Option(help="booth, array or operator.")] = "booth",
    product_bits: Annotated[int | None, typer.Option(help="Width that products are cut to.")] = None,
    synapses: Annotated[
        list[int] | None, typer.Option(help="Of a neuron, 1 to 16384; repeat for several sizes; 16 if none.")
    ] = None,
    element: Annotated[
        str, typer.Option(help="neuron, or processing-element: that of systolic arrays, for integers.")
    ] = "neuron",
    control: Annotated[
        bool, typer.Option(help="Also what surrounds neurons; left out, it is estimated from that of other synapses.")
    ] = True,
    clock: Annotated[
        float | None,
        typer.Option(metavar="MHZ", help="Clock to aim at, and to choose pipelining for; 250 if none."),
    ] = None,
    corner: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="The same cells at another corner, such as slow=slow.lib.gz; repeat."),
    ] = None,
    corner_sram: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FOLDER", help="The SRAM macros at a corner; without, they stay typical."),
    ] = None,
    note: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What each cost on the table must say, such as that it is predictive."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that synthesize side by side; one after another if not given.")
    ] = None,
    engine: Annotated[str, typer.Option(metavar="local|dask[=ADDRESS]", help="As of run.")] = "local",
    cluster: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file with the table [cluster], for --engine dask.")
    ] = None,
) -> None:
    """Make the technology table of a cell library."""
    from fewbits.executors import ProcessExecutor
    from fewbits.executors.engines import executor_of
    from fewbits.formats import STUDY_PRECISIONS
    from fewbits.hardware.characterization.technology_table import characterize as make_table
    from fewbits.hardware.process.datapath_key import DEFAULT_SYNAPSES, datapath_element
    from fewbits.study.spec import load_cluster

    sizes = synapses or [DEFAULT_SYNAPSES]
    if element != "neuron" and synapses:
        raise HardwareError("a processing element has no synapses: leave --synapses out")
    if cluster is not None:
        refuse_unused_cluster(engine)
    described = None if cluster is None else load_cluster(cluster)
    corners = corner_files(corner or (), corner_sram or ())
    executor = executor_of(engine, described, workers, None)
    if executor is None and workers is not None:
        executor = ProcessExecutor(workers)
    make_table(
        liberty,
        sram,
        precision or STUDY_PRECISIONS,
        out,
        progress=progress_line,
        node_nm=node,
        multiplier=multiplier,
        product_bits=product_bits,
        synapses=sizes,
        element=datapath_element(element),
        with_control=control,
        clock_mhz=clock,
        note=note,
        executor=executor,
    )
    typer.echo(str(out))
    if corners:
        from fewbits.hardware.characterization.corners import characterize_corners
        from fewbits.hardware.process.corners_file import corners_path

        characterize_corners(
            out,
            liberty,
            corners,
            precision or STUDY_PRECISIONS,
            progress=progress_line,
            multiplier=multiplier,
            product_bits=product_bits,
        )
        typer.echo(str(corners_path(out)))

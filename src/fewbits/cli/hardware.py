"""Commands of numbers and silicon: formats, cost, rtl, characterize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fewbits.cli.shared import image_shape, progress_line, refuse_unused_cluster
from fewbits.errors import StudyError
from fewbits.exit_status import complain


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
    multiplier: Annotated[str, typer.Option(help="booth or array.")] = "booth",
    product_bits: Annotated[int | None, typer.Option(help="Width that products are cut to.")] = None,
    neurons: Annotated[int, typer.Option(help="Output neurons side by side.")] = 16,
    synapses: Annotated[int, typer.Option(help="Products that each neuron adds in a cycle.")] = 16,
    rows: Annotated[int, typer.Option(help="Rows of each buffer.")] = 64,
    clock: Annotated[
        float | None, typer.Option(metavar="MHZ", help="The clock aimed at; that of the technology's table if none.")
    ] = None,
    off_chip: Annotated[bool, typer.Option("--off-chip", help="Also the energy with off-chip DRAM.")] = False,
    bandwidth: Annotated[
        float | None, typer.Option(metavar="GB_PER_S", help="Of the memory: transfers beyond it stall.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Cost of a network at precisions, without training."""
    from fewbits.hardware import Accelerator, load_technology, workload_of
    from fewbits.hardware import cost as cost_of
    from fewbits.hardware.process.scaling import scale
    from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY
    from fewbits.report.costs import cost_json, cost_lines

    table = load_technology(DEFAULT_TECHNOLOGY if technology is None else technology)
    if node is not None:
        table = scale(table, node)
    mhz = table.target_clock_mhz if clock is None else clock
    accelerator = Accelerator(neurons, synapses, rows, mhz, bandwidth=bandwidth)
    workload = workload_of(model, image_shape(image))
    costs = [
        cost_of(
            workload,
            precision,
            technology=table,
            accelerator=accelerator,
            multiplier=multiplier,
            product_bits=product_bits,
        )
        for precision in precisions
    ]
    scaled = {key: table.provenance[key] for key in ("scaled",) if key in table.provenance}
    if as_json:
        typer.echo(json.dumps([cost_json(one) | scaled for one in costs]))
        return
    for line in (*scaled.values(), *cost_lines(costs, off_chip=off_chip)):
        typer.echo(line)


def rtl(
    precision: Annotated[str, typer.Argument(metavar="PRECISION", help="Such as fixed8 or pow2-6/fixed16.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    multiplier: Annotated[str, typer.Option(help="booth or array.")] = "booth",
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
    accelerator: Annotated[
        str | None, typer.Option(help="Such as diannao-16x16 or systolic-ws; the study's, or diannao-16x16, if none.")
    ] = None,
    neurons: Annotated[
        int | None, typer.Option(help="Output neurons side by side; of a systolic array the rows, too.")
    ] = None,
) -> None:
    """Write a precision's datapath, the accelerator around it and test benches in Verilog."""
    from fewbits.hardware.dataflow.accelerator import Accelerator
    from fewbits.hardware.dataflow.plan import AnyAccelerator
    from fewbits.hardware.dataflow.registry import accelerator_named, dataflow_of

    made: AnyAccelerator = Accelerator() if accelerator is None else accelerator_named(accelerator)
    options: dict[str, Any] = {"multiplier": multiplier, "product_bits": product_bits, "progress": progress_line}
    if study is None:
        if recipe is not None or seed is not None:
            raise StudyError("--recipe and --seed choose one of a study's networks: give its folder with --study")
        options |= {"model": model, "dataset": "digits" if data is None else data}
    else:
        from fewbits.study import stored_network

        stored = stored_network(study, precision, model=model, data=data, recipe=recipe, seed=seed)
        options |= {"network": stored.network, "images": stored.image, "origin": stored.about}
        made = stored.accelerator if accelerator is None else made
    dataflow = dataflow_of(made)
    options["accelerator"] = made if neurons is None else dataflow.with_neurons(made, neurons)
    try:
        files = dataflow.needed("rtl")(precision, out, **options)
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
    multiplier: Annotated[str, typer.Option(help="booth or array.")] = "booth",
    product_bits: Annotated[int | None, typer.Option(help="Width that products are cut to.")] = None,
    clock: Annotated[
        float | None,
        typer.Option(metavar="MHZ", help="Clock to aim at, and to choose pipelining for; 250 if none."),
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
    from fewbits.study.spec import load_cluster

    if cluster is not None:
        refuse_unused_cluster(engine)
    described = None if cluster is None else load_cluster(cluster)
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
        clock_mhz=clock,
        note=note,
        executor=executor,
    )
    typer.echo(str(out))

"""Commands of numbers and silicon: formats, rtl, characterize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fewbits.cli.accelerators_command import sized
from fewbits.cli.corners import corner_files
from fewbits.cli.shared import DEFAULT_MULTIPLIER, Multiplier, progress_line, refuse_unused_cluster
from fewbits.errors import HardwareError, StudyError
from fewbits.exit_status import complain


def formats(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One format, such as fixed8.")] = None,
) -> None:
    """List the number formats, or describe one."""
    from fewbits.formats import all_format_names, broken_families, format_families, parse_format

    if name is None:
        typer.echo(f"{'format':<14} {'bits':>4} {'values':>11} {'lowest':>13} {'highest':>13} {'smallest > 0':>13}")
        for each in (parse_format(known).describe() for known in all_format_names()):
            typer.echo(
                f"{each.name:<14} {each.bits:>4} {each.values:>11} {each.lowest:>13.7g} {each.highest:>13.7g} "
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
    if about.made_of:
        typer.echo(about.made_of)
        typer.echo("the numbers above and below are those of a block of one. For example:")
    else:
        typer.echo("all at radix point 0; a radix point of f divides each value by 2**f. For example:")
    for number, value, code in about.example:
        typer.echo(f"  {number:<8g} becomes {value:<14.9g} code {code:#0{2 + -(-about.bits // 4)}x}")


def rtl(
    precision: Annotated[str, typer.Argument(metavar="PRECISION", help="Such as fixed8 or pow2-6/fixed16.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    multiplier: Multiplier = DEFAULT_MULTIPLIER,
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
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Such as diannao-16x16 or systolic-ws; the study's, or diannao-16x16, if none."
        ),
    ] = None,
    neurons: Annotated[int | None, typer.Option(help="Output neurons side by side.")] = None,
    synapses: Annotated[int | None, typer.Option(help="Products that are added for each of them.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows of each buffer, or of that of the inputs.")] = None,
) -> None:
    """Write a precision's datapath, the accelerator around it and test benches in Verilog."""
    from fewbits.hardware import Accelerator
    from fewbits.hardware.costing.hand_over import hand_over_files
    from fewbits.hardware.dataflow.registry import accelerator_named, dataflow_of

    made = None if accelerator is None else accelerator_named(accelerator)
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
        made = made or stored.accelerator
    made = sized(
        accelerator or "diannao", made or Accelerator(), {"neurons": neurons, "synapses": synapses, "rows": rows}
    )
    try:
        files = dataflow_of(made).needed("rtl")(precision, out, accelerator=made, **options)
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
    multiplier: Multiplier = DEFAULT_MULTIPLIER,
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

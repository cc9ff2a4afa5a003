"""The command line: each command parses its arguments, calls the library and prints the answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

import fewbits
from fewbits import __version__
from fewbits.errors import ModelError, StudyError
from fewbits.exit_status import BAD_REQUEST, RUN_FAILED, complain, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from fewbits.study import StudySpec

app = typer.Typer(
    name="fewbits",
    help="How few bits a neural network needs, and what each bit costs in silicon.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _listing(what: str, names: Callable[[], Iterable[str]]) -> type[TyperCommand]:
    """A command whose help ends with names; they and extensions are looked up only where that is printed."""

    class Listing(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            self.epilog = f"{what}: {', '.join(names())}."
            super().format_help(ctx, formatter)

    return Listing


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fewbits {__version__}")
        raise typer.Exit


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


_Track = Annotated[
    list[str] | None,
    typer.Option(metavar="SINK[=WHERE]", help="Also to tensorboard[=FOLDER] or mlflow[=FOLDER or URI]; repeat."),
]


@app.command(cls=_listing("Recipes", lambda: fewbits.train.RECIPES))
def run(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="A preset (default, mnist, svhn, cifar10) or a TOML file.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the results; fewbits-NAME if not given.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes of one thread; one a core if not given.")] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|dask[=ADDRESS]",
            help="Processes of this machine, or a Dask cluster: at an address or scheduler file, else of the study's "
            "[cluster], else on this machine.",
        ),
    ] = "local",
    cluster: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A TOML file whose table [cluster] replaces the study's."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and each worker's job script; run and submit nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    track: _Track = None,
) -> None:
    """Run a study, or go on with one that was stopped."""
    from fewbits.executors.engines import executor_of
    from fewbits.study import load_study, run_study
    from fewbits.study.display import show_progress
    from fewbits.study.folder import LOG_NAME
    from fewbits.study.spec import load_cluster
    from fewbits.study.tracking import parse_wanted

    spec = load_study(study).tracked_by(parse_wanted(track or ()))
    if cluster is not None:
        spec = spec.model_copy(update={"cluster": load_cluster(cluster)})
    folder = out if out is not None else Path(f"fewbits-{spec.name}")
    if dry_run:
        _show_dry_run(spec, folder, as_json)
        return
    if cluster is not None:
        _refuse_unused_cluster(engine)
    elif spec.cluster is not None and engine == "local":
        _progress_line("the study's [cluster] is not used, since its workers are started by --engine dask")
    executor = executor_of(engine, spec.cluster, workers, folder / LOG_NAME)
    with show_progress() as observer:
        outcome = run_study(spec, folder, None if executor else workers, observer, executor=executor)
    if as_json:
        from fewbits.study.result import run_json

        typer.echo(json.dumps({"runs": [run_json(result) for result in outcome.results]}))
    else:
        from fewbits.report import group_runs, print_study

        print_study(group_runs(outcome.results, outcome.failed))
        for activity in dict.fromkeys(result.activity for result in outcome.results):
            typer.echo(f"Power and energy: {activity}.")
        typer.echo(f"For charts and a page: fewbits report {folder}")
    if outcome.failed:
        first = outcome.failed[0]
        which = f"{first.model}, {first.data}, {first.precision}, seed {first.seed}"
        runs = len(outcome.results) + len(outcome.failed)
        complain(f"{len(outcome.failed)} of {runs} runs failed, the others are kept; {which}: {first.error}")
        raise typer.Exit(RUN_FAILED)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of studies.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report; the study's own if not given, fewbits-report for several."),
    ] = None,
    track: _Track = None,
) -> None:
    """Write the page, charts and tables of a study, or of several together."""
    from fewbits.report import write_report
    from fewbits.study.tracking import parse_wanted

    wanted = parse_wanted(track or ())
    unread: list[str] = []
    for path in write_report(*folders, out=out, complain=unread.append):
        typer.echo(str(path))
    for line in unread:
        complain(f"not in the report: {line}")
    for line in _sent(folders, wanted):
        complain(line)
        unread.append(line)
    if unread:
        raise typer.Exit(BAD_REQUEST)


def _sent(folders: Sequence[Path], wanted: Mapping[str, bool | str]) -> Iterator[str]:
    """Tell the sinks of stored studies; a line for each that failed."""
    from fewbits.report.studies import read_studies
    from fewbits.study.folder import study_folder
    from fewbits.study.tracking import TrackedStudy, open_sinks, send_stored
    from fewbits.study.tracking.wanted import folders_of

    for study in read_studies(folders)[0] if wanted else ():
        writers = open_sinks(wanted, TrackedStudy(study.record.name, study.folder))
        study_folder(study.folder).keep(folders_of(wanted))
        yield from send_stored(writers, study.results, str(study.folder))


@app.command()
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


@app.command()
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
    workload = workload_of(model, _shape(image))
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


@app.command()
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
) -> None:
    """Write a precision's datapath and test bench in Verilog."""
    from fewbits.hardware.dataflow.diannao.export import export_verilog

    options: dict[str, Any] = {"multiplier": multiplier, "product_bits": product_bits, "progress": _progress_line}
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


@app.command(cls=_listing("Forms", lambda: fewbits.export.EXPORTERS))
def export(
    source: Annotated[
        Path, typer.Argument(metavar="DIR|FILE", help="A study's folder, or a network that fewbits saved.")
    ],
    to: Annotated[str, typer.Option(metavar="FORM", help="What to write.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    precision: Annotated[str | None, typer.Option(help="Of the study's network, such as fixed8.")] = None,
    model: Annotated[str | None, typer.Option(help="The same, where the study has several.")] = None,
    data: Annotated[str | None, typer.Option(help="The same.")] = None,
    recipe: Annotated[str | None, typer.Option(help="The same.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same.")] = None,
) -> None:
    """Write a bit-exact network as a file for other programs."""
    from fewbits.bitexact import load
    from fewbits.export import export_network

    if out.resolve() == source.resolve():
        raise ModelError(f"{str(out)!r} is the network itself, which the export would replace: give another name")
    if source.is_dir():
        from fewbits.study import stored_network

        if precision is None:
            raise StudyError(f"{str(source)!r} is a study's folder: choose one of its networks, with --precision first")
        stored = stored_network(source, precision, model=model, data=data, recipe=recipe, seed=seed)
        network = stored.network
    elif source.exists() and any(value is not None for value in (precision, model, data, recipe, seed)):
        raise StudyError(f"{str(source)!r} is no study's folder: --precision and the like choose a study's network")
    else:
        network = load(source)
    typer.echo(str(export_network(network, to, out)))


@app.command()
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
        _refuse_unused_cluster(engine)
    described = None if cluster is None else load_cluster(cluster)
    executor = executor_of(engine, described, workers, None)
    if executor is None and workers is not None:
        executor = ProcessExecutor(workers)
    make_table(
        liberty,
        sram,
        precision or STUDY_PRECISIONS,
        out,
        progress=_progress_line,
        node_nm=node,
        multiplier=multiplier,
        product_bits=product_bits,
        clock_mhz=clock,
        note=note,
        executor=executor,
    )
    typer.echo(str(out))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    arguments: without the program's name; None takes the process's.
    """
    known = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    return told(lambda: _invoke(list(sys.argv[1:] if arguments is None else arguments)), known)


def _invoke(arguments: list[str]) -> None:
    """Parse and run one command. Typer's own way would turn Ctrl-C and closed pipes into bare exits."""
    command = typer.main.get_command(app)
    with command.make_context("fewbits", arguments) as context:
        command.invoke(context)


def _progress_line(line: str) -> None:
    if "Executing" not in line:  # yosys names each of its hundred passes
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def _refuse_unused_cluster(engine: str) -> None:
    if engine != "dask":
        raise StudyError(f"--cluster describes the workers of --engine dask, not of {engine!r}: give --engine dask too")


def _show_dry_run(spec: StudySpec, folder: Path, as_json: bool) -> None:
    from fewbits.study.dry_run import dry_run

    planned = dry_run(spec, folder)
    for line in (json.dumps(planned.as_json()),) if as_json else planned.lines():
        typer.echo(line)


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.isdecimal() and len(part) < 6 and 0 < int(part) < 65536 for part in parts) or len(parts) not in (
        1,
        2,
        3,
    ):
        raise ModelError(f"--input takes a shape such as 3x32x32, each size up to 65535, not {text!r}")
    return tuple(int(part) for part in parts)


def entry_point() -> None:
    """The console command."""
    sys.exit(main())

"""Commands of studies: run, report, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbits.cli.shared import progress_line, refuse_unused_cluster
from fewbits.errors import ModelError, StudyError
from fewbits.exit_status import BAD_REQUEST, RUN_FAILED, complain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fewbits.study import RunResult, StudySpec

_Track = Annotated[
    list[str] | None,
    typer.Option(metavar="SINK[=WHERE]", help="Also to tensorboard[=FOLDER] or mlflow[=FOLDER or URI]; repeat."),
]


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
        refuse_unused_cluster(engine)
    elif spec.cluster is not None and engine == "local":
        progress_line("the study's [cluster] is not used, since its workers are started by --engine dask")
    executor = executor_of(engine, spec.cluster, workers, folder / LOG_NAME)
    with show_progress() as observer:
        outcome = run_study(spec, folder, None if executor else workers, observer, executor=executor)
    if as_json:
        from fewbits.study.result import run_json

        typer.echo(json.dumps({"runs": [run_json(result) for result in outcome.results]}))
    else:
        from fewbits.report import group_runs, print_study

        print_study(group_runs(outcome.results, outcome.failed))
        for line in _activity_lines(outcome.results):
            typer.echo(line)
        typer.echo(f"For charts and a page: fewbits report {folder}")
    if outcome.failed:
        first = outcome.failed[0]
        which = f"{first.model}, {first.data}, {first.precision}, seed {first.seed}"
        which += f", on {first.accelerator}" if first.accelerator else ""
        runs = len(outcome.results) + len(outcome.failed)
        complain(f"{len(outcome.failed)} of {runs} runs failed, the others are kept; {which}: {first.error}")
        raise typer.Exit(RUN_FAILED)


def _activity_lines(results: Sequence[RunResult]) -> Iterator[str]:
    """What the switching activity behind the energies is; of which machines, where a study has several kinds of it."""
    machines: dict[str, dict[str, None]] = {}
    for result in results:
        machines.setdefault(result.activity, {})[result.accelerator] = None
    for activity, names in machines.items():
        of = f" on {', '.join(names)}" if len(machines) > 1 and all(names) else ""
        yield f"Power and energy{of}: {activity}."


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of studies, or one of a search.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report; the study's own if not given, fewbits-report for several."),
    ] = None,
    track: _Track = None,
) -> None:
    """Write the page, charts and tables of a study, or of several together."""
    from fewbits.search.result import RESULT_NAME

    if len(folders) == 1 and (folders[0] / RESULT_NAME).is_file():
        from fewbits.report.search_page import write_search_page

        if out is not None:
            raise StudyError("the page of a search is written into the search's own folder: leave --out away")
        if track:
            raise StudyError("a search's page is sent to no tracker: leave --track away")
        for path in write_search_page(folders[0]):
            typer.echo(str(path))
        return
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
    accelerator: Annotated[str | None, typer.Option(help="The same.")] = None,
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
        stored = stored_network(
            source, precision, model=model, data=data, recipe=recipe, seed=seed, accelerator=accelerator
        )
        network = stored.network
    elif source.exists() and any(value is not None for value in (precision, model, data, recipe, seed, accelerator)):
        raise StudyError(f"{str(source)!r} is no study's folder: --precision and the like choose a study's network")
    else:
        network = load(source)
    typer.echo(str(export_network(network, to, out)))


def _show_dry_run(spec: StudySpec, folder: Path, as_json: bool) -> None:
    from fewbits.study.dry_run import dry_run

    planned = dry_run(spec, folder)
    for line in (json.dumps(planned.as_json()),) if as_json else planned.lines():
        typer.echo(line)

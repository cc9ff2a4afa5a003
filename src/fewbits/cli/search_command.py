"""The command `search`: a precision for each layer of a network, in a folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fewbits.cli.shared import progress_line
from fewbits.exit_status import RUN_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fewbits.search import SearchProgress, SearchResult

_QUIET_SECONDS = 10.0
"""Between two lines on a training that goes on."""


def search(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="lenet, alex*2, package.module:function, ...")],
    data: Annotated[str, typer.Option(metavar="DATA", help="digits, mnist, cifar10, a file, a folder, ...")],
    max_loss: Annotated[
        float, typer.Option(metavar="POINTS", help="Of accuracy that may be lost against the float network.")
    ] = 1.0,
    formats: Annotated[
        str, typer.Option(metavar="F,F,...", help="Precisions that each layer may have.")
    ] = "fixed8,fixed4,fixed3,fixed2",
    objective: Annotated[str, typer.Option(help="energy, area, memory or latency.")] = "energy",
    datapaths: Annotated[
        str,
        typer.Option(help="one wide datapath for all layers, each precision its own, or a composable one."),
    ] = "each",
    accelerator: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="As fewbits accelerators lists them.")
    ] = None,
    technology: Annotated[str | None, typer.Option(help="A technology table's name or file.")] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trained float weights; without, they are trained first.")
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(help="Networks to evaluate at most; uniform, sensitivities and one a layer if none.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Validation images to evaluate on; all if none.")] = None,
    score: Annotated[str, typer.Option(help="Sensitivities by accuracy, coarsest, hessian or gradient.")] = "accuracy",
    refine: Annotated[
        str | None, typer.Option(metavar="nsga2|tpe", help="Go on with Optuna, for as many evaluations again.")
    ] = None,
    fine_tune: Annotated[int, typer.Option(metavar="EPOCHS", help="Train the chosen points; 0 trains nothing.")] = 0,
    seed: Annotated[int, typer.Option(help="Of training, drawn images and samplers.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; fewbits-search-MODEL if not given.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find a precision for each layer of a network, or go on with a search that was stopped."""
    from fewbits.search import SearchSettings
    from fewbits.search import search as search_for

    settings = SearchSettings(
        max_loss_points=max_loss,
        formats=tuple(one.strip() for one in formats.split(",")) if formats.strip() else (),
        objective=objective,  # pyright: ignore[reportArgumentType]
        datapaths=datapaths,  # pyright: ignore[reportArgumentType]
        accelerator=accelerator,
        technology=technology,
        evaluations=evaluations,
        images=images,
        score=score,  # pyright: ignore[reportArgumentType]
        refine=refine,  # pyright: ignore[reportArgumentType]
        fine_tune_epochs=fine_tune,
        seed=seed,
        device=device,
    )
    folder = out if out is not None else Path(f"fewbits-search-{_file_name(model)}")
    try:
        result = search_for(model, data, settings, weights=weights, out=folder, observer=_shown())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted: finished evaluations are kept in {str(folder)!r}, give the same command again"
        ) from None
    if as_json:
        typer.echo(json.dumps(result.as_json(), allow_nan=False))
    else:
        for line in _lines(result, folder):
            typer.echo(line)
        from fewbits.report.search_page import write_search_page

        for path in write_search_page(folder):
            typer.echo(str(path))
    if result.chosen is None:
        raise typer.Exit(RUN_FAILED)


def _file_name(model: str) -> str:
    """A model's name as a folder's: `net.py:make` is net-make."""
    path, _, function = model.rpartition(":")
    name = f"{Path(path).stem}-{function}" if path else Path(model).name
    return "".join(letter if letter.isalnum() or letter in ".-_+" else "_" for letter in name)[:60]


def _shown() -> Callable[[SearchProgress], None]:
    """A line for each evaluation; of trainings one now and then, and each epoch's last."""
    last, ended = time.monotonic(), 0

    def show(progress: SearchProgress) -> None:
        nonlocal last, ended
        training = progress.training
        if training is not None:
            before, ended = ended, training.epochs_ended[-1].epoch if training.epochs_ended else 0
            if ended == before and time.monotonic() - last < _QUIET_SECONDS:
                return
        last = time.monotonic()
        counted = f"{progress.done} of {progress.evaluations}, " if progress.evaluations else ""
        progress_line(counted + progress.line)

    return show


def _lines(result: SearchResult, folder: Path) -> Iterator[str]:
    """The front as a table, and what was chosen."""
    from fewbits.search.result import UNITS

    unit = UNITS[result.basis.objective][1]
    yield (
        f"float: {result.float_accuracy_percent:.2f} % of {result.basis.images} validation images; "
        f"{len(result.points)} assignments evaluated; the test images were not read"
    )
    shown = {point.name: point for point in result.uniform}
    shown |= {name: result.by_name[name] for name in result.front}
    width = max(map(len, shown))
    for point in sorted(shown.values(), key=lambda one: one.costs.of(result.basis.objective)):
        marks = [
            word
            for word, holds in (
                ("front", point.name in result.front),
                ("uniform", point.is_uniform),
                ("chosen", point.name == result.chosen),
            )
            if holds
        ]
        cost = point.costs.of(result.basis.objective)
        yield f"{point.name:<{width}}  {point.accuracy_percent:6.2f} %  {cost:9.4g} {unit}  {', '.join(marks)}".rstrip()
    for notice in result.notices:
        yield f"note: {notice}"
    if result.chosen is not None:
        yield f"Written: {folder / 'best.toml'}; to test it: fewbits run {folder / 'study.toml'}"

"""`search`: from a float network to a precision for each layer, in a folder that a stopped search goes on from."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from fewbits import __version__
from fewbits import data as data_sets
from fewbits.data import Dataset
from fewbits.data.digest import data_sha256
from fewbits.devices import parse_device
from fewbits.errors import HardwareError, SearchError
from fewbits.folder_lock import locked
from fewbits.hardware import AnyAccelerator, Technology, accelerator_named, dataflow_of, load_technology
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY
from fewbits.models import ModelSource
from fewbits.search.engine import Engine, Evaluation, chosen_point, refuse_few
from fewbits.search.evaluation import Evaluator, validation_split
from fewbits.search.files import write_files
from fewbits.search.fine_tuning import fine_tune
from fewbits.search.float_network import FloatNetwork, folded, fresh_network, one_thread, trained_network
from fewbits.search.front import undominated
from fewbits.search.journal import JOURNAL_NAME, KEPT, LOCK_NAME, Journal, json_sha256, search_folder
from fewbits.search.machine import Machine
from fewbits.search.result import Basis, Point, SearchResult
from fewbits.search.samplers import loaded_optuna, refine
from fewbits.search.settings import SearchSettings
from fewbits.search.space import Space, parsed_precisions, point_of, space_of
from fewbits.train import Progress

FORMAT = 1
"""Goes up when the same definition would give another outcome."""


@dataclass(frozen=True)
class SearchProgress:
    """What a search tells while it goes on."""

    line: str
    """In words."""

    done: int = 0
    """Evaluations."""

    evaluations: int = 0
    """Planned; 0 before that is known."""

    training: Progress | None = None
    """Where a network is trained."""


Observer = Callable[[SearchProgress], None]
"""Is called on the search's thread; an exception that it raises ends the search, which keeps what it has."""


def search(
    model: str | nn.Module,
    data: str | Path | Dataset,
    settings: SearchSettings | None = None,
    *,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    observer: Observer | None = None,
) -> SearchResult:
    """Find a precision for each layer of a network.

    model: a name as `models.build` takes it, or a trained float module, which stays as it is. data: a name, a path or a
    data set; radix points come from its training images, accuracies from its validation images, and the test images
    are not looked at. settings: None takes the defaults. weights: a file of trained float weights for a model's name;
    without, the float network is trained with the default settings.
    out: a folder for the journal and the results; given again, the search goes on where it was, to the same digits.
    None keeps nothing.
    Raises SearchError for what cannot be searched; what `models.build`, `data.load`, `quantize` and `cost` raise.
    """
    settings = settings or SearchSettings()
    tell = observer or _ignore
    folder = None if out is None else Path(out)
    with one_thread(), _held(folder):
        return _search(model, data, settings, None if weights is None else Path(weights), folder, tell)


def _ignore(_: SearchProgress) -> None:
    """Tell nobody."""


@contextmanager
def _held(folder: Path | None) -> Generator[None]:
    """The folder, for this process alone."""
    if folder is None:
        yield
        return
    with locked(search_folder(folder), LOCK_NAME):
        search_folder(folder).keep(KEPT)
        yield


@dataclass(frozen=True, eq=False)
class Prepared:
    """A search before its first evaluation; `scripts/search_fronts.py` begins here too."""

    engine: Engine
    network: FloatNetwork
    technology: Technology
    accelerator: AnyAccelerator | None

    @property
    def dataset(self) -> Dataset:
        """The data."""
        return self.engine.evaluator.dataset


def prepare(
    model: str | nn.Module,
    data: str | Path | Dataset,
    settings: SearchSettings,
    weights: Path | None,
    folder: Path | None,
    tell: Observer,
) -> Prepared:
    """Check all that is asked for, then see that the float network is trained. Raises as `search`."""
    source = ModelSource()
    parse_device(settings.device)
    if settings.refine is not None:
        loaded_optuna()
    dataset = data if isinstance(data, Dataset) else data_sets.load(data)
    split = validation_split(dataset, settings.images, settings.seed)
    fresh = folded(fresh_network(model, dataset, settings.seed, source), dataset.image_shape)
    space = space_of(fresh, parsed_precisions(settings.formats))
    refuse_few(space, settings)
    technology = load_technology(settings.technology or DEFAULT_TECHNOLOGY)
    accelerator = None if settings.accelerator is None else accelerator_named(settings.accelerator)
    _machine(fresh, dataset, space, technology, accelerator, settings)  # refuses before any training
    network = trained_network(
        model,
        dataset,
        weights=weights,
        seed=settings.seed,
        device=settings.device,
        folder=folder,
        progress=lambda one: tell(SearchProgress(_training_line(one), training=one)),
        source=source,
    )
    machine = _machine(network.module, dataset, space, technology, accelerator, settings)
    order = None if accelerator is None else dataflow_of(accelerator).sum_order(accelerator)
    evaluator = Evaluator(network.module, space, dataset, split, settings.seed, settings.device, order)
    defined_by: dict[str, Any] = {
        "format": FORMAT,
        "network": network.sha256,
        "data": data_sha256(dataset, with_test=False),
        "images": len(split),
        "seed": settings.seed,
        "device": settings.device.partition(":")[0],
        "sum_order": None if order is None else repr(order),
    }
    journal = Journal(None if folder is None else folder / JOURNAL_NAME)
    if journal.found:
        tell(SearchProgress(f"{journal.found} results were found in {str(folder)!r}: going on from there"))
    engine = Engine(
        evaluator, machine, settings, journal, defined_by, lambda line, done, of: tell(SearchProgress(line, done, of))
    )
    return Prepared(engine, network, technology, accelerator)


def _search(
    model: str | nn.Module,
    data: str | Path | Dataset,
    settings: SearchSettings,
    weights: Path | None,
    folder: Path | None,
    tell: Observer,
) -> SearchResult:
    prepared = prepare(model, data, settings, weights, folder, tell)
    engine = prepared.engine
    engine.run()
    if settings.refine is not None:
        refine(engine, settings.refine, engine.allowed, settings.seed)
    points = [_point(engine.space, one) for one in engine.evaluations.values()]
    if settings.fine_tune_epochs:
        points += fine_tune(
            engine,
            folder,
            lambda one: tell(SearchProgress(_training_line(one), training=one)),
            lambda line: tell(SearchProgress(line)),
        )
    result = _result(model, prepared, points)
    if folder is not None:
        named = model if isinstance(model, str) and not isinstance(data, Dataset) else None
        machine_name = None if settings.accelerator is None else str(settings.accelerator)
        table = None if settings.technology is None else str(settings.technology)
        write_files(folder, result, named, str(data), prepared.network.file, machine_name, table)
    return result


def _machine(
    network: nn.Module,
    dataset: Dataset,
    space: Space,
    technology: Technology,
    accelerator: AnyAccelerator | None,
    settings: SearchSettings,
) -> Machine:
    """The machine, tried on every uniform precision. Raises SearchError naming the one that it does not compute."""
    machine = Machine(network, dataset.image_shape, space, technology, accelerator, settings.datapaths)
    for number, name in enumerate(space.names):
        try:
            machine.costs(space.uniform(number))
        except HardwareError as error:
            raise SearchError(f"precision {name!r} has no cost on this machine: {error}") from None
    return machine


def _training_line(progress: Progress) -> str:
    accuracy = progress.validation_accuracy_percent
    said = "" if accuracy is None else f", validation {accuracy:.2f} %"
    return f"training ({progress.phase}): epoch {progress.epoch} of {progress.epochs}, loss {progress.loss:.3f}{said}"


def _point(space: Space, one: Evaluation) -> Point:
    return point_of(
        space,
        one.choice,
        one.method,
        right=one.outcome.right,
        accuracy_percent=one.accuracy_percent,
        loss=one.outcome.loss,
        costs=one.costs,
        evaluated=one.outcome.evaluated,
        notices=one.outcome.notices,
    )


def _result(model: str | nn.Module, prepared: Prepared, points: list[Point]) -> SearchResult:
    engine, settings = prepared.engine, prepared.engine.settings
    space = engine.space
    pairs = [(point.costs.of(settings.objective), point.accuracy_percent) for point in points]
    front = undominated([cost for cost, _ in pairs], [accuracy for _, accuracy in pairs])
    chosen = chosen_point(pairs, engine.float_percent - settings.max_loss_points)
    name = model if isinstance(model, str) else type(model).__name__
    machine = "diannao-16x16" if settings.accelerator is None else str(settings.accelerator)
    technology = prepared.technology.name
    asked = {**asdict(settings), "accelerator": machine, "technology": technology}
    basis = Basis(
        model=name,
        data=prepared.dataset.name,
        weights=prepared.network.weights,
        seed=settings.seed,
        images=engine.images,
        formats=space.names,
        layers=space.layers,
        groups=space.units,
        objective=settings.objective,
        score=settings.score,
        max_loss_points=float(settings.max_loss_points),
        datapaths=settings.datapaths,
        accelerator=machine,
        technology=technology,
        evaluations=engine.allowed,
        refine=settings.refine,
        fine_tune_epochs=settings.fine_tune_epochs,
        versions=_versions(),
        key=json_sha256({**engine.defined_by, "asked": {name: str(value) for name, value in asked.items()}}),
    )
    return SearchResult(
        basis=basis,
        float_accuracy_percent=engine.float_percent,
        float_loss=engine.float_outcome.loss,
        reference=space.names[0],
        sensitivities=engine.sensitivities,
        points=tuple(points),
        front=tuple(points[number].name for number in front),
        chosen=None if chosen is None else points[chosen].name,
        notices=tuple(_notices(prepared, points, chosen)),
    )


def _notices(prepared: Prepared, points: list[Point], chosen: int | None) -> Generator[str]:
    """What a reader must know."""
    engine, settings = prepared.engine, prepared.engine.settings
    yield from prepared.network.notices
    yield from prepared.dataset.notes
    if engine.journal.damaged:
        yield f"{engine.journal.damaged} lines of the journal were damaged, and what they told was evaluated anew"
    shared = [", ".join(unit) for unit in engine.space.units if len(unit) > 1]
    if shared:
        yield f"layers that share an input have one precision together: {'; '.join(shared)}"
    yield from dict.fromkeys(notice for point in points for notice in point.notices)
    one = 100 / engine.images
    if settings.max_loss_points < one:
        yield (
            f"one of {engine.images} validation images is {one:.2g} points: a loss of at most "
            f"{settings.max_loss_points:g} points means that no more images may be wrong than for the float network"
        )
    if chosen is None:
        best = max(points, key=lambda point: point.accuracy_percent)
        lost = engine.float_percent - best.accuracy_percent
        yield (
            f"no assignment is within {settings.max_loss_points:g} points of the float network: the best, {best.name}, "
            f"loses {lost:.2f}; allow more, give wider formats, or fine-tune"
        )


def _versions() -> dict[str, str]:
    packages = ("torch", "numpy", "scipy")
    return {
        "fewbits": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }

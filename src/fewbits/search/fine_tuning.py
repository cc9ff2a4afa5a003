"""Fine-tuning of chosen points: down the front, and down the uniform precisions, until the allowed loss is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from fewbits.search.engine import Engine, Evaluation
from fewbits.search.evaluation import Outcome
from fewbits.search.float_network import checkpoints_of, remove_checkpoints
from fewbits.search.front import undominated
from fewbits.search.result import Point
from fewbits.search.space import Choice, point_of
from fewbits.train import Progress, TrainSettings, run_recipe

RECIPE = "fine-tune"
"""Of `fewbits.train.RECIPES`: shadow weights and the straight-through estimator, from the float weights."""


def fine_tune(
    engine: Engine, folder: Path | None, progress: Callable[[Progress], None], told: Callable[[str], None]
) -> list[Point]:
    """Train the points that training may bring within the allowed loss, from the dearest of them down.

    On the front, and among the uniform precisions: the cheapest that keeps the loss as it is, then each cheaper one,
    until one does not keep it even when trained. folder: of the search, for checkpoints.
    """
    least = engine.float_percent - engine.settings.max_loss_points
    found: dict[Choice, Point] = {}
    for series in (_uniform(engine), _front(engine)):
        for one in _from_allowed(series, least):
            if one.choice not in found:
                found[one.choice] = _trained(engine, one, folder, progress)
                point = found[one.choice]
                told(f"fine-tuned: {point.name}: {point.accuracy_percent:.2f} %, before {one.accuracy_percent:.2f} %")
            if found[one.choice].accuracy_percent < least - 1e-9:
                break
    return list(found.values())


def _uniform(engine: Engine) -> list[Evaluation]:
    return [engine.evaluations[engine.space.uniform(number)] for number in range(len(engine.space.precisions))]


def _front(engine: Engine) -> list[Evaluation]:
    points = list(engine.evaluations.values())
    costs = [one.costs.of(engine.settings.objective) for one in points]
    return [points[number] for number in undominated(costs, [one.accuracy_percent for one in points])]


def _from_allowed(series: list[Evaluation], least: float) -> Iterator[Evaluation]:
    """The cheapest that keeps the loss, if one does, and all cheaper ones, from the most accurate down."""
    ordered = sorted(series, key=lambda one: -one.accuracy_percent)
    kept = [one for one in ordered if one.accuracy_percent >= least - 1e-9]
    yield from (*kept[-1:], *ordered[len(kept) :])


def _trained(engine: Engine, one: Evaluation, folder: Path | None, progress: Callable[[Progress], None]) -> Point:
    space, epochs = engine.space, engine.settings.fine_tune_epochs
    definition = {
        **engine.defined_by,
        "precision": space.main(one.choice).name,
        "layers": space.layer_names(one.choice),
        "recipe": RECIPE,
        "epochs": epochs,
    }

    def train() -> Outcome:
        checkpoints = checkpoints_of(folder, definition)
        model, record = run_recipe(
            RECIPE,
            engine.evaluator.network,
            space.main(one.choice),
            engine.evaluator.dataset,
            TrainSettings(epochs=epochs),
            engine.settings.seed,
            layers=space.layer_precisions(one.choice),
            checkpoint_folder=checkpoints,
            progress=progress,
            device=engine.settings.device,
        )
        remove_checkpoints(checkpoints)
        outcome = engine.evaluator.of_quantized(model.cpu())
        return Outcome(outcome.right, outcome.loss, outcome.evaluated, (*outcome.notices, *record.notices))

    outcome = engine.journal.outcome(definition, train)
    made = point_of(
        space,
        one.choice,
        "fine-tune",
        right=outcome.right,
        accuracy_percent=engine.percent(outcome),
        loss=outcome.loss,
        costs=one.costs,
        evaluated=outcome.evaluated,
        fine_tuned_epochs=epochs,
        notices=outcome.notices,
    )
    return replace(made, name=f"{made.name}, fine-tuned")

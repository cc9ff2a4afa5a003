"""One search: uniform precisions, sensitivities, then assignments in the order of what they are expected to gain.

The integer program proposes the assignments of least score within budgets from the dearest to the cheapest; single
changes of the front's points join them (a greedy step each). Of all these the one is evaluated next that is expected to
add most to the area below the front. Each evaluation teaches the next expectation (`surrogate`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fewbits.errors import HardwareError, SearchError
from fewbits.search.assignment import Numbers, sweep
from fewbits.search.evaluation import Evaluator, Outcome
from fewbits.search.front import Front, front_of
from fewbits.search.journal import Journal
from fewbits.search.machine import Machine
from fewbits.search.result import UNITS, Costs, Method, Objective, Score, Sensitivity
from fewbits.search.scores import gradient_scores, hessian_scores, rounding_errors
from fewbits.search.settings import SearchSettings
from fewbits.search.space import Choice, Space
from fewbits.search.surrogate import Surrogate, useful_floor


@dataclass(frozen=True)
class Evaluation:
    """An assignment that was evaluated."""

    choice: Choice
    method: Method
    outcome: Outcome
    accuracy_percent: float
    costs: Costs


Told = Callable[[str, int, int], None]
"""Is told of each evaluation: a line, how many are done, and of how many."""


@dataclass(eq=False)
class Engine:
    """A search under way."""

    evaluator: Evaluator
    machine: Machine
    settings: SearchSettings
    journal: Journal
    defined_by: Mapping[str, Any]
    """What defines an outcome beside the assignment."""

    told: Told
    evaluations: dict[Choice, Evaluation] = field(default_factory=dict[Choice, Evaluation])
    scores: Numbers = field(init=False)
    sensitivities: tuple[Sensitivity, ...] = ()

    @property
    def space(self) -> Space:
        """What is chosen from."""
        return self.evaluator.space

    @property
    def images(self) -> int:
        """Validation images."""
        return len(self.evaluator.split)

    @property
    def allowed(self) -> int:
        """Evaluations that may be made."""
        return min(self.settings.evaluations or default_evaluations(self.space, self.settings), self.space.size)

    @property
    def float_percent(self) -> float:
        """Accuracy of the float network."""
        return self.percent(self.float_outcome)

    def percent(self, outcome: Outcome) -> float:
        """Its accuracy."""
        return 100 * outcome.right / self.images

    @cached_property
    def float_outcome(self) -> Outcome:
        """The float network's own; no evaluation of an assignment."""
        return self.journal.outcome({**self.defined_by, "float": True}, self.evaluator.float_outcome)

    def anew(self) -> Engine:
        """Another search of the same, that knows nothing yet; the journal is shared."""
        return Engine(self.evaluator, self.machine, self.settings, self.journal, self.defined_by, self.told)

    def run(self) -> None:
        """All evaluations but those of refinement."""
        for number in range(len(self.space.precisions)):
            self.evaluate(self.space.uniform(number), "uniform")
        self._sense()
        while len(self.evaluations) < self.allowed and (choice := self._next()) is not None:
            self.evaluate(*choice)

    def evaluate(self, choice: Choice, method: Method) -> Evaluation:
        """Evaluate an assignment, unless that is done."""
        if choice not in self.evaluations:
            costs = self.machine.costs(choice)
            outcome = self.outcome(choice)
            made = Evaluation(choice, method, outcome, self.percent(outcome), costs)
            self.evaluations[choice] = made
            self._tell(made)
        return self.evaluations[choice]

    def outcome(self, choice: Choice) -> Outcome:
        """As the journal has it, or evaluated now."""
        space = self.space
        definition = {"precision": space.main(choice).name, "layers": space.layer_names(choice)}
        return self.journal.outcome({**self.defined_by, **definition}, lambda: self.evaluator.outcome(choice))

    def front(self) -> Front:
        """Of all evaluations."""
        cost = self.settings.objective
        points = list(self.evaluations.values())
        costs = [point.costs.of(cost) for point in points]
        floor = useful_floor(self.float_percent, self.evaluator.dataset.classes)
        return front_of(costs, [point.accuracy_percent for point in points], floor, max(costs))

    def _tell(self, made: Evaluation) -> None:
        figure = f"{made.costs.of(self.settings.objective):.4g} {unit_of(self.settings.objective)}"
        line = f"{made.method}: {self.space.label(made.choice)}: {made.accuracy_percent:.2f} %, {figure}"
        self.told(line, len(self.evaluations), max(self.allowed, len(self.evaluations)))

    def _sense(self) -> None:
        """The score of each unit at each precision."""
        space, kind = self.space, self.settings.score
        measured: dict[tuple[int, int], Evaluation] = {}
        if kind == "accuracy":
            for unit in range(len(space.units)):
                for number in range(1, len(space.precisions)):
                    measured[unit, number] = self._alone(unit, number)
            scores = np.zeros((len(space.units), len(space.precisions)))
            for (unit, number), one in measured.items():
                scores[unit, number] = self._lost(one)
        elif kind == "coarsest":
            scores = np.maximum(np.array(self._foretold(kind)), 0.0)  # rounding errors: shares of the largest
            for unit, errors in enumerate(scores):
                number = int(errors[1:].argmax()) + 1
                measured[unit, number] = self._alone(unit, number)
                errors *= self._lost(measured[unit, number]) / (errors[number] or 1.0)
        else:
            scores = np.array(self._foretold(kind))
        self.scores = scores
        self.sensitivities = tuple(
            self._sensitivity(unit, number, measured.get((unit, number)))
            for unit in range(len(space.units))
            for number in range(1, len(space.precisions))
        )

    def _alone(self, unit: int, number: int) -> Evaluation:
        """One unit at a precision, all others at the reference's."""
        return self.evaluate(self.space.with_unit(self.space.reference, unit, number), "sensitivity")

    def _lost(self, one: Evaluation) -> float:
        """Points of accuracy, against the reference."""
        return self.evaluations[self.space.reference].accuracy_percent - one.accuracy_percent

    def _foretold(self, kind: Score) -> list[list[float]]:
        """What needs no evaluation: scores from derivatives, or errors of rounding."""

        def made() -> list[list[float]]:
            network, (images, labels) = self.evaluator.network, self.evaluator.calibration_images
            if kind == "hessian":
                return hessian_scores(network, self.space, images, labels, self.settings.seed).tolist()
            made_by = rounding_errors if kind == "coarsest" else gradient_scores
            return made_by(network, self.space, images, labels).tolist()

        return self.journal.result({**self.defined_by, "scores": kind}, made)

    def _sensitivity(self, unit: int, number: int, measured: Evaluation | None) -> Sensitivity:
        made = Sensitivity(self.space.units[unit], self.space.names[number], float(self.scores[unit, number]))
        if measured is None:
            return made
        return Sensitivity(
            made.layers,
            made.precision,
            made.score,
            measured.accuracy_percent,
            self._lost(measured),
            measured.outcome.loss - self.evaluations[self.space.reference].outcome.loss,
        )

    def _next(self) -> tuple[Choice, Method] | None:
        """The assignment to evaluate next, and what proposed it; None if all proposals are known."""
        proposals = self._proposals()
        choices = list(proposals)
        if not choices:
            return None
        known = {choice: one.accuracy_percent for choice, one in self.evaluations.items()}
        start = self.evaluations[self.space.reference].accuracy_percent
        expected = Surrogate(self.scores, start, self.images, known).expect(choices)
        costs = [self.machine.figure(choice, self.settings.objective) for choice in choices]
        figures = list(zip(costs, expected.means.tolist(), expected.deviations.tolist(), strict=True))
        front = self.front()
        gains = [front.expected_gain(*one) for one in figures]
        chosen = choices[int(np.argmax(gains))]
        return chosen, proposals[chosen]

    def _proposals(self) -> dict[Choice, Method]:
        """Choices that were not evaluated: the integer program's, and single changes of the front's points."""
        objective = self.settings.objective
        found: dict[Choice, Method] = dict.fromkeys(self._assigned, "assignment")
        front = set(self.front().costs)
        for choice, one in self.evaluations.items():
            if one.costs.of(objective) in front:
                for neighbour in self._neighbours(choice):
                    found.setdefault(neighbour, "greedy")
        return {
            choice: method
            for choice, method in found.items()
            if choice not in self.evaluations and self._computed(choice)
        }

    @cached_property
    def _assigned(self) -> list[Choice]:
        """What the integer program proposes."""
        return sweep(self.scores, self.machine.programs(self.settings.objective))

    def _neighbours(self, choice: Choice) -> list[Choice]:
        return [
            self.space.with_unit(choice, unit, number)
            for unit in range(len(choice))
            for number in range(len(self.space.precisions))
            if number != choice[unit]
        ]

    def _computed(self, choice: Choice) -> bool:
        try:
            self.machine.figure(choice, self.settings.objective)
        except HardwareError:
            return False
        return True


def unit_of(objective: Objective) -> str:
    """Of an objective's figure."""
    return UNITS[objective][1]


def needed_evaluations(space: Space, settings: SearchSettings) -> int:
    """Uniform precisions, and sensitivities where they are measured."""
    precisions = len(space.precisions)
    each = {"accuracy": precisions - 1, "coarsest": 1}.get(settings.score, 0)
    sensed = len(space.units) * each
    together = each if len(space.units) == 1 else 0  # one unit: they are the same as uniform precisions
    return precisions + sensed - together


def default_evaluations(space: Space, settings: SearchSettings) -> int:
    """Those, and one more for each unit."""
    return needed_evaluations(space, settings) + len(space.units)


def refuse_few(space: Space, settings: SearchSettings) -> None:
    """Raise SearchError if the evaluations do not suffice."""
    needed, given = needed_evaluations(space, settings), settings.evaluations
    if given is None or given >= needed:
        return
    precisions = len(space.precisions)
    sensed = needed - precisions
    cheaper = ", or --score gradient, which measures none" if sensed and given >= precisions else ""
    raise SearchError(
        f"{given} evaluations do not hold {precisions} uniform precisions"
        + (f" and {sensed} sensitivities" if sensed else "")
        + f": give at least {needed}{cheaper}"
    )


def chosen_point(points: Sequence[tuple[float, float]], least: float) -> int | None:
    """Number of the cheapest point (cost, accuracy) of at least that accuracy, of equal costs the best; or None."""
    allowed = [(cost, -accuracy, number) for number, (cost, accuracy) in enumerate(points) if accuracy >= least - 1e-9]
    return min(allowed)[2] if allowed else None

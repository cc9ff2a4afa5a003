"""Other ways to choose what is evaluated: Optuna's samplers and chance, to refine a search and as honest baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fewbits.errors import HardwareError, SearchError
from fewbits.search.result import Method
from fewbits.search.settings import Refinement
from fewbits.search.space import Choice

if TYPE_CHECKING:
    from fewbits.search.engine import Engine

_REPEATS = 20
"""Trials an evaluation at most: a sampler that proposes known assignments alone would never end."""


def refine(engine: Engine, kind: Refinement, evaluations: int, seed: int) -> None:
    """Evaluate so many more assignments as an Optuna sampler chooses them, from what the engine knows.

    `nsga2`: K. Deb et al., IEEE Trans. Evolutionary Computation 6, 2002, its first generation holds the front;
    `tpe`: J. Bergstra et al., NIPS 2011, told of all that is known. What a sampler proposes again costs no evaluation.
    Raises SearchError if Optuna is not installed.
    """
    optuna = loaded_optuna()
    space, objective = engine.space, engine.settings.objective
    names = [f"{number}" for number in range(len(space.units))]
    precisions = list(range(len(space.precisions)))
    samplers: Mapping[str, Callable[[], Any]] = {
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, evaluations // 4))),
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=False),
    }
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=samplers[kind]())
    known = sorted(engine.evaluations.values(), key=lambda one: (one.costs.of(objective), -one.accuracy_percent))
    front = engine.front() if known else None
    for one in known:
        parameters = dict(zip(names, one.choice, strict=True))
        if kind == "tpe":
            values = [one.costs.of(objective), one.accuracy_percent]
            distributions = {name: optuna.distributions.CategoricalDistribution(precisions) for name in names}
            study.add_trial(optuna.trial.create_trial(params=parameters, distributions=distributions, values=values))
        elif front is not None and one.costs.of(objective) in front.costs:
            study.enqueue_trial(parameters)
    most = len(engine.evaluations) + evaluations
    for _ in range(_REPEATS * evaluations):
        if len(engine.evaluations) >= min(most, space.size):
            return
        trial = study.ask()
        choice: Choice = tuple(int(trial.suggest_categorical(name, precisions)) for name in names)
        try:
            made = engine.evaluate(choice, kind)
        except HardwareError:  # no machine computes it
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, [made.costs.of(objective), made.accuracy_percent])


def evaluate_at_random(engine: Engine, evaluations: int, seed: int) -> None:
    """Evaluate so many assignments drawn at random, each once."""
    for choice in _drawn(engine, seed):
        if len(engine.evaluations) >= min(evaluations, engine.space.size):
            return
        engine.evaluate(choice, _RANDOM)


_RANDOM: Method = "random"


def _drawn(engine: Engine, seed: int) -> Iterator[Choice]:
    generator = np.random.default_rng(seed)
    while True:
        yield tuple(generator.integers(len(engine.space.precisions), size=len(engine.space.units)).tolist())


def loaded_optuna() -> Any:
    """Optuna, quiet. Raises SearchError if it is not installed."""
    try:
        import optuna
    except ImportError:
        raise SearchError("refining needs Optuna, which is not installed: pip install 'fewbits[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna

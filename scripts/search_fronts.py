"""Fronts of the search beside chance and evolution at equal evaluations; and the truth about a small network.

Usage:
  python scripts/search_fronts.py truth --folder DIR --out docs/search/lenet-digits.json
      trains LeNet on the digits with three seeds, as `fewbits search` does, and evaluates every assignment of its four
      layers over fixed8, fixed4, fixed3 and fixed2 on the validation images: 3 x 256 networks, some minutes.
  python scripts/search_fronts.py lenet [--truth FILE]
      what the search reaches of the true hypervolume, beside random search and NSGA-II; evaluates nothing.
  python scripts/search_fronts.py families --folder DIR
      evaluates every assignment of LeNet over formats of several families, for docs/search.md (search_families.py).
  python scripts/search_fronts.py compare MODEL --data DATA --folder DIR [--weights FILE] [--out FILE] ...
      the same without a truth, for networks with too many assignments: shares of the area below the best front known.
All that is evaluated goes into the journal in DIR: a run that was stopped goes on with the same command, and
`fewbits search --out DIR` shares it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from search_families import FAMILIES, FORMATS

from fewbits import models
from fewbits.hardware import load_technology
from fewbits.search import SearchSettings, front_of
from fewbits.search.engine import Engine
from fewbits.search.evaluation import Outcome
from fewbits.search.float_network import one_thread
from fewbits.search.journal import KEPT, Journal, search_folder
from fewbits.search.machine import Machine
from fewbits.search.samplers import evaluate_at_random, refine
from fewbits.search.searching import Prepared, SearchProgress, prepare
from fewbits.search.space import Choice, Space, parsed_precisions, space_of
from fewbits.search.surrogate import useful_floor

TRUTH = Path(__file__).resolve().parents[1] / "docs" / "search" / "lenet-digits.json"
SEEDS = (0, 1, 2)
FLOOR_PERCENT = 80.0
"""Accuracy from which on LeNet's fronts count."""


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    truth = commands.add_parser("truth")
    truth.add_argument("--folder", type=Path, required=True)
    truth.add_argument("--out", type=Path, default=TRUTH)
    lenet = commands.add_parser("lenet")
    lenet.add_argument("--truth", type=Path, default=TRUTH)
    lenet.add_argument("--evaluations", type=int, default=20)
    families = commands.add_parser("families")
    families.add_argument("--folder", type=Path, required=True)
    families.add_argument("--out", type=Path, default=FAMILIES)
    compare = commands.add_parser("compare")
    compare.add_argument("model")
    compare.add_argument("--data", required=True)
    compare.add_argument("--folder", type=Path, required=True)
    compare.add_argument("--weights", type=Path)
    compare.add_argument("--out", type=Path)
    compare.add_argument("--formats", default="fixed8,fixed4,fixed3,fixed2")
    compare.add_argument("--evaluations", type=int)
    compare.add_argument("--images", type=int)
    compare.add_argument("--score", default="accuracy")
    compare.add_argument("--objective", default="energy")
    compare.add_argument("--datapaths", default="each")
    compare.add_argument("--max-loss", type=float, default=1.0)
    compare.add_argument("--accelerator")
    compare.add_argument("--seeds", type=int, default=len(SEEDS))
    arguments = parser.parse_args()
    with one_thread():
        _COMMANDS[arguments.command](arguments)


# The truth about LeNet


def write_truth(arguments: argparse.Namespace) -> None:
    """Evaluate every assignment of LeNet over fixed formats, three times trained."""
    _write_all("truth", SearchSettings().formats, SEEDS, arguments.folder, arguments.out)


def write_families(arguments: argparse.Namespace) -> None:
    """Evaluate every assignment of LeNet over formats of several families."""
    _write_all("families", FORMATS, SEEDS[:1], arguments.folder, arguments.out)


def _write_all(command: str, formats: tuple[str, ...], seeds: tuple[int, ...], folder: Path, out: Path) -> None:
    networks: dict[str, Any] = {}
    for seed in seeds:
        prepared = _prepared("lenet", "digits", SearchSettings(seed=seed, formats=formats), None, folder)
        engine, space = prepared.engine, prepared.engine.space
        outcomes: list[Outcome] = []
        for choice in all_choices(space):
            outcomes.append(engine.outcome(choice))
            _say(f"seed {seed}: {len(outcomes)} of {space.size}: {space.label(choice)}: {outcomes[-1].right}")
        networks[str(seed)] = {
            "network": prepared.network.sha256,
            "float right": engine.float_outcome.right,
            "right": [one.right for one in outcomes],
        }
    record = {
        "made by": f"python scripts/search_fronts.py {command} --folder DIR",
        "what": "LeNet on the digits, trained as fewbits search trains it with these seeds. Of each assignment of "
        "conv1, conv2, fc1, fc2, post-training and bit-exact: right validation images, in the order "
        "of counting with a digit a layer over these formats, fc2 fastest",
        "formats": list(space.names),
        "images": engine.images,
        "networks": networks,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1)
    numbers = re.sub(r"\n +(?=\d|\])", " ", text)
    out.write_text(numbers.replace("[ ", "[").replace(" ]", "]") + "\n")


@dataclass(frozen=True, eq=False)
class StoredEvaluator:
    """Stands for an `Evaluator`: gives what the stored table has."""

    space: Space
    table: Mapping[str, Any]
    images: int
    classes: int = 10

    @property
    def split(self) -> range:
        """As many images."""
        return range(self.images)

    @property
    def dataset(self) -> StoredEvaluator:
        """Of it the engine asks for classes."""
        return self

    def float_outcome(self) -> Outcome:
        """The float network's own."""
        return Outcome(self.table["float right"], 0.0)

    def outcome(self, choice: Choice) -> Outcome:
        """Of an assignment."""
        number = 0
        for digit in choice:
            number = number * len(self.space.precisions) + digit
        return Outcome(self.table["right"][number], 0.0)


def stored_engine(path: Path, seed: int, settings: SearchSettings) -> Engine:
    """A search over the stored table of a network, at the costs of today."""
    record = json.loads(path.read_text(encoding="utf-8"))
    network = models.build("lenet", 0).eval()
    space = space_of(network, parsed_precisions(record["formats"]))
    shape = models.input_shape("lenet")
    assert shape is not None
    machine = Machine(network, shape, space, load_technology(), None, settings.datapaths)
    evaluator: Any = StoredEvaluator(space, record["networks"][str(seed)], record["images"])
    return Engine(evaluator, machine, settings, Journal(None), {}, _nobody)


def share_of_truth(engine: Engine, floor: float = FLOOR_PERCENT) -> float:
    """The area below an engine's front as a share of that below the true one."""
    whole = engine.anew()
    for choice in all_choices(engine.space):
        whole.evaluate(choice, "random")
    ceiling = max(one.costs.of(engine.settings.objective) for one in whole.evaluations.values())
    return area(engine, floor, ceiling) / area(whole, floor, ceiling)


def compare_with_truth(arguments: argparse.Namespace) -> None:
    """Print shares of the true hypervolume."""
    for seed in SEEDS:
        engine = stored_engine(arguments.truth, seed, SearchSettings(evaluations=arguments.evaluations))
        engine.run()
        print(f"network {seed}: search, {len(engine.evaluations)} evaluations: {100 * share_of_truth(engine):.2f} %")
        uniform = engine.anew()
        for number in range(len(engine.space.precisions)):
            uniform.evaluate(engine.space.uniform(number), "uniform")
        print(f"  uniform alone: {100 * share_of_truth(uniform):.2f} %")
        for name, count, run in (
            ("random", 20, evaluate_at_random),
            ("random", 100, evaluate_at_random),
            ("nsga2", 20, _nsga2),
            ("nsga2", 100, _nsga2),
        ):
            shares = [share_of_truth(_ran(engine, run, count, number)) for number in SEEDS]
            print(
                f"  {name}, {count}: {', '.join(f'{100 * one:.2f}' for one in shares)} %, mean {100 * mean(shares):.2f}"
            )


# Networks with too many assignments


def compare_without(arguments: argparse.Namespace) -> None:
    """Search, random search and NSGA-II at equal evaluations, three seeds."""
    settings = SearchSettings(
        max_loss_points=arguments.max_loss,
        formats=tuple(arguments.formats.split(",")),
        evaluations=arguments.evaluations,
        images=arguments.images,
        score=arguments.score,
        objective=arguments.objective,
        datapaths=arguments.datapaths,
        accelerator=arguments.accelerator,
    )
    prepared = _prepared(arguments.model, arguments.data, settings, arguments.weights, arguments.folder)
    engine = prepared.engine
    uniform = engine.anew()
    for number in range(len(engine.space.precisions)):
        uniform.evaluate(engine.space.uniform(number), "uniform")
    engine.run()
    engines = {"search": engine, "uniform alone": uniform}
    floor = useful_floor(engine.float_percent, prepared.dataset.classes)
    about: dict[str, Any] = {
        "made by": _command(arguments),
        "network": prepared.network.sha256,
        "images": engine.images,
        "float_percent": engine.float_percent,
        "evaluations": len(engine.evaluations),
        "floor_percent": floor,
        "objective": settings.objective,
    }
    for seed in range(arguments.seeds):
        for name, run in (("random", evaluate_at_random), ("nsga2", _nsga2)):
            engines[f"{name}, seed {seed}"] = _ran(engine, run, len(engine.evaluations), seed)
            lines = dict(_methods(engines, floor, settings.max_loss_points))
            if arguments.out is not None:  # after each method, so that a stopped run leaves what it has
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                arguments.out.write_text(json.dumps({**about, "methods": lines}, indent=1) + "\n")
    for name, found in _methods(engines, floor, settings.max_loss_points):
        cheapest = found["cheapest within the loss"]
        said = "none" if cheapest is None else f"{cheapest:.4g}"
        print(f"{name}: {100 * found['share']:.2f} % of the best area known; cheapest within the loss: {said}")


def _methods(engines: Mapping[str, Engine], floor: float, loss: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of each way to choose: its share of the area below the best front known, up to the dearest uniform precision."""
    engine = engines["search"]
    objective = engine.settings.objective
    ceiling = max(one.costs.of(objective) for one in engines["uniform alone"].evaluations.values())
    everything = engine.anew()
    for one in engines.values():
        everything.evaluations.update(one.evaluations)
    best = area(everything, floor, ceiling)
    for name, one in engines.items():
        points = one.evaluations.values()
        within = [each for each in points if each.accuracy_percent >= engine.float_percent - loss - 1e-9]
        cheapest = min((each.costs.of(objective) for each in within), default=None)
        share = area(one, floor, ceiling) / best if best else 0.0
        yield name, {"share": share, "cheapest within the loss": cheapest, "front": _front(one)}


def _command(arguments: argparse.Namespace) -> str:
    """What makes the same, without this machine's paths."""
    words = ["python scripts/search_fronts.py compare", arguments.model, "--data", arguments.data, "--folder DIR"]
    for name in ("weights", "formats", "evaluations", "images", "score", "objective", "datapaths", "seeds"):
        value = getattr(arguments, name)
        if value is not None:
            words.append(f"--{name} {value.name if isinstance(value, Path) else value}")
    return " ".join(words)


def area(engine: Engine, floor: float, ceiling: float) -> float:
    """Below the front of all that an engine evaluated."""
    points = engine.evaluations.values()
    costs = [one.costs.of(engine.settings.objective) for one in points]
    return front_of(costs, [one.accuracy_percent for one in points], floor, ceiling).hypervolume


def _front(engine: Engine) -> list[dict[str, Any]]:
    front = engine.front()
    return [
        {"assignment": engine.space.label(one.choice), "accuracy_percent": one.accuracy_percent, "cost": cost}
        for cost in front.costs
        for one in engine.evaluations.values()
        if one.costs.of(engine.settings.objective) == cost and one.accuracy_percent in front.accuracies
    ]


def _ran(engine: Engine, run: Callable[[Engine, int, int], None], count: int, seed: int) -> Engine:
    fresh = engine.anew()
    run(fresh, count, seed)
    return fresh


def _nsga2(engine: Engine, count: int, seed: int) -> None:
    refine(engine, "nsga2", count, seed)


def _prepared(model: str, data: str, settings: SearchSettings, weights: Path | None, folder: Path) -> Prepared:
    search_folder(folder).keep(KEPT)
    return prepare(model, data, settings, weights, folder, _told)


def _told(progress: SearchProgress) -> None:
    if progress.training is None:
        _say(f"{progress.done} {progress.line}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _nobody(line: str, done: int, of: int) -> None:
    """Tell nobody."""


def all_choices(space: Space) -> Iterator[Choice]:
    """Every assignment, the last unit's precision changing fastest."""
    return product(range(len(space.precisions)), repeat=len(space.units))


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "truth": write_truth,
    "families": write_families,
    "lenet": compare_with_truth,
    "compare": compare_without,
}

if __name__ == "__main__":
    main()

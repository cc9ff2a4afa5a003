"""What to say of stored results that cannot be used any more. Loads no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_FOLLOWS = ("training", "float_training", "model", "data", "precision", "recipe", "seed", "part")
"""Of a run's definition: its point, and keys that follow from the rest."""

_IN_WORDS = {"data_sha256": "its data", "computes": "what the model computes", "defects": "what [defects] asks for"}


def damaged_rows(count: int) -> Iterator[str]:
    """A line on rows of the store that were not what was written; none for none."""
    if count:
        yield f"{count} row{'s' * (count > 1)} of the store damaged: made anew"


def outdated_runs(pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[str]:
    """A line for each model and reason why finished runs are computed anew.

    pairs: the former and the new definition of each, as `Store.plan` returns them.
    """
    for (model, why), count in Counter((new["model"], _reason(old, new)) for old, new in pairs).items():
        yield f"{model}: {_runs(count)} computed anew, since {why}"


def _reason(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if "computes" in new and "computes" not in old:
        return "the fewbits that ran them did not note what the model computes"
    noted = old.keys() & new.keys() if "data_sha256" not in old else old.keys() | new.keys()
    changed = [name for name in noted if old.get(name) != new.get(name) and name not in _FOLLOWS]
    words = sorted(_IN_WORDS.get(name, f"its {name}") for name in changed)
    return f"{' and '.join(words)} changed" if words else "fewbits, or a setting of their float network, changed"


def _runs(count: int) -> str:
    return f"{count} finished run{'s' * (count > 1)}"

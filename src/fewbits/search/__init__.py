"""Finding a precision for each layer: sensitivities, the assignment by integer programming, and the front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.search.front import Front, front_of
    from fewbits.search.result import Basis, Costs, Point, SearchResult, Sensitivity, read_result
    from fewbits.search.searching import SearchProgress, search
    from fewbits.search.settings import SearchSettings

_HOLDERS = {
    name: f"fewbits.search.{module}"
    for module, names in {
        "front": ("Front", "front_of"),
        "result": ("Basis", "Costs", "Point", "SearchResult", "Sensitivity", "read_result"),
        "searching": ("SearchProgress", "search"),
        "settings": ("SearchSettings",),
    }.items()
    for name in names
}

__all__ = [
    "Basis",
    "Costs",
    "Front",
    "Point",
    "SearchProgress",
    "SearchResult",
    "SearchSettings",
    "Sensitivity",
    "front_of",
    "read_result",
    "search",
]

if not TYPE_CHECKING:  # most of them load torch
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)

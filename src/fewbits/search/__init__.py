"""Finding a precision for each layer: sensitivities, the assignment by integer programming, and the front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.search.result import Basis, Costs, Point, SearchResult, Sensitivity, read_result

_HOLDERS = {
    name: f"fewbits.search.{module}"
    for module, names in {
        "result": ("Basis", "Costs", "Point", "SearchResult", "Sensitivity", "read_result"),
    }.items()
    for name in names
}

__all__ = ["Basis", "Costs", "Point", "SearchResult", "Sensitivity", "read_result"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)

"""Networks as torch gives them: traced into calls, with the kinds of calls that fewbits knows.

These names are what a kind of operation from outside is written with; they are loaded at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.graph.kind import Codes, KindOfOperation, LayerWork, Lowering
    from fewbits.graph.operations import Operation
    from fewbits.graph.refusals import Skipped, UnsupportedError
    from fewbits.graph.spelling import SettingError, spelled

_HOLDERS = {
    **dict.fromkeys(("Codes", "KindOfOperation", "LayerWork", "Lowering"), "fewbits.graph.kind"),
    "Operation": "fewbits.graph.operations",
    **dict.fromkeys(("Skipped", "UnsupportedError"), "fewbits.graph.refusals"),
    **dict.fromkeys(("SettingError", "spelled"), "fewbits.graph.spelling"),
}

__all__ = [
    "Codes",
    "KindOfOperation",
    "LayerWork",
    "Lowering",
    "Operation",
    "SettingError",
    "Skipped",
    "UnsupportedError",
    "spelled",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of these
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)

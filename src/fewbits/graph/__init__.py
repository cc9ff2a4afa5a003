"""Networks as torch gives them: traced into calls; and what a kind of operation declares (docs/extending.md).

Loaded at first use, since its modules are read by those that the contract names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.graph.kind import Codes, KindOfOperation, LayerWork, Lowering
    from fewbits.graph.refusals import Skipped, UnsupportedError
    from fewbits.graph.signs import Sign
    from fewbits.graph.spelling import Application, SettingError, spelled

_HOLDERS = {
    name: f"fewbits.graph.{module}"
    for module, names in {
        "kind": ("Codes", "KindOfOperation", "LayerWork", "Lowering"),
        "refusals": ("Skipped", "UnsupportedError"),
        "signs": ("Sign",),
        "spelling": ("Application", "SettingError", "spelled"),
    }.items()
    for name in names
}

__all__ = [
    "Application",
    "Codes",
    "KindOfOperation",
    "LayerWork",
    "Lowering",
    "SettingError",
    "Sign",
    "Skipped",
    "UnsupportedError",
    "spelled",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)

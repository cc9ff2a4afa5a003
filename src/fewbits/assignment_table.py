"""The table that an assignment is in a TOML file or a study, checked key by key. Loads no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from fewbits.toml_table import Table

MOST_LAYERS = 10_000
"""That an assignment names."""


def _plain(name: str) -> str:
    if not name.isprintable() or name != name.strip() or name.endswith(".toml"):
        raise ValueError("a name takes letters, digits and signs, no control characters, and does not end in .toml")
    return name


AssignmentName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_plain)]
Entry = Annotated[str, Field(min_length=1, max_length=200)]


class AssignmentTable(Table):
    """A precision for each layer, under a name."""

    name: AssignmentName
    """As tables and charts print it; not that of a precision."""

    precision: Entry
    """Of the layers that `layers` does not name, such as `fixed3`."""

    layers: Annotated[dict[Entry, Entry], Field(max_length=MOST_LAYERS)] = Field(default_factory=dict)
    """Precisions by a layer's name in the network: `{ conv1 = "fixed8", "stage1.0.conv1" = "fixed4/fixed8" }`."""

    product: Entry | None = None
    """The multiplier, where products are not exact: an approximation's name, such as `truncated-6`, or a circuit's
    file."""

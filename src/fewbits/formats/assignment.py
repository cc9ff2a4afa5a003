"""An assignment: a precision for each layer of a network, under a name; what a search finds and a study takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fewbits.assignment_table import AssignmentTable
from fewbits.errors import FormatError
from fewbits.formats.registry import Precision, parse_precision
from fewbits.toml_table import checked, read_file

_NEEDS = "an assignment needs name and precision"


@dataclass(frozen=True)
class Assignment:
    """What each layer of a network computes with."""

    name: str
    """As tables and charts print it; that of the precision where no layer has its own."""

    precision: Precision
    """Of the layers that `layers` does not name."""

    layers: Mapping[str, Precision] = field(default_factory=dict[str, Precision])
    """By a layer's name in the network."""

    product: str | None = None
    """The multiplier that makes the products: a named approximation (`formats/approximations.py`) or the path of a
    circuit; None where they are exact."""

    @classmethod
    def uniform(cls, precision: Precision | str) -> Assignment:
        """One precision for all layers. Raises FormatError for an unknown one."""
        parsed = parse_precision(precision) if isinstance(precision, str) else precision
        return cls(parsed.name, parsed)

    @classmethod
    def read(cls, path: str | Path) -> Assignment:
        """That of a TOML file, as `write` makes it. Raises FormatError in one line: file, key, what is allowed."""
        return cls.from_definition(read_file(Path(path), "the assignment", FormatError), str(path))

    @classmethod
    def from_definition(cls, values: Mapping[str, Any], source: str = "the assignment") -> Assignment:
        """That of a file's values. source: named in messages. Raises FormatError."""
        return cls._from_table(checked(AssignmentTable, values, source, _NEEDS, FormatError), source)

    @classmethod
    def _from_table(cls, table: AssignmentTable, source: str = "the assignment") -> Assignment:
        """That of a checked table. Raises FormatError for an unknown precision, or a name that is one's."""
        precision = _parsed(table.precision, f"{source}: key 'precision'")
        layers = {name: _parsed(one, f"{source}: layer {name!r}") for name, one in table.layers.items()}
        made = cls(table.name, precision, layers, table.product)
        if (meant := _meant(table.name)) is not None and not (made.is_uniform and meant == precision):
            raise FormatError(
                f"{source}: key 'name': {table.name!r} is a precision's name: give the assignment another"
            )
        return made

    def definition(self) -> dict[str, Any]:
        """As `from_definition` takes it, and JSON."""
        return {
            "name": self.name,
            "precision": self.precision.name,
            **({"layers": {name: one.name for name, one in self.layers.items()}} if self.layers else {}),
            **({"product": self.product} if self.product is not None else {}),
        }

    def write(self, path: str | Path) -> None:
        """Write the TOML file that `read` takes, whole or not at all. Raises FormatError if it cannot be written."""
        values = self.definition()
        layers = values.pop("layers", {})
        lines = [f"{key} = {_quoted(value)}" for key, value in values.items()]
        if layers:
            lines += ["", "[layers]", *(f"{_quoted(name)} = {_quoted(one)}" for name, one in layers.items())]
        target = Path(path)
        temporary = target.with_name(target.name + ".part")
        try:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
            temporary.replace(target)
        except OSError as error:
            raise FormatError(f"cannot write the assignment {str(path)!r}: {error.strerror}") from None

    def with_auto_sign(self) -> Assignment:
        """The same with unsigned inputs signed where they must be; its name says so where it is the precision's."""
        usual = _with_auto_sign(self.precision)
        layers = {layer: _with_auto_sign(one) for layer, one in self.layers.items()}
        name = usual.name if self.name == self.precision.name else self.name
        return replace(self, name=name, precision=usual, layers=layers)

    @property
    def is_uniform(self) -> bool:
        """Whether all layers have one precision, with exact products."""
        return self.product is None and all(one == self.precision for one in self.layers.values())

    def of(self, layer: str) -> Precision:
        """The precision of a layer."""
        return self.layers.get(layer, self.precision)

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """All that are named, each once, that of the other layers first."""
        return tuple(dict.fromkeys((self.precision, *self.layers.values())))


def _with_auto_sign(precision: Precision) -> Precision:
    return precision if precision.inputs.is_signed else precision.with_auto_sign()


def _parsed(text: str, where: str) -> Precision:
    try:
        return parse_precision(text)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def _meant(name: str) -> Precision | None:
    """The precision that a name is of; None if it is of none."""
    try:
        return parse_precision(name)
    except FormatError:
        return None


def _quoted(text: str) -> str:
    """As a basic string of TOML, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

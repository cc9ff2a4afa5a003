"""An accelerator's definition as TOML text, to start one's own from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast


def toml_text(definition: Mapping[str, Any]) -> str:
    """Keys first, then tables and lists of tables; what it holds, `tomllib` reads again."""
    return "\n".join(_lines(definition, "")) + "\n"


def _lines(table: Mapping[str, Any], inside: str) -> Iterator[str]:
    later = {key: value for key, value in table.items() if not inside and _is_table(value)}
    yield from (f"{key} = {_value(value)}" for key, value in table.items() if key not in later)
    for key, value in later.items():
        for one in value if isinstance(value, list) else [value]:
            yield ""
            yield f"[[{key}]]" if isinstance(value, list) else f"[{key}]"
            yield from _lines(cast("Mapping[str, Any]", one), key)


def _is_table(value: object) -> bool:
    entries = cast("list[object]", value) if isinstance(value, list) else [value]
    return bool(entries) and all(isinstance(one, Mapping) for one in entries)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        held = cast("Mapping[str, object]", value)
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in held.items()) + " }"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(one) for one in cast('list[object]', value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)

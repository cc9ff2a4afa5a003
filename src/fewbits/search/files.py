"""What a search leaves in its folder beside the journal: result, chosen assignment, and a study that tests it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fewbits.models.user_function import is_function_name
from fewbits.search.fine_tuning import RECIPE
from fewbits.search.journal import json_sha256, search_folder
from fewbits.search.result import RESULT_NAME, Point, SearchResult

BEST_NAME = "best.toml"
"""The chosen assignment, as `precisions` of a study and `fewbits cost` take it."""

_LONGEST_NAME = 100
"""That an assignment takes (`assignment_table.py`)."""

STUDY_NAME = "study.toml"
"""A study of the chosen assignment and the uniform precisions, on the test images."""


def write_files(
    folder: Path,
    result: SearchResult,
    model: str | None,
    data: str,
    weights: Path | None,
    accelerator: str | None,
    technology: str | None,
) -> tuple[Path, ...]:
    """Write them whole; their paths.

    model: its name; None for a module, of which no study can be written. data, accelerator, technology: as they were
    given. weights: the float network's file. Raises SearchError for files of these names that are somebody else's.
    """
    contents = {RESULT_NAME: json.dumps(result.as_json(), indent=1, allow_nan=False) + "\n"}
    if result.chosen is not None:
        chosen = result.by_name[result.chosen]
        contents[BEST_NAME] = assignment_text(chosen)
        if model is not None:
            contents[STUDY_NAME] = (
                "\n".join(_study(folder, result, chosen, model, data, weights, accelerator, technology)) + "\n"
            )
    return search_folder(folder).write({name: text.encode() for name, text in contents.items()})


def assignment_text(point: Point) -> str:
    """A point's assignment as TOML."""
    label = point.name.removesuffix(", fine-tuned")
    name = label if len(label) <= _LONGEST_NAME else f"mixed {json_sha256({'point': point.name})[:8]}"
    with TemporaryDirectory() as folder:
        file = Path(folder) / BEST_NAME
        replace(point.assignment(), name=name).write(file)
        return file.read_text(encoding="utf-8")


def _study(
    folder: Path,
    result: SearchResult,
    chosen: Point,
    model: str,
    data: str,
    weights: Path | None,
    accelerator: str | None,
    technology: str | None,
) -> Iterator[str]:
    basis, epochs = result.basis, chosen.fine_tuned_epochs
    uniform = [name for name in basis.formats if chosen.layers or name != chosen.precision]
    yield f"# What a search over {', '.join(basis.formats)} chose, beside the uniform precisions, on the test images."
    yield 'name = "search"'
    yield f"models = [{_text(_from_anywhere(model))}]"
    yield f"data = [{_text(_from_anywhere(data))}]"
    yield f"precisions = [{', '.join(_text(name) for name in ('float32', *uniform))}, {_text(BEST_NAME)}]"
    yield f"recipes = [{_text(RECIPE if epochs else 'post-training')}]"
    yield f"seeds = [{basis.seed}]"
    if weights is not None:
        yield f"start = {_text(_within(folder, weights))}"
    if accelerator is not None:
        yield f"accelerators = [{_text(_from_anywhere(accelerator))}]"
    if technology is not None:
        yield f"technology = {_text(_from_anywhere(technology))}"
    yield f"datapaths = {_text(basis.datapaths)}  # what the search's costs are of"
    yield from ("", "[float_training]", "epochs = 0")
    if epochs:
        yield from ("", "[fine_tune]", f"epochs = {epochs}")


def _from_anywhere(name: str) -> str:
    """A name that may be a path below the current folder, as the study's own folder can tell it."""
    path, colon, function = name.rpartition(":") if is_function_name(name) else (name, "", "")
    return f"{Path(path).resolve()}{colon}{function}" if Path(path).exists() else name


def _within(folder: Path, path: Path) -> str:
    resolved, home = path.resolve(), folder.resolve()
    return str(resolved.relative_to(home)) if resolved.is_relative_to(home) else str(resolved)


def _text(value: str) -> str:
    """A TOML string: JSON's escapes are TOML's, but for the delete character, which JSON leaves as it is."""
    return json.dumps(value).replace("\x7f", "\\u007f")

"""Which sinks are asked for, by a study's `[track]` table or `--track`: checked, and opened. Loads no torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fewbits.errors import StudyError
from fewbits.study.folder import study_folder
from fewbits.study.tracking.sinks import SINKS, SinkWriter, TrackedStudy

Wanted = Mapping[str, bool | str]
"""By a sink's name: True for its own place, or a path or address; False for not."""


def refuse_unknown(name: str) -> None:
    """Raise ValueError, with what there is, for a sink that there is not."""
    if name not in SINKS:
        nearest = difflib.get_close_matches(name, SINKS, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"there is no sink {name!r}: allowed are {', '.join(map(repr, SINKS))}{hint}")


def parse_wanted(options: Sequence[str]) -> dict[str, bool | str]:
    """What `--track NAME[=WHERE]` asks for; paths begin in the current folder. Raises StudyError."""
    wanted: dict[str, bool | str] = {}
    for option in options:
        name, given, where = option.partition("=")
        try:
            refuse_unknown(name)
        except ValueError as error:
            raise StudyError(f"--track {option!r}: {error}") from None
        if given and not where.strip():
            raise StudyError(f"--track {option!r}: give a folder or an address behind '=', or leave the '=' out")
        wanted[name] = str(located(where, Path.cwd())) if given else True
    return wanted


def located(where: str, folder: Path) -> str:
    """A path from its folder on; an address as it is."""
    return where if ":" in where.partition("/")[0] else str(folder / where)


def open_sinks(wanted: Wanted, study: TrackedStudy, paths_from: Path = Path()) -> dict[str, SinkWriter]:
    """A writer for each sink that is asked for, before anything runs.

    paths_from: where relative paths begin. Raises StudyError if one cannot be used: what it needs is not installed, or
    the place in the study's folder is taken by something that is not fewbits's.
    """
    asked = {name: where for name, where in wanted.items() if where is not False}
    study_folder(study.folder).check(folders_of(wanted))
    return {
        name: SINKS[name].open(located(where, paths_from) if isinstance(where, str) else None, study)
        for name, where in asked.items()
    }


def folders_of(wanted: Wanted) -> tuple[str, ...]:
    """What the sinks make in the study's folder."""
    return tuple(SINKS[name].folder for name, where in wanted.items() if where is True and SINKS[name].folder)

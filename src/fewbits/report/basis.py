"""What a study's figures rest on: technology, assumptions, data, seeds, versions, what was left float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewbits.report.rows import Group
    from fewbits.study import StudyRecord


@dataclass(frozen=True)
class Basis:
    """Headings with their lines, and the commands that make the study again."""

    entries: tuple[tuple[str, tuple[str, ...]], ...]
    commands: tuple[str, ...]


def basis_of(record: StudyRecord, groups: Sequence[Group]) -> Basis:
    """From a study's record and its rows."""
    runs = [run for group in groups for row in group.rows for run in row.runs]
    technology = record.technology
    provenance = [f"{name}: {value}" for name, value in technology.get("provenance", {}).items()]
    named = [f"{name}: {technology[name]}" for name in ("name", "process", "sha256") if name in technology]
    data = [_data_line(name, about) for name, about in record.data.items()]
    seeds = sorted({run.seed for run in runs})
    skipped = sorted({f"{run.model}: {entry}" for run in runs for entry in run.skipped})
    epochs = sorted({f"{run.model}, {run.precision}, {run.recipe}: {run.epochs} epochs" for run in runs})
    notices = sorted({notice for run in runs for notice in run.notices})
    entries = [
        (
            "Accuracy",
            ("Of the bit-exact network: integers (or floats) executed as the datapath does, every test image.",),
        ),
        ("Technology", tuple(named + provenance)),
        (
            "Power and energy",
            (
                "Liberty internal and switching energy at the uniform switching activity named above, an assumption; "
                "leakage; and each access to the SRAM buffers, from the schedule. Glitches, the clock tree and memory "
                "off the chip are not in it.",
            ),
        ),
        ("Data", tuple(data)),
        ("Seeds", (", ".join(map(str, seeds)),)),
        ("Training", tuple(epochs)),
        ("Layers left float", tuple(skipped) or ("None.",)),
        ("Versions", (", ".join(f"{name} {version}" for name, version in record.versions.items()),)),
    ]
    if notices:
        entries.append(("Notices", tuple(notices)))
    return Basis(tuple(entries), (f"fewbits run {record.name}", f"fewbits report fewbits-{record.name}"))


def _data_line(name: str, about: dict[str, Any]) -> str:
    images: dict[str, int] = about.get("images", {})
    counts = ", ".join(f"{count} {split}" for split, count in images.items())
    notes: str | list[str] = about.get("notes", "")
    text = notes if isinstance(notes, str) else " ".join(notes)
    return f"{name}: {counts}; sha256 {about.get('sha256', 'unknown')}. {text}".strip()

"""A study's output folder: the names in it that are fewbits's, and what of it an older fewbits made. Loads no torch."""

from __future__ import annotations

from pathlib import Path

from fewbits.output_folder import Made, OutputFolder
from fewbits.study.store import FILE_NAME, is_study_file

LOG_NAME = "study.log"
"""What workers print, and tracebacks."""

SITTING_NAME = "study.sitting"
"""A file by which workers on other machines tell whether they see this very folder."""

KEPT = (
    *(FILE_NAME, *(f"{FILE_NAME}{ending}" for ending in ("-wal", "-shm", "-journal"))),
    *("study.lock", LOG_NAME, SITTING_NAME, "networks", "checkpoints", "baselines", "defects"),
)
"""What `run` keeps in the folder; SQLite makes the files with the three endings."""

_REPORT = "report.html"
_REPORT_MARK = b'<meta name="generator" content="fewbits '


def study_folder(folder: str | Path) -> OutputFolder:
    """The folder as `run` and `report` may write into it."""
    return OutputFolder(Path(folder), adopt=_made_before)


def is_study_folder(folder: Path) -> bool:
    """Whether a study was run into a folder."""
    return not (folder / FILE_NAME).is_symlink() and is_study_file(folder / FILE_NAME)


def _made_before(folder: Path) -> Made:
    """What a fewbits that wrote no manifest made: it is known by its store, its report by the page's mark."""
    if not is_study_folder(folder):
        return Made()
    page = folder / _REPORT
    has_report = page.is_file() and _REPORT_MARK in page.read_bytes()[:4096]
    tables = (_REPORT, "results.csv", "energy.csv", "results.md")
    written = (*tables, *(path.name for path in folder.glob("*.png"))) if has_report else ()
    return Made(frozenset(KEPT), frozenset(written))

"""Folders of PNG and JPEG pictures, a folder a class.

    photos/train/cat/001.png    photos/test/cat/014.png        photos/cat/001.png
    photos/train/dog/001.png    photos/test/dog/007.png   or   photos/dog/001.png

Classes are numbered in the order of their names, as torchvision's ImageFolder numbers them. Pictures in folders within
a class belong to it. Hidden files and folders (.DS_Store) and Windows' thumbnails are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fewbits.data.assembly import NO_TEST_PART, TEST_FRACTION, TEST_SEED
from fewbits.data.dataset import Arrays, stratified_split
from fewbits.data.decoding import Stored, decoded
from fewbits.data.pictures import SUFFIXES
from fewbits.errors import DataError

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}
"""Names of folders, and of splits, that hold a part, in any case."""

_PASSED_OVER = ("thumbs.db", "desktop.ini", "__macosx")
"""What systems leave in folders, beside hidden files."""

_DEPTH = 4
"""Folders deep to the first picture, from the given one on: train/CLASS/more/picture."""

_NAMED = 3
"""Files that a note or error names before it only counts them."""


def is_image_folder(path: Path) -> bool:
    """Whether pictures lie in this folder, at most some folders deep."""
    level, seen = [path], set[tuple[int, int]]()
    try:
        for _ in range(_DEPTH):
            entries = [entry for folder in level for entry in _entries(folder)]
            if any(_is_picture(entry.name) for entry in entries):
                return True
            folders = {_identity(entry): Path(entry.path) for entry in entries if _is_folder(entry)}
            level = [folder for identity, folder in folders.items() if identity not in seen]
            seen |= set(folders)
    except (DataError, OSError):
        return False
    return False


def read_image_folder(folder: Path) -> Arrays:
    """All pictures of a folder.

    With a folder `train`, and `test` or `val`, these are the parts (of three, `val` is the validation part). Without
    one, a fixed share of each class is the test part, which a note says.
    Raises DataError for pictures that are damaged, of several sizes, transparent or of more bits than are read; for a
    class without pictures or with too few; for links that lead to a folder twice.
    """
    walk = _Walk(folder)
    parts = _parts(folder)
    if parts:
        walk.leave_out(Path(entry.path) for entry in _entries(folder) if Path(entry.path) not in parts.values())
    files = {part: walk.classes(place) for part, place in (parts or {"train": folder}).items()}
    names = sorted(files["train"])
    if not names:
        raise DataError(
            f"{_name(parts.get('train', folder))} holds pictures but no class folders: put those of each class into a "
            "folder with its name"
        )
    notes = [f"classes are numbered in the order of their names: {_listed([_shown(name) for name in names])}"]
    lists = {part: _labelled(folder, part, by_class, names) for part, by_class in files.items()}
    if set(lists) == {"train", "validation"}:
        lists["test"] = lists.pop("validation")
        notes.append(f"there is no test folder: {parts['validation'].name!r} is the test part")
    if "test" not in lists:
        lists["train"], lists["test"] = _divided(folder, lists["train"], names)
        notes.append(NO_TEST_PART)
    notes += [
        f"no {part} picture is of class {_listed([_shown(names[n]) for n in missing])}"
        for part, listed in lists.items()
        if (missing := sorted(set(range(len(names))) - {n for _, n in listed}))
    ]
    return _decoded(folder, lists, names, (*notes, *walk.notes(folder)))


_Labelled = list[tuple[Path, int]]
"""Pictures with the numbers of their classes."""


@dataclass
class _Walk:
    """The files of class folders, each folder visited once."""

    top: Path
    seen: dict[tuple[int, int], Path] = field(default_factory=dict[tuple[int, int], Path])
    """Folders by device and number."""

    left_out: list[Path] = field(default_factory=list[Path])
    """Files that are no pictures, and beside class folders those and other folders."""

    def leave_out(self, paths: Iterable[Path]) -> None:
        """Keep what is not read, to be named."""
        self.left_out += paths

    def classes(self, folder: Path) -> dict[str, list[Path]]:
        """The pictures of each class folder."""
        self._enter(folder)
        entries = _entries(folder)
        self.leave_out(Path(entry.path) for entry in entries if not _is_folder(entry))
        return {entry.name: sorted(self._pictures(Path(entry.path))) for entry in entries if _is_folder(entry)}

    def _pictures(self, folder: Path) -> Iterator[Path]:
        """The pictures in a folder and all folders in it."""
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            self._enter(place)
            for entry in _entries(place):
                if _is_folder(entry):
                    waiting.append(Path(entry.path))
                elif _is_picture(entry.name):
                    yield Path(entry.path)
                elif Path(entry.name).suffix.lower() in Image.registered_extensions():
                    raise DataError(
                        f"{_name(Path(entry.path))}: pictures must be PNG or JPEG: convert it, or take it out"
                    )
                else:
                    self.left_out.append(Path(entry.path))

    def _enter(self, folder: Path) -> None:
        """Refuse a folder that links make appear twice: its pictures would count twice, or the walk never end."""
        other = self.seen.setdefault(_identity(folder), folder)
        if other != folder:
            raise DataError(f"{_name(folder)} is the same folder as {_name(other)}: remove the link")

    def notes(self, top: Path) -> tuple[str, ...]:
        """What was left out."""
        if not self.left_out:
            return ()
        names = [_shown(path.relative_to(top).as_posix()) for path in sorted(self.left_out)]
        return (f"left out, as no pictures of a class in a known part: {_listed(names)}",)


def _parts(folder: Path) -> dict[str, Path]:
    """The folders of the parts; empty where classes have their folders there. Raises DataError without `train`."""
    found: dict[str, Path] = {}
    for entry in _entries(folder):
        part = PARTS.get(entry.name.lower())
        path = Path(entry.path)
        if part is None or not _is_folder(entry) or not any(_is_folder(inner) for inner in _entries(path)):
            continue
        if part in found:
            raise DataError(
                f"{_name(folder)} has {found[part].name!r} and {path.name!r}, both the {part} part: keep one"
            )
        found[part] = path
    if found and "train" not in found:
        names = ", ".join(repr(path.name) for path in found.values())
        raise DataError(f"{_name(folder)} has {names} but no folder 'train': add it, with a folder for each class")
    return {part: found[part] for part in dict.fromkeys(PARTS.values()) if part in found}


def _labelled(folder: Path, part: str, files: dict[str, list[Path]], names: Sequence[str]) -> _Labelled:
    """A part's pictures in the order of their classes' names. Raises DataError for classes that do not fit."""
    if part == "train" and (empty := [name for name in names if not files[name]]):
        raise DataError(
            f"{_name(folder)}: class {_listed([_shown(name) for name in empty])} has no training pictures: remove its "
            "folder, or put some in"
        )
    if unknown := sorted(name for name in set(files) - set(names) if files[name]):
        raise DataError(
            f"{_name(folder)}: class {_listed([_shown(name) for name in unknown])} is in the {part} part alone: train "
            "on pictures of each class, or leave it out"
        )
    return [(path, number) for number, name in enumerate(names) for path in files.get(name, [])]


def _divided(folder: Path, listed: _Labelled, names: Sequence[str]) -> tuple[_Labelled, _Labelled]:
    """A training and a test part, the same for the same pictures."""
    labels = np.array([number for _, number in listed])
    counts = np.bincount(labels, minlength=len(names))
    if counts.min() < 3:
        few = _shown(names[int(counts.argmin())])
        raise DataError(
            f"{_name(folder)}: class {few} has {counts.min()} pictures, too few for a training, a validation and a "
            "test part: add some, or take it out"
        )
    kept, taken = stratified_split(labels, TEST_FRACTION, TEST_SEED)
    return [listed[index] for index in kept], [listed[index] for index in taken]


def _decoded(folder: Path, lists: dict[str, _Labelled], names: Sequence[str], notes: tuple[str, ...]) -> Arrays:
    """All pictures as arrays, with their labels."""
    if not lists["test"]:
        raise DataError(f"{_name(folder)} has no test pictures: put some in, or remove the test folder")
    parts = {part: [Stored(_name(path), partial(Path, path)) for path, _ in listed] for part, listed in lists.items()}
    images, picture_notes = decoded(parts)
    labels = {part: np.array([number for _, number in listed], np.int64) for part, listed in lists.items()}
    return Arrays(
        images["train"],
        labels["train"],
        images["test"],
        labels["test"],
        notes=(*notes, *picture_notes),
        classes=tuple(_printable(name) for name in names),
        validation_images=images.get("validation"),
        validation_labels=labels.get("validation"),
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds but hidden names, in the order of names. Raises DataError if it cannot be looked into."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{_name(folder)} cannot be read: {error.strerror}") from None
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _PASSED_OVER]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one. Raises DataError for a link that leads nowhere but to itself."""
    try:
        return entry.is_dir()
    except OSError as error:
        raise DataError(f"{_name(Path(entry.path))} cannot be looked at: {error.strerror}; remove it") from None


def _identity(place: os.DirEntry[str] | Path) -> tuple[int, int]:
    """What is one for all links to a folder."""
    status = place.stat()
    return (status.st_dev, status.st_ino)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _name(path: Path) -> str:
    return _printable(str(path))


def _printable(text: str) -> str:
    """A name from the file system on one line, whatever bytes it has."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _shown(name: str) -> str:
    return f"'{_printable(name)}'"


def _listed(entries: Sequence[str]) -> str:
    """The first of some entries in words: `a, b, c and 7 more`."""
    listed = ", ".join(entries[:_NAMED])
    return f"{listed} and {len(entries) - _NAMED} more" if len(entries) > _NAMED else listed

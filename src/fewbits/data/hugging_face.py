"""Hugging Face's data sets: what its library holds, what `save_to_disk` wrote, and folders of its Parquet files.

    photos/dataset_dict.json                    photos/data/train-00000-of-00001.parquet
    photos/train/data-00000-of-00001.arrow      photos/data/test-00000-of-00001.parquet

Nothing is downloaded. The library is an extra: `pip install 'fewbits[datasets]'`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from fewbits.arguments import shown
from fewbits.data.assembly import StoredPart, assembled
from fewbits.data.dataset import Array, Arrays, Dataset, make_dataset
from fewbits.data.decoding import Stored, decoded
from fewbits.data.image_folder import PARTS
from fewbits.data.torch_sets import arrays_of_torch
from fewbits.errors import DataError
from fewbits.torch_data import IMAGE_KEYS, LABEL_KEYS

_DEV = {"dev": "validation"}
"""A name of the validation part that folders do not have."""


def from_hugging_face(
    data: Any, *, name: str = "hugging-face", classes: int | None = None, validation_fraction: float = 0.1
) -> Dataset:
    """The data set of a `datasets.DatasetDict`, or of a `datasets.Dataset`, whose test part is then a share of it.

    The image column is that of type Image, or has a usual name; so is the label column, of type ClassLabel. Images are
    decoded as files of a folder are. Where a format or transform is set (`with_format`, `with_transform`),
    items are taken as it gives them, as `from_torch` takes a torch Dataset's.
    classes: None counts the names', or the training labels'. Raises DataError for what has no such columns, or as
    `load` does.
    """
    return make_dataset(
        name, arrays_of_hugging_face(data, name), classes=classes, validation_fraction=validation_fraction
    )


def is_hugging_face(value: object) -> bool:
    """Whether a value is of Hugging Face's library."""
    return type(value).__module__.partition(".")[0] == "datasets"


def is_saved_folder(path: Path) -> bool:
    """Whether `save_to_disk` wrote this folder."""
    saved = (path / "dataset_info.json").is_file() and (path / "state.json").is_file()
    return saved or (path / "dataset_dict.json").is_file()


def read_saved_folder(path: Path) -> Arrays:
    """What `save_to_disk` wrote. Raises DataError if it is damaged, or the library is not there."""
    library = _library(path)
    try:
        data: Any = library.load_from_disk(str(path))
    except Exception as error:  # whatever the library raises on damaged files
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{path} cannot be read as a saved Hugging Face data set: {shown(reason)}") from error
    return arrays_of_hugging_face(data, str(path))


def is_parquet_folder(path: Path) -> bool:
    """Whether Parquet files of a training split lie here, named as Hugging Face names them."""
    return path.is_dir() and "train" in _parquet_files(path)


def read_parquet_folder(path: Path) -> Arrays:
    """The splits of a folder with Parquet files. Raises DataError if one is damaged, or the library is not there."""
    library = _library(path)
    splits: dict[str, Any] = {}
    for split, files in _parquet_files(path).items():
        try:
            from pyarrow import parquet  # here, since it comes with the library

            table: Any = parquet.read_table([str(file) for file in files])
            splits[split] = library.Dataset(library.table.InMemoryTable(table))
        except Exception as error:  # whatever it raises on damaged files
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DataError(f"{files[0]} cannot be read as a Parquet file: {shown(reason)}") from error
    return arrays_of_hugging_face(library.DatasetDict(splits), str(path))


def arrays_of_hugging_face(data: Any, name: str) -> Arrays:
    """The arrays of a data set in Hugging Face's library. Raises DataError as `from_hugging_face` does."""
    given: Mapping[str, Any] = data if isinstance(data, Mapping) else {"train": data}
    if not given or not all(is_hugging_face(split) and hasattr(split, "column_names") for split in given.values()):
        raise DataError(f"{name}: a datasets.DatasetDict or datasets.Dataset is taken, not {type(data).__name__}")
    splits, notes = _parts(given, name)
    if any(getattr(split, "format", {"type": "torch"})["type"] is not None for split in splits.values()):
        return arrays_of_torch(splits, name)
    image, label = _columns(splits["train"], name)
    notes.append(f"images are the column {image!r}, labels {label!r}")
    labels = {part: np.asarray(split[label][:]) for part, split in splits.items()}
    names = getattr(splits["train"].features[label], "names", ())
    images, image_notes = _images(splits, image, name)
    stored = {
        part: StoredPart(images[part], labels[part], f"{name}: {part}", f"{name}: {part}, {label!r}") for part in splits
    }
    return assembled(
        stored["train"],
        stored.get("test"),
        stored.get("validation"),
        layout="NCHW" if image_notes is not None else None,
        classes=tuple(names or ()),
        notes=(*notes, *(image_notes or ())),
    )


def _library(path: Path) -> Any:
    """Hugging Face's library. Raises DataError if it is not installed."""
    try:
        import datasets
    except ImportError:
        raise DataError(f"{path} is read by Hugging Face's library: pip install 'fewbits[datasets]'") from None
    return datasets


def _parquet_files(path: Path) -> dict[str, list[Path]]:
    """Parquet files by split: `train-00000-of-00001.parquet` or `train.parquet`, in the folder or its folder `data`."""
    found: dict[str, list[Path]] = {}
    for folder in (path, path / "data"):
        for file in sorted(folder.glob("*.parquet")) if folder.is_dir() else ():
            found.setdefault(file.name.split(".")[0].split("-")[0], []).append(file)
    return found


def _parts(given: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """Splits as parts, and notes of those that are taken for another or left out."""
    known = PARTS | _DEV
    found, notes = dict[str, Any](), list[str]()
    for split, content in given.items():
        part = known.get(str(split).lower())
        if part in found:
            raise DataError(f"{name} has several splits that are the {part} part: {shown(list(given))}; keep one")
        if part is None:
            notes.append(f"the split {shown(str(split))} is left out")
        else:
            found[part] = content
    if "train" not in found:
        raise DataError(f"{name} has the splits {shown(list(given))}: one must be called 'train'")
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
        notes.append("there is no test split: the validation split is the test part")
    return {part: found[part] for part in ("train", "test", "validation") if part in found}, notes


def _columns(split: Any, name: str) -> tuple[str, str]:
    """The columns of images and labels."""
    chosen: list[str] = []
    for what, kind, keys in (("image", "Image", IMAGE_KEYS), ("label", "ClassLabel", LABEL_KEYS)):
        columns = [column for column, feature in split.features.items() if type(feature).__name__ == kind]
        columns = columns or [column for column in split.column_names if column in keys]
        if len(columns) != 1:
            state = f"several {what} columns" if columns else f"no {what} column"
            raise DataError(
                f"{name} has {state} among {shown(list(split.column_names))}: one must be of type {kind}, or be called "
                f"one of {', '.join(keys)}; select or rename columns"
            )
        chosen += columns
    return (chosen[0], chosen[1])


def _images(splits: Mapping[str, Any], column: str, name: str) -> tuple[dict[str, Array], tuple[str, ...] | None]:
    """Each split's images; notes of pictures that were decoded, None for arrays of numbers, whose layout is open."""
    first = next(iter(splits.values()))
    if type(first.features[column]).__name__ != "Image":
        return {part: np.asarray(split.with_format("numpy")[column][:]) for part, split in splits.items()}, None
    library = _library(Path(name))
    parts: dict[str, Sequence[Stored]] = {}
    for part, split in splits.items():
        encoded = split.select_columns([column]).cast_column(column, library.Image(decode=False))
        parts[part] = [*_stored(encoded, column, f"{name}: {part}")]
    return decoded(parts)


def _stored(encoded: Any, column: str, called: str) -> Iterator[Stored]:
    for index in range(len(encoded)):
        yield Stored(f"{called}, row {index}", partial(_content, encoded, column, index, f"{called}, row {index}"))


def _content(encoded: Any, column: str, index: int, called: str) -> Path | bytes:
    """A picture's bytes, or its file; nothing is fetched from elsewhere."""
    entry = cast(Mapping[str, Any] | None, encoded[index][column])
    if entry is None:
        raise DataError(f"{called} has no image: leave it out")
    if entry["bytes"] is not None:
        return bytes(entry["bytes"])
    if entry["path"] is None or "://" in entry["path"]:
        raise DataError(f"{called} holds no picture but {shown(entry['path'])}, and nothing is downloaded")
    return Path(entry["path"])

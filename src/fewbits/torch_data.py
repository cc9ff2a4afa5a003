"""What torch's Datasets and DataLoaders hold, in a fixed order: images and labels, one item or batch after another."""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard, cast

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler
from torch.utils.data import Dataset as TorchDataset

from fewbits.arguments import shown
from fewbits.errors import DataError

TorchData: TypeAlias = TorchDataset[Any] | DataLoader[Any]
"""A map-style Dataset, an IterableDataset, or a DataLoader of one."""

IMAGE_KEYS = ("image", "images", "img", "pixel_values", "x", "inputs")
"""Under which a dictionary's images are looked for: Hugging Face's names, and usual ones."""

LABEL_KEYS = ("label", "labels", "y", "target", "targets", "fine_label")


@dataclass(frozen=True)
class Batch:
    """An item, or a batch of them."""

    images: Any
    labels: Any
    """None if there are none."""

    is_batch: bool
    """Whether the first dimension counts images."""

    place: str
    """What it is called in messages: `item 7`."""


def is_torch_data(value: object) -> TypeGuard[TorchData]:
    """Whether a value is a torch Dataset or DataLoader, or Hugging Face's map-style Dataset, which is used as one."""
    return isinstance(value, (TorchDataset, DataLoader)) or (
        hasattr(value, "column_names") and hasattr(value, "features")
    )


def batches(source: TorchData, numbers: Sequence[int] | None = None) -> Iterator[Batch]:
    """Images and labels in the order of their numbers, or as an iterable or a sampler gives them.

    A DataLoader that takes each item once, shuffled or not, is read item after item without workers, so that the order
    is that of its Dataset and no item is dropped; its `collate_fn` makes the batches. Any other is iterated as it is.
    numbers: of the items to read, of a source that has numbers (see `item_count`); None reads all.
    Raises DataError, in one line, if the user's code fails or an item is no image with a label.
    """
    loader = source if isinstance(source, DataLoader) else None
    dataset: Any = source if loader is None else loader.dataset
    if item_count(source) is None:
        yield from _iterated(source)
        return
    chosen = range(len(dataset)) if numbers is None else numbers
    if loader is None or loader.batch_size is None:
        for number in chosen:
            yield _batch(_item(dataset, number), f"item {number}", is_batch=False)
        return
    for start in range(0, len(chosen), loader.batch_size):
        some = chosen[start : start + loader.batch_size]
        place = f"the batch of items {some[0]} to {some[-1]}"
        items = [_item(dataset, number) for number in some]
        with _named(place):
            collated: Any = loader.collate_fn(items)
        yield _batch(collated, place, is_batch=True)


def item_count(source: TorchData) -> int | None:
    """Items that have a number each; None where they only come one after another, or a sampler chooses among them."""
    if isinstance(source, DataLoader):
        takes_each = source.batch_size is None or type(source.batch_sampler) is BatchSampler
        sampler: Any = source.sampler
        in_order = type(sampler) is SequentialSampler or (
            type(sampler) is RandomSampler
            and not sampler.replacement
            and sampler.num_samples == len(cast(Any, source.dataset))
        )
        return item_count(source.dataset) if takes_each and in_order else None
    if isinstance(source, IterableDataset):
        return None
    try:
        return len(cast(Any, source))
    except (TypeError, NotImplementedError):
        raise DataError(
            f"{type(source).__name__} has no length: give it __len__, or make it a torch IterableDataset"
        ) from None


@contextmanager
def seeded() -> Generator[None]:
    """Seed the global generators of torch, numpy and Python, and put them back afterwards."""
    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


def raised_at(error: BaseException) -> str:
    """Where a user's own code raised, as ` (file.py, line 7)`; empty if it was in none of it."""
    others = (str(Path(__file__).parent), sysconfig.get_path("stdlib"), "<frozen")
    own, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(others) and "site-packages" not in file:
            own = f" ({Path(file).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return own


def _iterated(source: TorchData) -> Iterator[Batch]:
    """What comes when the source is iterated."""
    of_batches = isinstance(source, DataLoader) and source.batch_size is not None
    word = "batch" if isinstance(source, DataLoader) and (of_batches or source.batch_sampler is not None) else "item"
    iterator, count = None, 0
    while True:
        with _named(f"{word} {count}"):
            iterator = iter(cast(Any, source)) if iterator is None else iterator
            item: Any = next(iterator, _END)
        if item is _END:
            return
        yield _batch(item, f"{word} {count}", is_batch=word == "batch")
        count += 1


_END = object()


def _item(dataset: Any, number: int) -> Any:
    with _named(f"item {number}"):
        return dataset[number]


@contextmanager
def _named(place: str) -> Generator[None]:
    """Errors of the user's code in one line, with the place and where it was raised."""
    try:
        yield
    except DataError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{place} of the torch data raised {reason[:300]}{raised_at(error)}") from error


def _batch(item: Any, place: str, *, is_batch: bool) -> Batch:
    """The image and the label of an item, or those of a batch."""
    if isinstance(item, Mapping):
        entries = cast(Mapping[Any, Any], item)
        image_keys = [key for key in IMAGE_KEYS if key in entries]
        label_keys = [key for key in LABEL_KEYS if key in entries]
        if len(image_keys) != 1 or len(label_keys) > 1:
            raise DataError(
                f"{place} is a dictionary with {shown(list(entries))}: one of {', '.join(IMAGE_KEYS)} must hold the "
                f"image and one of {', '.join(LABEL_KEYS)} its label; rename them, or give (image, label)"
            )
        return Batch(entries[image_keys[0]], entries[label_keys[0]] if label_keys else None, is_batch, place)
    if isinstance(item, (tuple, list)):
        parts = cast(Sequence[Any], item)
        if len(parts) == 2:
            return Batch(parts[0], parts[1], is_batch, place)
        if len(parts) == 1:
            return Batch(parts[0], None, is_batch, place)
        raise DataError(f"{place} is of {len(parts)} parts: it must be (image, label), or a dictionary of the two")
    return Batch(item, None, is_batch, place)

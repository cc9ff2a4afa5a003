"""From images and labels as users store them to `Arrays`: one layout, one type, classes from 0 on, a test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fewbits.arguments import shown
from fewbits.data.dataset import Array, Arrays, stratified_split
from fewbits.data.labels import class_numbers
from fewbits.data.layout import all_channels_first
from fewbits.errors import DataError

TEST_FRACTION = 0.2
"""Of each class, where there is no test part: the share that the embedded digits' re-split has (1,000 of 5,000)."""

TEST_SEED = 1
"""Of that choice; the validation part is chosen with seed 0."""

NO_TEST_PART = f"no test part is given: {TEST_FRACTION:.0%} of the images of each class are it, the same each time"


@dataclass(frozen=True, eq=False)
class StoredPart:
    """Images and labels as they are stored."""

    images: Array
    """N x H x W, N x channels x H x W or N x H x W x channels, of any numeric type."""

    labels: Array
    """As `class_numbers` takes them."""

    images_called: str
    """In messages: `photos.npz: x_train`."""

    labels_called: str


def assembled(
    train: StoredPart,
    test: StoredPart | None,
    validation: StoredPart | None = None,
    *,
    layout: str | None = None,
    unless_told: str | None = None,
    value_range: tuple[float, float] | None = None,
    classes: Sequence[str] = (),
    notes: Sequence[str] = (),
    is_normalized: bool = False,
) -> Arrays:
    """The arrays of parts that belong together.

    test: None takes a fixed share of each class of the training part, which a note says. layout, unless_told: as
    `channels_first` takes them. value_range: stated with the data, if it is. classes: names for labels that are
    numbers. notes: what was said before. is_normalized: whether the images are what a network takes.
    Raises DataError for what are no images or labels, or where counts differ.
    """
    parts = [part for part in (train, test, validation) if part is not None]
    for part in parts:
        if not part.images.ndim or not part.labels.ndim or len(part.images) != len(part.labels):
            counts = [f"{array.shape[0]:,}" if array.ndim else "no list of" for array in (part.images, part.labels)]
            raise DataError(
                f"{part.images_called} holds {counts[0]} images but {part.labels_called} {counts[1]} labels"
            )
    images, layout_notes = all_channels_first(
        [part.images for part in parts],
        [part.images_called for part in parts],
        layout=layout,
        unless_told=unless_told,
    )
    numbers = class_numbers([part.labels for part in parts], [part.labels_called for part in parts])
    names = _names(classes, numbers.names, train.labels_called)
    notes = (*notes, *layout_notes, *numbers.notes)
    first, labels = images[0], numbers.parts[0]
    if test is None:
        kept, taken = stratified_split(labels, TEST_FRACTION, TEST_SEED)
        tested, tested_labels = first[taken], labels[taken]
        first, labels = first[kept], labels[kept]
        notes = (*notes, NO_TEST_PART)
    else:
        tested, tested_labels = images[1], numbers.parts[1]
    held_out = () if validation is None else (images[-1], numbers.parts[-1])
    return Arrays(
        first, labels, tested, tested_labels, notes, value_range, names, *held_out, is_normalized=is_normalized
    )


def _names(stated: Sequence[str], found: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The classes' names: those that the labels are, or those stated for numbers and columns."""
    if not stated or set(stated) == set(found):
        return found
    columns = tuple(str(column) for column in range(len(stated)))
    if found not in ((), columns):
        raise DataError(f"{where} holds the classes {shown(list(found))}, but those stated are {shown(list(stated))}")
    return tuple(stated)

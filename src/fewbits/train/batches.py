"""Training batches: from stored images to normalized, randomly cropped and mirrored inputs in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fewbits.compiled import compiled, inlined
from fewbits.data import Dataset, Images
from fewbits.data.images import Array
from fewbits.errors import ModelError
from fewbits.train.settings import TrainSettings

_LEVELS = {torch.uint8: 256, torch.uint16: 65536}
"""Values of a pixel, for the types whose inputs are looked up."""


class Batches:
    """The batches of an epoch, written into one buffer that the next batch overwrites.

    The images stay as they are stored; nothing is copied but the values of a batch. Integers are looked up in a
    table of what `Dataset.inputs` makes of each value of a pixel; floats are computed in its order. Augmentation, where
    the settings ask for it:
    - `random_flip`: an image is mirrored left to right with probability 1/2;
    - `crop_padding`: a window of the image's size is cut at random from the image in a border of so many pixels of
      input 0, which is the mean of color images and the background of grey ones.
    """

    def __init__(self, data: Dataset, settings: TrainSettings, layout: torch.memory_format) -> None:
        """layout: memory format of the batches that come. Raises ModelError if the padding is wider than the images."""
        self.images = data.train.images
        if settings.crop_padding >= min(self.images.shape[2:]):
            raise ModelError(
                f"crop_padding must be smaller than the images of {data.name!r}, "
                f"{self.images.shape[2]} x {self.images.shape[3]}, not {settings.crop_padding}"
            )
        self.settings = settings
        self.table = _table(data)
        largest = min(settings.batch_size, len(self.images))
        shape = (largest, *self.images.shape[1:])
        self.buffer = torch.empty(shape, dtype=torch.float32).contiguous(memory_format=layout)

    def epoch(self, order: Tensor, count: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of an epoch: the chosen images' numbers (int64) and their inputs, float32, valid until the next.

        order: numbers of all images of the epoch, int64. count: batches, whose sizes differ by one image at most.
        generator: decides crops and flips; equal states give equal batches.
        """
        pad = self.settings.crop_padding
        moves = torch.randint(-pad, pad + 1, (len(order), 2), generator=generator)
        flips = torch.zeros(len(order), dtype=torch.bool)
        if self.settings.random_flip:
            flips = torch.rand(len(order), generator=generator) < 0.5
        parts = [tensor.tensor_split(count) for tensor in (order, moves, flips)]
        fill = _compute if self.images.dtype.is_floating_point else _look_up
        for chosen, chosen_moves, chosen_flips in zip(*parts, strict=True):
            inputs = self.buffer[: len(chosen)]
            stored, rows = _stored(self.images, chosen.numpy())
            fill(
                stored, self.table, rows, chosen_moves.numpy(), chosen_flips.numpy(), inputs.permute(0, 2, 3, 1).numpy()
            )
            yield chosen, inputs


def _table(data: Dataset) -> Array:
    """For integers the input of each value in each channel, values x C; for floats low, high - low, mean and std of
    each channel, 4 x C. float32.
    """
    channels, levels = data.train.images.shape[1], _LEVELS.get(data.train.images.dtype)
    if levels is None:
        low, high = data.value_range
        return np.array([[low] * channels, [high - low] * channels, data.mean, data.std], dtype=np.float32)
    every: Array = np.arange(levels).astype(data.train.images.source.dtype.newbyteorder("="))
    return data.inputs(Images(np.tile(every.reshape(-1, 1, 1, 1), (1, channels, 1, 1)))).view(levels, channels).numpy()


def _stored(images: Images, chosen: Array) -> tuple[Array, Array]:
    """An array and the rows of it that hold the chosen images: the images' own array where compiled loops can read it,
    else a copy of these images.
    """
    source = images.source
    if source.flags.aligned and source.dtype.isnative and source.dtype.str[1:] in ("u1", "u2", "f4"):
        return source, chosen if images.rows is None else images.rows[chosen]
    return images[chosen].numpy(), np.arange(len(chosen))


@inlined
def _source_column(column, right, flip, width):
    """The column of the image that a column of the window shows."""
    return (width - 1 - column if flip else column) + right


@compiled
def _look_up(images, table, rows, moves, flips, out):
    """Look up a batch's inputs.

    images: uint8 or uint16, N x C x H x W. table: float32, values x C. rows: B image numbers. moves: B x 2, rows and
    columns by which the window is moved. flips: B, whether the window is mirrored. out: float32, B x H x W x C in any
    layout.
    """
    _, channels, height, width = images.shape
    for place in range(len(rows)):
        image, down, right, flip = images[rows[place]], moves[place, 0], moves[place, 1], flips[place]
        for row in range(height):
            source_row = row + down
            row_inside = 0 <= source_row < height
            for column in range(width):
                source_column = _source_column(column, right, flip, width)
                inside = row_inside and 0 <= source_column < width
                for channel in range(channels):
                    pixel = image[channel, source_row, source_column] if inside else 0
                    out[place, row, column, channel] = table[pixel, channel] if inside else 0.0


@compiled
def _compute(images, table, rows, moves, flips, out):
    """Compute a batch's inputs, each operation rounded to float32.

    images: float32. table: float32, 4 x C: low, high - low, mean, std. The others as `_look_up` has them.
    """
    _, channels, height, width = images.shape
    for place in range(len(rows)):
        image, down, right, flip = images[rows[place]], moves[place, 0], moves[place, 1], flips[place]
        for row in range(height):
            source_row = row + down
            row_inside = 0 <= source_row < height
            for column in range(width):
                source_column = _source_column(column, right, flip, width)
                inside = row_inside and 0 <= source_column < width
                for channel in range(channels):
                    value = np.float32(0)
                    if inside:
                        value = (image[channel, source_row, source_column] - table[0, channel]) / table[1, channel]
                        value = (value - table[2, channel]) / table[3, channel]
                    out[place, row, column, channel] = value

"""Training batches: from uint8 images to normalized, randomly cropped and mirrored inputs in one pass."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fewbits.compiled import compiled
from fewbits.data import Dataset
from fewbits.errors import ModelError
from fewbits.train.settings import TrainSettings


class Batches:
    """The batches of an epoch, written into one buffer that the next batch overwrites.

    The images stay uint8 as they are; nothing is copied but the values of a batch, which are looked up in a table of
    what `Dataset.inputs` makes of each of the 256 pixel values. Augmentation, where the settings ask for it:
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
        channels = self.images.shape[1]
        every_pixel = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1).expand(256, channels, 1, 1)
        self.table = data.inputs(every_pixel.contiguous()).view(256, channels)
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
        for chosen, chosen_moves, chosen_flips in zip(*parts, strict=True):
            inputs = self.buffer[: len(chosen)]
            _fill(
                self.images.numpy(),
                self.table.numpy(),
                chosen.numpy(),
                chosen_moves.numpy(),
                chosen_flips.numpy(),
                inputs.permute(0, 2, 3, 1).numpy(),
            )
            yield chosen, inputs


@compiled
def _fill(images, table, chosen, moves, flips, out):
    """Look up a batch's inputs.

    images: uint8, N x C x H x W. table: float32, 256 x C. chosen: B image numbers. moves: B x 2, rows and columns by
    which the window is moved. flips: B, whether the window is mirrored. out: float32, B x H x W x C in any layout.
    """
    _, channels, height, width = images.shape
    for place in range(len(chosen)):
        image, down, right, flip = images[chosen[place]], moves[place, 0], moves[place, 1], flips[place]
        for row in range(height):
            source_row = row + down
            row_inside = 0 <= source_row < height
            for column in range(width):
                source_column = (width - 1 - column if flip else column) + right
                inside = row_inside and 0 <= source_column < width
                for channel in range(channels):
                    pixel = image[channel, source_row, source_column] if inside else 0
                    out[place, row, column, channel] = table[pixel, channel] if inside else 0.0

"""Rounding of a tensor that several operations take, or that is averaged, added or concatenated."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fewbits.formats import Format, Precision
from fewbits.formats.capture import is_captured
from fewbits.formats.scale import LAST, SummedDimension
from fewbits.graph.float_layer import ValueRounding
from fewbits.quantization.layers.captured import rounded
from fewbits.quantization.layers.stored import (
    NOT_CHOSEN,
    as_buffer,
    checked,
    fill,
    formats_from_tensor,
    formats_to_tensor,
    start,
)
from fewbits.quantization.layers.straight_through import MASK, StraightThrough


class SharedStraightThrough(StraightThrough):
    """`StraightThrough` for a tensor whose gradient others may still read: an addition hands one to both operands."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Mask the gradient into a new tensor."""
        (x,) = ctx.saved_tensors
        low, high = ctx.gate
        if torch.is_grad_enabled():  # differentiated once more
            return torch.where((x > low) & (x < high), gradients[0], 0.0), None, None, None, None
        masked = torch.empty_like(x)  # an average's gradient has no layout of its own; the layer before wants that of x
        return MASK(gradients[0], x, low, high, grad_input=masked), None, None, None, None


class TensorRounding(ValueRounding):
    """A tensor rounded where the hardware rounds it: after its producer (and the ReLU behind it), or after an average.

    Every operation that takes these values, perhaps pooled or reshaped, takes them at this radix point.
    """

    def __init__(
        self,
        number_format: Format,
        name: str,
        leader: TensorRounding | None = None,
        device: torch.device | None = None,
        along: SummedDimension | None = None,
    ) -> None:
        """name: what errors call it. leader: the rounding whose radix point this one has; None for one of its own.

        device: of the radix point's buffer. along: where blocks lie; None if no layer takes the values: along the
        channels of images, else the last dimension.
        """
        super().__init__()
        self.number_format = number_format
        self.name = name
        self.rounds = number_format.name != "float32"
        self._along = along
        self._leader = () if leader is None else (leader,)  # in a tuple: a leader is no part of this module
        self._point = start(number_format)
        self.radix_point: Tensor | None
        self.register_buffer("radix_point", None if self._leader else as_buffer(self._point, device))
        self.format_text: Tensor | None
        self.register_buffer("format_text", None)

    def set_format(self, number_format: Format) -> None:
        """Round to another format, which is kept with the state. The radix point must be set anew."""
        self.number_format = number_format
        self.rounds = number_format.name != "float32"
        if self.radix_point is not None:
            self._point = fill(self.radix_point, start(number_format))
        text = formats_to_tensor(Precision(number_format, number_format))
        self.format_text = text if self.radix_point is None else text.to(self.radix_point.device)

    @property
    def is_leader(self) -> bool:
        """Whether calibration chooses the radix point here."""
        return not self._leader

    @property
    def fraction_bits(self) -> int:
        """The radix point. Raises ModelError before calibration."""
        return self._leader[0].fraction_bits if self._leader else checked(self._point, self.name)

    @fraction_bits.setter
    def fraction_bits(self, fraction_bits: int) -> None:
        if self._leader:
            self._leader[0].fraction_bits = fraction_bits
        else:
            assert self.radix_point is not None
            self._point = fill(self.radix_point, fraction_bits)

    @property
    def point(self) -> Tensor:
        """The buffer that holds the radix point."""
        point = self._leader[0].radix_point if self._leader else self.radix_point
        assert point is not None
        return point

    @property
    def is_calibrated(self) -> bool:
        """Whether the radix point is known."""
        return self._leader[0].is_calibrated if self._leader else self._point != NOT_CHOSEN

    def forward(self, x: Tensor, *, rectified: bool = False) -> Tensor:
        """The nearest values, in the dtype of `x`; rectified: those of max(x, 0).

        Raises ModelError before calibration, FormatError for NaN.
        """
        if not self.rounds:
            return F.relu(x) if rectified else x
        if is_captured(x):
            return rounded(x, self.number_format, self.point, rectified=rectified, along=self.along(x))
        if x.requires_grad and torch.is_grad_enabled():
            return SharedStraightThrough.apply(x, self.number_format, self.fraction_bits, rectified, self.along(x))
        return self.number_format.quantize(x, self.fraction_bits, rectified=rectified, along=self.along(x))

    def along(self, x: Tensor) -> SummedDimension:
        """Where a tensor's blocks lie: channels where it has positions still, else its last dimension."""
        if not self.number_format.has_blocks:
            return LAST
        if self._along is not None and -x.ndim <= self._along.dim:
            return self._along
        return SummedDimension(1) if x.ndim == 4 else LAST

    def extra_repr(self) -> str:
        """Format and radix point, for printing."""
        return f"{self.number_format.name}, " + (
            f"2**-{self.fraction_bits}" if self.is_calibrated else "not calibrated"
        )

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Load the buffer, then read it once: forward passes need plain integers."""
        state, prefix = args[:2]
        text = state.get(f"{prefix}format_text")
        if text is not None:
            self.set_format(formats_from_tensor(text)[0].inputs)
        super()._load_from_state_dict(*args, **kwargs)
        if self.radix_point is not None:
            self._point = int(self.radix_point.item())

"""ReLU: negatives to zero."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from fewbits.errors import ModelError
from fewbits.graph import operations
from fewbits.graph.kind import KindOfOperation, Lowering
from fewbits.graph.spelling import Reading, spelled


def _clamp(min: float | None = None, max: float | None = None) -> nn.ReLU | None:
    """A lower bound of 0 alone is a ReLU."""
    return nn.ReLU() if max is None and not isinstance(min, bool) and min == 0 else None


def _calls() -> dict[Any, Reading]:
    in_place = spelled(lambda: nn.ReLU(inplace=True))
    plain, clamp, clamp_min = spelled(nn.ReLU), spelled(_clamp, "min", "max"), spelled(_clamp, "min")
    return {
        F.relu: spelled(nn.ReLU, "inplace"),
        **dict.fromkeys((F.relu_, torch.relu_, "relu_"), in_place),
        **dict.fromkeys((torch.relu, "relu"), plain),
        **dict.fromkeys((torch.clamp, torch.clip, "clamp", "clip"), clamp),
        **dict.fromkeys((torch.clamp_min, "clamp_min"), clamp_min),
    }


class ReLU(KindOfOperation):
    """`nn.ReLU`, `torch.relu`, `x.clamp(min=0)`, in place too."""

    name = "relu"
    meanings = (nn.ReLU,)
    calls = _calls()
    effect = "keeps"
    elementwise = frozenset(("relu_", "clamp_", "clamp_min_"))
    keeps_dims = True
    rectifies = True

    def lower(self, call: Lowering) -> None:
        (source,) = call.sources
        codes = call.codes(source)
        if codes is not None and not codes.number_format.has_zero:
            raise ModelError(
                f"{call.name!r} is a ReLU of values that were rounded to {codes.number_format.name}, which has no code "
                "for its zeros: put it directly behind a layer, leave it out, or take another format of inputs"
            )
        relu = operations.ReLU(name=call.name, inputs=(source.name,), output_shape=source.output_shape)
        call.add(relu, codes)
        call.round_behind()

    def channels_last(self, meaning: Any, are_last: bool) -> bool:
        return are_last

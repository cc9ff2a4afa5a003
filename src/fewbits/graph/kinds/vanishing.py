"""What does nothing in evaluation: identity, dropout, `contiguous`, `detach`, `clone`, `float`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from fewbits.graph.kind import KindOfOperation, Lowering
from fewbits.graph.kinds.batch_norm import FoldedNorm
from fewbits.graph.spelling import Reading, SettingError, spelled

DROPOUTS: dict[Any, type[nn.Module]] = {
    F.dropout: nn.Dropout,
    F.dropout1d: nn.Dropout1d,
    F.dropout2d: nn.Dropout2d,
    F.dropout3d: nn.Dropout3d,
    F.alpha_dropout: nn.AlphaDropout,
    F.feature_alpha_dropout: nn.FeatureAlphaDropout,
}
"""Functions that drop values, and the modules that do so in training alone."""

DROPOUT_SETTINGS = ("p", "training", "inplace")
"""Their settings, in order."""


def _dropout(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Identity:
    """What a functional dropout does in evaluation; `training` is on unless the call says otherwise."""
    if training:
        nn.Dropout(p)  # which refuses what is no probability
        raise SettingError("it drops values even in evaluation: pass training=self.training")
    return nn.Identity()


def _calls() -> dict[Any, Reading]:
    same, in_format = spelled(nn.Identity), spelled(nn.Identity, "memory_format")
    return {
        "detach": same,
        **dict.fromkeys(("contiguous", "clone", torch.clone, "float"), in_format),
        **dict.fromkeys(DROPOUTS, spelled(_dropout, *DROPOUT_SETTINGS)),
    }


class Vanishing(KindOfOperation):
    """Modules and functions that hand on what they take."""

    name = "vanishing"
    meanings = (nn.Identity, FoldedNorm, *DROPOUTS.values())
    calls = _calls()
    effect = "keeps"
    views = frozenset((nn.Identity, *DROPOUTS, *DROPOUTS.values(), "contiguous", "detach"))
    keeps_dims = True
    passes_values = True
    vanishes = True

    def lower(self, call: Lowering) -> None:
        call.pass_on()

    def channels_last(self, meaning: Any, are_last: bool) -> bool | None:
        return are_last if type(meaning) in _LINEAR_IN_TRAINING else None


_LINEAR_IN_TRAINING = (nn.Identity, FoldedNorm, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
"""What a factor of a channel passes in training too: those for alpha dropout's networks move the mean."""

"""Float training with batch normalization that is gone afterwards: folded into the network that was given."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TypeAlias

from torch import Tensor, nn

from fewbits.errors import ModelError
from fewbits.quantization.batch_norm import batch_norms, fold_into
from fewbits.train.evaluation import evaluate
from fewbits.train.loop import Plan, train
from fewbits.train.record import TrainRecord

Convolution: TypeAlias = nn.Conv1d | nn.Conv2d

_NORM = "temporary_batch_norm"


def train_normalized(model: nn.Module, plan: Plan) -> TrainRecord:
    """`train` a copy in which the sums of each convolution are normalized, then fold that into the network given.

    Normalization by the statistics of the batch makes training faster and its result better (Ioffe and Szegedy, "Batch
    normalization", ICML 2015). Frozen and folded (see `fold_batch_norm`), it leaves a network of the structure that was
    given: the same weights, sums and hardware. The record's last notice gives the validation accuracy before and after.
    Raises what `train` raises, and ModelError before any training for a network without convolutions, with batch
    normalization of its own, or with a convolution that has no bias to fold into.
    """
    normalized = _normalize(model)
    record = train(normalized, plan)
    count = _fold(normalized)
    model.load_state_dict(normalized.state_dict())
    after = evaluate(model.to(plan.device), plan.data, plan.data.validation, device=plan.device).accuracy_percent
    notice = (
        f"batch normalization of {count} convolution{'s' * (count > 1)} folded into weights and biases after float "
        f"training, validation accuracy {record.best_validation_accuracy_percent:.2f} % before, {after:.2f} % after"
    )
    return replace(record, best_validation_accuracy_percent=after, notices=(*record.notices, notice))


def refuse_unfit(model: nn.Module) -> None:
    """Raise ModelError for a network that `train_normalized` does not take."""
    if batch_norms(model):
        raise ModelError(
            f"{type(model).__name__} has batch normalization of its own: leave out batch_normalization, the setting"
        )
    layers = _convolutions(model)
    if not layers:
        raise ModelError(f"{type(model).__name__} has no convolution whose sums batch_normalization could normalize")
    for name, layer in layers.items():
        if layer.bias is None:
            raise ModelError(f"convolution {name!r} has no bias to fold batch normalization into: give it one")


def _normalize(model: nn.Module) -> nn.Module:
    """A copy whose convolutions hold a normalization each, and apply it to their result."""
    refuse_unfit(model)
    normalized = copy.deepcopy(model)
    for layer in _convolutions(normalized).values():
        norm = nn.BatchNorm1d if isinstance(layer, nn.Conv1d) else nn.BatchNorm2d
        layer.add_module(_NORM, norm(layer.out_channels, device=layer.weight.device))
        layer.register_forward_hook(_apply)
    return normalized


def _apply(layer: nn.Module, _: tuple[Tensor, ...], sums: Tensor) -> Tensor:
    return layer.get_submodule(_NORM)(sums)


def _fold(normalized: nn.Module) -> int:
    """Fold and remove all normalizations, in place; how many there were. The hooks stay: the copy is not run again."""
    layers = _convolutions(normalized)
    for name, layer in layers.items():
        norm = layer.get_submodule(_NORM)
        assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
        fold_into(layer, norm, name)
        delattr(layer, _NORM)
    return len(layers)


def _convolutions(network: nn.Module) -> dict[str, Convolution]:
    """All convolutions by name; one that is used twice, once."""
    modules: dict[str, nn.Module] = dict(network.named_modules())
    return {name: module for name, module in modules.items() if isinstance(module, (nn.Conv1d, nn.Conv2d))}

"""Recipes: the ways to a network at a low precision, and the float training that they start from."""
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from fewbits.data import Dataset
from fewbits.errors import ModelError
from fewbits.formats import Precision
from fewbits.quantize import QuantizedModel, calibrate, quantize
from fewbits.train.evaluation import evaluate
from fewbits.train.loop import Plan, epoch_seed, train
from fewbits.train.progress import ProgressCallback
from fewbits.train.record import TrainRecord
from fewbits.train.settings import TrainSettings

RECIPES: dict[str, str] = {
    "post-training": "quantize the trained float network, choose radix points from data, train nothing",
    "fine-tune": "start from the trained float weights, quantize forward, update float shadow weights "
    "(Hashemi et al., DATE 2017)",
    "from-scratch": "the same from freshly initialized weights",
}
"""Names of the recipes and what they do."""

_SCALED_FAMILIES = ("binary", "ternary")
"""Families whose shadow weights are clipped at the scale, which then stays as it was first chosen: chosen again from
clipped weights, it would shrink each time."""


def train_float(
    model: nn.Module,
    data: Dataset,
    settings: TrainSettings | None = None,
    seed: int = 0,
    *,
    checkpoint_folder: str | Path | None = None,
    progress: ProgressCallback | None = None,
    device: str = "cpu",
) -> TrainRecord:
    """Train a float network in place; it ends with the weights of its best epoch on `data.validation`.

    model: takes `data.inputs(...)`, N x channels x height x width, and returns logits, N x classes. Training starts
    from its weights as they are. settings: None takes the defaults.
    checkpoint_folder: where to write `float-float32-seedN.safetensors` after each epoch; training goes on from it,
    exactly.
    Raises ModelError if training diverges or the folder holds another run's checkpoint, DataError for an empty split,
    StudyError if the folder cannot be used.
    """
    settings = settings or TrainSettings()
    plan = Plan(
        phase="float",
        data=data,
        settings=settings,
        seed=seed,
        run=_run_hash("float", model, "float32", data, settings, seed),
        checkpoint=_checkpoint_path(checkpoint_folder, "float", "float32", seed),
        progress=progress,
        device=device,
    )
    return train(model, plan)


def run_recipe(
    name: str,
    float_model: nn.Module,
    precision: str | Precision,
    data: Dataset,
    settings: TrainSettings | None = None,
    seed: int = 0,
    *,
    checkpoint_folder: str | Path | None = None,
    progress: ProgressCallback | None = None,
    device: str = "cpu",
) -> tuple[QuantizedModel, TrainRecord]:
    """Bring a network to a precision; it comes back in evaluation mode, on `device`.

    name: one of `RECIPES`. float_model: the trained float network; it stays as it is. For `from-scratch` only its
    shape counts: the weights are initialized anew from the seed.
    settings: None takes the defaults; `post-training` uses the calibration's alone.
    checkpoint_folder: where to write `NAME-PRECISION-seedN.safetensors` after each epoch; training goes on from it,
    exactly.
    Radix points are chosen from training images, before training and again before each epoch (the weights' scale of
    binary and ternary layers once). Nothing here sees the test split.
    Raises what `quantize`, `calibrate` and `train_float` raise; ModelError for an unknown recipe.
    """
    if name not in RECIPES:
        raise ModelError(f"unknown recipe {name!r}: give one of {', '.join(RECIPES)}")
    settings = settings or TrainSettings()
    model = quantize(float_model, precision).to(device)
    if name == "from-scratch":
        _initialize_anew(model, seed)
    run = _run_hash(name, model, model.precision.name, data, settings, seed)
    calibrator = _Calibrator(model, data, settings, seed)
    calibrator.calibrate_all()
    if name == "post-training":
        return model.eval(), _record_without_training(name, model, data, device)
    plan = Plan(
        phase=name,
        data=data,
        settings=settings,
        seed=seed,
        run=run,
        checkpoint=_checkpoint_path(checkpoint_folder, name, model.precision.name, seed),
        progress=progress,
        device=device,
        before_epoch=calibrator.calibrate_again,
        after_step=_clipper(model) if settings.clip_shadow_weights else lambda: None,
    )
    record = train(model, plan)
    return model.eval(), record


class _Calibrator:
    """Chooses a network's radix points from the same training images each time."""

    def __init__(self, model: QuantizedModel, data: Dataset, settings: TrainSettings, seed: int) -> None:
        self.model = model
        self.settings = settings
        generator = torch.Generator().manual_seed(epoch_seed(seed, 0))
        chosen = torch.randperm(len(data.train), generator=generator)[: settings.calibration_images]
        self.images = data.inputs(data.train.images[chosen])

    def calibrate_all(self) -> None:
        """Choose the radix points of weights and inputs."""
        self._calibrate(weights=True)

    def calibrate_again(self) -> None:
        """Choose those that training may move."""
        self._calibrate(weights=self.model.precision.weights.family not in _SCALED_FAMILIES)

    def _calibrate(self, weights: bool) -> None:
        calibrate(
            self.model,
            self.images,
            self.settings.calibration_method,
            percentile=self.settings.calibration_percentile,
            weights=weights,
        )


def _clipper(model: QuantizedModel) -> Callable[[], None]:
    """Clip the shadow weights of binary and ternary layers to the quantized range."""
    layers = [layer for layer in model.layers.values() if layer.weight_format.family in _SCALED_FAMILIES]

    def clip() -> None:
        with torch.no_grad():
            for layer in layers:
                low, high = layer.weight_format.limits(layer.weight_fraction_bits)
                layer.layer.weight.clamp_(low, high)

    return clip


def _record_without_training(name: str, model: QuantizedModel, data: Dataset, device: str) -> TrainRecord:
    """The record of a recipe that trains nothing."""
    accuracy = evaluate(model, data, data.validation, device=device).accuracy_percent
    return TrainRecord(
        phase=name,
        history=(),
        best_epoch=0,
        best_validation_accuracy_percent=accuracy,
        stopped_early=False,
        resumed_epochs=0,
    )


def _initialize_anew(model: nn.Module, seed: int) -> None:
    """Draw every parameter anew, as torch does when it makes the module; the global generator is put back."""
    with torch.random.fork_rng():
        torch.manual_seed(epoch_seed(seed, 0, 0))
        modules: dict[str, nn.Module] = dict(model.named_modules())  # pyright: ignore[reportUnknownArgumentType]
        for name, module in modules.items():
            if next(module.parameters(recurse=False), None) is None:
                continue
            reset = getattr(module, "reset_parameters", None)
            if not callable(reset):
                raise ModelError(
                    f"from-scratch: module {name!r} ({type(module).__name__}) has parameters but no reset_parameters; "
                    "add that method or use the recipe fine-tune on a fresh model"
                )
            reset()


def _checkpoint_path(folder: str | Path | None, name: str, precision: str, seed: int) -> Path | None:
    if folder is None:
        return None
    return Path(folder) / f"{name}-{precision.replace('/', '_')}-seed{seed}.safetensors"


def _run_hash(name: str, model: nn.Module, precision: str, data: Dataset, settings: TrainSettings, seed: int) -> str:
    """A hash of what defines a training run: the start's weights, the data, the settings and the seed."""
    digest = hashlib.sha256()
    parts = {"recipe": name, "precision": precision, "data": data.name, "settings": settings.definition(), "seed": seed}
    digest.update(json.dumps(parts, sort_keys=True).encode())
    for key, tensor in model.state_dict().items():
        digest.update(f"{key} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    for split in (data.train, data.validation):
        digest.update(f"{tuple(split.images.shape)}".encode())
        digest.update(_bytes(split.labels))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

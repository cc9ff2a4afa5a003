"""Recipes: the ways to a network at a low precision, and the float training that they start from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from fewbits.data import Dataset
from fewbits.data.torch_sets import for_training
from fewbits.errors import ModelError
from fewbits.formats import Precision
from fewbits.quantization import QuantizedModel, equalize_channels, quantize
from fewbits.torch_data import TorchData
from fewbits.train.best import trained_recipe
from fewbits.train.catalog import RECIPES, layers_refusal
from fewbits.train.computation import computation_sha256
from fewbits.train.identity import checkpoint_path, run_hash
from fewbits.train.loop import Plan, epoch_seed, train
from fewbits.train.options import RecipeOptions
from fewbits.train.progress import ProgressCallback
from fewbits.train.recipe_run import RecipeRun
from fewbits.train.record import TrainRecord
from fewbits.train.settings import TrainSettings
from fewbits.train.temporary_batch_norm import train_normalized


def train_float(
    model: nn.Module,
    data: Dataset | TorchData,
    settings: TrainSettings | None = None,
    seed: int = 0,
    *,
    checkpoint_folder: str | Path | None = None,
    progress: ProgressCallback | None = None,
    device: str = "cpu",
    keep_start: bool = False,
) -> TrainRecord:
    """Train a float network in place; it ends with the weights of its best epoch on `data.validation`.

    model: takes `data.inputs(...)`, N x channels x height x width, and returns logits, N x classes. Training starts
    from its weights as they are. settings: None takes the defaults; 0 epochs validate the network and change nothing.
    keep_start: whether those weights compete with the epochs, which suits weights that were trained before.
    data: a data set; or a torch Dataset or DataLoader of float images, which is read once and used as given, and of
    which a tenth is held out for validation (`fewbits.data.from_torch` takes parts).
    checkpoint_folder: where to write `float-float32-seedN.safetensors` after each epoch; training goes on from it,
    exactly.
    Raises ModelError if training diverges, the folder holds another run's checkpoint or a setting is not for float
    training, DataError for an empty split, StudyError if the folder cannot be used.
    """
    settings = settings or TrainSettings()
    given, data = data, for_training(data)
    if settings.equalize_channels:
        raise ModelError("equalize_channels is for recipes that start from the float network, not for float training")
    plan = Plan(
        phase="float",
        data=data,
        settings=settings,
        seed=seed,
        run=run_hash("float", model, "float32", data, settings, seed, {"keeps_start": True} if keep_start else None),
        computes=computation_sha256(model) if checkpoint_folder is not None else "",
        checkpoint=checkpoint_path(checkpoint_folder, "float", "float32", seed),
        progress=progress,
        device=device,
        keep_start=keep_start,
    )
    record = train_normalized(model, plan) if settings.batch_normalization else train(model, plan)
    return _with_notes(record, given, data)


def run_recipe(
    name: str,
    float_model: nn.Module,
    precision: str | Precision,
    data: Dataset | TorchData,
    settings: TrainSettings | None = None,
    seed: int = 0,
    *,
    options: RecipeOptions | None = None,
    layers: Mapping[str, str | Precision] | None = None,
    checkpoint_folder: str | Path | None = None,
    progress: ProgressCallback | None = None,
    device: str = "cpu",
) -> tuple[QuantizedModel, TrainRecord]:
    """Bring a network to a precision; it comes back in evaluation mode, on `device`.

    name: one of `RECIPES`. float_model: the trained float network; it stays as it is. For recipes that start from
    scratch only its shape counts: the weights are initialized anew from the seed.
    data: as `train_float` takes it.
    settings, options: None takes the defaults; `post-training` uses the calibration's alone.
    layers: other precisions for some layers, by name, as `quantize` takes them.
    checkpoint_folder: where to write `NAME-PRECISION-seedN.safetensors` after each epoch; training goes on from it,
    exactly.
    Radix points are chosen from training images; most recipes choose them again before each epoch (the weights' scale
    of binary and ternary layers once). Nothing here sees the test split.
    Raises what `quantize`, `calibrate` and `train_float` raise; ModelError for an unknown recipe, for a precision that
    it does not take, or for settings that are not for it.
    """
    settings = settings or TrainSettings()
    given, data = data, for_training(data)
    float_model = _start(name, float_model, settings)
    model = prepare_recipe(name, float_model, precision, layers).to(device)
    trained = trained_recipe(name, model.precision)
    if RECIPES[trained].start == "scratch":
        _initialize_anew(name, model, seed)
    run = RecipeRun(
        name=name,
        float_model=float_model,
        model=model,
        data=data,
        settings=settings,
        seed=seed,
        options=options or RecipeOptions(),
        option_names=RECIPES[trained].options,
        keeps_start=RECIPES[trained].start == "float",
        checkpoint_folder=checkpoint_folder,
        progress=progress,
        device=device,
    )
    record = RECIPES[trained].trainer()(run)
    return model.eval(), _with_notes(record, given, data)


def prepare_recipe(
    name: str,
    float_model: nn.Module,
    precision: str | Precision,
    layers: Mapping[str, str | Precision] | None = None,
) -> QuantizedModel:
    """The network that a recipe ends with, before training: its state takes what `run_recipe` returns.

    layers: other precisions for some layers, by name. Raises ModelError for an unknown recipe, or for a precision, of
    the network or of a layer, that it does not take; what `quantize` raises.
    """
    _refuse_unknown(name)
    model = quantize(float_model, precision, layers=layers)
    trained = trained_recipe(name, model.precision)
    own = (Precision(layer.weight_format, layer.input_format) for layer in model.layers.values())
    refuse_precisions(name, dict.fromkeys((model.precision, *own)), has_layers=bool(layers))
    if (preparation := RECIPES[trained].preparation()) is not None:
        preparation(model)
    return model


def refuse_precisions(name: str, precisions: Iterable[Precision], *, has_layers: bool) -> None:
    """Raise ModelError where a recipe does not take one of a network's precisions, or layers with their own.

    precisions: the network's first. has_layers: whether layers have some of their own.
    """
    network, *others = precisions
    trained = RECIPES[trained_recipe(name, network)]
    if has_layers and (refusal := layers_refusal(name, trained)) is not None:
        raise ModelError(refusal)
    for one in (network, *others):
        refusal = trained.refusal(name, one.name, one.weights.family, one.inputs.family)
        if refusal is not None:
            raise ModelError(refusal)


def refuse_untrained(name: str, settings: TrainSettings) -> None:
    """Raise ModelError for a recipe that draws new weights and would train them for 0 epochs."""
    if RECIPES[name].start == "scratch" and not settings.epochs:
        raise ModelError(f"{name} draws new weights, which 0 epochs leave untrained: give at least 1")


def _with_notes(record: TrainRecord, given: Dataset | TorchData, data: Dataset) -> TrainRecord:
    """The record, with what was found in torch data among its notices: nobody else keeps that data set."""
    return record if data is given else replace(record, notices=(*data.notes, *record.notices))


def _refuse_unknown(name: str) -> None:
    if name not in RECIPES:
        raise ModelError(f"unknown recipe {name!r}: give one of {', '.join(RECIPES)}")


def _start(name: str, float_model: nn.Module, settings: TrainSettings) -> nn.Module:
    """The float network as the recipe takes it."""
    _refuse_unknown(name)
    if settings.batch_normalization:
        raise ModelError("batch_normalization is for float training: give it to train_float, and not to a recipe")
    refuse_untrained(name, settings)
    if not settings.equalize_channels:
        return float_model
    if RECIPES[name].start == "scratch":
        raise ModelError(
            f"equalize_channels is for recipes that start from the float network, and {name} draws new weights"
        )
    return equalize_channels(float_model)


def _initialize_anew(recipe: str, model: nn.Module, seed: int) -> None:
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
                    f"{recipe}: module {name!r} ({type(module).__name__}) has parameters but no reset_parameters; "
                    "add that method or use the recipe fine-tune on a fresh model"
                )
            reset()

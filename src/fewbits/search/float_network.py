"""The trained float network that a search starts from: given, read from a file, or trained here and kept."""

from __future__ import annotations

import copy
import json
import shutil
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fewbits import models
from fewbits.data import Dataset
from fewbits.data.digest import data_sha256
from fewbits.errors import SearchError
from fewbits.graph.module_kinds import is_float_layer
from fewbits.models import ModelSource
from fewbits.quantization import QuantizedModel, batch_norms, fold_batch_norm
from fewbits.search.journal import CHECKPOINTS, NETWORKS, json_sha256
from fewbits.tensor_file import DamagedFileError, read_tensors, write_tensors
from fewbits.train import Progress, TrainSettings, train_float
from fewbits.train.checkpoint import UNFIT
from fewbits.train.computation import computation_sha256, state_sha256


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A trained float network, in evaluation mode on the CPU."""

    module: nn.Module
    """Normalization folded into the layers before it."""

    weights: str
    """Where its weights came from, in words."""

    file: Path | None
    """The weights' file; None for a module that was given."""

    notices: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of what it computes and of its weights."""
        return json_sha256({"computes": computation_sha256(self.module), "state": state_sha256(self.module)})


def fresh_network(model: str | nn.Module, dataset: Dataset, seed: int, source: ModelSource) -> nn.Module:
    """The network before any training, in evaluation mode, tried on one image of the data.

    Raises SearchError, ModelError or DataError if it does not take the images or gives no logits of their classes.
    """
    if isinstance(model, nn.Module):
        if isinstance(model, QuantizedModel):
            raise SearchError("the model is quantized already: give the float model")
        network, name = model, type(model).__name__
    else:
        shape = models.input_shape(model, source=source)
        if shape is not None:
            dataset.require_shape(shape, model)
        network, name = models.build(model, seed, source=source), model
    modes = {part: part.training for part in network.modules()}
    try:
        with torch.no_grad():
            logits: object = network.eval()(dataset.inputs(dataset.train.images[:1]))
    except Exception as error:  # whatever a user's forward raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        size = " x ".join(map(str, dataset.image_shape))
        raise SearchError(
            f"model {name!r} does not take the images of data {dataset.name!r} ({size}): {reason}"
        ) from None
    finally:
        for part, training in modes.items():
            part.training = training
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < dataset.classes:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise SearchError(
            f"model {name!r} returns {given} for one image of data {dataset.name!r}: it must return logits of shape "
            f"(1, {dataset.classes})"
        )
    return network


def folded(network: nn.Module, image_shape: tuple[int, ...]) -> nn.Module:
    """The network as it is quantized: normalization folded, in evaluation mode; a module that was given stays."""
    if is_float_layer(network):  # as `quantize` names it
        network = nn.Sequential(OrderedDict(layer=network))
    made = (fold_batch_norm(network.eval()) if batch_norms(network) else network).eval()
    if getattr(made, "input_shape", None) is None:  # what each rewrite proves itself on need not be looked for
        made = copy.copy(made)
        made.input_shape = image_shape  # pyright: ignore[reportArgumentType]
    return made


def trained_network(
    model: str | nn.Module,
    dataset: Dataset,
    *,
    weights: Path | None,
    seed: int,
    device: str,
    folder: Path | None,
    progress: Callable[[Progress], None] | None,
    source: ModelSource,
) -> FloatNetwork:
    """The float network to search with: a module as it is given; a model with the weights of a file; else trained with
    the default settings, from its checkpoint in the folder if there is one, or as the folder keeps it.
    """
    if isinstance(model, nn.Module):
        if weights is not None:
            raise SearchError("weights are for a model's name: a module is searched with those that it has")
        return FloatNetwork(folded(model, dataset.image_shape), "those of the module that was given", None)
    network = models.build(model, seed, source=source)
    if weights is not None:
        notices = models.load_weights(network, weights)
        said = f"weights {weights.name!r}: {'; '.join(notices)}" if notices else ""
        return FloatNetwork(
            folded(network, dataset.image_shape), f"file {weights.name}", weights, (said,) if said else ()
        )
    settings = TrainSettings()
    definition = {
        "computes": computation_sha256(network),
        "state": state_sha256(network),
        "data": data_sha256(dataset, with_test=False),
        "settings": asdict(settings),
        "seed": seed,
        "device": device.partition(":")[0],
    }
    key = json_sha256(definition)
    file = None if folder is None else folder / NETWORKS / f"float-{key[:16]}.safetensors"
    words = f"trained here for {settings.epochs} epochs, seed {seed}"
    if file is not None and _filled(network, file, key):
        return FloatNetwork(folded(network, dataset.image_shape), words, file)
    trained = models.build(model, seed, source=source)
    checkpoints = checkpoints_of(folder, definition)
    record = train_float(
        trained,
        dataset,
        settings,
        seed,
        checkpoint_folder=checkpoints,
        progress=progress,
        device=device,
    )
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.state_dict().items()}
    if file is not None:
        write_tensors(file, state, json.dumps({"key": key}))
        remove_checkpoints(checkpoints)
    network.load_state_dict(state)  # so that layouts do not depend on how the weights came
    return FloatNetwork(folded(network, dataset.image_shape), words, file, record.notices)


def checkpoints_of(folder: Path | None, definition: Mapping[str, Any]) -> Path | None:
    """Where the checkpoints of a training lie, in a search's folder: one for each definition."""
    return None if folder is None else folder / CHECKPOINTS / json_sha256(definition)[:16]


def remove_checkpoints(folder: Path | None) -> None:
    """Remove what an ended training left."""
    if folder is not None and folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


def _filled(network: nn.Module, file: Path, key: str) -> bool:
    """Fill a network with the kept weights; whether there are whole ones of this key."""
    try:
        tensors, record = read_tensors(file, needs_digest=True)
        if record.get("key") != key:
            return False
        network.load_state_dict(tensors)
    except (OSError, DamagedFileError, *UNFIT):
        return False
    return True


@contextmanager
def one_thread() -> Generator[None]:
    """Sums of floats depend on how many threads add them: with one, a search gives the same digits everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

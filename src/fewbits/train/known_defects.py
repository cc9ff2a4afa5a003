"""Retraining that knows what is broken: fine-tuning with the defects in the forward pass."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from torch import Tensor

from fewbits.data import Dataset
from fewbits.data.torch_sets import for_training
from fewbits.errors import ModelError
from fewbits.quantization import QuantizedModel, settle
from fewbits.quantization.methods.known_defects import KnownDefects, set_known_defects
from fewbits.torch_data import TorchData
from fewbits.train.options import RecipeOptions
from fewbits.train.recipe_run import RecipeRun
from fewbits.train.settings import TrainSettings
from fewbits.train.shadow_weights import straight_through

_IMAGES = 256
"""Training images on which what is known of faults may be measured."""


@dataclass(frozen=True, eq=False)
class DefectRetraining:
    """Fine-tunes copies of a quantized model with defects in the forward pass."""

    model: QuantizedModel
    """Trained and calibrated, its shadow weights as its recipe left them; it stays as it is."""

    data: Dataset
    settings: TrainSettings
    """But for the epochs, which are those that are asked for."""

    device: str = "cpu"

    @property
    def images(self) -> Tensor:
        """Some training images, normalized."""
        return self.data.inputs(self.data.train.images[: min(_IMAGES, len(self.data.train))])

    def __call__(self, known: KnownDefects, epochs: int, seed: int) -> QuantizedModel:
        """A copy, trained as the recipe `fine-tune` trains: sound layers again, to be computed with the defects.

        The epoch is kept that is best on the validation images with the defects; the state that it starts from
        competes. Raises ModelError where `set_known_defects` does.
        """
        copied = copy.deepcopy(self.model).to(self.device)
        set_known_defects(copied, known)
        straight_through(
            RecipeRun(
                name="fine-tune",
                float_model=copied,
                model=copied,
                data=self.data,
                settings=replace(self.settings, epochs=epochs),
                seed=seed,
                options=RecipeOptions(),
                option_names=(),
                keeps_start=True,
                checkpoint_folder=None,
                progress=None,
                device=self.device,
            )
        )
        settle(copied)
        return copied.cpu().eval()


def retraining_with_defects(
    model: QuantizedModel,
    data: Dataset | TorchData,
    settings: TrainSettings | None = None,
    *,
    device: str = "cpu",
) -> DefectRetraining:
    """What `fewbits.hardware.defects.measure_defects` retrains with.

    model: trained and calibrated. data, settings: as for `run_recipe`; None takes the defaults.
    Raises ModelError for anything but a quantized model, and what reading `data` raises.
    """
    if not isinstance(model, QuantizedModel):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"retraining takes what fewbits.quantize returns, trained, not {type(model).__name__}")
    return DefectRetraining(model, for_training(data), settings or TrainSettings(), device)

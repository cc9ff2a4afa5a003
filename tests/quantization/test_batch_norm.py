"""Batch normalization folds into the layer before it without a trace; what cannot be folded stays and is named."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits.models import build
from fewbits.quantization import batch_norms

IMAGES = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 + 1


def normalized(bias: bool = False, affine: bool = True) -> nn.Sequential:
    """A network whose normalizations have seen images."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4, affine=affine), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(144, 5, bias=bias), nn.BatchNorm1d(5, eps=1e-3), nn.ReLU(), nn.Linear(5, 2)),
    )
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
            nn.init.uniform_(module.weight, -2, 2)
            nn.init.uniform_(module.bias, -1, 1)
    model.train()(IMAGES)
    return model.eval()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
def test_a_folded_network_computes_the_same(bias: bool, affine: bool) -> None:
    model = normalized(bias, affine).double()
    folded = fb.fold_batch_norm(model)
    assert batch_norms(folded) == ()
    assert torch.allclose(folded(IMAGES.double()), model(IMAGES.double()), rtol=1e-12, atol=1e-12)


def test_a_folded_layer_is_that_of_torchs_own_folding() -> None:
    model = normalized(bias=True)
    expected = nn.utils.fuse_conv_bn_eval(model[0], model[1])
    folded = fb.fold_batch_norm(model)
    assert torch.allclose(folded[0].weight, expected.weight, rtol=1e-6)
    assert torch.allclose(folded[0].bias, expected.bias, rtol=1e-5)


def test_the_users_model_stays_as_it_is() -> None:
    model = normalized()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fb.fold_batch_norm(model)
    assert batch_norms(model) == ("1", "5")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_after_folding_nothing_is_left_float() -> None:
    model = normalized()
    assert [entry.name for entry in fb.quantize(model, "fixed8").skipped] == ["1", "5"]
    assert fb.quantize(fb.fold_batch_norm(model), "fixed8").skipped == ()


@pytest.mark.parametrize("name", ["resnet20", "mobilenet-small", "vgg"])
def test_the_built_in_networks_fold_whole(name: str) -> None:
    folded = fb.fold_batch_norm(build(name, seed=0))
    assert batch_norms(folded) == ()


class Normalized(nn.Module):
    """Normalizations that cannot be folded: of images, of a value that others use, of a layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.shared, self.twice = (nn.BatchNorm2d(3) for _ in range(3))
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.image(x))
        x = self.shared(x) + x
        return self.twice(self.second(x)) + self.second(x)


def test_what_cannot_be_folded_stays_and_is_named() -> None:
    folded = fb.fold_batch_norm(Normalized())
    assert batch_norms(folded) == ("image", "shared", "twice")
    assert [entry.name for entry in fb.quantize(folded, "fixed8").skipped] == ["image", "shared", "twice"]


def test_a_normalization_without_statistics_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(fb.ModelError, match="layer '1' keeps no running statistics"):
        fb.fold_batch_norm(model)


def test_a_quantized_network_folds_after_training_and_is_calibrated_anew() -> None:
    model = normalized()
    quantized = fb.quantize(model, "fixed16")
    fb.calibrate(quantized, IMAGES)
    folded = fb.fold_batch_norm(quantized).eval()
    assert folded.skipped == ()
    with pytest.raises(fb.ModelError, match="no radix points"):
        folded(IMAGES)
    fb.calibrate(folded, IMAGES)
    network = fb.lower(folded, IMAGES)
    assert torch.allclose(network.run(IMAGES).float(), model(IMAGES), atol=2e-2)
    assert torch.equal(network.predict(IMAGES), model(IMAGES).argmax(1))

"""Claims about devices: names are checked, integers on any device are those of the CPU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from random_networks import INTEGER_PRECISIONS, Case, lowered, networks
from torch import nn

import fewbits as fb
from fewbits.bitexact import exact_arithmetic
from fewbits.bitexact.integer import IntegerExecutor
from fewbits.bitexact.network import exact_values
from fewbits.bitexact.tables import INTEGER
from fewbits.devices import parse_device
from fewbits.graph.operations import InputRounding
from fewbits.models import build

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
IMAGES = torch.randn(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def lenet(precision: str) -> fb.BitExactNetwork:
    model = fb.quantize(build("lenet", seed=0), precision).eval()
    fb.calibrate(model, IMAGES)
    return fb.lower(model, IMAGES)


@pytest.mark.parametrize(
    ("given_device", "sentence"),
    [
        ("gpu", "unknown device 'gpu'"),
        ("", "unknown device ''"),
        ("mps", "device 'mps' is none that fewbits computes on"),
        ("meta", "device 'meta' is none"),
        ("cpu:3", "there is one CPU, no 'cpu:3'"),
        (0, "a device is a name or a torch.device, not 0"),
        (None, "a device is a name or a torch.device, not None"),
        ("cuda:99", "device 'cuda:99' is not here"),
    ],
)
def test_a_device_that_cannot_be_is_refused_with_a_line(given_device: object, sentence: str) -> None:
    with pytest.raises(fb.ModelError, match=sentence) as error:
        parse_device(given_device)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("run", ["run", "predict", "accumulators"])
def test_cuda_without_a_gpu_is_refused_with_a_line(run: str) -> None:
    with pytest.raises(fb.ModelError, match=r"sees no CUDA device; give 'cpu'"):
        getattr(lenet("fixed8"), run)(IMAGES, device="cuda")


def test_the_cpu_can_be_named() -> None:
    network = lenet("fixed8")
    assert torch.equal(network.run(IMAGES, device="cpu"), network.run(IMAGES))
    assert torch.equal(network.predict(IMAGES, device=torch.device("cpu")), network.predict(IMAGES))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(INTEGER_PRECISIONS))
def test_what_a_gpu_executes_gives_the_cpus_integers(case: Case) -> None:
    """The executor of other devices, run on the CPU, beside the CPU's own."""
    network = lowered(case)
    with exact_arithmetic.exact_arithmetic("cpu"):
        generic = exact_values(IntegerExecutor(network.operations).logits(case.images))
    assert bool((generic == network.accumulators(case.images)).all())


class Everything(nn.Module):
    """One of each kind of operation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.first(x)), 2)
        x = torch.relu(self.second(x) + x)
        x = torch.cat([x, nn.functional.max_pool2d(x, 1)], dim=1)
        return self.head(nn.functional.avg_pool2d(x, 2).flatten(1))


@pytest.mark.parametrize("precision", ["fixed8", "binary", "pow2-6/fixed16", "fixed16"])
def test_each_step_makes_its_tensors_where_its_operands_are(precision: str) -> None:
    """Torch's meta device holds shapes alone, and refuses to mix with the CPU as a GPU does."""
    images = torch.randn(2, 2, 8, 8)
    model = fb.quantize(Everything(), precision).eval()
    fb.calibrate(model, images)
    operations = fb.lower(model, images).operations
    shapes = {operations[0].inputs[0]: operations[0].output_shape}
    checked = 0
    for operation in operations:
        shapes[operation.name] = operation.output_shape
        if isinstance(operation, InputRounding):  # asks whether there is NaN, which shapes cannot tell
            continue
        sources = [torch.empty(2, *shapes[name], dtype=torch.float64, device="meta") for name in operation.inputs]
        result = INTEGER.of(operation)(operation)(*sources)
        assert result.device.type == "meta", operation.name
        assert tuple(result.shape) == (2, *operation.output_shape)
        checked += 1
    assert checked == len(operations) - 1


def test_a_device_that_rounds_products_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that keeps 11 significant bits of a float32 operand, as TF32 does."""
    exact_arithmetic.check_products(torch.device("cpu"))
    whole = torch.Tensor.__matmul__

    def shortened(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        if first.dtype is torch.float32:
            first, second = (fb.parse_format("float-e7m10").quantize(each) for each in (first, second))
        return whole(first, second)

    monkeypatch.setattr(torch.Tensor, "__matmul__", shortened)
    with pytest.raises(fb.ModelError, match=r"rounds products of torch\.float32 .* device='cpu'"):
        exact_arithmetic.check_products(torch.device("cpu"))


@needs_gpu
@pytest.mark.parametrize("precision", ["fixed4", "fixed8", "fixed16", "fixed32", "pow2-6/fixed16", "binary", "float32"])
def test_a_gpu_computes_the_cpus_integers(precision: str) -> None:
    """float32 too: its sums have an order, and are computed on the CPU."""
    network = lenet(precision)
    expected = network.accumulators(IMAGES)
    assert bool((network.accumulators(IMAGES, device="cuda") == expected).all())
    assert torch.equal(network.run(IMAGES.cuda()).cpu(), network.run(IMAGES))
    assert network.run(IMAGES.cuda()).is_cuda


@needs_gpu
def test_a_model_on_a_gpu_is_quantized_calibrated_and_lowered_as_on_the_cpu() -> None:
    there = fb.quantize(build("lenet", seed=0).cuda(), "fixed8").eval()
    fb.calibrate(there, IMAGES)
    assert all(buffer.is_cuda for buffer in there.buffers())
    here = fb.quantize(build("lenet", seed=0), "fixed8").eval()
    fb.calibrate(here, IMAGES)
    assert [each.weight_fraction_bits for each in there.calibration] == [
        each.weight_fraction_bits for each in here.calibration
    ]
    assert torch.equal(fb.lower(there, IMAGES.cuda()).run(IMAGES), fb.lower(here, IMAGES).run(IMAGES))


@needs_gpu
@pytest.mark.parametrize(
    "name", ["fixed8", "fixed4", "pow2-6", "ternary", "binary", "fp8-e4m3", "float-e2m1", "float16"]
)
def test_a_gpu_rounds_as_the_cpu_does(name: str) -> None:
    x = torch.cat([torch.randn(1000) * 10, torch.tensor([0.0, -0.0, 1e30, -1e30, 1e-30])])
    number_format = fb.parse_format(name)
    assert torch.equal(
        number_format.quantize(x.cuda(), 2).cpu().view(torch.int32), number_format.quantize(x, 2).view(torch.int32)
    )

"""One answer: `cost`, `lower`, `fewbits rtl` and `skipped` compute a network, or refuse it in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import fewbits as fb
from fewbits.cli import main
from fewbits.errors import FewbitsError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.compiler import compile_network
from fewbits.hardware.datapath.neuron_design import design

SHAPE = (3, 8, 8)
IMAGES = torch.rand((4, *SHAPE), generator=torch.Generator().manual_seed(0))
DESIGN = design(fb.parse_precision("fixed8"))


class Net(nn.Module):
    """A module, or a function of the network, between two convolutions, and a classifier."""

    def __init__(self, middle: nn.Module | Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.middle = middle
        self.extra = nn.Conv2d(4, 4, 1)
        self.unused = nn.Softmax(1)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.middle(x) if isinstance(self.middle, nn.Module) else self.middle(self, x)
        return self.fc(F.adaptive_avg_pool2d(self.last(x), 1).flatten(1))


def answer(request: Callable[[], object]) -> str | None:
    """What a request is refused with; None if it is computed."""
    try:
        request()
    except FewbitsError as error:
        return str(error)
    return None


def answers(net: nn.Module) -> dict[str, str | None]:
    """The refusal of each reader; None where it computes the network."""
    found = {"cost of the module": answer(lambda: fb.cost(net, "fixed8", input_shape=SHAPE))}
    quantized = fb.quantize(fb.fold_batch_norm(net), "fixed8")
    found["calibrate"] = answer(lambda: fb.calibrate(quantized, IMAGES))
    found["skipped"] = str(quantized.skipped[0]) if quantized.skipped else None
    found["cost of the quantized network"] = answer(lambda: fb.cost(quantized, input_shape=SHAPE))
    found["lower"] = answer(lambda: fb.lower(quantized, IMAGES))
    found["rtl"] = found["lower"]
    if found["lower"] is None:
        lowered = fb.lower(quantized, IMAGES)
        found["rtl"] = answer(lambda: compile_network(lowered, DESIGN, Accelerator()))
        found["cost of the lowered network"] = answer(lambda: fb.cost(lowered))
    return {reader: given for reader, given in found.items() if reader != "calibrate"}


COMPUTED: list[nn.Module] = [
    *(nn.ReLU(), nn.Identity(), nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.FeatureAlphaDropout()),
    *(nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False), nn.SyncBatchNorm(4)),
    *(nn.Conv2d(4, 4, (1, 2), padding="same"), nn.Conv2d(4, 4, 3, dilation=2, groups=2)),
    *(nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.MaxPool2d(2, dilation=2), nn.MaxPool2d((3, 2), 1)),
    *(nn.AvgPool2d(2), nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    *(nn.AvgPool2d(2, divisor_override=3), nn.AdaptiveAvgPool2d(4), nn.AdaptiveAvgPool2d((2, None))),
    *(nn.AdaptiveMaxPool2d(2), nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (8, 8)))),
]

REFUSED: list[nn.Module] = [
    *(nn.ReLU6(), nn.Hardtanh(-0.3, 0.7), nn.LeakyReLU(), nn.PReLU(), nn.RReLU(), nn.ELU(), nn.CELU(), nn.SELU()),
    *(nn.GELU(), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Softshrink(), nn.Hardshrink(), nn.Hardswish(), nn.Tanh()),
    *(nn.Hardsigmoid(), nn.Tanhshrink(), nn.Softsign(), nn.Threshold(0.1, 0), nn.LogSigmoid(), nn.Sigmoid()),
    *(nn.Softmax(1), nn.LogSoftmax(1), nn.Softmax2d(), nn.Softmin(1)),
    *(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.LayerNorm([4, 8, 8]), nn.LocalResponseNorm(2), nn.RMSNorm(8)),
    *(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)), nn.Sequential(nn.MaxPool2d(2), nn.BatchNorm2d(4))),
    *(nn.ZeroPad2d(1), nn.ReflectionPad2d(1), nn.ReplicationPad2d(1), nn.CircularPad2d(1), nn.ConstantPad2d(1, 0.5)),
    *(nn.Conv2d(4, 4, 3, padding=1, padding_mode=mode) for mode in ("reflect", "replicate", "circular")),
    *(nn.ConvTranspose2d(4, 4, 3), parametrizations.weight_norm(nn.Conv2d(4, 4, 1))),
    *(nn.AdaptiveAvgPool2d(3), nn.AdaptiveMaxPool2d(5), nn.LPPool2d(2, 2), nn.FractionalMaxPool2d(2, output_size=4)),
    *(nn.Upsample(scale_factor=2), nn.UpsamplingNearest2d(scale_factor=2), nn.ChannelShuffle(2)),
    nn.Sequential(nn.PixelUnshuffle(2), nn.PixelShuffle(2)),
]


def name_of(value: object) -> str:
    return type(value).__name__ if isinstance(value, nn.Module) else ""


@pytest.mark.parametrize("module", COMPUTED, ids=name_of)
def test_what_one_computes_all_compute(module: nn.Module):
    assert set(answers(Net(module).eval()).values()) == {None}


@pytest.mark.parametrize("module", REFUSED, ids=name_of)
def test_what_one_refuses_all_refuse_in_one_sentence(module: nn.Module):
    (sentence,) = set(answers(Net(module).eval()).values())
    assert sentence is not None
    assert "'middle" in sentence
    assert type(module).__name__ in sentence or isinstance(module, nn.Sequential)
    assert "cannot be lowered: " in sentence


SPELLINGS_COMPUTED: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "clamp(min=0)": lambda net, x: x.clamp(min=0),
    "clamp_min(0)": lambda net, x: torch.clamp_min(x, 0.0),
    "squeeze": lambda net, x: x.unsqueeze(1).squeeze(1),
    "sizes": lambda net, x: x.view(x.size(0), x.size(1) * x.size(2) * x.size(3)).view(-1, 4, 8, 8),
    "batch size": lambda net, x: x.reshape(x.shape[0], -1).view(x.size()[0], 4, 8, 8),
    "unflatten": lambda net, x: x.flatten(2).unflatten(2, (8, 8)),
    "whole window": lambda net, x: F.avg_pool2d(x, x.size()[2:]),
    "size of a layer": lambda net, x: x.view(-1, net.last.in_channels, 8, 8),
    "clone": lambda net, x: x.clone().contiguous().detach().float(),
    "sum()": lambda net, x: sum([x, net.extra(x)]),
    "checked": lambda net, x: (torch._assert(x.shape[2] == 8, "size"), x)[1],
    "dropout": lambda net, x: F.dropout(x, training=net.training),
    "addition": lambda net, x: F.relu(net.extra(x) + x),
}

SPELLINGS_REFUSED: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "relu6": lambda net, x: F.relu6(x),
    "hardtanh": lambda net, x: F.hardtanh(x, 0, 6),
    "clamp": lambda net, x: x.clamp(0, 6),
    "softmax": lambda net, x: x.softmax(1),
    "pad": lambda net, x: F.pad(x, (1, 1, 1, 1)),
    "pad, reflected": lambda net, x: F.pad(x, (1, 1, 1, 1), "reflect"),
    "permute": lambda net, x: x.permute(0, 1, 3, 2),
    "transpose": lambda net, x: x.transpose(2, 3),
    "slice": lambda net, x: x[:, :, 1:],
    "chunk": lambda net, x: torch.cat(x.chunk(2, 1), 1),
    "split": lambda net, x: x.split(2, 1)[0].repeat(1, 2, 1, 1),
    "times 2": lambda net, x: 2 * x,
    "halved": lambda net, x: x / 2,
    "negative": lambda net, x: -x,
    "difference": lambda net, x: net.extra(x) - x,
    "gate": lambda net, x: x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1)),
    "scaled": lambda net, x: x * net.scale,
    "own tensor": lambda net, x: x + net.scale,
    "plus 1": lambda net, x: x + 1,
    "broadcast": lambda net, x: x + F.adaptive_avg_pool2d(x, 1),
    "broadcast mean": lambda net, x: x + x.mean((2, 3), keepdim=True),
    "interpolate": lambda net, x: F.interpolate(x, scale_factor=2),
    "shuffle": lambda net, x: F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2),
    "squeeze all": lambda net, x: x.squeeze(),
    "dropout always": lambda net, x: F.dropout(x, 0.5),
    "conv2d": lambda net, x: F.conv2d(x, net.scale.view(1, 4, 1, 1).repeat(4, 1, 1, 1)),
    "unpacked": lambda net, x: x.view(*x.shape),
    "decides on values": lambda net, x: x if x.sum() > 0 else -x,
    "decides on a shape": lambda net, x: x if x.shape[2] == 8 else -x,
    "only in training": lambda net, x: x + net.extra(x) if net.training else x,
    "two results": lambda net, x: F.max_pool2d(x, 2, return_indices=True)[0],
}


@pytest.mark.parametrize("spelling", SPELLINGS_COMPUTED)
def test_what_is_spelled_otherwise_is_computed_by_all(spelling: str):
    net = Net(SPELLINGS_COMPUTED[spelling]).eval()
    assert set(answers(net).values()) == {None}
    quantized = fb.quantize(net, "fixed16")
    fb.calibrate(quantized, IMAGES)
    with torch.no_grad():
        torch.testing.assert_close(fb.lower(quantized, IMAGES).run(IMAGES).float(), net(IMAGES), rtol=0, atol=0.01)


@pytest.mark.parametrize("spelling", SPELLINGS_REFUSED)
def test_what_is_spelled_by_functions_is_refused_by_all_in_one_sentence(spelling: str):
    (sentence,) = set(answers(Net(SPELLINGS_REFUSED[spelling]).eval()).values())
    assert sentence is not None
    assert "cannot be lowered: " in sentence


CASES = {"ReLU": True, "ReLU6": False, "Hardtanh": False, "Softmax": False}


@pytest.mark.parametrize(("kind", "computed"), CASES.items())
def test_what_looked_like_a_relu_costs_what_lower_computes(kind: str, computed: bool, networks_that_went_wrong):
    model, images, _ = networks_that_went_wrong.priced_but_refused(kind)
    quantized = fb.quantize(model, "fixed8")
    fb.calibrate(quantized, images)
    refusals = {
        answer(lambda: fb.cost(model, "fixed8", input_shape=(1, 8, 8))),
        answer(lambda: fb.cost(quantized, input_shape=(1, 8, 8))),
        answer(lambda: fb.lower(quantized, images)),
    }
    assert len(refusals) == 1
    assert (refusals == {None}) == computed == (not quantized.skipped)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 4, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(124, 2)),
        nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Flatten(1), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 2)),
    ],
)
def test_images_may_be_reshaped_before_the_first_layer(model: nn.Module):
    assert set(answers(model.eval()).values()) == {None}


def test_a_gate_is_refused_by_all_at_its_first_function(networks_that_went_wrong):
    gate = networks_that_went_wrong.Gate().eval()
    (sentence,) = set(answers(gate).values())
    assert sentence is not None
    assert sentence.startswith("call 'sigmoid' (sigmoid) cannot be lowered: ")


@pytest.fixture
def networks_that_went_wrong(monkeypatch, request):
    """The module of `../shared/cases/networks.py`."""
    folder = request.config.rootpath.parent / "shared" / "cases"
    if not (folder / "networks.py").is_file():
        pytest.skip(f"{folder} is not here")
    monkeypatch.syspath_prepend(str(folder))
    import networks

    yield networks
    sys.modules.pop("networks", None)


USERS_FILE = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Hardtanh(-0.3, 0.7), nn.Flatten(), nn.Linear(2704, 10))

make.input_shape = (1, 28, 28)
"""


def test_the_commands_cost_and_rtl_refuse_a_model_by_name_in_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "net.py").write_text(USERS_FILE)
    monkeypatch.chdir(tmp_path)
    lines: set[str] = set()
    for arguments in (["cost", "net.py:make", "fixed8"], ["rtl", "fixed8", "--model", "net.py:make", "--out", "rtl"]):
        assert main(arguments) == 2
        lines.add(capsys.readouterr().err)
    (line,) = lines
    assert line.startswith("fewbits: layer '1' (Hardtanh) cannot be lowered: ")
    assert "use nn.ReLU" in line


class Joined(nn.Module):
    """Two branches, concatenated, and what ends the network."""

    def __init__(self, end: nn.Module) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(8, 4, 1)
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.last(torch.cat([self.left(x), self.right(x)], 1)))


@pytest.mark.parametrize(
    ("model", "refused", "noted"),
    [
        (
            Joined(nn.Identity()),
            "(Concatenation) is not in the accelerator's circuit",
            "'cat' is counted as addressing",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "ends the network with a ReLU", "'1' behind the last sums"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)), "is not rounded", "'1' behind the last sums"),
    ],
)
def test_what_has_a_cost_but_no_circuit_yet_is_named_in_the_notes(model: nn.Module, refused: str, noted: str):
    quantized = fb.quantize(model.eval(), "fixed8")
    fb.calibrate(quantized, IMAGES)
    network = fb.lower(quantized, IMAGES)
    assert refused in (answer(lambda: compile_network(network, DESIGN, Accelerator())) or "")
    for cost in (
        fb.cost(model, "fixed8", input_shape=SHAPE),
        fb.cost(quantized, input_shape=SHAPE),
        fb.cost(network),
    ):
        (note,) = (note for note in cost.notes if "fewbits rtl" in note)
        assert "is not in the circuit that fewbits rtl writes" in note
        assert noted in note


def test_a_network_that_the_circuit_computes_has_no_such_note():
    model = Net(nn.ReLU()).eval()
    assert not [note for note in fb.cost(model, "fixed8", input_shape=SHAPE).notes if "fewbits rtl" in note]


@pytest.mark.parametrize("precision", ["binary", "fp8-e4m3"])
def test_averages_that_the_circuit_lacks_are_noted(precision: str):
    notes = fb.cost(Net(nn.ReLU()).eval(), precision, input_shape=SHAPE).notes
    assert any(note.startswith(f"an average of {precision} is not in the circuit") for note in notes)

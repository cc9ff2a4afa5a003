"""Chunks of 16 synapses of 16 outputs are ranked by what the loss loses without them, and computed approximately."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fewbits import FormatError, ModelError, calibrate, first_difference, lower, quantize
from fewbits.data import Dataset
from fewbits.formats.switched_units import SwitchedUnits, narrow_format
from fewbits.train import Progress, RecipeOptions, TrainSettings, run_recipe, train_float
from fewbits.train.unit_sensitivity import ranked_synapses

SETTINGS = TrainSettings(epochs=2, batch_size=50, learning_rate=0.01)
MARGIN = {"error_margin_points": 100, "share_a_round": 0.5}


@pytest.fixture(scope="module")
def network(quadrants: Dataset) -> nn.Module:
    """A convolution of 36 synapses, so of 3 chunks, with 20 outputs, so of 2 units, and the layer of the classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 20, 3), nn.Flatten(), nn.Linear(320, 4))
    train_float(made, quadrants, TrainSettings(epochs=2, batch_size=50))
    return made


def approximated(network: nn.Module, data: Dataset, precision: str = "fixed8", **options):
    return run_recipe("approximate-synapses", network, precision, data, SETTINGS, options=RecipeOptions(**options))


@pytest.mark.parametrize("approximation", ["fixed4", "dropped"])
def test_lowered_networks_compute_what_was_trained(network: nn.Module, quadrants: Dataset, approximation: str):
    q, record = approximated(network, quadrants, approximation=approximation, **MARGIN)
    assert any(layer.switched and layer.switched.chunks for layer in q.layers.values()) or record.rounds[-1].switched
    images = quadrants.inputs(quadrants.test.images)
    assert first_difference(q, lower(q, images[:1]), images) is None


def test_convolutions_switch_chunks_and_classifiers_whole_outputs(network: nn.Module, quadrants: Dataset):
    _, record = approximated(network, quadrants, **MARGIN)
    assert record.rounds[0].units == 1 + 2 * 3 + 1


def test_rounds_tell_the_front(network: nn.Module, quadrants: Dataset):
    _, record = approximated(network, quadrants, approximation="dropped", **MARGIN)
    assert [one.number for one in record.rounds] == list(range(len(record.rounds)))
    assert record.rounds[0].switched == 0
    assert not record.rounds[0].layers
    assert record.rounds[-1].switched == record.rounds[-1].units


def test_dropped_weights_are_zeros_and_stay_so(network: nn.Module, quadrants: Dataset):
    q = calibrate(quantize(network, "fixed8"), quadrants.inputs(quadrants.train.images))
    layer = q.layers["2"]
    layer.switch(SwitchedUnits("dropped", (), ((0, 1),)))
    assert not layer.quantized_weight().flatten(1)[:16, 16:32].any()
    assert layer.quantized_weight().flatten(1)[16:, 16:32].any()
    q.train()
    q(quadrants.inputs(quadrants.train.images[:8])).sum().backward()
    assert not layer.layer.weight.grad.flatten(1)[:16, 16:32].any()
    assert layer.layer.weight.grad.flatten(1)[:16, :16].any()


def test_dropped_products_equal_the_tables_of_zeros(network: nn.Module, quadrants: Dataset):
    images = quadrants.inputs(quadrants.test.images[:20])
    q = calibrate(quantize(network, "fixed8"), images)
    switched = SwitchedUnits("dropped", (1,), ((0, 0), (0, 2)))
    q.layers["2"].switch(switched)
    masked = lower(q.eval(), images[:1])
    q.layers["2"].products = None
    tables = lower(q, images[:1]).with_products({"2": switched.products(*[q.layers["2"].weight_format] * 2, 20, 36)})
    assert masked.layers[1].tables is None
    assert tables.layers[1].tables is not None
    assert np.array_equal(masked.run(images), tables.run(images))


def test_sensitivity_is_what_an_images_loss_changes_to_first_order(network: nn.Module, quadrants: Dataset):
    images, labels = quadrants.inputs(quadrants.train.images[:3]), quadrants.train.labels[:3]
    q = calibrate(quantize(network, "fixed8"), images).eval()
    (found,) = ranked_synapses(q, images, labels, {"2": ((1, 2),)})
    changes = []
    for image, label in zip(images, labels, strict=True):
        q.zero_grad()
        nn.functional.cross_entropy(q(image[None]), label[None]).backward()
        product = q.layers["2"].quantized_weight() * q.layers["2"].layer.weight.grad
        changes.append(abs(float(product.flatten(1)[16:, 32:].sum())))
    assert found.sensitivity == pytest.approx(np.mean(changes), rel=1e-4)
    assert found.per_cycle == pytest.approx(found.sensitivity / 16)


def test_a_chunk_of_zero_weights_is_the_least_sensitive(network: nn.Module, quadrants: Dataset):
    q = quantize(network, "fixed8")
    with torch.no_grad():
        weight = q.layers["2"].layer.weight
        rows = weight.flatten(1).clone()
        rows[:16, 16:32] = 0
        weight.copy_(rows.reshape(weight.shape))
    inputs = quadrants.inputs(quadrants.train.images[:20])
    units = {"2": tuple((unit, chunk) for unit in (0, 1) for chunk in range(3))}
    ranked = ranked_synapses(calibrate(q, inputs), inputs, quadrants.train.labels[:20], units)
    assert (ranked[0].unit, ranked[0].chunk, ranked[0].sensitivity) == (0, 1, 0)


class _KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_digits(network: nn.Module, quadrants: Dataset, tmp_path):
    options = RecipeOptions(approximation="dropped", **MARGIN)
    whole, record = run_recipe("approximate-synapses", network, "fixed8", quadrants, SETTINGS, options=options)
    trained = []

    def kill(progress: Progress) -> None:
        trained.append(progress)
        if progress.batch == progress.batches and sum(one.batch == one.batches for one in trained) == 2:
            raise _KilledError

    arguments = ("approximate-synapses", network, "fixed8", quadrants, SETTINGS)
    with pytest.raises(_KilledError):
        run_recipe(*arguments, options=options, checkpoint_folder=tmp_path, progress=kill)
    resumed, again = run_recipe(*arguments, options=options, checkpoint_folder=tmp_path)
    assert again.resumed_epochs >= 1
    assert again.rounds == record.rounds
    state = resumed.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in whole.state_dict().items())


@given(
    st.lists(st.integers(0, 3), unique=True), st.lists(st.tuples(st.integers(4, 7), st.integers(0, 20)), unique=True)
)
def test_texts_of_units_are_read_back(units: list[int], chunks: list[tuple[int, int]]):
    if not units and not chunks:
        units = [0]
    made = SwitchedUnits("dropped", tuple(sorted(units)), tuple(sorted(chunks)))
    assert SwitchedUnits.parse(made.text) == made
    assert SwitchedUnits.of("dropped", made.of_chunks(16 * 8, 16 * 21)) == made


@pytest.mark.parametrize(
    "text", ["fixed4:0.", "fixed4:0.3-1", "fixed4:0.1,0.1", "fixed4:1,1.0", "fixed4:0.0-999999,1.0"]
)
def test_damaged_texts_are_refused(text: str):
    with pytest.raises(FormatError):
        SwitchedUnits.parse(text)


def test_a_chunk_beyond_the_synapses_is_refused():
    layer = quantize(nn.Sequential(nn.Linear(20, 16)), "fixed8").layers["0"]
    layer.switch(SwitchedUnits("dropped", (), ((0, 1),)))
    with pytest.raises(ModelError, match="20 synapses are 2 chunks of 16, counted from 0: there is no chunk 2"):
        layer.switch(SwitchedUnits("dropped", (), ((0, 2),)))


@pytest.mark.parametrize(("precision", "part"), [("fixed8", "fixed8"), ("fixed4", "fixed6"), ("fixed8", "pow2-4")])
def test_parts_that_are_no_narrower_fixed_point_are_refused(
    network: nn.Module, quadrants: Dataset, precision: str, part: str
):
    with pytest.raises(ModelError, match=f"layer '0': {part} is not the top bits of a wider fixed point"):
        approximated(network, quadrants, precision, approximation=part)


def test_what_narrows_is_asked_of_the_format():
    wide, narrow = narrow_format("fixed8"), narrow_format("fixed4")
    assert wide is not None
    assert narrow is not None
    assert wide.narrows_to(narrow)
    assert not narrow.narrows_to(wide)
    assert not wide.narrows_to(wide)
    assert narrow_format("truncated-6") is None

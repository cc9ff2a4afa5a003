"""Units of 16 outputs are ranked by how much the loss depends on them, and approximated while a margin lasts."""

import numpy as np
import pytest
import torch
from torch import nn

from fewbits import FormatError, ModelError, calibrate, first_difference, lower, parse_format, quantize
from fewbits.data import Dataset
from fewbits.formats.switched_units import SwitchedUnits, approximate_table
from fewbits.train import RecipeOptions, TrainSettings, prepare_recipe, run_recipe, train_float
from fewbits.train.approximate_units import switch
from fewbits.train.unit_sensitivity import ranked_units

FIXED8 = parse_format("fixed8")
SETTINGS = TrainSettings(epochs=2, batch_size=50, learning_rate=0.01)


@pytest.fixture(scope="module")
def network(quadrants: Dataset) -> nn.Module:
    """A layer of two units and a half, and the layer of the classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 4))
    train_float(made, quadrants, TrainSettings(epochs=3, batch_size=25))
    return made


def approximated(network: nn.Module, data: Dataset, **options):
    return run_recipe("approximate-neurons", network, "fixed8", data, SETTINGS, options=RecipeOptions(**options))


@pytest.mark.parametrize("approximation", ["fixed4", "dropped", "truncated-6"])
def test_lowered_networks_compute_what_was_trained(network: nn.Module, quadrants: Dataset, approximation: str):
    q, _ = approximated(network, quadrants, approximation=approximation, error_margin_points=100, share_a_round=0.6)
    assert any(layer.switched for layer in q.layers.values())
    images = quadrants.inputs(quadrants.test.images)
    assert first_difference(q, lower(q, images[:1]), images) is None


def test_a_margin_of_everything_switches_all_units(network: nn.Module, quadrants: Dataset):
    q, record = approximated(network, quadrants, error_margin_points=100, share_a_round=0.5)
    assert {name: layer.switched.units for name, layer in q.layers.items() if layer.switched} == {
        "1": (0, 1, 2),
        "3": (0,),
    }
    assert record.notices[0].startswith("round 0: 0 of 4 units approximate")
    assert record.notices[-1] == "approximate units of 16 outputs: 1: fixed4:0,1,2; 3: fixed4:0"


def test_a_round_that_costs_too_much_is_taken_back(network: nn.Module, quadrants: Dataset):
    q, record = approximated(network, quadrants, approximation="dropped", error_margin_points=5, share_a_round=1)
    assert q.layers["3"].switched is None  # without the classes nothing is right
    assert "taken back" in record.notices[1]
    assert record.best_validation_accuracy_percent > 90


def test_the_same_seed_approximates_the_same(network: nn.Module, quadrants: Dataset):
    states = [approximated(network, quadrants, share_a_round=0.5)[0].state_dict() for _ in range(2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_state_carries_the_switched_units(network: nn.Module, quadrants: Dataset):
    q, _ = approximated(network, quadrants, error_margin_points=100, share_a_round=0.5)
    fresh = prepare_recipe("approximate-neurons", network, "fixed8")
    fresh.load_state_dict(q.state_dict())
    images = quadrants.inputs(quadrants.test.images)
    assert torch.equal(fresh.eval()(images), q(images))


def test_a_state_without_units_takes_them_off(network: nn.Module, quadrants: Dataset):
    q = calibrate(quantize(network, "fixed8"), quadrants.inputs(quadrants.train.images))
    before = {name: tensor.clone() for name, tensor in q.state_dict().items()}
    q.layers["1"].switch(SwitchedUnits("dropped", (1,)))
    q.load_state_dict(before)
    assert q.layers["1"].products is None


def test_a_unit_that_nothing_reads_is_the_least_sensitive(network: nn.Module, quadrants: Dataset):
    with torch.no_grad():
        unread = quantize(network, "fixed8")
        unread.layers["3"].layer.weight[:, 16:32] = 0
    inputs = quadrants.inputs(quadrants.train.images)
    ranked = ranked_units(
        calibrate(unread, inputs),
        inputs,
        quadrants.train.labels,
        {"1": ((0, None), (1, None), (2, None)), "3": ((0, None),)},
    )
    assert (ranked[0].layer, ranked[0].unit, ranked[0].sensitivity) == ("1", 1, 0)
    assert len(ranked) == 4


def test_sensitivity_is_the_mean_magnitude_of_the_gradient(network: nn.Module, quadrants: Dataset):
    inputs, labels = quadrants.inputs(quadrants.train.images[:7]), quadrants.train.labels[:7]
    q = calibrate(quantize(network, "fixed8"), inputs).eval()
    logits = q(inputs).detach()
    expected = (logits.softmax(dim=1) - nn.functional.one_hot(labels, 4)).abs().mean()  # dE/dy of cross-entropy
    (found,) = ranked_units(q, inputs, labels, {"3": ((0, None),)})
    assert found.sensitivity == pytest.approx(float(expected), rel=1e-5)


def test_ranking_counts_positions_of_convolutions():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 17, 3), nn.Flatten(), nn.Linear(17 * 36, 3))
    images, labels = torch.rand(5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    q = calibrate(quantize(network, "fixed8"), images).eval()
    seen: list[torch.Tensor] = []

    def watch(_: nn.Module, __: object, result: torch.Tensor) -> None:
        result.register_hook(lambda gradient: seen.append(gradient))

    q.layers["0"].register_forward_hook(watch)
    ranked = {one.unit: one.sensitivity for one in ranked_units(q, images, labels, {"0": ((0, None), (1, None))})}
    assert ranked[0] == pytest.approx(float(seen[0][:, :16].abs().mean()), rel=1e-5)
    assert ranked[1] == pytest.approx(float(seen[0][:, 16:].abs().mean()), rel=1e-5)


def test_units_add_up():
    q = quantize(nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 2)), "fixed8")
    q.layers["0"].switch(SwitchedUnits("fixed4", (1,)))
    images = torch.rand(20, 8)
    ranked = ranked_units(
        calibrate(q, images), images, torch.zeros(20, dtype=torch.int64), {"0": ((0, None), (2, None))}
    )
    switch(q, "fixed4", ranked[:1])
    assert q.layers["0"].switched == SwitchedUnits("fixed4", tuple(sorted((1, ranked[0].unit))))


def test_fewer_bits_round_weights_and_cut_inputs():
    table = approximate_table("fixed4", FIXED8, FIXED8).values
    code = lambda number: number % 256  # noqa: E731
    assert table[code(24), code(31)] == (2 * 1) << 8  # 24 / 16 is a tie, to even; 31 / 16 is cut
    assert table[code(127), code(-1)] == (7 * -1) << 8  # saturates; cutting rounds down


def test_dropped_products_are_zeros():
    assert not np.any(approximate_table("dropped", FIXED8, FIXED8).values)


@pytest.mark.parametrize(
    "text", ["", "fixed4", "fixed4:", "fixed4:1,1", "fixed4:2,1", "fixed4:-1", "nothing:0", "a" * 20_000]
)
def test_damaged_states_are_refused(text: str):
    with pytest.raises(FormatError):
        SwitchedUnits.parse(text)


def test_a_unit_beyond_the_outputs_is_refused():
    layer = quantize(nn.Sequential(nn.Linear(4, 17)), "fixed8").layers["0"]
    layer.switch(SwitchedUnits("fixed4", (1,)))
    with pytest.raises(ModelError, match="layer '0': 17 outputs are 2 units of 16, counted from 0: there is no unit 2"):
        layer.switch(SwitchedUnits("fixed4", (2,)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"approximation": "fixed99"}, "approximation: .*fixed"),
        ({"approximation": "trunc-6"}, "or 'dropped', or a narrower fixed point"),
        ({"approximation": 4}, "approximation: an approximation is a name such as 'fixed4', not 4"),
        ({"share_a_round": 0}, "share_a_round must be above 0 to 1, not 0"),
        ({"share_a_round": 1.5}, "share_a_round must be above 0 to 1"),
        ({"error_margin_points": -0.5}, "error_margin_points must be from 0 to 100"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str):
    with pytest.raises(ModelError, match=message):
        RecipeOptions(**options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("precision", "approximation"), [("fixed8", "fixed8"), ("fixed16", "fixed4"), ("fixed4", "fixed6")]
)
def test_precisions_without_such_products_are_refused_before_training(
    network: nn.Module, quadrants: Dataset, precision: str, approximation: str
):
    with pytest.raises(ModelError, match="layer '1': "):
        run_recipe(
            "approximate-neurons",
            network,
            precision,
            quadrants,
            SETTINGS,
            options=RecipeOptions(approximation=approximation),
        )


def test_product_tables_of_the_callers_are_refused(network: nn.Module, quadrants: Dataset):
    with pytest.raises(ModelError, match="layer '1' has product tables already"):
        run_recipe("approximate-neurons", network, "fixed8", quadrants, SETTINGS, products="truncated-6")


def test_grouped_layers_stay_exact_and_are_named(quadrants: Dataset):
    torch.manual_seed(0)
    grouped = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(64, 4))
    q, record = approximated(grouped, quadrants, error_margin_points=100, share_a_round=1)
    assert [name for name, layer in q.layers.items() if layer.switched] == ["0", "3"]
    assert record.notices[0] == "left exact, since the outputs of a group take inputs of their own: 1"

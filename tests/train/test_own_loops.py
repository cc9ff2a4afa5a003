"""What docs/own_training.md says of a user's own loops: hooks do what the recipe does, and the table holds."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch import distributed, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

import fewbits as fb
from fewbits import ModelError
from fewbits.models import load_weights
from fewbits.train import TrainingHooks, TrainSettings, run_recipe
from fewbits.train.batches import Batches
from fewbits.train.loop import epoch_seed
from fewbits.train.memory_layout import choose_layout, layout_of

PRECISIONS = ["fixed8", "binary/fixed8", "ternary/fixed8", "pow2-6/fixed16"]


@pytest.fixture
def inputs(quadrants) -> torch.Tensor:
    return quadrants.inputs(quadrants.train)[:128]


@pytest.fixture
def labels(quadrants) -> torch.Tensor:
    return quadrants.train.labels[:128]


@pytest.fixture(params=PRECISIONS)
def quantized(request, small_network, inputs) -> fb.QuantizedModel:
    return fb.calibrate(fb.quantize(small_network, request.param), inputs).train()


def calibration_images(data, settings, seed) -> torch.Tensor:
    """As a recipe draws them."""
    generator = torch.Generator().manual_seed(epoch_seed(seed, 0))
    chosen = torch.randperm(len(data.train), generator=generator)[: settings.calibration_images]
    return data.inputs(data.train.images[chosen])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_loop_with_the_hooks_is_the_recipe_bit_for_bit(small_network, quadrants, precision):
    settings = TrainSettings(epochs=3, batch_size=32, learning_rate=0.01, schedule="step")
    recipe, record = run_recipe("fine-tune", small_network, precision, quadrants, settings, seed=5)

    own = fb.quantize(small_network, precision)
    hooks = TrainingHooks(own, calibration_images(quadrants, settings, 5))
    choose_layout(own, quadrants.inputs(quadrants.train.images[:1]))
    optimizer = torch.optim.Adam(own.parameters(), lr=0.01, fused=True)
    hooks.attach(optimizer)
    count = -(-len(quadrants.train) // settings.batch_size)
    for epoch in range(1, record.best_epoch + 1):
        hooks.before_epoch()
        own.train()
        order = torch.randperm(len(quadrants.train), generator=torch.Generator().manual_seed(epoch_seed(5, epoch, 1)))
        augmentation = torch.Generator().manual_seed(epoch_seed(5, epoch, 2))
        for chosen, batch in Batches(quadrants, settings, layout_of(own)).epoch(order, count, augmentation):
            optimizer.zero_grad()
            F.cross_entropy(own(batch), quadrants.train.labels[chosen]).backward()
            optimizer.step()
    assert record.best_epoch > 0
    expected = recipe.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in own.state_dict().items())


@pytest.mark.parametrize("precision", ["binary/fixed8", "ternary/fixed8"])
def test_the_optimizer_clips_behind_each_step_until_that_is_taken_off(small_network, inputs, precision):
    model = fb.quantize(small_network, precision)
    optimizer = torch.optim.SGD(model.parameters(), lr=100.0)
    handle = TrainingHooks(model, inputs).attach(optimizer)

    def step() -> bool:
        """A wild step; whether all weights are in their range."""
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        layers = model.layers.values()
        limits = [(layer.layer.weight, *layer.weight_format.limits(layer.weight_fraction_bits)) for layer in layers]
        return all(bool(((low <= weight) & (weight <= high)).all()) for weight, low, high in limits)

    assert step()
    handle.remove()
    assert not step()


def test_other_formats_are_not_clipped(small_network, inputs):
    model = fb.quantize(small_network, "fixed4")
    hooks = TrainingHooks(model, inputs)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(100)
    before = [parameter.clone() for parameter in model.parameters()]
    hooks.after_step()
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_radix_points_follow_the_weights_from_epoch_to_epoch(small_network, inputs):
    model = fb.quantize(small_network, "fixed8")
    hooks = TrainingHooks(model, inputs)
    points = [layer.weight_fraction_bits for layer in model.layers.values()]
    with torch.no_grad():
        for layer in model.layers.values():
            layer.layer.weight.mul_(4)
    hooks.before_epoch()
    assert [layer.weight_fraction_bits for layer in model.layers.values()] == [point - 2 for point in points]


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, lambda model: nn.ModuleDict({"inner": model, "loss": nn.Linear(1, 1)})]
)
def test_a_network_inside_another_module_is_found(small_network, inputs, wrap):
    model = fb.quantize(small_network, "fixed8")
    assert TrainingHooks(wrap(model), inputs).model is model


def test_images_may_come_from_an_iterator_that_is_read_once(small_network, inputs):
    hooks = TrainingHooks(fb.quantize(small_network, "fixed8"), (batch for batch in inputs.split(32)))
    hooks.before_epoch()


def test_what_holds_no_quantized_network_or_several_is_refused(small_network, inputs):
    with pytest.raises(ModelError, match="Sequential holds no quantized network: give what"):
        TrainingHooks(small_network, inputs)
    two = nn.ModuleList([fb.quantize(small_network, "fixed8"), fb.quantize(small_network, "fixed4")])
    with pytest.raises(ModelError, match="ModuleList holds 2 quantized networks"):
        TrainingHooks(two, inputs)


def test_the_float_networks_optimizer_is_refused(small_network, inputs):
    hooks = TrainingHooks(fb.quantize(small_network, "fixed8"), inputs)
    with pytest.raises(ModelError, match="none of the quantized network's weights"):
        hooks.attach(torch.optim.Adam(small_network.parameters()))


# The table of the page


def gradients(model: nn.Module, *losses: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    torch.stack(losses).sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def test_two_forward_passes_before_one_backward_add_their_gradients(quantized, inputs, labels):
    first, second = ((inputs[part], labels[part]) for part in (slice(0, 64), slice(64, 128)))
    alone = [gradients(quantized, F.cross_entropy(quantized(x), y)) for x, y in (first, second)]
    both = gradients(quantized, *(F.cross_entropy(quantized(x), y) for x, y in (first, second)))
    for one, other, together in zip(*alone, both, strict=True):
        torch.testing.assert_close(one + other, together)


def test_checkpointed_activations_give_the_same_gradients(quantized, inputs, labels):
    plain = gradients(quantized, F.cross_entropy(quantized(inputs), labels))
    logits = checkpoint(quantized, inputs, use_reentrant=False)
    for one, other in zip(plain, gradients(quantized, F.cross_entropy(logits, labels)), strict=True):
        torch.testing.assert_close(one, other)


def test_autocast_trains(quantized, inputs, labels):
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(quantized(inputs).float(), labels)
    plain = gradients(quantized, F.cross_entropy(quantized(inputs), labels))
    for one, other in zip(gradients(quantized, loss), plain, strict=True):
        similarity = F.cosine_similarity(one.flatten(), other.flatten(), dim=0)
        assert one.dtype == torch.float32
        assert similarity > 0.9 or other.norm() < 1e-3


def test_a_moving_average_calibrated_anew_is_its_bit_exact_network(quantized, inputs, labels):
    average = AveragedModel(quantized, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    optimizer = torch.optim.SGD(quantized.parameters(), lr=0.1)
    for _ in range(3):
        gradients(quantized, F.cross_entropy(quantized(inputs), labels))
        optimizer.step()
        average.update_parameters(quantized)
    fb.calibrate(average.module, inputs)
    network = fb.lower(average.module.eval(), inputs[:1])
    assert torch.equal(network.predict(inputs), average.module(inputs).argmax(1))
    trained, averaged = (next(iter(model.parameters())) for model in (quantized, average))
    assert not torch.equal(trained, averaged)


def test_a_state_dict_holds_the_calibration(quantized, small_network, inputs):
    again = fb.quantize(small_network, quantized.precision)
    again.load_state_dict(quantized.state_dict())
    assert torch.equal(again.eval()(inputs), quantized.eval()(inputs))


def test_weights_changed_without_gradients_are_seen_in_evaluation(quantized, inputs):
    before = quantized.eval()(inputs)
    with torch.no_grad():
        next(iter(quantized.parameters())).neg_()
    assert not torch.equal(quantized(inputs), before)


def test_weights_changed_through_data_are_seen_after_the_mode_is_set_anew(quantized, inputs):
    before = quantized.eval()(inputs)
    next(iter(quantized.parameters())).data.neg_()
    assert not torch.equal(quantized.eval()(inputs), before)


@pytest.fixture
def process_group(tmp_path) -> Iterator[None]:
    """Of this process alone."""
    if not distributed.is_available():
        pytest.skip("this torch was built without torch.distributed")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_distributed_data_parallel_trains_between_calibrations(quantized, inputs, labels, process_group):
    parallel = nn.parallel.DistributedDataParallel(quantized)
    hooks = TrainingHooks(parallel, inputs)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1)
    hooks.attach(optimizer)
    before = [parameter.clone() for parameter in quantized.parameters()]
    for _ in range(2):
        hooks.before_epoch()
        gradients(parallel, F.cross_entropy(parallel(inputs), labels))
        optimizer.step()
    assert not all(torch.equal(one, other) for one, other in zip(before, quantized.parameters(), strict=True))
    assert fb.lower(parallel.module.eval(), inputs[:1]).predict(inputs).shape == (128,)


def lightning_fit(folder, model: nn.Module, inputs, labels, hooks: TrainingHooks | None = None, **options):
    """One epoch of Lightning; the trainer, which has written its own checkpoint into the folder."""
    lightning = pytest.importorskip("lightning", reason="needs the extra `loops`")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters({"learning_rate": 0.01})
            self.model = model

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.model.parameters(), self.hparams["learning_rate"])
            if hooks is not None:
                hooks.attach(optimizer)
            return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1)}

        def training_step(self, batch, _):
            return F.cross_entropy(self.model(batch[0]), batch[1])

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(max_epochs=1, default_root_dir=folder, **quiet, **options)
    data = torch.utils.data.TensorDataset(inputs, labels)
    trainer.fit(Module(), torch.utils.data.DataLoader(data, batch_size=32))
    return trainer


@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_in_mixed_precision(tmp_path, small_network, inputs, labels):
    model = fb.quantize(small_network, "fixed8")
    lightning_fit(tmp_path, model, inputs, labels, TrainingHooks(model, inputs), precision="bf16-mixed")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not torch.equal(model.layers["0"].layer.weight, small_network.get_parameter("0.weight"))


@pytest.mark.filterwarnings("ignore")
def test_the_checkpoint_that_lightning_writes_is_taken_as_weights(tmp_path, small_network, inputs, labels):
    lightning_fit(tmp_path, small_network, inputs, labels)
    (path,) = (tmp_path / "checkpoints").iterdir()
    fresh = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4))
    first, second = load_weights(fresh, path)
    assert first.startswith("state read from its key 'state_dict'")
    assert second == "prefix 'model.' of its names stripped"
    assert torch.equal(fresh(inputs), small_network(inputs))

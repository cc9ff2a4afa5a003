"""A user's file of weights: read without running anything, put under the network's names, refused in one line."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from fewbits.errors import ModelError
from fewbits.models import load_weights, weights_sha256


def network() -> nn.Sequential:
    torch.manual_seed(3)
    conv, norm, head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)
    return nn.Sequential(OrderedDict(conv=conv, norm=norm, head=head))


STATE = {name: tensor + 1 for name, tensor in network().state_dict().items()}


def behind(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in STATE.items()}


def stored(folder: Path, content: object, name: str = "net.pth") -> Path:
    path = folder / name
    torch.save(content, path)
    return path


def holds_state(model: nn.Module) -> bool:
    return all(torch.equal(tensor, STATE[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.ckpt", "net.bin", "net.PTH"])
def test_a_state_dict_is_taken_without_a_note(tmp_path, name):
    model = network()
    assert load_weights(model, stored(tmp_path, STATE, name)) == ()
    assert holds_state(model)


def test_safetensors_are_taken(tmp_path):
    save_file(STATE, tmp_path / "net.safetensors")
    model = network()
    assert load_weights(model, tmp_path / "net.safetensors") == ()
    assert holds_state(model)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_state_inside_a_checkpoint_is_found_and_said(tmp_path, key):
    model = network()
    checkpoint = {"epoch": 3, key: STATE, "optimizer": {"state": {}}}
    (note,) = load_weights(model, stored(tmp_path, checkpoint))
    assert note == f"state read from its key {key!r}, not 'optimizer'"
    assert holds_state(model)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module.model.", "net.backbone."])
def test_a_prefix_is_stripped_and_said(tmp_path, prefix):
    model = network()
    (note,) = load_weights(model, stored(tmp_path, behind(prefix)))
    assert prefix in note
    assert "stripped" in note
    assert holds_state(model)


def test_names_of_compiled_modules_are_taken(tmp_path):
    model = network()
    state = {f"module.{name.replace('conv.', 'conv._orig_mod.')}": tensor for name, tensor in STATE.items()}
    notes = load_weights(model, stored(tmp_path, state))
    assert holds_state(model)
    assert len(notes) == 2


def test_a_network_whose_own_names_begin_so_keeps_them(tmp_path):
    model = nn.Sequential(OrderedDict(model=network()))
    assert load_weights(model, stored(tmp_path, behind("model."))) == ()
    assert holds_state(model.get_submodule("model"))


def test_entries_beside_the_network_are_left_and_said(tmp_path):
    model = network()
    _, note = load_weights(model, stored(tmp_path, behind("model.") | {"loss.weight": torch.ones(2)}))
    assert note == "entries without that prefix are not used: 'loss.weight'"


def test_two_networks_in_one_file_are_refused(tmp_path):
    path = stored(tmp_path, behind("student.") | behind("teacher."))
    with pytest.raises(ModelError, match=r"behind 'student\.' and behind 'teacher\.'"):
        load_weights(network(), path)


def test_counters_that_old_files_lack_are_not_missed(tmp_path):
    model = network()
    state = {name: tensor for name, tensor in STATE.items() if not name.endswith("num_batches_tracked")}
    assert load_weights(model, stored(tmp_path, state)) == ()
    assert torch.equal(model.state_dict()["norm.weight"], STATE["norm.weight"])


def test_what_does_not_fit_is_one_line_with_the_nearest_names(tmp_path):
    state = dict(STATE)
    state["conv1.weight"] = state.pop("conv.weight")
    state["head.weight"] = torch.ones(3, 4)
    with pytest.raises(ModelError) as caught:
        load_weights(network(), stored(tmp_path, state))
    assert str(caught.value) == (
        "weights 'net.pth' do not fit the network: missing 'conv.weight' (nearest there: 'conv1.weight'); unexpected "
        "'conv1.weight'; of another shape 'head.weight' is 3 x 4 and not 2 x 4"
    )


def test_a_refused_file_leaves_the_network_as_it_is(tmp_path):
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError):
        load_weights(model, stored(tmp_path, STATE | {"head.bias": torch.full((2,), torch.nan)}))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, value):
    with pytest.raises(ModelError, match=r"'head\.bias' holds NaN or infinity"):
        load_weights(network(), stored(tmp_path, STATE | {"head.bias": torch.full((2,), value)}))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_converted_and_said(tmp_path, dtype):
    state = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in STATE.items()}
    model = network()
    (note,) = load_weights(model, stored(tmp_path, state))
    assert note == f"{str(dtype).removeprefix('torch.')} values converted to those of the network"
    assert model.state_dict()["conv.weight"].dtype == torch.float32


UNFIT_VALUES = {
    "beyond float32": (torch.full((2,), 1e300, dtype=torch.float64), "beyond the range"),
    "integers": (torch.ones(2, dtype=torch.int8), "holds torch.int8"),
    "complex": (torch.ones(2, dtype=torch.complex64), "holds torch.complex64"),
    "sparse": (torch.ones(2).to_sparse(), "no plain tensor"),
    "a list": ([1.0, 2.0], "no plain tensor"),
}


@pytest.mark.parametrize("case", UNFIT_VALUES)
def test_values_of_another_kind_are_refused(tmp_path, case):
    value, words = UNFIT_VALUES[case]
    with pytest.raises(ModelError, match=words):
        load_weights(network(), stored(tmp_path, STATE | {"head.bias": value}))


def test_a_tensor_that_repeats_one_value_is_not_spread_out_before_its_shape_fits(tmp_path):
    huge = torch.ones(1).expand(10**13)  # 40 TB, if it were copied
    with pytest.raises(ModelError, match=r"of another shape 'head\.bias'"):
        load_weights(network(), stored(tmp_path, STATE | {"head.bias": huge}))


def test_a_quantized_network_of_fewbits_is_named(tmp_path):
    import fewbits as fb

    quantized = fb.quantize(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), "fixed8")
    with pytest.raises(ModelError, match="a network that fewbits quantized"):
        load_weights(network(), stored(tmp_path, quantized.state_dict()))


def test_a_network_without_shapes_yet_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"'0\.weight' has no shape yet: run the network once"):
        load_weights(nn.Sequential(nn.LazyLinear(2)), stored(tmp_path, STATE))


# Files of other kinds, and hostile ones


class Trap:
    """Makes a folder where it is unpickled by a reader that runs what it reads."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return Path.mkdir, (self.place,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_never_runs(tmp_path, zipped):
    place = tmp_path / "sprung"
    torch.save(STATE | {"x": Trap(place)}, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match="runs no code of a file"):
        load_weights(network(), tmp_path / "net.pth")
    assert not place.exists()


def test_a_plain_pickle_never_runs(tmp_path):
    place = tmp_path / "sprung"
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"x": Trap(place)}))
    with pytest.raises(ModelError):
        load_weights(network(), tmp_path / "net.pth")
    assert not place.exists()


def test_other_objects_are_named(tmp_path):
    path = stored(tmp_path, {"state_dict": STATE, "args": argparse.Namespace(lr=0.1)})
    with pytest.raises(ModelError, match=r"more than tensors \(argparse.Namespace\).*store it by torch.save"):
        load_weights(network(), path)


def test_a_whole_module_is_refused(tmp_path):
    with pytest.raises(ModelError, match="more than tensors"):
        load_weights(network(), stored(tmp_path, network()))


def test_a_torchscript_archive_is_named(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "net.pt")
    with pytest.raises(ModelError, match="TorchScript"):
        load_weights(network(), tmp_path / "net.pt")


def test_an_archive_larger_inside_than_outside_is_refused(tmp_path):
    stored(tmp_path, STATE)
    with zipfile.ZipFile(tmp_path / "net.pth", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/99", bytes(10**8))
    assert (tmp_path / "net.pth").stat().st_size < 10**6
    with pytest.raises(ModelError, match="larger than the file"):
        load_weights(network(), tmp_path / "net.pth")


@pytest.mark.parametrize("content", [[STATE], torch.ones(3), {}, {"epoch": 3, "state": 4}, "text"])
def test_what_holds_no_state_is_refused(tmp_path, content):
    with pytest.raises(ModelError, match=r"not a state dict|no tensor among its keys"):
        load_weights(network(), stored(tmp_path, content))


def test_keys_that_are_no_names_are_refused(tmp_path):
    with pytest.raises(ModelError, match="some of its keys are no names"):
        load_weights(network(), stored(tmp_path, {0: torch.ones(1), "conv.bias": torch.ones(4)}))


def test_a_name_without_end_is_refused(tmp_path):
    with pytest.raises(ModelError, match="has 1000000 letters"):
        load_weights(network(), stored(tmp_path, STATE | {"." * 10**6: torch.ones(1)}))


@pytest.mark.parametrize("name", ["net.onnx", "net", "net.npz"])
def test_an_ending_of_another_kind_is_refused(tmp_path, name):
    with pytest.raises(ModelError, match=r"ends in \.safetensors or, from torch\.save"):
        load_weights(network(), stored(tmp_path, STATE, name))


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("read", [lambda path: load_weights(network(), path), weights_sha256])
def test_what_is_no_file_is_refused(tmp_path, make, read):
    make(tmp_path / "net.pth")
    with pytest.raises(ModelError, match=r"not there|a folder|no regular file"):
        read(tmp_path / "net.pth")


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> tuple[Path, tuple[bytes, ...]]:
    folder = tmp_path_factory.mktemp("originals")
    stored(folder, STATE)
    torch.save(STATE, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(STATE, folder / "net.safetensors")
    names = ("net.pth", "old.pth", "net.safetensors")
    return folder, tuple((folder / name).read_bytes() for name in names)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_a_refusal_and_nothing_else(originals, data):
    folder, contents = originals
    which = data.draw(st.integers(0, 2))
    content = bytearray(contents[which])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=8)):
        if content:
            content[place % len(content)] = byte
    path = folder / ("damaged.safetensors" if which == 2 else "damaged.pth")
    path.write_bytes(content)
    message = ""
    try:
        load_weights(network(), path)
    except ModelError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 1000


def test_the_pretrained_digits_network_of_ccexam_is_read():
    folder = Path(__import__("importlib.util").util.find_spec("ccexam").origin).parent
    layers = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1))
    head = nn.Sequential(nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))
    model = nn.Sequential(OrderedDict(features=layers, classifier=head))
    assert load_weights(model, folder / "weights" / "mnist.pth") == ()

"""Reading a file of trained weights that anybody may have made: safetensors, or what torch saved, tensors alone.

Nothing in such a file runs. No memory is taken beyond what the file itself fills: tensors are mapped, and are copied
only once their shapes are those of a network.
"""

from __future__ import annotations

import hashlib
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fewbits.errors import ModelError

_KEYS = ("state_dict", "model_state_dict", "model")
"""Where checkpoints keep the network's state: those of Lightning and timm, of torch's tutorials, of DeiT."""

_TORCH = (".pt", ".pth", ".ckpt", ".bin")
_SAFETENSORS = ".safetensors"

_LONGEST_NAME = 1000
"""Letters of a name that is looked at: torch's own models have at most some eighty."""

_HOW = "store it by torch.save(model.state_dict(), FILE) or safetensors.torch.save_file(model.state_dict(), FILE)"


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """What a file holds under the names that it gives."""

    name: str
    """The file's name without its folder, for messages."""

    values: Mapping[str, object]
    """By name; tensors, unless the file has others among them."""

    notes: tuple[str, ...]
    """What was found and assumed: `state read from its key 'model'`."""


def weights_sha256(path: str | Path) -> str:
    """Hash of a file's content. Raises ModelError if it cannot be read."""
    path = Path(path)
    try:
        if not path.is_file():
            raise ModelError(_not_there(path))
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:  # ValueError: of a zero in the name
        raise ModelError(f"cannot read weights {str(path)!r}: {error}") from None


def read_weights(path: str | Path) -> WeightsFile:
    """The tensors of a file of weights.

    path: `.safetensors`, or a file of `torch.save` (`.pt`, `.pth`, `.ckpt`, `.bin`): a state dict, or a dict that has
    one under `state_dict`, `model_state_dict` or `model`. It is read by `torch.load(weights_only=True)`: no code in it
    runs. Raises ModelError in one line for a file that is not there, damaged, of another kind, or holds other objects.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (_SAFETENSORS, *_TORCH):
        raise ModelError(
            f"weights {str(path)!r}: a file of weights ends in {_SAFETENSORS} or, from torch.save, in "
            f"{', '.join(_TORCH)}, not {kind or 'nothing'!r}"
        )
    try:
        if not path.is_file():
            raise ModelError(_not_there(path))
        return _safetensors(path) if kind == _SAFETENSORS else _torch(path)
    except OSError as error:
        raise ModelError(f"cannot read weights {str(path)!r}: {error.strerror or error}") from None


def _not_there(path: Path) -> str:
    what = "a folder" if path.is_dir() else "no regular file" if path.exists() else "not there"
    return f"weights {str(path)!r}: that is {what}: give a file of trained weights (.safetensors, .pt, .pth)"


def _safetensors(path: Path) -> WeightsFile:
    try:
        with safe_open(path, framework="pt") as file:
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"weights {str(path)!r}: damaged, or no safetensors file ({_one_line(error)}): {_HOW}"
        ) from None
    return _named(path, values, ())


def _torch(path: Path) -> WeightsFile:
    is_zip = zipfile.is_zipfile(path)
    if is_zip:
        _refuse_inflating(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of is refused, or does not matter to tensors
            loaded: object = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # a hostile file reaches any corner of the unpickler; none of it runs code
        raise ModelError(f"weights {str(path)!r}: {_why(error)}: {_HOW}") from None
    return _state(path, loaded)


def _refuse_inflating(path: Path) -> None:
    """Refuse an archive that holds more than the file's own size: torch.save compresses nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            inflated = sum(entry.file_size for entry in archive.infolist())
            names = [entry.filename for entry in archive.infolist()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise ModelError(f"weights {str(path)!r}: damaged ({_one_line(error)}): {_HOW}") from None
    if inflated > path.stat().st_size:
        raise ModelError(f"weights {str(path)!r}: its entries are larger than the file, which torch never writes")
    if any(name.partition("/")[2] == "constants.pkl" for name in names):
        raise ModelError(
            f"weights {str(path)!r}: a TorchScript archive, which holds a program: load it by torch.jit.load, then "
            f"{_HOW}"
        )


def _why(error: Exception) -> str:
    """Why torch did not read a file, in a few words."""
    text = " ".join(str(error).split())
    found = re.search(r"GLOBAL ([\w.]+)", text)
    if found is not None:
        return f"it holds more than tensors ({found[1]}), and fewbits runs no code of a file"
    return f"damaged, or no file of torch.save ({_one_line(error)})"


def _state(path: Path, loaded: object) -> WeightsFile:
    """The state among what was loaded."""
    if not isinstance(loaded, Mapping):
        raise ModelError(f"weights {str(path)!r}: it holds a {type(loaded).__name__}, not a state dict: {_HOW}")
    values = cast("Mapping[Any, object]", loaded)
    for key in _KEYS:
        inner = values.get(key)
        if isinstance(inner, Mapping):
            others = [other for other in _texts(values) if other != key and isinstance(values[other], Mapping)]
            more = f", not {_listed(others)}" if others else ""
            return _named(path, cast("Mapping[Any, object]", inner), (f"state read from its key {key!r}{more}",))
    if not any(isinstance(value, Tensor) for value in values.values()):
        raise ModelError(
            f"weights {str(path)!r}: no tensor among its keys ({_listed(_texts(values)) or 'none'}) and "
            f"no state under {', '.join(map(repr, _KEYS))}: {_HOW}"
        )
    return _named(path, values, ())


def _named(path: Path, values: Mapping[Any, object], notes: tuple[str, ...]) -> WeightsFile:
    names = _texts(values)
    if len(names) < len(values):
        raise ModelError(f"weights {str(path)!r}: some of its keys are no names: {_HOW}")
    if long := next((name for name in names if len(name) > _LONGEST_NAME), None):
        raise ModelError(f"weights {str(path)!r}: the name {long[:60]!r}... has {len(long)} letters: {_HOW}")
    return WeightsFile(path.name, dict(values), notes)


def _texts(values: Mapping[Any, object]) -> list[str]:
    """The keys that are text."""
    return [key for key in values if isinstance(key, str)]


def _listed(names: list[str], most: int = 4) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name[:60]) for name in names[:most]) + more


def _one_line(error: BaseException) -> str:
    """The start of an error's message."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:100]

"""`load_weights`: put the weights of a file into a network, whatever program wrapped their names."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fewbits.errors import ModelError
from fewbits.models.weights_file import WeightsFile, read_weights

_COMPILED = "_orig_mod."
"""What torch.compile puts before the names of a module that it wraps."""

_COUNTER = "num_batches_tracked"
"""Of batch normalization: files of before torch 0.4.1 lack it, and evaluation does not use it."""

_SHOWN = 3
"""Names that a message lists of each kind."""


def load_weights(model: nn.Module, path: str | Path) -> tuple[str, ...]:
    """Put the weights of a file into a network, in place; what was found and assumed on the way, a note each.

    path: see `fewbits.models.read_weights`. Names may stand behind one prefix, such as `module.` (DataParallel),
    `model.` (Lightning) or `_orig_mod.` (torch.compile), which is stripped. Values of another float type are converted.
    Raises ModelError in one line, the network unchanged, for a file that cannot be read, for entries that are missing,
    too many or of other shapes, with the nearest names, and for values that are NaN or infinite.
    """
    file = read_weights(path)
    state: dict[str, object] = model.state_dict()
    own = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if lazy := next((name for name, value in own.items() if is_lazy(value)), None):
        raise ModelError(f"{lazy!r} has no shape yet: run the network once on an image, then load weights")
    values, notes = _own_names(file, own)
    _refuse_misfits(file, own, values)
    chosen: dict[str, Tensor] = {}
    for name, like in own.items():
        if name in values:
            chosen[name] = _checked(file, name, values[name], like)
    if converted := sorted({str(chosen[name].dtype) for name in chosen if chosen[name].dtype != own[name].dtype}):
        notes += (f"{' and '.join(converted).replace('torch.', '')} values converted to those of the network",)
    try:
        model.load_state_dict(chosen, strict=False)  # what is missing was refused, but for counters
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ModelError(f"weights {file.name!r}: the network does not take them: {reason}") from None
    return (*file.notes, *notes)


def _own_names(file: WeightsFile, own: Mapping[str, Tensor]) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """The file's values under the network's names, and notes on what was stripped and left."""
    values, notes = _without_compiled(file, own)
    wanted = [name for name in own if not name.endswith(_COUNTER)]
    if all(name in values for name in wanted):
        return values, notes
    prefixes = _prefixes(values, wanted)
    whole = [prefix for prefix in prefixes if all(prefix + name in values for name in wanted)]
    if len(whole) > 1:
        raise ModelError(
            f"weights {file.name!r}: the network's names stand there behind {' and behind '.join(map(repr, whole))}: "
            "store one of them alone"
        )
    prefix = whole[0] if whole else max(prefixes, key=lambda one: prefixes[one], default="")
    if not prefix:
        return values, notes
    inside = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    left = [name for name in values if not name.startswith(prefix)]
    notes += (f"prefix {prefix!r} of its names stripped",)
    return inside, notes + ((f"entries without that prefix are not used: {_listed(left)}",) if left else ())


def _without_compiled(file: WeightsFile, own: Mapping[str, Tensor]) -> tuple[Mapping[str, object], tuple[str, ...]]:
    """Names as torch.compile found them."""
    if not any(_COMPILED in name for name in file.values) or any(_COMPILED in name for name in own):
        return file.values, ()
    plain = {name.replace(_COMPILED, ""): value for name, value in file.values.items()}
    return plain, (f"{_COMPILED!r} of torch.compile stripped from its names",)


def _prefixes(values: Mapping[str, object], wanted: list[str]) -> Counter[str]:
    """What may stand before the network's names, with the number of names behind it."""
    known, found = frozenset(wanted), Counter[str]()
    for name in values:
        starts = (0, *(place + 1 for place, sign in enumerate(name) if sign == "."))
        found.update(name[:start] for start in starts if name[start:] in known)
    return found


def _refuse_misfits(file: WeightsFile, own: Mapping[str, Tensor], values: Mapping[str, object]) -> None:
    """Refuse what is missing, too much or of another shape, all in one line."""
    missing = [name for name in own if name not in values and not name.endswith(_COUNTER)]
    unexpected = [name for name in values if name not in own]
    others = [
        f"{name!r} is {_shape(value)} and not {_shape(own[name])}"
        for name, value in values.items()
        if name in own and isinstance(value, Tensor) and value.shape != own[name].shape
    ]
    parts = [
        *([f"missing {_listed(missing, unexpected)}"] if missing else []),
        *([f"unexpected {_listed(unexpected)}"] if unexpected else []),
        *([f"of another shape {'; '.join(others[:_SHOWN])}{_more(others)}"] if others else []),
    ]
    if not parts:
        return
    if any(name.endswith("precision_text") for name in unexpected):
        parts.append("it holds a network that fewbits quantized: give the float network's weights")
    raise ModelError(f"weights {file.name!r} do not fit the network: {'; '.join(parts)}")


def _checked(file: WeightsFile, name: str, value: object, like: Tensor) -> Tensor:
    """A value of the file that the network can take."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized or value.is_meta:
        kind = f"{value.dtype}, {value.layout}" if isinstance(value, Tensor) else type(value).__name__
        raise ModelError(f"weights {file.name!r}: {name!r} is no plain tensor ({kind}): store it as one of floats")
    if value.is_floating_point() != like.is_floating_point() or value.is_complex():
        raise ModelError(f"weights {file.name!r}: {name!r} holds {value.dtype}, the network's is {like.dtype}")
    if not torch.isfinite(value).all():
        raise ModelError(f"weights {file.name!r}: {name!r} holds NaN or infinity: give a network that is trained")
    if not torch.isfinite(value.to(like.dtype)).all():
        raise ModelError(f"weights {file.name!r}: {name!r} holds values beyond the range of {like.dtype}")
    return value


def _listed(names: list[str], near: list[str] | None = None) -> str:
    """Some names, each with the nearest of others, and how many more there are."""
    shown: list[str] = []
    for name in names[:_SHOWN]:
        nearest = difflib.get_close_matches(name, (near or [])[:1000], n=1)
        shown.append(f"{name[:80]!r}" + (f" (nearest there: {nearest[0][:80]!r})" if nearest else ""))
    return ", ".join(shown) + _more(names)


def _more(names: list[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""


def _shape(value: object) -> str:
    """A shape as `32 x 1 x 3 x 3`."""
    sizes = value.shape if isinstance(value, Tensor) else ()
    return " x ".join(map(str, sizes)) or "a single value"

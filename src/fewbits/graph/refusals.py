"""What has no bit-exact form: where and what it is, why, and what to do; one sentence for every reader of networks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from fewbits.errors import ModelError

FORMS = "use convolutions, linear layers, ReLU, pooling, flatten, addition and concatenation"

OWN_TENSOR = (
    "it takes the network's own tensor {!r}, and only what is computed from the images can be lowered; make it the "
    "weight or bias of a convolution or linear layer"
)


@dataclass(frozen=True)
class Skipped:
    """A module, or a call of a function, that is left float: it has no bit-exact form."""

    name: str
    """Where it is in the network, such as `features.bn1`; empty for the network itself; torch.fx's name of a call."""

    kind: str
    """Its class; the function's name."""

    reason: str
    """Why it was left, and what to do."""

    is_call: bool = False
    """Whether a function or method is meant, not a module."""

    def __str__(self) -> str:
        """The sentence that every reader of networks answers with."""
        if not self.name:
            return f"{self.kind} cannot be lowered: {self.reason}"
        return f"{'call' if self.is_call else 'layer'} {self.name!r} ({self.kind}) cannot be lowered: {self.reason}"


class UnsupportedError(ModelError):
    """A network of which something has no bit-exact form."""

    def __init__(self, skipped: Skipped) -> None:
        super().__init__(str(skipped))
        self.skipped = skipped


def unsupported(node: fx.Node, reason: str) -> UnsupportedError:
    """The error for a call of a function or method without a bit-exact form."""
    return UnsupportedError(Skipped(node.name, target_name(node), reason, is_call=True))


def target_name(node: fx.Node) -> str:
    """Name of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))

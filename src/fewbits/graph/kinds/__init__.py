"""fewbits' own kinds of operation, one file a kind; `graph/catalogue.py` joins those of extensions to them."""

from fewbits.graph.kind import KindOfOperation
from fewbits.graph.kinds.addition import KindOfAddition
from fewbits.graph.kinds.batch_norm import BatchNorm
from fewbits.graph.kinds.concatenation import KindOfConcatenation
from fewbits.graph.kinds.convolution import Convolution
from fewbits.graph.kinds.linear import Linear
from fewbits.graph.kinds.pooling import AveragePooling, MaximumPooling
from fewbits.graph.kinds.relu import ReLU
from fewbits.graph.kinds.reshaping import Reshaping
from fewbits.graph.kinds.rounding import Rounding
from fewbits.graph.kinds.vanishing import Vanishing
from fewbits.graph.kinds.without_form import AveragePooling3d, Curves, Moving

OWN: dict[str, KindOfOperation] = {
    kind.name: kind
    for kind in (
        *(Convolution(), Linear(), ReLU(), MaximumPooling(), AveragePooling(), KindOfAddition(), KindOfConcatenation()),
        *(Reshaping(), Vanishing(), BatchNorm(), Rounding(), Curves(), Moving(), AveragePooling3d()),
    )
}
"""By name."""

__all__ = ["OWN"]

"""How a figure is declared: what it is, where it comes from, where it is shown. `figures` has them. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.hardware import Cost
    from fewbits.study.front_record import FrontPoint
    from fewbits.study.networks import TrainingOutcome
    from fewbits.study.result import RunResult
    from fewbits.train import Evaluation

STORED = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
"""How values are read back: of the very types that were written, finite, within the ranges below."""

Percent = Annotated[float, Field(ge=0, le=100)]
Size = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
PositiveCount = Annotated[int, Field(gt=0, lt=2**63)]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a run found by training and testing its network."""

    labels: Tensor
    """Of the test images."""

    predictions: Tensor
    """Of the bit-exact network on the test images."""

    fake_quantized: Evaluation
    """Of the torch module with quantized layers on the same images."""

    training: TrainingOutcome
    float_training: TrainingOutcome
    cost: Cost
    baseline_uj: float | None
    """Energy of the same network at float32; None if the technology table or the accelerator has no float32."""

    assumed_uj: float | None = None
    """Energy at the table's assumed activity, whatever the cost's is."""

    front: tuple[FrontPoint, ...] = ()
    """Of the rounds of a recipe that approximates more in each."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a figure is, where it comes from and where it is shown."""

    meaning: str
    """A sentence for whoever reads the figure."""

    unit: str = ""
    """Beside headings and axes; empty for a plain number or text."""

    of_cost: Callable[[Cost], Any] | None = None
    """Its value from a network's cost; None if it comes from elsewhere."""

    of_test: Callable[[Tested], Any] | None = None
    """Its value from what a run found; None if it comes from elsewhere."""

    of_run: Callable[[RunResult], Any] | None = None
    """Its value from a run's other figures, for one that is not kept; None takes the run's own."""

    against_baseline: Callable[[RunResult, RunResult], float | None] | None = None
    """Its value from a run and the float32 run of the same seed; without such a run there is none."""

    heading: str = ""
    """Of its column in the study's tables, and of an axis; empty for no column."""

    short: str = ""
    """The heading for a terminal, in two lines where it is long, so that all columns fit into 80 characters."""

    csv: str = ""
    """Its name in CSV, where that is another than its own."""

    decimals: int | None = None
    """Shown in tables; None: as many as give the column's smallest figure three digits."""

    signed: bool = False
    """Whether a plus sign is shown."""

    over_seeds: bool = False
    """Whether mean and spread over seeds are taken though it has no column."""

    charted: bool = False
    """Whether a chart shows accuracy against it, with the Pareto front; less of it is better."""

    bars: str = ""
    """Title of the bar chart of a figure by component; empty for none."""

    of_chip: bool = False
    """Whether one bar chart serves all networks, since the figure is the chip's."""

    by: tuple[str, ...] = ()
    """What its values are told apart by, outermost first: `layer`, `component`, `epoch`; empty for one value."""

    table: str = ""
    """The tidy table whose rows its entries are; empty for a figure of numbers."""

    ends: tuple[str, ...] = ()
    """Names of what each value consists of, such as `low` and `high`; empty for a plain one."""

    in_run_json: bool = False
    in_cost_json: bool = False
    in_cost_table: bool = False

    cost_rank: int = 1
    """`fewbits cost` shows its figures from the lowest rank on, those of one rank as they are declared."""

    name: str = ""
    """That of its entry."""

    is_kept: bool = False
    """Whether a run keeps it and the store holds it, as its entry says."""

    @property
    def is_column(self) -> bool:
        """Whether the study's tables show it."""
        return bool(self.heading)

    @property
    def is_of_run(self) -> bool:
        """Whether a run has it, by itself or against its float32 run; else a network's cost alone does."""
        return self.is_kept or self.of_run is not None or self.against_baseline is not None

    @property
    def is_joined(self) -> bool:
        """Whether mean and spread over seeds are taken."""
        return self.is_column or self.over_seeds

    @property
    def column_key(self) -> str:
        """Its name in CSV."""
        return self.csv or self.name

    @property
    def axis(self) -> str:
        """The title of an axis or of a line in a tooltip."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading

    @property
    def words(self) -> str:
        """What it is of, in a sentence: the short heading in one line."""
        return self.short.replace("-\n", "").replace("\n", " ")

    @property
    def word(self) -> str:
        """For files' names: its name without what it is split by and without its unit."""
        return self.name.removesuffix("_by_component").rpartition("_")[0].replace("_", "-") or self.name

    def value(self, run: RunResult) -> Any:
        """Of a run by itself."""
        return getattr(run, self.name) if self.of_run is None else self.of_run(run)

    def in_row(self, run: RunResult, baseline: RunResult | None) -> float | None:
        """Of a run in a table. baseline: the float32 run of the same seed, if there is one."""
        if self.against_baseline is None:
            return self.value(run)
        return None if baseline is None else self.against_baseline(run, baseline)


def kept(figure: Figure, *, default: Any = MISSING, default_factory: Any = MISSING) -> Any:
    """A figure that a run keeps and the store holds.

    default: that of a run from a version which did not keep it; a figure that is new needs one, so that older stores
    are read.
    """
    return field(default=default, default_factory=default_factory, metadata={"figure": figure})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(kept, field))
def declares(body: type[_T]) -> type[_T]:
    """A class whose body is a list of figures, in their order: kept ones are fields, others class variables."""
    return dataclass(frozen=True, kw_only=True)(body)

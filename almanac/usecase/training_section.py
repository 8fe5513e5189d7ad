"""Sections on targets and training: candidates, tuning, selection and intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field, model_validator

from almanac.core.kinds import Kinds, Named
from almanac.usecase.stakes_section import Signals, Stakes
from almanac.usecase.types import Duration, Name, Section, absent, union_of

Share = Annotated[float, Field(gt=0, lt=1)]


class Decision(Section):
    """Names for ranges of the prediction, such as BUY, HOLD, SELL or the bands of an index."""

    thresholds: Annotated[list[float], Field(min_length=1)]
    """Ascending inner edges."""
    names: Annotated[list[str], Field(min_length=2)]
    """Names, one more than thresholds."""
    by: Annotated[Literal["prediction", "lower", "upper"], absent("prediction")] = "prediction"
    """Figure that is compared with the thresholds: the forecast, or an end of its interval, such as the upper one for
    an alert that a load may become too high."""

    @model_validator(mode="after")
    def _lengths(self) -> "Decision":
        if len(self.names) != len(self.thresholds) + 1:
            raise ValueError(f"{len(self.thresholds)} thresholds need {len(self.thresholds) + 1} names")
        if self.thresholds != sorted(set(self.thresholds)):
            raise ValueError("thresholds must ascend")
        return self


class Target(Section):
    """A forecast of one column at one horizon."""

    name: Name
    """Name of the target, and of its model."""
    column: Name
    """Numeric column that is forecast."""
    horizon: Duration
    """How far ahead of the prediction time."""
    task: Literal["regression", "classification"] = "regression"
    """Regression of the value, or the probability that it is above `above`."""
    above: float | None = None
    """Threshold of a classification target."""
    decision: Decision | None = None
    """Decision of this target; for a classification its thresholds are probabilities."""
    scale: Annotated[Literal["linear", "log"], absent("linear")] = "linear"
    """Scale on which a model learns: log for a price, whose errors are shares; forecasts are in the column's unit."""
    baselines: Annotated[dict[Name, Name], absent({})] = {}
    """Of events, further baselines by name: a column or feature that is a forecast itself, a probability for a
    classification."""
    with_last: Annotated[bool, absent(False)] = False
    """Of events, whether only those are learned from and judged whose entity had one before, such as a card's second
    sale."""
    stakes: Annotated[Stakes | None, absent(None)] = None
    """Of a classification of events, stakes by its probability and the prices of both sides."""
    signals: Annotated[Signals | None, absent(None)] = None
    """Of a price, the signals BUY, SELL and HOLD."""

    @model_validator(mode="after")
    def _threshold(self) -> "Target":
        if (self.task == "classification") != (self.above is not None):
            raise ValueError("'above' belongs to task classification, and there alone")
        return self

    @model_validator(mode="after")
    def _probabilities(self) -> "Target":
        thresholds = self.decision.thresholds if self.decision is not None else []
        if self.task == "classification" and not all(0 < edge < 1 for edge in thresholds):
            raise ValueError("decision.thresholds: those of a classification are probabilities, between 0 and 1")
        return self

    @model_validator(mode="after")
    def _ends(self) -> "Target":
        if self.task == "classification" and self.decision is not None and self.decision.by != "prediction":
            raise ValueError("decision.by: a probability has no interval; leave it out")
        return self

    @model_validator(mode="after")
    def _tasks(self) -> "Target":
        if self.stakes is not None and self.task != "classification":
            raise ValueError("'stakes' belongs to task classification")
        if (self.signals is not None or self.scale == "log") and self.task != "regression":
            raise ValueError("'signals' and scale log belong to task regression")
        return self


class Folds(Section):
    """Expanding-window folds inside the training span, a gap of at least the horizon before each."""

    count: Annotated[int, Field(ge=2)] = 3
    """How many folds; together they end with the training span."""
    length: Duration | None = None
    """Length of each validation fold; when absent all take half of the training window together, at most 120d each."""


class Budget(Section):
    """Budget of the tuning."""

    trials: Annotated[int, Field(ge=1)] = 10
    """Maximum number of trials of each candidate."""
    seconds: Annotated[float, Field(gt=0)] = 3600
    """Time limit for each target; all targets share the sum. Reaching it is reported, since the result then depends on
    the machine."""


class IntegerRange(Section):
    """A range of whole numbers to search."""

    kind: Literal["integer"]
    low: int
    """Smallest."""
    high: int
    """Largest."""
    log: bool = False
    """Search the logarithm."""


class FloatRange(Section):
    """A range of numbers to search."""

    kind: Literal["float"]
    low: float
    """Smallest."""
    high: float
    """Largest."""
    log: bool = False
    """Search the logarithm."""


class Choice(Section):
    """Values to choose from."""

    kind: Literal["choice"]
    values: Annotated[list[bool | int | float | str], Field(min_length=1)]
    """The values."""


Search = Annotated[IntegerRange | FloatRange | Choice, Field(discriminator="kind")]
Scalar = bool | int | float | str


class CandidateSection(Section):
    """The fields that every candidate has."""

    kind: str
    """Kind of candidate."""
    name: Name
    """Name of the candidate in the reports."""


class Learner(CandidateSection):
    """A candidate that is fitted to rows; each kind declares a subclass, see `almanac.training.candidates`."""

    fixed: dict[str, Scalar] = {}
    """Parameters that are not searched."""
    search: dict[str, Search] = {}
    """Parameters that are searched."""
    start: dict[str, Scalar] | list[dict[str, Scalar]] = {}
    """Values of the first trial, or of each of the first trials."""
    trials: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of trials of this candidate; the budget's when absent."""
    targets: Annotated[list[Name] | None, Field(min_length=1), absent(None)] = None
    """Targets that it competes for; all when absent."""

    def competes(self, target: str) -> bool:
        """Return whether it competes for a target."""
        return self.targets is None or target in self.targets


class Blend(CandidateSection):
    """A non-negative combination of other candidates with the least squared error, or log loss, out of fold."""

    kind: Literal["blend"]
    of: Annotated[list[Name], Field(min_length=2)]
    """Names of the candidates; their kinds must be blendable, such as lightgbm, linear and kernel_ridge."""


class CandidateKind(Named, Protocol):
    """A kind of candidate as far as a use case file depends on it."""

    @property
    def declaration(self) -> type[CandidateSection]:
        """Its section of the use case file, with the field `kind` as `Literal[name]`."""

    @property
    def blendable(self) -> bool:
        """Whether its models can be weighted and summed into one."""

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the aliases of each parameter, by its own name; empty where the library is not installed."""


CANDIDATES: Kinds[CandidateKind] = Kinds("candidate", "almanac.training.candidates", "almanac.candidates")

if TYPE_CHECKING:
    Candidate = CandidateSection
else:
    Candidate = union_of(CANDIDATES)


class Choose(Section):
    """The rule by which a candidate is chosen on the folds."""

    metric: Literal["rmse", "mae", "smape", "log_loss"] = "rmse"
    """Metric whose mean over the folds, each weighted by its training rows, is minimised; a classification always uses
    its log loss."""
    prefer: list[Name] = []
    """Candidates in order of preference among those within `tolerance` of the best."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Relative difference that counts as equal, of the metric and of the bias as a share of the error."""
    standard_errors: Annotated[float, Field(ge=0), absent(0.0)] = 0.0
    """Standard errors of the paired difference in loss that count as equal besides: 1 keeps the preferred candidate
    unless the folds show another to be better by more than chance, which few rows of noise often feign."""
    then: Annotated[Literal["mase_median"] | None, absent(None)] = None
    """Of a panel, what decides among those within `tolerance` of the best, before `prefer`: the median over the
    entities of their mean absolute scaled errors."""

    def metric_of(self, target: Target) -> str:
        """Return the metric that compares a target's candidates."""
        # The gate compares a probability by its log loss too.
        return "log_loss" if target.task == "classification" else self.metric


class Intervals(Section):
    """Split-conformal intervals, calibrated on out-of-fold residuals within bins of the last known value."""

    level: Share = 0.9
    """Nominal coverage."""
    bins: Annotated[int, Field(ge=1)] = 12
    """Bins of the last known value; a bin with few rows is merged with its neighbour."""
    width: Annotated[Literal["forecast", "trees"], absent("forecast")] = "forecast"
    """Scale of the offsets: the usual error at the height of the forecast, or that times a relative width by trees of
    all features, for each target where the folds find it better."""
    by_entity: Annotated[bool, absent(True)] = True
    """Of several series on a grid, offsets of its own for each entity that has rows enough."""


class Dask(Section):
    """The workers of the Dask engine: those of a scheduler, pods that it starts, or local processes."""

    address: str | None = None
    """Scheduler's address, such as tcp://dask-scheduler:8786; that of DASK_SCHEDULER_ADDRESS, if set, when absent."""
    kubernetes: bool = False
    """Without an address, start worker pods by dask-kubernetes, which must be installed, instead of processes."""
    workers: Annotated[int, Field(ge=1)] = 2
    """Number of workers; LightGBM's sums, and so a model's bytes, depend on it."""
    memory: str = "4Gi"
    """Memory of each worker pod, as Kubernetes writes it."""
    partition: Annotated[int, Field(ge=1)] = 65_536
    """Rows of a partition; no result depends on it."""

    @model_validator(mode="after")
    def _one_of(self) -> "Dask":
        if self.address is not None and self.kubernetes:
            raise ValueError("give either 'address' or 'kubernetes'")
        return self


class Training(Section):
    """Candidates, tuning, selection and intervals."""

    engine: Literal["local", "dask"] = "local"
    """One machine, or Dask: features by partitions, and LightGBM candidates by its Dask learner."""
    dask: Dask = Dask()
    """Workers of the Dask engine."""
    seed: int = 7
    """Random seed."""
    threads: Annotated[int, Field(ge=1)] = 2
    """Number of fits at a time. Each runs in one thread, so that a model's bytes do not depend on this number."""
    folds: Folds = Folds()
    """Folds."""
    budget: Budget = Budget()
    """Tuning budget."""
    candidates: Annotated[list[Candidate], Field(min_length=1)]
    """Candidates; the persistence and seasonal baselines are always compared with them."""
    choose: Choose = Choose()
    """Rule of selection."""
    intervals: Intervals = Intervals()
    """Prediction intervals."""

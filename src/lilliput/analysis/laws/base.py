"""Define the three kinds of law: subclass one of them and register an instance to add a law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.equation import Equation
from lilliput.core.arrays import FloatArray

if TYPE_CHECKING:
    from lilliput.analysis.laws.isoflop import Allocation


BoundEnd = Literal["lowest", "highest"]


class Law(ABC):
    """Hold what every law says about itself; `CostLaw`, `SizedLaw` and `BestSizeLaw` add how it is fitted.

    Attributes:
        name: Word after `--law`, and the name under which results are stored.
        label: Noun phrase for sentences, for example "power law above a floor".
        help: One clause for `--help`: the formula or what is found.
        most_breaks: Largest number of breaks; zero for a law without breaks.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    help: ClassVar[str]
    most_breaks: ClassVar[int] = 0

    @abstractmethod
    def place_in_lists(self) -> tuple[int, ...]:
        """Return what sorts laws in lists and help texts: the kind, then the number of parameters."""

    def __eq__(self, other: object) -> bool:
        """Say that two instances of one class are the same law: a law holds no data."""
        return type(self) is type(other)

    def __hash__(self) -> int:
        """Return the hash that goes with this equality."""
        return hash(type(self))


class BreakProfile(NamedTuple):
    """Say how well the law fits with one break held elsewhere and everything else fitted anew.

    Attributes:
        low: Lower edges of the places tried, in ln cost, shape (places,).
        high: Upper edges; equal to `low` where each place is a point and no gap.
        rss: Residual sum of squares with the break there, shape (places,).
    """

    low: FloatArray
    high: FloatArray
    rss: FloatArray


class CurveLaw(Law):
    """A law whose fit is a curve of loss against cost."""

    @abstractmethod
    def log_curve(
        self, log_flops: FloatArray, parameters: Mapping[str, float], log_breaks: FloatArray
    ) -> FloatArray:
        """Return ln loss on the curve.

        Args:
            log_flops: ln cost, any shape.
            parameters: Name to value, as `CurveFit.parameters` gives them.
            log_breaks: ln of the break locations, ascending.
        """

    def equation(self, parameters: Mapping[str, float], breaks: FloatArray) -> Equation | None:
        """Return a fit of this law as an equation; None where the law does not write one.

        Args:
            parameters: Name to value, as `CurveFit.parameters` gives them.
            breaks: Locations of the breaks in units of the cost, ascending.
        """
        del parameters, breaks
        return None

    def at_bound(self, values: FloatArray) -> dict[str, BoundEnd]:
        """Return the parameters that ended at a bound of their search, by name, and at which end.

        Such a value is where the search stopped and no estimate.

        Args:
            values: Parameters in the order of the fit's names.
        """
        del values
        return {}


class CostLaw(CurveLaw):
    """A law of loss against cost alone, fitted by least squares in ln loss.

    A law without breaks needs `n_free`, `fit` and `log_curve`. A law with breaks adds `most_breaks` and
    `profile`, and `pieces` where it is made of separate pieces.

    Attributes:
        is_candidate: True where `--law auto` compares it.
        fewest_costs: Distinct costs from which `--law auto` compares it; it always needs `n_free`.
        breaks_lie_in_gaps: Whether the data say only between which two points a break lies.
        is_curved: Whether it bends everywhere and so has no place of a break.
        without_floor: Name of the law that this one becomes without its floor; None where it has no floor.
    """

    is_candidate: ClassVar[bool] = True
    fewest_costs: ClassVar[int] = 0
    breaks_lie_in_gaps: ClassVar[bool] = False
    is_curved: ClassVar[bool] = False
    without_floor: ClassVar[str | None] = None

    def place_in_lists(self) -> tuple[int, ...]:
        """Return 0 for the kind, then whether it breaks, then the parameters of its simplest form."""
        breaks = min(1, self.most_breaks)
        return 0, breaks, self.n_free(breaks)

    @abstractmethod
    def n_free(self, breaks: int) -> int:
        """Return the number of free parameters, the noise variance included."""

    @abstractmethod
    def fit(
        self, flops: FloatArray, loss: FloatArray, breaks: int, start: CurveFit | None = None
    ) -> CurveFit | None:
        """Return the law fitted to points; None where they cannot carry it.

        Args:
            flops: Costs above zero, shape (points,).
            loss: Losses above zero, shape (points,).
            breaks: Number of breaks; zero for a law without.
            start: A fit to similar data (the parent of a bootstrap draw), which allows a quicker search.
        """

    def is_costly(self, breaks: int) -> bool:
        """Say whether this form is fitted only where it can be claimed, as fitting it takes long."""
        del breaks
        return False

    def profile(
        self, log_flops: FloatArray, log_loss: FloatArray, fit: CurveFit, index: int
    ) -> BreakProfile | None:
        """Return the fit's quality with break number `index` held at other places; None without breaks."""
        del log_flops, log_loss, fit, index
        return None

    def pieces(self, fit: CurveFit, flops: FloatArray) -> NDArray[np.intp] | None:
        """Return the index of the piece that each point lies on; None where all points inform all parameters.

        A law with pieces lists its parameters piece by piece, as many for each.
        """
        del fit, flops
        return None

    def last_slope(self, breaks: int) -> str | None:
        """Return the parameter that is the slope -d ln L / d ln C at the largest cost; None where none is."""
        del breaks
        return None

    def last_exponent(self, breaks: int) -> str | None:
        """Return the parameter that says how fast the loss falls at the largest cost; None where none does.

        Above a floor it is the exponent of what lies above the floor, and so no slope of the loss itself.
        """
        return self.last_slope(breaks)

    def grows_flatter(self, fit: CurveFit) -> bool:
        """Say whether it is curved and falls ever more slowly, as a law above a floor does."""
        del fit
        return False

    def reduces_to(self, fit: CurveFit) -> str | None:
        """Return the simpler law that this very fit is equal to, by name; None where it is a law of its own."""
        del fit
        return None

    def warnings(self, fit: CurveFit) -> list[str]:
        """Return one sentence for each thing about this fit that a reader must know."""
        del fit
        return []


@dataclass(frozen=True)
class SizedSettings:
    """Hold how a law of size and tokens is fitted.

    Attributes:
        delta: Residual of ln L from which the Huber loss grows linearly.
        offset: Irreducible loss in nats where it is known; None where it is fitted.
    """

    delta: float = 1e-3
    offset: float | None = None


@dataclass(frozen=True)
class SizedPoints:
    """Hold the points of a law of size and tokens, each array of shape (points,) and above zero.

    Attributes:
        flops: Training FLOPs C.
        loss: Nats per predicted token L.
        parameters: Parameters N.
        tokens: Tokens D, every epoch counted.
        unique_tokens: Tokens there were to read; None where the law does not need them.
        weights: Times that each point counts; None where all count once.
        settings: How the law is fitted.
    """

    flops: FloatArray
    loss: FloatArray
    parameters: FloatArray
    tokens: FloatArray
    unique_tokens: FloatArray | None = None
    weights: FloatArray | None = None
    settings: SizedSettings = SizedSettings()

    @property
    def flops_per_parameter_token(self) -> FloatArray:
        """Return the cost of one parameter and token at each point, shape (points,)."""
        return self.flops / (self.parameters * self.tokens)


@dataclass(frozen=True)
class SizedFit:
    """Hold a law of size and tokens fitted to points.

    Attributes:
        curve: Its constants, with the curve of optimally split budgets.
        warnings: One sentence each.
        facts: What stands beside the facts of every law in the result.
    """

    curve: CurveFit
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


class SizedLaw(CurveLaw):
    """A law of loss against size and tokens; its curve is that of the best split of each budget.

    Attributes:
        needs_unique_tokens: Whether the table must have the column `unique_tokens`.
        takes_settings: Whether it heeds the weights of the points, and a known offset.
    """

    needs_unique_tokens: ClassVar[bool] = False
    takes_settings: ClassVar[bool] = False

    def place_in_lists(self) -> tuple[int, ...]:
        """Return 1: these laws stand after those of cost alone."""
        return (1,)

    @abstractmethod
    def fit(self, points: SizedPoints) -> SizedFit:
        """Return the law fitted to points.

        Raises:
            InputError: There are too few points, or sizes or tokens do not vary.
        """

    @abstractmethod
    def draw(self, points: SizedPoints, fit: CurveFit, counts: FloatArray) -> FloatArray:
        """Return the parameters refitted to bootstrap draws, shape (draws, parameters).

        Args:
            points: All points.
            fit: The fit to all of them.
            counts: How often each point is in each draw, shape (draws, points).
        """

    def loss_at(
        self,
        values: FloatArray,
        parameters: FloatArray,
        tokens: FloatArray,
        unique_tokens: FloatArray | None = None,
    ) -> FloatArray:
        """Return the loss of models of some sizes and tokens, in nats.

        Args:
            values: Parameters in the order of the fit's names, shape (parameters,) or (draws, parameters).
            parameters: Parameters N, shape (points,).
            tokens: Tokens D, every epoch counted, shape (points,).
            unique_tokens: Tokens there are to read; None where none repeats.

        Returns:
            Shape (points,) or (draws, points).

        Raises:
            NotImplementedError: The law does not say.
        """
        raise NotImplementedError(f"the {self.label} does not predict a loss of size and tokens")

    @abstractmethod
    def best_split(self, values: FloatArray, flops: float) -> tuple[float, float]:
        """Return the parameters and tokens of lowest loss at a budget; NaN where there is no best split.

        Args:
            values: Parameters in the order of the fit's names, perhaps those of a draw.
            flops: The budget.
        """

    def derived(self, values: FloatArray) -> dict[str, FloatArray]:
        """Return further quantities that follow from the parameters, by name.

        Args:
            values: Shape (..., parameters).
        """
        del values
        return {}


def drawn_medians(values: FloatArray, counts: FloatArray) -> FloatArray:
    """Return the median of the points of each draw: (points,) and (draws, points) to (draws, 1)."""
    times = counts.astype(np.intp)
    return np.array([[np.median(np.repeat(values, row))] for row in times]).reshape(-1, 1)


class BestSizeLaw(Law):
    """A law of the best size at each cost, read off the runs without a law of loss.

    Attributes:
        takes_finished_runs: Whether points of unfinished training are left out unless they are asked for.
        is_judged_by_budget: Whether each budget has a parabola of its own, so that the line through their
            minima has an interval by Student's t.
    """

    takes_finished_runs: ClassVar[bool] = False
    is_judged_by_budget: ClassVar[bool] = False

    def place_in_lists(self) -> tuple[int, ...]:
        """Return 2: these laws stand last."""
        return (2,)

    @abstractmethod
    def allocation(
        self, run: NDArray[np.intp], flops: FloatArray, parameters: FloatArray, loss: FloatArray
    ) -> Allocation:
        """Return the best sizes and the power law through them; all arguments have shape (points,).

        Raises:
            InputError: There are too few budgets or runs.
        """

"""A case: one random instance of a claim, where what was measured meets what is stated."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from measureflow.claims.curves import Curve
from measureflow.claims.parameters import as_given, as_number, as_option
from measureflow.errors import BadInput

__all__ = ["Case", "Comparison", "Memory", "NotApplicable"]

T = TypeVar("T")


class NotApplicable(Exception):
    """Raised inside a check when a hypothesis of the claim does not hold for this instance."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One comparison of a check, reduced to the entry that fits worst.

    `deviation` is the error in tolerances: at most 1/2 is a pass with margin, above 1 a failure; NaN where
    either side is NaN.
    """

    name: str
    measured: float
    expected: float
    tolerance: float
    because: str
    deviation: float


class Memory:
    """What was measured for an instance, kept by content, so that a mutation does not repeat a flow."""

    def __init__(self) -> None:
        self.kept: dict[Any, tuple[Any, Any]] = {}

    def recall(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        """Return `function(*args, **kwargs)`, computed once for equal contents of all arguments."""
        name = (function, fingerprint((args, kwargs)))
        if name not in self.kept:
            # the arguments are kept as well: a name may hold the address of one of them
            self.kept[name] = (function(*args, **kwargs), (args, kwargs))
        return self.kept[name][0]


def fingerprint(value: Any) -> Any:
    """Return a hashable name of a PyTree's structure and contents."""
    leaves, structure = jax.tree_util.tree_flatten(value)
    return str(structure), tuple(fingerprint_of_leaf(leaf) for leaf in leaves)


def fingerprint_of_leaf(leaf: Any) -> Any:
    """Return a hashable name of one leaf: arrays by their bytes, functions by identity, the rest by what
    they show."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if isinstance(leaf, (jax.Array, np.ndarray)):
        array = np.asarray(leaf)
        return array.shape, array.dtype.str, array.tobytes()
    return (id(leaf),) if callable(leaf) else (type(leaf).__name__, repr(leaf))


class Case:
    """One random instance of a claim, handed to its check.

    The check draws its instance (`draw`, `choose`, `given`, `rng`, `seed`, `key`), says what must hold for the claim
    to apply (`require`), measures (`measure`, which remembers), takes what is stated through `predict` or
    `statement.<part>`, and compares (`compare`, `at_least`, `at_most`). A mutation replaces a part of the
    statement and nothing else; a user's `parameters` replace what is drawn, chosen or given.

    Main attributes:
        statement: the stated parts by name; a mutation stands here in the place of the original.
        index: 0, 1, 2, ... among the draws; `tier`: `"smoke"`, `"standard"` or `"full"`.
        rng: a NumPy generator; `seed`: an integer for `mf.uniform(..., seed=case.seed)`; `key`: a JAX key. All three
            depend on the user's seed, the claim and the index only.
        instance: what was drawn, chosen or given, by name, and what a check notes beside; `taken`: the names of the
            first, which a user may set; `unusual`: what a user did set where it is never drawn.
        curves: what was compared, whole, for pictures.
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, Callable[..., Any]],
        *,
        seed: int = 0,
        index: int = 0,
        tier: str = "smoke",
        memory: Memory | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.parameters = dict(parameters or {})
        self.statement = SimpleNamespace(**parts)
        self.index = index
        self.tier = tier
        self.memory = Memory() if memory is None else memory
        self.root = (int(seed), zlib.crc32(name.encode()))
        self.rng = self.generator("rng")
        self.seed = int(self.generator("seed").integers(2**31))
        self.instance: dict[str, Any] = {}
        self.hypotheses: dict[str, bool] = {}
        self.taken: set[str] = set()
        self.unusual: dict[str, str] = {}
        self.comparisons: list[Comparison] = []
        self.curves: list[Curve] = []

    def generator(self, name: str, *, index: int | None = None) -> np.random.Generator:
        """Return a generator of its own for `name`: what else is drawn does not change it."""
        index = self.index if index is None else index
        return np.random.default_rng([*self.root, index, zlib.crc32(name.encode())])

    @property
    def key(self) -> jax.Array:
        """A JAX key of this instance."""
        return jax.random.key(self.seed)

    def draw(self, name: str, low: float, high: float, *, log: bool = False, integer: bool = False) -> Any:
        """Draw a number of `[low, high]`, uniform or (`log`) log-uniform; `integer` includes both ends."""
        generator = self.generator(f"draw {name}")
        if name in self.parameters:
            value: Any = as_number(self.about(name), self.parameters[name], whole=integer)
            if not low <= value <= high:
                self.unusual[name] = f"{name} = {value:g} is set by hand; it is drawn from {low:g} to {high:g}"
        elif integer:
            value = int(generator.integers(int(low), int(high), endpoint=True))
        elif log:
            value = float(np.exp(generator.uniform(np.log(low), np.log(high))))
        else:
            value = float(generator.uniform(low, high))
        return self.took(name, value)

    def choose(self, name: str, options: Sequence[T]) -> T:
        """Take one of the options: successive draws go round all of them, from a random place."""
        if name in self.parameters:
            value: T = as_option(self.about(name), self.parameters[name], options)
            if value not in options:
                tried = ", ".join(map(str, options))
                self.unusual[name] = f"{name} = {value} is set by hand; it is one of {tried}"
        else:
            start = int(self.generator(f"choose {name}", index=0).integers(len(options)))
            value = options[(start + self.index) % len(options)]
        return self.took(name, value)

    def given(self, name: str, value: T) -> T:
        """Return a value that is the same in every draw; a user may set another of its kind."""
        if name in self.parameters:
            usual, value = value, as_given(self.about(name), self.parameters[name], value)
            if value != usual:
                self.unusual[name] = f"{name} = {value} is set by hand; it is {usual}"
        return self.took(name, value)

    def took(self, name: str, value: T) -> T:
        """Note a parameter and return it."""
        self.instance[name] = value
        self.taken.add(name)
        return value

    def about(self, name: str) -> str:
        """Return the words with which an error about a parameter begins."""
        return f"{self.name}: parameter {name!r}"

    def require(self, name: str, predicate: bool | Callable[[], bool]) -> None:
        """Note a hypothesis; where it does not hold, this instance decides nothing and the check stops
        here."""
        holds = bool(predicate() if callable(predicate) else predicate)
        self.hypotheses[name] = self.hypotheses.get(name, True) and holds
        if not holds:
            raise NotApplicable(name)

    def measure(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Return `function(*args, **kwargs)`, remembered for this instance by the contents of the arguments.

        Truth and mutations share one flow this way. What depends on the statement has other contents and is
        measured anew, so nothing stale can slip in.
        """
        return self.memory.recall(function, args, kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the claim states, where it states one thing."""
        parts = list(vars(self.statement).values())
        if len(parts) != 1:
            names = ", ".join(f"case.statement.{name}" for name in vars(self.statement))
            raise BadInput(f"claim {self.name}: it states {len(parts)} parts; call one by its name: {names}.")
        return parts[0](*args, **kwargs)

    def compare(
        self,
        measured: Any,
        predicted: Any,
        *,
        within: Any,
        because: str,
        relative: bool = False,
        name: str = "",
        over: Mapping[str, Any] | None = None,
    ) -> Comparison:
        """Compare entry by entry: `|measured - predicted| <= within` (times `|predicted|` where `relative`).

        `name` says what is compared; `over={"t": times}` along what, one value for each entry: a picture shows both.
        """
        return self.weigh("equal", measured, predicted, within, because, name, over, relative=relative)

    def at_least(
        self,
        measured: Any,
        bound: Any,
        *,
        within: Any,
        because: str,
        name: str = "",
        over: Mapping[str, Any] | None = None,
    ) -> Comparison:
        """Check `measured >= bound` entry by entry; what falls short is counted in units of `within`."""
        return self.weigh("at least", measured, bound, within, because, name, over)

    def at_most(
        self,
        measured: Any,
        bound: Any,
        *,
        within: Any,
        because: str,
        name: str = "",
        over: Mapping[str, Any] | None = None,
    ) -> Comparison:
        """Check `measured <= bound` entry by entry; the excess is counted in units of `within`."""
        return self.weigh("at most", measured, bound, within, because, name, over)

    def weigh(
        self,
        sense: str,
        measured: Any,
        stated: Any,
        within: Any,
        because: str,
        name: str,
        over: Mapping[str, Any] | None,
        *,
        relative: bool = False,
    ) -> Comparison:
        """Compare in one sense; keep the worst entry, and the curve."""
        measured, stated, within = np.broadcast_arrays(*map(as_numbers, (measured, stated, within)))
        within = within * np.abs(stated) if relative else within
        if measured.size == 0:
            raise BadInput(f"claim {self.name}: a comparison {name!r} has no entries; nothing is checked by it.")
        if not because:
            raise BadInput(f"claim {self.name}: a tolerance has a reason; say it with because=.")
        if not (within > 0).all() and np.isfinite(stated).all():
            raise BadInput(f"claim {self.name}: a tolerance is {within.min()}; it must be positive.")
        with np.errstate(divide="ignore", invalid="ignore"):
            holds, error = {
                "equal": (measured == stated, np.abs(measured - stated)),
                "at least": (measured >= stated, stated - measured),
                "at most": (measured <= stated, measured - stated),
            }[sense]
            deviation = np.atleast_1d(np.where(holds, 0.0, error) / within).ravel()
        blind = np.isnan(deviation)
        worst = int(blind.argmax() if blind.any() else deviation.argmax())
        comparison = Comparison(
            name=name,
            measured=float(measured.ravel()[worst]),
            expected=float(stated.ravel()[worst]),
            tolerance=float(within.ravel()[worst]),
            because=because,
            deviation=float(deviation[worst]),
        )
        self.curves.append(Curve.of(comparison.name, sense, measured, stated, within, over, worst, deviation[worst]))
        self.comparisons.append(comparison)
        return comparison

    @property
    def deviation(self) -> float:
        """The worst error of this case in tolerances; NaN where a comparison met one."""
        return float(np.max([comparison.deviation for comparison in self.comparisons]))


def as_numbers(value: Any) -> np.ndarray:
    """Return an array of floats."""
    return np.asarray(value, dtype=float)

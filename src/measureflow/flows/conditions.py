"""Conditions that end a flow, and the times at which it is saved."""

from __future__ import annotations

import abc
import math
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow import observables
from measureflow.errors import BadInput
from measureflow.measures import Gaussian, Tokens
from measureflow.paths import register
from measureflow.spaces import Sphere
from measureflow.sums import squared_distances

__all__ = [
    "Condition",
    "Consensus",
    "Meeting",
    "Overlap",
    "Spread",
    "Stationary",
    "checked_time",
    "log_times",
    "save_times",
]


#: more saved times than this are a slip
MOST_TIMES = 10_000_000


class Condition(eqx.Module):
    """Something to wait for, with a time `cap` at which the flow gives up waiting."""

    cap: Float[Array, ""]

    #: whether it can be asked of a Gaussian too
    of_laws: ClassVar[bool] = False
    #: whether it takes the rows of a closed equation for what they stand for
    reads_rows: ClassVar[bool] = False

    @property
    def located(self) -> bool:
        """Whether the moment is searched for, rather than the first step at which the condition holds."""
        return True

    @abc.abstractmethod
    def ready(self, tokens: Any) -> Condition:
        """Return the condition made ready for these tokens; raise `BadInput` where it cannot be met."""

    @abc.abstractmethod
    def margin(self, mu: Any, speed: Float[Array, ""]) -> Float[Array, ""]:
        """Return a number that is positive before the condition holds, and not after.

        `speed` is the speed of the fastest token; of a Gaussian the larger of those of its mean and its covariance.
        """


@register
class Stationary(Condition):
    """No token moves faster than `tol`; of a Gaussian, neither mean nor covariance (in the Frobenius norm).

    Example:
        >>> import measureflow as mf
        >>> path = mf.flow(mf.equiangular(n=4, cosine=0.5), mf.SelfAttention(beta=1.0), until=mf.Stationary(1e-6))
        >>> path.status
        'stationary'
    """

    tol: Float[Array, ""]
    of_laws: ClassVar[bool] = True

    def __init__(self, tol: Any, cap: float = 1e12) -> None:
        self.tol, self.cap = jnp.asarray(tol, float), checked_cap(cap)
        if not self.tol > 0:
            raise BadInput(f"Stationary: tol is {tol}; the speed to wait for must be > 0.")

    @property
    def located(self) -> bool:
        """The first step that is slow enough will do."""
        return False

    def ready(self, tokens: Any) -> Condition:
        """Return the condition: any tokens may come to rest."""
        return self

    def margin(self, mu: Tokens, speed: Float[Array, ""]) -> Float[Array, ""]:
        """Return `speed - tol`."""
        return speed - self.tol


@register
class Consensus(Condition):
    """All tokens with mass form one cluster at threshold `delta` (a component of the graph of cosines > 1 - delta)."""

    delta: Float[Array, ""]

    def __init__(self, delta: Any = 1e-3, cap: float = 1e12) -> None:
        self.delta, self.cap = jnp.asarray(delta, float), checked_cap(cap)
        if not 0 < self.delta < 2:
            raise BadInput(f"Consensus: delta is {delta}; it is a gap of cosines, in (0, 2).")

    def ready(self, tokens: Tokens) -> Condition:
        """Return the condition: any tokens may meet."""
        return self

    def margin(self, mu: Tokens, speed: Float[Array, ""]) -> Float[Array, ""]:
        """Return the number of clusters less one."""
        return observables.clusters(mu, delta=self.delta).count - 1.0


@register
class Overlap(Condition):
    """The inner product of tokens `i` and `j` has passed `value`, from below or from above as the start lies."""

    i: int = eqx.field(static=True)
    j: int = eqx.field(static=True)
    value: Float[Array, ""]
    rising: bool = eqx.field(static=True)

    def __init__(self, i: int, j: int, value: Any, rising: bool = True, cap: float = 1e30) -> None:
        self.i, self.j, self.rising, self.cap = i, j, rising, checked_cap(cap)
        self.value = jnp.asarray(value, float)

    def ready(self, tokens: Tokens) -> Condition:
        """Return the condition with the side from which the value is passed; the tokens must exist."""
        for index in (self.i, self.j):
            if not isinstance(index, (int, np.integer)) or not 0 <= index < tokens.n:
                raise BadInput(f"until=Overlap: there is no token {index}; indices run over 0 .. {tokens.n - 1}.")
        reachable = jnp.abs(self.value) <= 1 if isinstance(tokens.space, Sphere) else jnp.isfinite(self.value)
        if not reachable:
            raise BadInput(f"until=Overlap: value is {self.value}; no inner product on {tokens.space!r} passes it.")
        now = float(jnp.sum(tokens.points[self.i] * tokens.points[self.j]))
        return Overlap(self.i, self.j, self.value, now <= float(self.value), float(self.cap))

    def margin(self, mu: Tokens, speed: Float[Array, ""]) -> Float[Array, ""]:
        """Return how much is missing."""
        missing = self.value - jnp.sum(mu.points[self.i] * mu.points[self.j])
        return missing if self.rising else -missing


@register
class Spread(Condition):
    r"""The trace of the covariance has passed `value`, from below or from above as the start lies.

    Example:
        >>> import measureflow as mf
        >>> law, field = mf.Gaussian([0.0], 0.25), mf.SelfAttention(beta=1.0)  # s' = 2 s^2
        >>> path = mf.flow(law, field, until=mf.Spread(1.0))
        >>> path.status, round(float(path.times[-1]), 9)
        ('reached', 1.5)
    """

    value: Float[Array, ""]
    rising: bool = eqx.field(static=True)
    of_laws: ClassVar[bool] = True

    def __init__(self, value: Any, rising: bool = True, cap: float = 1e12) -> None:
        self.value, self.rising, self.cap = jnp.asarray(value, float), rising, checked_cap(cap)
        if not self.value > 0:
            raise BadInput(f"Spread: value is {value}; a trace of a covariance to wait for must be > 0.")

    def ready(self, tokens: Tokens | Gaussian) -> Condition:
        """Return the condition with the side from which the value is passed."""
        return Spread(self.value, bool(spread(tokens) <= self.value), float(self.cap))

    def margin(self, mu: Tokens | Gaussian, speed: Float[Array, ""]) -> Float[Array, ""]:
        """Return how much is missing."""
        missing = self.value - spread(mu)
        return missing if self.rising else -missing


def spread(mu: Tokens | Gaussian) -> Float[Array, ""]:
    """Return the trace of the covariance."""
    if isinstance(mu, Gaussian):
        return jnp.trace(mu.cov)
    points, masses = mu.atoms()
    return masses @ jnp.sum((points - masses @ points) ** 2, axis=1)


@register
class Meeting(Condition):
    """Two tokens with mass are within `distance` of each other."""

    distance: Float[Array, ""]

    def __init__(self, distance: Any, cap: float = 1e12) -> None:
        self.distance, self.cap = jnp.asarray(distance, float), checked_cap(cap)
        if not self.distance > 0:
            raise BadInput(f"Meeting: distance is {distance}; it must be > 0.")

    def ready(self, tokens: Tokens) -> Condition:
        """Return the condition: any two tokens may meet."""
        return self

    def margin(self, mu: Tokens, speed: Float[Array, ""]) -> Float[Array, ""]:
        """Return how much nearer the nearest pair must come."""
        massive = mu.present & (mu.weights > 0)
        counts = massive[:, None] & massive[None, :] & ~jnp.eye(mu.n, dtype=bool)
        return jnp.sqrt(jnp.min(jnp.where(counts, squared_distances(mu.points, mu.points), jnp.inf))) - self.distance


def checked_cap(cap: Any) -> Array:
    """Return the time at which a flow gives up waiting, as an array: three caps are one program."""
    if not (math.isfinite(cap) and cap > 0):
        raise BadInput(f"cap is {cap}; it must be a finite time > 0.")
    return jnp.asarray(cap, float)


def checked_time(until: Any) -> float:
    """Return `until` as a finite time > 0."""
    try:
        time = float("none" if isinstance(until, (str, bool)) else until)
    except (TypeError, ValueError):
        raise BadInput(
            f"flow: until is {until!r}; give a time > 0 or a condition such as mf.Stationary(1e-9)."
        ) from None
    if not (np.isfinite(time) and time > 0):
        raise BadInput(f"flow: until is {time}; it must be a finite time > 0.")
    return time


def log_times(until: float, count: int = 200, first: float | None = None) -> np.ndarray:
    """Return `count` times from 0 to `until`: 0, then geometric from `first` (default `min(0.01, until / 100)`).

    Example:
        >>> import measureflow as mf
        >>> mf.log_times(100.0, count=5, first=0.1).round(6).tolist()
        [0.0, 0.1, 1.0, 10.0, 100.0]
    """
    if not (isinstance(until, (int, float, np.number)) and math.isfinite(until) and until > 0):
        raise BadInput(f"until is {until!r}; it must be a finite time > 0.")
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 2:
        raise BadInput(f"save is {count!r}; a count of saved times must be an integer of at least 2.")
    if count > MOST_TIMES:
        raise BadInput(f"save is {count:,}; at most {MOST_TIMES:,} times are saved in one run.")
    start = min(1e-2, until / 100.0) if first is None else float(first)
    if not 0 < start < until and count > 2:
        raise BadInput(f"log_times: first is {start}; it must lie between 0 and until = {until}.")
    if count == 2:
        return np.array([0.0, float(until)])
    times = np.concatenate([[0.0], np.geomspace(start, until, count - 1)])
    times[-1] = until
    return times


def save_times(save: Any, until: float) -> np.ndarray:
    """Return the increasing times at which a flow is saved, from `save=`: `None`, a count, or an array."""
    if save is None or (isinstance(save, (int, np.integer)) and not isinstance(save, bool)):
        return log_times(until, 200 if save is None else int(save))
    try:
        times = np.asarray(save, float)
    except (TypeError, ValueError):
        raise BadInput(f"save is {save!r}; give a count or an array of increasing times.") from None
    if times.ndim != 1 or len(times) < 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any() or times[0] < 0:
        raise BadInput("save: the times must be finite, >= 0 and strictly increasing, in one axis.")
    if times[-1] > until:
        raise BadInput(f"save: the last time {times[-1]:g} lies behind until = {until:g}; drop it or flow longer.")
    return times

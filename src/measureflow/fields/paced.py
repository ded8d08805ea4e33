"""A field in another clock: the same paths, run through at a pace that the measure sets."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields.field import Field
from measureflow.measures import Tokens
from measureflow.spaces import is_traced
from measureflow.sums import squared_distances

__all__ = ["NearestPair", "Pace", "Paced", "SpeedOfEnergy"]


class Pace(eqx.Module):
    """A clock `dt/ds` that depends on the measure and on the velocities of its tokens."""

    @abc.abstractmethod
    def __call__(self, mu: Tokens, velocity: Float[Array, "n d"]) -> Float[Array, ""]:
        """Return how much time of the field passes per unit of rescaled time."""


class NearestPair(Pace):
    r"""The clock of the staircase: $dt/ds = \log\beta\;\min_{|x_i-x_j|>r} e^{\beta(1-\langle x_i,x_j\rangle)}$.

    The minimum is over pairs of tokens with mass that are farther apart than $r_\beta = 1/\sqrt{\beta\log\beta}$, the
    pairs still to meet; in print it is a maximum. Without such a pair the clock stands. `beta` beyond
    $700/(1-\langle x_i,x_j\rangle)$ of the nearest pair overflows. Source:
    [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 5, corrected.

    Arguments:
        beta: inverse temperature of the field, > 1.
        radius: the distance below which a pair counts as met; $r_\beta$ if None.
    """

    beta: Float[Array, ""]
    radius: Float[Array, ""]

    def __init__(self, beta: Any, radius: Any = None) -> None:
        self.beta = above_one("NearestPair", beta)
        own = 1.0 / jnp.sqrt(self.beta * jnp.log(self.beta))
        self.radius = own if radius is None else jnp.asarray(radius, float)

    def __call__(self, mu: Tokens, velocity: Float[Array, "n d"]) -> Float[Array, ""]:
        """Return the pace of the nearest pair that has not met."""
        squares = squared_distances(mu.points, mu.points)
        massive = mu.present & (mu.weights > 0)
        far = (squares > self.radius**2) & massive[:, None] & massive[None, :]
        nearest = jnp.min(jnp.where(far, squares, jnp.inf))
        waits = jnp.isfinite(nearest)
        return jnp.where(waits, jnp.log(self.beta) * jnp.exp(0.5 * self.beta * jnp.where(waits, nearest, 0.0)), 0.0)


class SpeedOfEnergy(Pace):
    r"""The clock $dt/ds = \log\beta\,/\,|\nabla E|$ with $|\nabla E|^2 = \sum_i a_i|v_i|^2$: no radius, any field.

    Under USA* the norm is that of the gradient of the energy as a functional of the measure (for n equal tokens
    $\sqrt n$ times the norm of its derivatives by them), so that joined tokens keep their clock. Source: the clock that
    [arXiv:2410.06833](https://arxiv.org/abs/2410.06833), section 5, proposes for any field and dimension.

    Arguments:
        beta: inverse temperature of the field, > 1.
    """

    beta: Float[Array, ""]

    def __init__(self, beta: Any) -> None:
        self.beta = above_one("SpeedOfEnergy", beta)

    def __call__(self, mu: Tokens, velocity: Float[Array, "n d"]) -> Float[Array, ""]:
        """Return the pace that makes the speed `log beta`; 0 where nothing moves."""
        top = jnp.max(jnp.abs(velocity))  # squares of 1e-200 vanish
        scaled = velocity / jnp.where(top > 0, top, 1.0)
        norm = jnp.sqrt(jnp.sum(mu.weights[:, None] * scaled**2))
        moves = (top > 0) & (norm > 0)
        return jnp.where(moves, jnp.log(self.beta) / jnp.where(moves, norm * top, 1.0), 0.0)


class Paced(Field):
    r"""A field in another clock: $\frac{dx_i}{ds} = \frac{dt}{ds}(\mu)\, v(x_i;\mu)$.

    The same paths, merges and energies; times and lyapunov exponents are per unit of `s`.

    Arguments:
        field: what moves the tokens in its own time `t`.
        pace: the clock, such as `NearestPair(beta)` or `SpeedOfEnergy(beta)`.

    Raises:
        BadInput: field or pace are none, or the field depends on depth (its own time is not known in another clock).

    Example:
        >>> import measureflow as mf
        >>> from measureflow.fields import Paced, SpeedOfEnergy
        >>> tokens, field = mf.uniform(mf.Sphere(3), n=8, seed=0), mf.SelfAttention(beta=9.0)
        >>> path = mf.flow(tokens, Paced(field, SpeedOfEnergy(9.0)), until=5.0, save=20)
        >>> path.status, int(path.clusters[-1])
        ('stationary', 1)
    """

    field: Field
    pace: Pace

    def __init__(self, field: Field, pace: Pace) -> None:
        if not isinstance(field, Field) or not isinstance(pace, Pace):
            raise BadInput(f"Paced: give a field and a pace such as mf.fields.NearestPair(beta), not {field}, {pace}.")
        if not field.autonomous:
            raise BadInput(f"Paced: {field} depends on depth, which another clock does not know; pace its parts.")
        self.field, self.pace = field, pace

    def rate(self, mu: Tokens) -> Float[Array, ""]:
        """Return `dt/ds`."""
        return self.pace(mu, self.field(mu.points, mu))

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the field's output at this pace."""
        return self.rate(mu) * self.field.output(x, mu, positions)

    def __call__(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the field's velocity at this pace."""
        own = self.field(x, mu, positions)
        return (self.pace(mu, own) if x is mu.points else self.rate(mu)) * own

    def energy(self, mu: Any) -> Float[Array, ""]:
        """Return the field's energy."""
        return self.field.energy(mu)

    @property
    def energy_sign(self) -> int:
        """As the field: a clock that runs forward changes no sign."""
        return self.field.energy_sign

    @property
    def autonomous(self) -> bool:
        """Whether the field is."""
        return self.field.autonomous

    @property
    def positional(self) -> bool:
        """Whether the field looks at positions."""
        return self.field.positional

    @property
    def isotropic(self) -> bool:
        """Whether the field commutes with rotations; a pace does."""
        return self.field.isotropic

    def __repr__(self) -> str:
        return f"Paced({self.field!r}, {type(self.pace).__name__})"


def above_one(name: str, beta: Any) -> Float[Array, ""]:
    """Return an inverse temperature whose logarithm is positive."""
    if not is_traced(beta) and not 1.0 < float(beta) < float("inf"):
        raise BadInput(f"{name}: beta is {beta}; its clock has the factor log beta and needs beta > 1.")
    return jnp.asarray(beta, float)

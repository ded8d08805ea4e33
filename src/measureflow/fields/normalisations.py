r"""Normalisations: where the layer norm stands. It owns the state space and turns an output into a motion.

The schemes of [arXiv:2510.22026](https://arxiv.org/abs/2510.22026): a token is $x = r\theta$, the field sees $\theta$,
and $\dot\theta = s^{-1} P_\theta A(\theta)$ with a speed factor $s$ and a law for $\dot r$.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields.layer_norm import LayerNorm
from measureflow.measures import Tokens
from measureflow.spaces import Euclidean, Space, Sphere, is_traced
from measureflow.spaces.space import norm

__all__ = [
    "NGPT",
    "Free",
    "MixLN",
    "Normalisation",
    "PeriLN",
    "PostLN",
    "PreLN",
    "Scheme",
    "SqrtLN",
    "default_normalisation",
]


class Normalisation(eqx.Module):
    """Where the layer norm stands in a block: the space its state lives in, and what one discrete layer does."""

    #: whether Brownian motion of the state has a meaning in the literature
    shakes: ClassVar[bool] = False

    @abc.abstractmethod
    def check(self, space: Space) -> None:
        """Raise `BadInput` where the state of this scheme does not live on `space`."""

    @abc.abstractmethod
    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return the state after one layer of step `h` at depth `t`; `output` is what the field says of `look(x)`."""

    def look(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return what the field sees of states: by default the states."""
        return x

    def seen(self, mu: Tokens) -> Tokens:
        """Return the measure that the field sees where the states are those of `mu`."""
        return mu

    @property
    def breaks(self) -> tuple[float, ...]:
        """Depths at which the scheme changes; a flow lands on them exactly."""
        return ()


class Free(Normalisation):
    r"""No layer norm: $x \leftarrow x + h A(x)$ in Euclidean space."""

    shakes: ClassVar[bool] = True

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is Euclidean."""
        if not isinstance(space, Euclidean):
            raise BadInput(f"without a normalisation tokens leave {space!r}; use mf.Euclidean(d) or PostLN().")

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return `x + h A`."""
        return x + h * output


class Scheme(Normalisation):
    r"""A scheme with a limit of continuous depth: $\dot\theta = s^{-1} P_\theta A(\theta)$ and a law for $\dot r$."""

    @abc.abstractmethod
    def speed_factor(self, r: Float[Array, "n"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        """Return `s`, by which the field's velocity is divided, of tokens with radii `r` and outputs `A`."""

    def radial_speed(self, theta: Float[Array, "n d"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        r"""Return $\dot r$ of tokens in directions `theta`: 0 on the sphere."""
        return jnp.zeros(theta.shape[:-1], theta.dtype)

    def motion(
        self, x: Float[Array, "n d"], output: Float[Array, "n d"], tangent: Float[Array, "n d"], t: Any
    ) -> Float[Array, "n d"]:
        r"""Return $\dot x = r s^{-1} P_\theta A + \dot r\,\theta$; `tangent` is $P_\theta A$ in difference form."""
        theta, r = self.look(x), self.radii(x)
        s = self.speed_factor(r, output, t)
        # an output of 0 has no direction, and its tangent part is 0
        pace = jnp.where(s > 0, r / jnp.where(s > 0, s, 1), 0)
        return pace[:, None] * tangent + self.radial_speed(theta, output, t)[:, None] * theta

    def radii(self, x: Float[Array, "n d"]) -> Float[Array, "n"]:
        """Return the radii of states: 1 on the sphere."""
        return jnp.ones(x.shape[:-1], x.dtype)

    def ready(self, tokens: Tokens) -> None:
        """Raise `BadInput` where these tokens cannot be the start."""
        self.check(tokens.space)

    @property
    def autonomous(self) -> bool:
        """Whether the scheme is the same at every depth."""
        return True

    @property
    def joins(self) -> bool:
        """Whether tokens that have met may be joined: those in one place close in exponentially, in some clock."""
        return False


class OnSphere(Scheme):
    """A scheme that keeps its tokens on the unit sphere."""

    @property
    def joins(self) -> bool:
        """Its orbits are those of one autonomous equation."""
        return True

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is a sphere."""
        if not isinstance(space, Sphere):
            raise BadInput(
                f"{type(self).__name__} acts on a sphere and the tokens live in {space!r}; use mf.Sphere(d)."
            )


class WithRadius(Scheme):
    r"""A scheme whose tokens have a radius: the state is $x = r\theta$ in Euclidean space, r > 0.

    It joins no tokens: directions close like 1/t while distances of states need not, and steps grow by themselves.
    """

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is Euclidean."""
        if not isinstance(space, Euclidean):
            raise BadInput(
                f"{type(self).__name__} lets the radii of tokens grow and they live in {space!r}; "
                f"use mf.Tokens(mf.Euclidean(d), points), with |x| = 1 at the start."
            )

    def ready(self, tokens: Tokens) -> None:
        """Raise `BadInput` unless the space is Euclidean and every present token has a direction."""
        self.check(tokens.space)
        if not is_traced(tokens):
            at = np.flatnonzero(~np.asarray(tokens.points).any(axis=1) & np.asarray(tokens.present))
            if len(at):
                raise BadInput(f"{type(self).__name__}: token {at[0]} is at the origin and has no direction; move it.")

    def look(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the directions; of the origin, where absent tokens may be, the first axis."""
        r = norm(x)[:, None]
        axis = jnp.zeros(x.shape[-1], x.dtype).at[0].set(1)
        return jnp.where(r > 0, x / jnp.where(r > 0, r, 1), axis)

    def seen(self, mu: Tokens) -> Tokens:
        """Return the directions of the tokens, on the sphere."""
        return mu.replace(space=Sphere(mu.d), points=self.look(mu.points))

    def radii(self, x: Float[Array, "n d"]) -> Float[Array, "n"]:
        """Return `|x|`."""
        return norm(x)


class PostLN(OnSphere):
    r"""Layer norm after the residual sum: $x \leftarrow N(x + h A(x))$ on the sphere, in the limit $\dot x = P_x A$.

    One step contracts a cluster by `1/(1+h)`, so that at finite `h` the clock runs slow. $s = 1$.

    Arguments:
        norm: a trained layer norm in the place of the projection on the sphere: a block of a post-norm network, in
            Euclidean space. It is no small step, so it has layers and no flow.

    Example:
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Sphere(3), n=8, seed=0), mf.SelfAttention(beta=2.0)
        >>> mf.flow(tokens, field, until=1.0, save=2, normalisation=mf.PostLN()).status
        'reached'
    """

    norm: LayerNorm | None = None

    shakes: ClassVar[bool] = True

    def check(self, space: Space) -> None:
        """Raise `BadInput` unless the space is a sphere, with a trained norm unless it is Euclidean."""
        if self.norm is None:
            super().check(space)
        elif not isinstance(space, Euclidean):
            raise BadInput(f"a trained layer norm does not keep {space!r}; use mf.Euclidean(d).")

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return `N(x + h A)`."""
        moved = x + h * output
        return space.project(moved) if self.norm is None else self.norm(moved)

    def speed_factor(self, r: Float[Array, "n"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        """Return 1."""
        return jnp.ones_like(r)

    def ready(self, tokens: Tokens) -> None:
        """Raise `BadInput` unless the space is a sphere."""
        if self.norm is not None:
            raise BadInput("PostLN with a trained norm is no small step and has no flow; use mf.layers.")
        self.check(tokens.space)


class PreLN(WithRadius):
    r"""Layer norm before the sub-layer: $x \leftarrow x + h A(N(x))$, in the limit $\dot x = A(\theta)$.

    $s = r$ and $\dot r = \langle\theta, A\rangle$, which tends to 1: the radius grows like t and directions close like
    1/t. Where $\langle\theta, A\rangle < 0$ (repulsion, `value=-1`) a radius may fall to 0, where a run ends as
    `unresolved`.

    Arguments:
        norm: a trained layer norm in the place of $N(x) = x/|x|$.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.Tokens(mf.Euclidean(3), mf.uniform(mf.Sphere(3), n=8, seed=0).points)
        >>> path = mf.flow(tokens, mf.SelfAttention(beta=2.0), until=1e3, save=2, normalisation=mf.PreLN())
        >>> path.space, path.on_sphere().space
        (Euclidean(d=3), Sphere(d=3))
    """

    norm: LayerNorm | None = None

    def look(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return `N(x)`."""
        return super().look(x) if self.norm is None else self.norm(x)

    def seen(self, mu: Tokens) -> Tokens:
        """Return the tokens at `N(x)`."""
        return super().seen(mu) if self.norm is None else mu.replace(points=self.norm(mu.points))

    def ready(self, tokens: Tokens) -> None:
        """Raise `BadInput` unless the space is Euclidean and every token has a direction."""
        return super().ready(tokens) if self.norm is None else self.check(tokens.space)

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return `x + h A`, with `A` the output at `N(x)`."""
        return x + h * output

    def speed_factor(self, r: Float[Array, "n"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        """Return `r`."""
        return r

    def radial_speed(self, theta: Float[Array, "n d"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        r"""Return $\langle\theta, A\rangle$."""
        return jnp.sum(theta * output, axis=-1)

    def motion(
        self, x: Float[Array, "n d"], output: Float[Array, "n d"], tangent: Float[Array, "n d"], t: Any
    ) -> Float[Array, "n d"]:
        """Return `A`: both parts together."""
        return output


class PeriLN(WithRadius):
    r"""Layer norm before and after the sub-layer: $x \leftarrow x + h N(A(N(x)))$, in the limit $\dot x = A/|A|$.

    $s = r|A|$ and $\dot r = \langle\theta, A\rangle/|A|$. An output of 0 has no direction and moves nothing.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.Tokens(mf.Euclidean(3), mf.uniform(mf.Sphere(3), n=8, seed=0).points)
        >>> mf.layers(tokens, mf.SelfAttention(beta=2.0), depth=4, step=1.0, normalisation=mf.PeriLN()).status
        'reached'
    """

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return `x + h A/|A|`."""
        return x + h * unit(output)

    def speed_factor(self, r: Float[Array, "n"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        """Return `r |A|`."""
        return r * norm(output)

    def radial_speed(self, theta: Float[Array, "n d"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        r"""Return $\langle\theta, A\rangle/|A|$."""
        return jnp.sum(theta * unit(output), axis=-1)

    def motion(
        self, x: Float[Array, "n d"], output: Float[Array, "n d"], tangent: Float[Array, "n d"], t: Any
    ) -> Float[Array, "n d"]:
        """Return `A/|A|`: both parts together."""
        return unit(output)


class MixLN(WithRadius):
    r"""Post-LN up to a depth and Pre-LN from there on; the radius stays as it is until then.

    $s = 1$ and $\dot r = 0$ before the switch, $s = r$ and $\dot r = \langle\theta, A\rangle$ after it.

    Arguments:
        switch: the depth t > 0 from which layers are Pre-LN.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.Tokens(mf.Euclidean(3), mf.uniform(mf.Sphere(3), n=8, seed=0).points)
        >>> path = mf.flow(tokens, mf.SelfAttention(beta=2.0), until=9.0, save=[4.0, 9.0], normalisation=mf.MixLN(4.0))
        >>> [bool((abs((x**2).sum(axis=1) - 1) < 1e-6).all()) for x in path.points]
        [True, False]
    """

    switch: float = eqx.field(static=True)

    def __init__(self, switch: Any) -> None:
        self.switch = checked(switch, "MixLN: switch", "a depth > 0 at which Post-LN gives way to Pre-LN")

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return `r N(theta + h A)` before the switch and `x + h A` from there on."""
        r, moved = self.radii(x)[:, None], self.look(x) + h * output
        # t = k h may have been rounded below the switch that it means
        return jnp.where(self.before(t * (1 + 1e-12)), r * moved / norm(moved)[:, None], x + h * output)

    def speed_factor(self, r: Float[Array, "n"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        """Return 1 before the switch and `r` from there on."""
        return jnp.where(self.before(t), 1, r)

    def radial_speed(self, theta: Float[Array, "n d"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        r"""Return 0 before the switch and $\langle\theta, A\rangle$ from there on."""
        return jnp.where(self.before(t), 0, jnp.sum(theta * output, axis=-1))

    def before(self, t: Any) -> Array:
        """Tell whether a depth lies before the switch."""
        return jnp.asarray(t) < self.switch

    @property
    def autonomous(self) -> bool:
        """It is not."""
        return False

    @property
    def breaks(self) -> tuple[float, ...]:
        """The switch."""
        return (self.switch,)


class NGPT(OnSphere):
    r"""The normalised transformer: $x \leftarrow N(x + h\alpha\,(N(A(x)) - x))$, in the limit
    $\dot x = \alpha_t P_x A/|A|$.

    $s = |A|/\alpha_t$. An output of 0 has no direction and moves nothing.

    Arguments:
        alpha: a number > 0, or a function of depth with values >= 0. Of a function a flow assumes nothing: it joins no
            tokens, and a recipe holds its code's hash only.

    Example:
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Sphere(3), n=8, seed=0), mf.SelfAttention(beta=2.0)
        >>> path = mf.flow(tokens, field, until=9.0, save=4, normalisation=mf.NGPT(alpha=0.5))
        >>> bool((path.energy[1:] >= path.energy[:-1]).all())
        True
    """

    alpha: Float[Array, ""] | Callable[[Any], Any]

    def __init__(self, alpha: Any = 1.0) -> None:
        if not (callable(alpha) or is_traced(alpha)):
            checked(alpha, "NGPT: alpha", "a number > 0 or a function of depth")
        self.alpha = alpha if callable(alpha) else jnp.asarray(alpha, float)

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return `N(x + h alpha (A/|A| - x))`; a token whose output is 0 stays."""
        ahead = unit(output)
        way = jnp.where(jnp.any(ahead != 0, axis=-1, keepdims=True), ahead - x, 0)
        return space.project(x + h * self.alpha_at(t).astype(x.dtype) * way)

    def speed_factor(self, r: Float[Array, "n"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        """Return `|A| / alpha`; infinite where alpha is 0."""
        return norm(output) / self.alpha_at(t)

    def alpha_at(self, t: Any) -> Array:
        """Return alpha at a depth."""
        return jnp.asarray(self.alpha(t) if callable(self.alpha) else self.alpha)

    @property
    def autonomous(self) -> bool:
        """Whether alpha is a number."""
        return not callable(self.alpha)

    @property
    def joins(self) -> bool:
        """Whether alpha is a number: of a function nothing is known."""
        return not callable(self.alpha)

    def __repr__(self) -> str:
        if callable(self.alpha):
            return f"NGPT(alpha={getattr(self.alpha, '__name__', type(self.alpha).__name__)})"
        return f"NGPT(alpha={'traced' if is_traced(self.alpha) or self.alpha.ndim else f'{float(self.alpha):g}'})"


class SqrtLN(OnSphere):
    r"""Post-LN with the residual of layer k damped by $1/\sqrt k$: $x \leftarrow N(x + h A(x)/\sqrt{1+t})$, t = depth.

    $s = \sqrt{t + 1}$: the flow of Post-LN in the clock $2(\sqrt{t+1} - 1)$. The source gives no law for radii, so the
    state stays on the sphere.

    Example:
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Sphere(3), n=8, seed=0), mf.SelfAttention(beta=2.0)
        >>> damped = mf.flow(tokens, field, until=8.0, save=[8.0], normalisation=mf.SqrtLN())
        >>> plain = mf.flow(tokens, field, until=4.0, save=[4.0])
        >>> bool(abs(damped.points - plain.points).max() < 1e-6)
        True
    """

    def step(
        self, space: Space, x: Float[Array, "n d"], output: Float[Array, "n d"], h: Float[Array, ""], t: Any = 0.0
    ) -> Float[Array, "n d"]:
        """Return `N(x + h A / sqrt(1 + t))`."""
        return space.project(x + h * output / jnp.sqrt(1 + jnp.asarray(t, x.dtype)))

    def speed_factor(self, r: Float[Array, "n"], output: Float[Array, "n d"], t: Any) -> Float[Array, "n"]:
        """Return `sqrt(t + 1)`."""
        return jnp.sqrt(1 + jnp.asarray(t, r.dtype)) * jnp.ones_like(r)

    @property
    def autonomous(self) -> bool:
        """It is not, though its orbits are those of Post-LN."""
        return False


def unit(output: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Return the directions of outputs; 0 stays 0."""
    size = norm(output)[:, None]
    return output / jnp.where(size > 0, size, 1)


def checked(value: Any, name: str, what: str) -> float:
    """Return a finite number > 0, or raise `BadInput`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise BadInput(f"{name} is {value!r}; it must be {what}.")
    return number


def default_normalisation(space: Space) -> Normalisation:
    """Return PostLN on a sphere and none on Euclidean space."""
    return PostLN() if isinstance(space, Sphere) else Free()

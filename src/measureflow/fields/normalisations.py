r"""Normalisations: where the layer norm stands. It owns the state space and turns an output into a motion.

The schemes of [arXiv:2510.22026](https://arxiv.org/abs/2510.22026): a token is $x = r\theta$, the field sees $\theta$,
and $\dot\theta = s^{-1} P_\theta A(\theta)$ with a speed factor $s$ and a law for $\dot r$.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields.layer_norm import LayerNorm
from measureflow.fields.normalisation import Free, Normalisation, OnSphere, WithRadius, checked, unit
from measureflow.measures import Tokens
from measureflow.spaces import Euclidean, Space, Sphere, is_traced
from measureflow.spaces.space import norm

__all__ = ["NGPT", "MixLN", "PeriLN", "PostLN", "PreLN", "SqrtLN", "default_normalisation"]


class PostLN(OnSphere):
    r"""Layer norm after the residual sum: $x \leftarrow N(x + h A(x))$ on the sphere, in the limit $\dot x = P_x A$.

    One step contracts a cluster by `1/(1+h)`, so that at finite `h` the clock runs slow. $s = 1$.

    Arguments:
        norm: a trained layer norm in the place of the projection on the sphere: a block of a post-norm network, in
            Euclidean space. It is no small step, so it has layers and no flow.

    Example:
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Sphere(3), n=8, seed=0), mf.SelfAttention(beta=2.0)
        >>> mf.layers(tokens, field, depth=4, step=1.0, normalisation=mf.PostLN()).space
        Sphere(d=3)
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
        >>> path = mf.layers(tokens, mf.SelfAttention(beta=2.0), depth=4, step=1.0, normalisation=mf.PeriLN())
        >>> steps = path.points[1:] - path.points[:-1]  # every one is as long as the step
        >>> bool((abs((steps**2).sum(axis=-1) - 1.0) < 1e-12).all())
        True
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
        >>> path = mf.layers(tokens, mf.SelfAttention(beta=2.0), depth=4, step=1.0, normalisation=mf.MixLN(2.0))
        >>> [bool((abs((x**2).sum(axis=-1) - 1.0) < 1e-12).all()) for x in path.points]
        [True, True, True, False, False]
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
        >>> path = mf.layers(tokens, field, depth=4, step=1.0, normalisation=mf.NGPT(alpha=0.1))
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
        >>> plain, damped = (mf.layers(tokens, field, depth=4, step=1.0, normalisation=s) for s in (None, mf.SqrtLN()))
        >>> bool(damped.energy[-1] < plain.energy[-1])
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


def default_normalisation(space: Space) -> Normalisation:
    """Return PostLN on a sphere and none on Euclidean space."""
    return PostLN() if isinstance(space, Sphere) else Free()

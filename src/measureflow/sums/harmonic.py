"""The harmonic pair sum: spheres of R² to R⁶ in time linear in the number of tokens, with an error known beforehand."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.measures import Tokens
from measureflow.spaces import Sphere, is_traced
from measureflow.sums.circle import Circle
from measureflow.sums.expansion import Expansion
from measureflow.sums.exponential import Exponential
from measureflow.sums.forms import form_sums, longest
from measureflow.sums.hypersphere import Hypersphere
from measureflow.sums.pairs import lifted_sums, plain_sums
from measureflow.sums.sphere import TwoSphere
from measureflow.sums.strips import MOMENTS, SHORTEST
from measureflow.sums.sum import Kernel, Sum

__all__ = ["Harmonic"]

#: a kernel as an exponential, and the expansion that sums it
Shape = tuple[Exponential, Expansion]

#: the largest dimension where the number of harmonics leaves something to gain
LARGEST = 6


class Harmonic(Sum):
    r"""Sum $e^{\beta\langle x, y\rangle}$ through its harmonics: `O(n K)` on the circle, `O(n L^(d-1))` in R^d.

    $$ e^{c \cos(a-b)} = \sum_k I_k(c)\, e^{ik(a-b)}, \qquad
       e^{c \langle x,y\rangle} = \sum_l i_l(c) \sum_m 4\pi\, Y_{lm}(x) \overline{Y_{lm}(y)}, \qquad
       e^{c \langle x,y\rangle} = \sum_l a_l(c) \sum_h Y_{lh}(x) Y_{lh}(y) $$

    with $a_l = \Gamma(d/2) (2/c)^{d/2-1} I_{l+d/2-1}(c)$. For `score="dot"`, `weighting` softmax or unnormalised, on
    `Sphere(2)` to `Sphere(6)`, with or without a causal mask; query and key may be matrices, whose logits are
    $\langle x, z\rangle$ with $z = \beta Q^T K y$: then `c` is the largest |z|, each token's own takes its place in
    the series, and queries along weak directions of the form have fewer digits. Queries may lie anywhere on the
    sphere. A mask costs strips of pairs beside the moments, as long as the number of harmonics asks.

    The error has three parts, all in `error_bound`: the harmonics left out, rounding, and how far points are off the
    unit sphere. It is small beside the *largest* weight `e^c`: of a softmax, whose denominator may be small, a query
    far from every token has fewer digits, and one with none at all gets NaN. `pull` is precise to `floor` only: below
    it, use exact sums.
    First derivatives are those of the exact sum in every direction; second ones (forward over reverse) along the
    sphere only, and away from the poles of S² and the larger spheres.

    Arguments:
        degree: the highest harmonic kept; `None` chooses it from `tolerance` and beta, on the host. Inside `jit`,
            `vmap` or `grad` over beta it must be given.
        tolerance: relative error wanted over the uniform law; half of it is left to rounding.

    Raises:
        BadInput: a kernel, mask or space that has no such expansion; beta traced and no degree.

    Source: Jacobi-Anger and Funk-Hecke expansions (DLMF 10.35.2, 10.60.8, 10.23.9).

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(2), n=1000, seed=0)
        >>> field = mf.SelfAttention(beta=9.0, sum=mf.sums.Harmonic())
        >>> exact = mf.SelfAttention(beta=9.0)
        >>> bool(abs(field.output(tokens.points, tokens) - exact.output(tokens.points, tokens)).max() < 1e-12)
        True
    """

    degree: int | None = eqx.field(static=True, default=None)
    tolerance: float = eqx.field(static=True, default=1e-12)

    def __check_init__(self) -> None:
        if self.degree is not None and (not isinstance(self.degree, (int, np.integer)) or self.degree < 1):
            raise BadInput(f"Harmonic: degree is {self.degree!r}; it must be a number of harmonics, at least 1.")
        if not isinstance(self.tolerance, (int, float)) or not 0 < self.tolerance < 1:
            raise BadInput(f"Harmonic: tolerance is {self.tolerance!r}; it must lie between 0 and 1, such as 1e-12.")

    def attend(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        rank: Int[Array, "m"] | None,
        mu: Tokens,
        values: Float[Array, "n v"],
    ) -> Float[Array, "m v"]:
        """Return `sum_j w(x, y_j) values_j`."""
        return weighted_sums(self.shape_of(kernel, mu), x, rank, mu, None if values is mu.points else values)[0]

    def pull(
        self, kernel: Kernel, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens
    ) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Return `sum_j w (y_j - x)` and `sum_j w`; the former is precise to `floor`, not to its own size."""
        output, weight = weighted_sums(self.shape_of(kernel, mu), x, rank, mu, None)
        return output - weight[:, None] * x, weight

    def settled(self, kernel: Kernel, mu: Tokens) -> Harmonic:
        """Return this sum with its degree chosen, for use where beta is traced."""
        return Harmonic(degree=self.shape_of(kernel, mu)[1].degree, tolerance=self.tolerance)

    def error_bound(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        mu: Tokens,
        values: Float[Array, "n v"] | None = None,
        rank: Int[Array, "m"] | None = None,
    ) -> Float[Array, ""]:
        r"""Return a bound on the largest error of an entry of `attend`, relative to its largest entry.

        With `e` the bound on the error of a sum of unit mass (harmonics left out, rounding, points off the sphere),
        `V` the largest value and `Z` a softmax's denominator in units of `e^c`, the error at a query is at most
        $(V + |A|)\, e / (Z - e)$; where `Z <= e` the bound is infinite. Costs one sum.
        """
        shape = self.shape_of(kernel, mu)
        if shape[0].causal and rank is None:
            if x.shape[0] != mu.n:
                raise BadInput(f"Harmonic: {x.shape[0]} queries under a mask need rank=, their places in the text.")
            rank = mu.positions
        errors, output = errors_of(shape, x, rank, mu, None if values is mu.points else values)
        worst = jnp.max(errors)
        size = jnp.max(jnp.abs(jnp.where(jnp.isnan(output), 0, output))) - worst
        return jnp.where(size > 0, worst / jnp.where(size > 0, size, 1), jnp.inf)

    def floor(self, kernel: Kernel, mu: Tokens) -> Float[Array, ""]:
        """Return a bound on the absolute error of `pull` at mu's own tokens: slower motion is not resolved."""
        shape = self.shape_of(kernel, mu)
        errors, _ = errors_of(shape, mu.points, mu.positions if shape[0].causal else None, mu, None)
        eps = jnp.finfo(mu.points.dtype).eps
        scale = 1.0 if shape[0].normalised else unnormalised_scale(shape[0], mu)
        return 2.0 * jnp.max(jnp.where(mu.present, errors, 0)) + 2.0 * eps * scale

    def explain(self, kernel: Kernel, mu: Tokens) -> str:
        """Say which degree is used, and how exact the sums of `mu` are."""
        settled = self.settled(kernel, mu)
        bound = float(settled.error_bound(kernel, mu.points, mu))
        return f"{settled!r}: harmonics up to {settled.degree}, proven error {bound:.1e} of the largest entry."

    def work(self, kernel: Kernel, mu: Tokens) -> tuple[str, int, int]:
        """Return the kind of expansion, how many functions it evaluates per token, and how many pairs per query."""
        exponential, expansion = self.shape_of(kernel, mu)
        if isinstance(expansion, Circle):
            return "causal" if exponential.causal else "circle", 2 * expansion.degree + 1, 0
        modes = expansion.size if isinstance(expansion, Hypersphere) else (expansion.degree + 1) ** 2
        kind = "hypersphere" if isinstance(expansion, Hypersphere) else "sphere"
        pairs = min(mu.n, max(SHORTEST, 2 * modes * (1 + mu.d) // MOMENTS)) if exponential.causal else 0
        return kind, modes, pairs

    def shape_of(self, kernel: Kernel, mu: Tokens) -> Shape:
        """Return the kernel as an exponential, and the expansion that sums it; raise `BadInput` where there is none."""
        exponential = kernel.exponential()
        space = mu.space
        if exponential is None or not isinstance(space, Sphere) or not 2 <= space.d <= LARGEST:
            raise BadInput(
                f"Harmonic: no expansion for this kernel on {space!r}. It sums e^(beta <Qx,Ky>), that is score 'dot', "
                f"weighting 'softmax' or 'unnormalised', mask None or 'causal', on Sphere(2) to Sphere({LARGEST}). "
                f"Use sum=mf.sums.Exact()."
            )
        if self.degree is None and is_traced((exponential.concentration, exponential.form)):
            raise BadInput(
                "Harmonic: beta is traced, so the degree cannot be chosen from it; give mf.sums.Harmonic(degree=...), "
                "for instance Harmonic().settled(kernel, mu).degree at the largest beta."
            )
        degree = degree_for(exponential, space.d, self.tolerance) if self.degree is None else int(self.degree)
        if exponential.form is None and space.d <= 3:
            return exponential, Circle(degree) if space.d == 2 else TwoSphere(degree)
        return exponential, Hypersphere(degree, space.d)


def degree_for(exponential: Exponential, d: int, tolerance: float) -> int:
    """Return the degree that keeps a tolerance."""
    if exponential.form is None:
        c = abs(float(np.asarray(exponential.concentration)))
        of_two = {2: Circle.degree_for, 3: TwoSphere.degree_for}
        return of_two[d](c, tolerance) if d in of_two else Hypersphere.degree_for(c, tolerance, d)
    largest = float(np.linalg.norm(np.asarray(exponential.form), 2))
    # a query along a weak direction has a denominator down to e^-2c; below rounding no harmonic helps
    worst = max(math.exp(-2.0 * largest), float(np.finfo(float).eps) / tolerance)
    return Hypersphere.degree_for(largest, tolerance, d, min(worst, 1.0))


@eqx.filter_jit
def weighted_sums(
    shape: Shape, x: Float[Array, "m d"], rank: Array | None, mu: Tokens, values: Array | None
) -> tuple[Float[Array, "m v"], Float[Array, "m"]]:
    """Return the sums of the values (`None`: the points) in the kernel's own weights, and the sum of the weights."""
    return weighted(shape, mu, *raw_sums(shape, x, rank, mu, values))


@eqx.filter_jit
def errors_of(
    shape: Shape, x: Float[Array, "m d"], rank: Array | None, mu: Tokens, values: Array | None
) -> tuple[Float[Array, "m"], Float[Array, "m v"]]:
    """Return a bound on the error of each query's output, and the outputs."""
    exponential, _ = shape
    total, numerator, mass = raw_sums(shape, x, rank, mu, values)
    output, _ = weighted(shape, mu, total, numerator, mass)
    eps = jnp.finfo(x.dtype).eps
    unit = unit_error(shape, x, mu)
    massive = (mu.present & (mu.weights > 0))[:, None]
    size = jnp.max(jnp.where(massive, jnp.abs(mu.points if values is None else values), 0)) * (1 + eps)
    largest = jnp.max(jnp.abs(output), axis=1)
    if exponential.normalised:
        left = total - unit * mass
        errors = unit * mass * (size + largest) / jnp.where(left > 0, left, 1) + 4 * eps * largest
        errors = jnp.where(left > 0, errors, jnp.where(mass > 0, jnp.inf, 0))
    else:
        scale = unnormalised_scale(exponential, mu)
        exponent = largest_concentration(exponential, mu) + jnp.abs(exponential.shift)
        errors = scale * unit * mass * size + (4 + exponent) * eps * largest
    return jax.lax.stop_gradient(errors), output


def raw_sums(
    shape: Shape,
    x: Array,
    rank: Array | None,
    mu: Tokens,
    values: Array | None,
) -> tuple[Float[Array, "m"], Float[Array, "m v"], Any]:
    """Return denominator, numerator and the mass that each query sees; `None` values are the points."""
    exponential, expansion = shape
    order, masses, seen, mass = visible(exponential, rank, mu)
    points = mu.points
    if order is not None:
        points, values = points[order], None if values is None else values[order]
    given = points if values is None else values.astype(x.dtype)
    columns = jnp.concatenate([masses[:, None], masses[:, None] * given], axis=1)
    if exponential.form is not None:
        assert isinstance(expansion, Hypersphere)
        z = keys(exponential, mu)
        out = form_sums(expansion, longest(z), x, z if order is None else z[order], columns, seen)
        return out[:, 0], out[:, 1:], mass
    assert exponential.concentration is not None
    c = exponential.concentration.astype(x.dtype)
    # attending to the opposite is attending from the opposite
    sign = jnp.where(c < 0, -1.0, 1.0).astype(x.dtype)
    if values is None:
        both = lifted_sums(expansion, sign * c, sign * x, points, masses[:, None], seen)[..., 0]
        return both[:, 0], both[:, 1:], mass
    out = plain_sums(expansion, sign * c, sign * x, points, columns, seen)
    return out[:, 0], out[:, 1:], mass


def weighted(
    shape: Shape, mu: Tokens, total: Array, numerator: Array, mass: Any
) -> tuple[Float[Array, "m v"], Float[Array, "m"]]:
    """Return the sums in the kernel's own weights: divided by the denominator, or scaled back by `e^c`."""
    exponential, _ = shape
    if not exponential.normalised:
        scale = unnormalised_scale(exponential, mu).astype(total.dtype)
        return scale * numerator, scale * total
    unsure = jax.lax.stop_gradient(noise(shape, mu, total.dtype) * mass)
    # a denominator below its own error has no digits: say so, do not invent any
    safe = jnp.where(total > unsure, total, jnp.nan)
    nothing = jnp.broadcast_to(jnp.asarray(mass) <= 0, total.shape)
    safe = jnp.where(nothing, 1, safe)
    weight = jnp.where(nothing, 0, jnp.ones_like(total))
    return jnp.where(nothing[:, None], 0, numerator / safe[:, None]), weight


def unit_error(shape: Shape, x: Array, mu: Tokens) -> Float[Array, ""]:
    """Return a bound on the error of a sum of unit mass, in units of `e^c`."""
    exponential, _ = shape
    c = largest_concentration(exponential, mu).astype(x.dtype)
    u = jnp.finfo(x.dtype).eps
    if exponential.roundings is not None:
        off = c * (mu.space.defect(x) + 4 * u) + u * exponential.roundings.astype(x.dtype)
        return noise(shape, mu, x.dtype) + jnp.expm1(off)
    # rows of padding may hold anything
    here = jnp.where(mu.present[:, None], mu.points, mu.points[jnp.argmax(mu.present)])
    off = mu.space.defect(x) + mu.space.defect(here)
    return noise(shape, mu, x.dtype) + jnp.expm1(c * (off + 4 * u)) + off


def noise(shape: Shape, mu: Tokens, dtype: Any) -> Float[Array, ""]:
    """Return the part of `unit_error` that is there on the sphere too: harmonics left out, and rounding."""
    exponential, expansion = shape
    c = largest_concentration(exponential, mu).astype(dtype)
    return expansion.coefficients(c)[1] + expansion.rounding(c, mu.n)


def largest_concentration(exponential: Exponential, mu: Tokens) -> Float[Array, ""]:
    """Return the largest logit that a query can have on the sphere: its exponential is the unit of the sums."""
    if exponential.form is not None:
        return longest(keys(exponential, mu))
    c = exponential.concentration
    assert c is not None
    return jnp.where(c < 0, -c, c)


def keys(exponential: Exponential, mu: Tokens) -> Float[Array, "n d"]:
    """Return what queries are multiplied with, `z = M y`; 0 for absent tokens, whose points may be anything."""
    assert exponential.form is not None
    z = mu.points @ exponential.form.astype(mu.points.dtype).T
    return jnp.where(mu.present[:, None], z, 0)


def unnormalised_scale(exponential: Exponential, mu: Tokens) -> Array:
    """Return what the kernel is at its largest: the sums are kept in units of it."""
    return jnp.exp(largest_concentration(exponential, mu) - exponential.shift)


def visible(exponential: Exponential, rank: Array | None, mu: Tokens) -> tuple[Array | None, Array, Array | None, Any]:
    """Return the atoms' order, their masses in it, how many of them each query sees, and the mass of those."""
    masses = jnp.where(mu.present, mu.weights, 0)
    if not exponential.causal or rank is None:
        return None, masses, None, jnp.ones((), masses.dtype)
    order = jnp.argsort(mu.positions)
    masses = masses[order]
    seen = jnp.searchsorted(mu.positions[order], rank, side="right")
    running = jnp.concatenate([jnp.zeros_like(masses[:1]), jnp.cumsum(masses)])
    return order, masses, seen, jax.lax.stop_gradient(running)[seen]

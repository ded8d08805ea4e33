"""How far two measures are apart: exactly, with entropy, by slices, or as a kernel sees it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.measures.density import Density
from measureflow.measures.gaussians import Gaussian
from measureflow.measures.measure import Measure
from measureflow.measures.quantiles import quantiles_of
from measureflow.measures.seeds import as_key
from measureflow.measures.tokens import Tokens, as_tokens
from measureflow.measures.transport import Plan, circle_offset, line_plan, matched, pair_plan
from measureflow.spaces import Euclidean, Space, Sphere, is_traced

__all__ = ["mmd", "optimal_plan", "sinkhorn_divergence", "sliced_wasserstein", "wasserstein", "wasserstein_on_circle"]


def wasserstein(mu: Measure, nu: Measure, p: float = 2.0) -> Float[Array, ""]:
    r"""Return the distance $W_p$ between two measures of one space, with the distance of the space as cost.

    $$ W_p(\mu, \nu)^p = \min_{\pi} \int d(x, y)^p\, d\pi(x, y) $$

    over the couplings of the two. Exact to rounding: on the line and on the circle by order (any masses, any number of
    tokens; on the circle the best rotation), in other spaces by an assignment where all masses are equal and else by a
    linear program, for Gaussians in closed form ($p = 2$). A density on the circle enters by its quantile function.

    The distance differentiates by the points of tokens and by the numbers of Gaussians (covariances of full rank): the
    plan is held, as it is where the distance has a derivative. Under `jit` the plan comes from a call to the host.

    Main arguments:
        mu, nu: tokens, densities on the circle, or two Gaussians.
        p: at least 1.

    Raises:
        BadInput: the measures live on different spaces, no exact way is known, p is below 1, or there are too many
            pairs for one.

    Source: on the circle Delon, Salomon and Sobolevski ([arXiv:0902.3527](https://arxiv.org/abs/0902.3527)); for the
        rest Peyré and Cuturi ([arXiv:1803.00567](https://arxiv.org/abs/1803.00567)).

    Example:
        >>> import measureflow as mf
        >>> one, other = mf.Tokens(mf.Sphere(2), [[1.0, 0.0]]), mf.Tokens(mf.Sphere(2), [[0.0, 1.0]])
        >>> round(float(mf.measures.wasserstein(one, other)), 6)
        1.570796
        >>> float(mf.measures.wasserstein(mf.Gaussian([0.0, 0.0], 1.0), mf.Gaussian([3.0, 0.0], 1.0)))
        3.0
    """
    check_pair("wasserstein", mu, nu)
    if not is_traced(p) and not (np.isfinite(p) and p >= 1):
        raise BadInput(f"wasserstein: p is {p!r}; it is a finite number of at least 1.")
    if isinstance(mu, Gaussian) and isinstance(nu, Gaussian):
        if p != 2:
            raise BadInput(f"wasserstein: p is {p!r}; between Gaussians the closed form is that of p = 2.")
        return jnp.sqrt(bures(mu, nu))
    if isinstance(mu, Density) or isinstance(nu, Density):
        return jnp.asarray(between_quantiles(mu, nu, float(p)) ** (1.0 / p))
    if isinstance(mu, Tokens) and isinstance(nu, Tokens):
        return cost_of(mu, nu, p) ** (1.0 / p)
    kinds = f"{type(mu).__name__} and {type(nu).__name__}"
    raise BadInput(f"wasserstein: no exact way is known between {kinds}; draw tokens from them.")


def check_pair(name: str, mu: Any, nu: Any) -> None:
    """Raise `BadInput` unless both are single measures of one space."""
    for measure in (mu, nu):
        if not isinstance(measure, Measure):
            raise BadInput(
                f"{name}: {type(measure).__name__} is no measure; give mf.Tokens, mf.Density or mf.Gaussian."
            )
        if measure.batch:
            raise BadInput(f"{name}: a measure has batch axes {measure.batch}; give one, such as path[k], or use vmap.")
    if mu.space != nu.space:
        raise BadInput(f"{name}: the measures live on {mu.space!r} and {nu.space!r}; bring them to one space.")


def cost_of(mu: Tokens, nu: Tokens, p: float) -> Float[Array, ""]:
    """Return the cost of the optimal plan between tokens, with its derivative by the points where the plan is held."""
    if is_traced(mu, nu):
        shape = (mu.n + nu.n,)
        whole = jax.ShapeDtypeStruct(shape, np.int64 if jax.config.read("jax_enable_x64") else np.int32)
        masses = jax.ShapeDtypeStruct(shape, mu.points.dtype)
        parts = [jax.lax.stop_gradient(part) for measure in (mu, nu) for part in (measure.points, measure.weights)]

        def on_host(x: Any, a: Any, y: Any, b: Any) -> tuple[np.ndarray, ...]:
            plan = plan_between(mu.space, *arrays_of(x, a, y, b), p)
            fill = (0, shape[0] - len(plan.rows))
            found = (np.pad(part, fill) for part in plan)
            return tuple(part.astype(kind.dtype) for part, kind in zip(found, (whole, whole, masses), strict=True))

        rows, columns, shares = jax.pure_callback(on_host, (whole, whole, masses), *parts, vmap_method="sequential")
        return jnp.sum(
            shares * lengths(mu.space, jnp.asarray(mu.points)[rows], jnp.asarray(nu.points)[columns], jnp) ** p
        )
    plan = optimal_plan(mu, nu, p)
    x, y = np.asarray(mu.points, float)[plan.rows], np.asarray(nu.points, float)[plan.columns]
    return jnp.asarray(plan.masses @ lengths(mu.space, x, y, np) ** p)


def optimal_plan(mu: Tokens, nu: Tokens, p: float = 2.0) -> Plan:
    """Return an optimal plan of `wasserstein` between tokens: rows, columns and masses of its pieces.

    Raises:
        BadInput: as `wasserstein`.

    Example:
        >>> import measureflow as mf
        >>> plan = mf.measures.optimal_plan(mf.equiangular(n=3, cosine=0.0), mf.equiangular(n=3, cosine=0.0))
        >>> plan.rows.tolist(), plan.columns.tolist()
        ([0, 1, 2], [0, 1, 2])
    """
    check_pair("optimal_plan", mu, nu)
    return plan_between(mu.space, *arrays_of(mu.points, mu.weights, nu.points, nu.weights), p)


def arrays_of(x: Any, a: Any, y: Any, b: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return points and weights on the host."""
    return np.asarray(x, float), np.asarray(a, float), np.asarray(y, float), np.asarray(b, float)


def plan_between(space: Space, x: np.ndarray, a: np.ndarray, y: np.ndarray, b: np.ndarray, p: float) -> Plan:
    """Return an optimal plan; tokens without mass take no part."""
    own, others = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    x, a, y, b = x[own], a[own] / a.sum(), y[others], b[others] / b.sum()
    if space == Euclidean(1):
        plan = line_plan(x[:, 0], a, y[:, 0], b)
    elif space == Sphere(2):
        angles = np.arctan2(x[:, 1], x[:, 0]), a, np.arctan2(y[:, 1], y[:, 0]), b
        plan = matched(*angles, circle_offset(*angles, p)).plan
    else:
        plan = pair_plan(lengths(space, x[:, None], y[None], np) ** p, a, b, "wasserstein")
    return Plan(own[plan.rows], others[plan.columns], plan.masses)


def lengths(space: Space, x: Any, y: Any, kind: Any) -> Any:
    """Return the distances of pairs of points, in NumPy or JAX; their derivative at distance 0 is 0."""

    def size(v: Any) -> Any:
        square = (v * v).sum(axis=-1)
        apart = square > 0
        return kind.where(apart, kind.sqrt(kind.where(apart, square, 1.0)), 0.0)

    if isinstance(space, Sphere):
        return 2.0 * kind.arctan2(size(x - y), size(x + y))
    return size(x - y)


def between_quantiles(mu: Any, nu: Any, p: float) -> float:
    """Return the cost on the circle where one of the measures is a density: least over the offset of the quantiles."""
    from scipy.optimize import minimize_scalar  # imported when used: it is slow to import

    one, other = quantiles_of("wasserstein", mu), quantiles_of("wasserstein", nu)
    if other.modes is None:  # the offset is given to a density, in which the cost is smooth
        one, other = other, one
    u, shares = one.nodes()
    here = one(u)

    def cost(offset: float) -> float:
        return float(shares @ np.abs(other(u + offset) - here) ** p)

    mean = float(shares @ (here - other(u))) / (2 * np.pi)
    found: Any = minimize_scalar(cost, bounds=(mean - 0.6, mean + 0.6), method="bounded", options={"xatol": 1e-9})
    return float(found.fun)


def bures(mu: Gaussian, nu: Gaussian) -> Float[Array, ""]:
    r"""Return $|m - m'|^2 + \mathrm{tr}(S + S' - 2 (S^{1/2} S' S^{1/2})^{1/2})$."""
    if is_traced(mu, nu):
        root = jnp.linalg.cholesky(mu.cov)  # has derivatives where eigenvalues meet, which the symmetric root has not
        inner = jnp.sum(jnp.sqrt(jnp.linalg.eigvalsh(root.T @ nu.cov @ root)))
        return jnp.sum((mu.mean - nu.mean) ** 2) + jnp.trace(mu.cov) + jnp.trace(nu.cov) - 2.0 * inner
    mean, other = np.asarray(mu.mean), np.asarray(nu.mean)
    values, axes = np.linalg.eigh(np.asarray(mu.cov))
    root = (axes * np.sqrt(np.maximum(values, 0.0))) @ axes.T
    inner = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ np.asarray(nu.cov) @ root), 0.0)).sum()
    square = ((mean - other) ** 2).sum() + np.trace(np.asarray(mu.cov)) + np.trace(np.asarray(nu.cov)) - 2.0 * inner
    return jnp.asarray(max(float(square), 0.0))


def sliced_wasserstein(
    mu: Tokens, nu: Tokens, p: float = 2.0, *, projections: int = 64, seed: Any = 0
) -> Float[Array, ""]:
    r"""Return the mean of $W_p^p$ over random slices, to the power `1/p`.

    On a sphere the slices are great circles, on which a point is put in the direction of its projection; in Euclidean
    space they are lines. Exact on each slice; time `n log n` a slice; differentiates by the points as `wasserstein`
    does.

    Main arguments:
        mu, nu: tokens of one space.
        p: at least 1. projections: number of slices. seed: draws them.

    Raises:
        BadInput: no tokens, different spaces, fewer than one slice.

    Source: Bonet et al. ([arXiv:2206.08780](https://arxiv.org/abs/2206.08780)) on the sphere.

    Example:
        >>> import measureflow as mf
        >>> tokens, others = (mf.uniform(mf.Sphere(3), n=20, seed=seed) for seed in (0, 1))
        >>> mf.measures.sliced_wasserstein(tokens, others) < mf.measures.wasserstein(tokens, others)
        Array(True, dtype=bool)
    """
    check_pair("sliced_wasserstein", mu, nu)
    if not isinstance(mu, Tokens) or not isinstance(nu, Tokens):
        raise BadInput(f"sliced_wasserstein is one of tokens, not of a {type(mu).__name__}; draw tokens from it.")
    if isinstance(projections, bool) or not isinstance(projections, (int, np.integer)) or projections < 1:
        raise BadInput(f"sliced_wasserstein: projections is {projections!r}; it is a number of slices, at least 1.")
    rank = 2 if isinstance(mu.space, Sphere) else 1
    with jax.ensure_compile_time_eval():  # the slices are numbers, under jit as well
        drawn = np.asarray(jax.random.normal(as_key(seed), (projections, mu.d, rank), dtype=float))
    frames = np.linalg.qr(drawn)[0]
    space = Sphere(2) if rank == 2 else Euclidean(1)

    def on(measure: Tokens, frame: np.ndarray) -> Tokens:
        kind = jnp if is_traced(measure.points) else np
        slice = kind.asarray(measure.points) @ frame
        if rank == 2:
            slice = slice / kind.sqrt((slice * slice).sum(axis=-1, keepdims=True))
        return measure.replace(space=space, points=slice, labels=None)

    costs = [cost_of(on(mu, frame), on(nu, frame), p) for frame in frames]
    kind = jnp if is_traced(mu, nu) else np
    return jnp.asarray(kind.mean(kind.asarray(costs)) ** (1.0 / p))


def mmd(mu: Measure, nu: Measure, beta: Any = 1.0) -> Float[Array, ""]:
    r"""Return the maximum mean discrepancy of the kernel $e^{-\beta|x-y|^2/2}$, on a sphere $e^{\beta(\langle x, y
    \rangle - 1)}$.

    $$ \mathrm{MMD}^2 = \iint k\, d(\mu-\nu)\, d(\mu-\nu) $$

    For attention with inverse temperature beta this is the energy $\bar E$ of the difference. Differentiates by
    points, weights and beta; densities are summed over a quadrature.

    Raises:
        BadInput: the measures live on different spaces or have no atoms; beta is not positive.

    Source: Gretton et al., JMLR 13 (2012).

    Example:
        >>> import measureflow as mf
        >>> one, other = mf.Tokens(mf.Sphere(2), [[1.0, 0.0]]), mf.Tokens(mf.Sphere(2), [[-1.0, 0.0]])
        >>> round(float(mf.measures.mmd(one, other, beta=9.0)), 6)
        1.414214
    """
    check_pair("mmd", mu, nu)
    if not is_traced(beta) and not (np.isfinite(beta) and beta > 0):
        raise BadInput(f"mmd: beta is {beta!r}; the kernel has a finite number > 0.")
    one, other = as_tokens(mu), as_tokens(nu)
    points = jnp.concatenate([one.points, other.points])
    signed = jnp.concatenate([one.weights, -other.weights])
    return discrepancy(points, signed, jnp.asarray(beta, points.dtype))


@jax.jit
def discrepancy(points: Array, signed: Array, beta: Array) -> Array:
    """Return the root of the energy of a signed measure, a row of the kernel at a time."""

    def row(x: Array) -> Array:
        return jnp.exp(-0.5 * beta * jnp.sum((points - x) ** 2, axis=-1)) @ signed

    square = signed @ jax.lax.map(row, points, batch_size=128)
    return jnp.sqrt(jnp.where(square > 0, square, 0.0))


def sinkhorn_divergence(mu: Measure, nu: Measure, epsilon: float) -> Float[Array, ""]:
    r"""Return the Sinkhorn divergence of the squared distance, by ott-jax.

    $$ S_\varepsilon(\mu, \nu) = OT_\varepsilon(\mu, \nu) - \tfrac12 OT_\varepsilon(\mu, \mu) - \tfrac12
       OT_\varepsilon(\nu, \nu) $$

    It tends to $W_2^2$ for small epsilon. Differentiates by points and weights, and scales to many tokens where exact
    plans do not. Needs `pip install measureflow[ot]`.

    Main arguments:
        mu, nu: tokens, or densities by their quadrature.
        epsilon: strength of the entropy, in units of the squared distance.

    Raises:
        BadInput: ott-jax is not installed, epsilon is not positive, the iterations did not converge, or different
            spaces.

    Source: Feydy et al. ([arXiv:1810.08278](https://arxiv.org/abs/1810.08278)).
    """
    check_pair("sinkhorn_divergence", mu, nu)
    if not is_traced(epsilon) and not (np.isfinite(epsilon) and epsilon > 0):
        raise BadInput(
            f"sinkhorn_divergence: epsilon is {epsilon!r}; it is a number > 0, in units of distance squared."
        )
    from measureflow.measures.entropic import divergence

    one, other = as_tokens(mu), as_tokens(nu)
    value, converged = divergence(one, other, epsilon)
    if not is_traced(converged) and not bool(converged):
        raise BadInput(f"sinkhorn_divergence: no convergence at epsilon = {epsilon:g}; give a larger one.")
    return value


def wasserstein_on_circle(mu: Tokens, nu: Tokens) -> Float[Array, ""]:
    r"""Return the distance $W_1$ between two measures on the circle, arc length being the cost.

    $$ W_1(\mu, \nu) = \min_c \int_0^{2\pi} |F_\mu(\theta) - F_\nu(\theta) - c|\, d\theta $$

    with the distribution functions from any angle on; the least is reached at the median of their difference. Exact up
    to rounding, in time `n log n`; can be jitted and vmapped.

    Raises:
        BadInput: a measure is not on `Sphere(2)`.

    Source: the transport problem on the circle, Rabin, Delon and Gousseau
        ([arXiv:0906.5499](https://arxiv.org/abs/0906.5499)).

    Example:
        >>> import measureflow as mf
        >>> from measureflow.measures import wasserstein_on_circle
        >>> one, other = mf.Tokens(mf.Sphere(2), [[1.0, 0.0]]), mf.Tokens(mf.Sphere(2), [[0.0, 1.0]])
        >>> round(float(wasserstein_on_circle(one, other)), 6)
        1.570796
    """
    for measure in (mu, nu):
        if not isinstance(measure, Tokens) or measure.space != Sphere(2):
            space = getattr(measure, "space", type(measure).__name__)
            raise BadInput(f"wasserstein_on_circle: {space!r} is not the circle; give tokens on mf.Sphere(2).")
    points = jnp.concatenate([mu.points, nu.points])
    here = jnp.concatenate([mu.present, nu.present])
    jumps = jnp.where(here, jnp.concatenate([mu.weights, -nu.weights]), 0)
    angles = jnp.where(here, jnp.arctan2(points[:, 1], points[:, 0]), jnp.pi)
    order = jnp.argsort(angles)
    angles, difference = angles[order], jnp.cumsum(jumps[order])
    # the difference of the distribution functions is constant from each angle to the next, round the circle
    arcs = jnp.diff(angles, append=angles[:1] + 2 * jnp.pi)
    by_value = jnp.argsort(difference)
    reached = jnp.cumsum(arcs[by_value])
    median = difference[by_value][jnp.searchsorted(reached, 0.5 * reached[-1])]
    return jnp.sum(arcs * jnp.abs(difference - median))

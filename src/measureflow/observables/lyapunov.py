"""Lyapunov exponents along a path: at which rates neighbouring tokens separate, direction by direction."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.measures import Tokens
from measureflow.measures.seeds import as_key
from measureflow.observables.along import field_of
from measureflow.observables.jacobians import velocity_of

__all__ = ["Spectrum", "lyapunov"]

#: as many directions are followed without being asked for: their columns cost one derivative of the field each
MOST = 512
#: step control: safety, and the range of one change
SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0


class Spectrum(eqx.Module):
    """Lyapunov exponents of finite time.

    Attributes:
        times: `(s,)` the kept times of the path.
        growth: `(s, k)` logarithm of the stretching of each direction since the first time.
        directions: `(k, n, d)` orthonormal tangent vectors at the last time, most stretched first as time goes on.
        steps: steps that were accepted.
    """

    times: Float[Array, "s"]
    growth: Float[Array, "s k"]
    directions: Float[Array, "k n d"]
    steps: Int[Array, ""]

    @property
    def exponents(self) -> Float[Array, "k"]:
        """Growth over time from the first to the last time, per unit of the path's own clock."""
        return self.growth[-1] / (self.times[-1] - self.times[0])

    @property
    def local(self) -> Float[Array, "r k"]:
        """Growth over time between consecutive times: along a plateau, the rates of the metastable state."""
        return jnp.diff(self.growth, axis=0) / jnp.diff(self.times)[:, None]


def lyapunov(
    path: Any,
    count: int | None = None,
    *,
    field: Field | None = None,
    directions: Any = None,
    seed: Any = 0,
    rtol: float = 1e-8,
    max_steps: int = 100_000,
) -> Spectrum:
    r"""Return the first `count` Lyapunov exponents along the path of a flow.

    $$ \lambda_i(t) = \tfrac1t \log R_{ii}(t), \qquad \Phi_t'\,Q(0) = Q(t)\,R(t), \qquad \dot w = DX(x(t))\,w $$

    The derivative of the flow is applied to orthonormal tangent vectors, which are orthonormalised again after every
    step (Benettin's method). Tokens and vectors move together by error-controlled Runge-Kutta steps, and at each kept
    time the tokens are put where the path has them. The sum over all directions is the mean divergence of the field,
    whatever the start; single exponents settle like 1/t.

    Main arguments:
        path: a path of `mf.flow` with at least two states; its kept times are those of the result.
        count: how many exponents; all `n (d - 1)` on a sphere, or `n d`, if None.

    Other arguments:
        field: what moved the path, if the path does not know.
        directions: `(count, n, d)` tangent vectors to begin with; drawn with `seed` if None.
        rtol: error of a step, in units of a token's size and of a unit vector: the exponents are right to about
            `rtol` times the steps per unit of time.
        max_steps: steps between two kept times before giving up. Steps cannot be longer than the fastest contraction
            allows (about 3 under SA): over long plateaus read the eigenvalues of `jacobian(path)` instead.

    Raises:
        BadInput: the path is no flow of one field, or too short; more directions than there are; too many steps.

    Source: Benettin, Galgani, Giorgilli and Strelcyn, Meccanica 15 (1980); for attention,
        [arXiv:2312.10794](https://arxiv.org/abs/2312.10794).

    Example:
        >>> import measureflow as mf
        >>> tokens, solver = mf.cap(mf.Sphere(3), 3, angle=0.1, seed=0), mf.Adaptive(coarsen=False)
        >>> path = mf.flow(tokens, mf.SelfAttention(beta=4.0), until=40.0, save=[0.0, 20.0, 40.0], solver=solver)
        >>> mf.observe.lyapunov(path).local[-1].round(4) + 0.0  # two rotations; deviations die like e^-t
        Array([ 0.,  0., -1., -1., -1., -1.], dtype=float64)
    """
    field = field_of("lyapunov", path, field)
    points, times = checked_path(path)
    mu = jax.tree.map(lambda leaf: leaf[0], path.measure).replace(labels=None)
    start = first_directions(mu, count, directions, seed)
    solver = (jnp.asarray(rtol, float), jnp.asarray(max_steps, int))
    growth, last, steps, arrived = stretched(mu, field, points, jnp.asarray(times), start, *solver)
    if not bool(arrived):
        raise BadInput(
            f"lyapunov: {max_steps:,} steps do not reach from one kept time of the path to the next; keep more times, "
            f"end the path earlier, or read the rates of a plateau from the eigenvalues of jacobian(path)."
        )
    return Spectrum(jnp.asarray(times), growth, last, steps)


def checked_path(path: Any) -> tuple[Array, np.ndarray]:
    """Return the kept points and their times, or raise `BadInput`."""
    points, recipe = getattr(path, "points", None), getattr(path, "recipe", None)
    if points is None or points.ndim != 3 or recipe is None or recipe.data.get("verb") != "flow":
        raise BadInput("lyapunov: give one path of mf.flow; the exponents are those of a flow along it.")
    times = np.asarray(path.times)[np.asarray(path.kept)]
    if len(times) < 2:
        raise BadInput("lyapunov: the path has one state; keep at least two (keep='all', or indices).")
    return points, times


def first_directions(mu: Tokens, count: int | None, directions: Any, seed: Any) -> Float[Array, "k n d"]:
    """Return orthonormal tangent vectors: those given made orthonormal, or ones drawn at random."""
    frame = mu.space.frame(mu.points)
    n, d, k = frame.shape
    most = k * int(np.asarray(mu.present).sum())
    if directions is not None:
        given = jnp.asarray(directions, float)
        if given.ndim != 3 or given.shape[1:] != (n, d) or (count is not None and len(given) != count):
            raise BadInput(f"lyapunov: directions have shape {given.shape}; give (count, {n}, {d}) tangent vectors.")
        count = len(given)
    wanted = most if count is None else count
    if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or not 1 <= wanted <= most:
        raise BadInput(f"lyapunov: count is {count!r}; the tokens have 1 .. {most:,} directions.")
    if count is None and most > MOST:
        raise BadInput(f"lyapunov: the tokens have {most:,} directions; say how many of them with count=.")
    if directions is None:
        given = jnp.einsum("ndk,cnk->cnd", frame, jax.random.normal(as_key(seed), (wanted, n, k), float))
    return orthonormal(mu.space.tangent(mu.points, jnp.where(mu.present[:, None], given, 0)))[0]


def orthonormal(vectors: Float[Array, "k n d"]) -> tuple[Float[Array, "k n d"], Float[Array, "k"]]:
    """Return the vectors made orthonormal in turn, and the logarithms of the lengths that were left of each."""
    q, r = jnp.linalg.qr(vectors.reshape(vectors.shape[0], -1).T)
    lengths = jnp.diagonal(r)
    return (q * jnp.where(lengths < 0, -1.0, 1.0)).T.reshape(vectors.shape), jnp.log(jnp.abs(lengths))


class Bundle(NamedTuple):
    """Tokens with tangent vectors, on their way to the next kept time."""

    x: Float[Array, "n d"]
    vectors: Float[Array, "k n d"]
    growth: Float[Array, "k"]
    passed: Float[Array, ""]
    h: Float[Array, ""]
    accepted: Int[Array, ""]
    tried: Int[Array, ""]


@eqx.filter_jit
def stretched(
    mu: Tokens, field: Field, points: Array, times: Array, start: Array, rtol: Array, max_steps: Array
) -> tuple[Array, Array, Array, Array]:
    """Return the growth at each time, the last directions, the steps taken and whether they arrived everywhere."""

    def to_next(carry: tuple[Array, Array, Array, Array], leg: tuple[Array, Array, Array]) -> Any:
        vectors, growth, h, steps = carry
        x, ahead, (begin, end) = leg
        vectors, _ = orthonormal(mu.space.tangent(x, vectors))
        none = jnp.zeros((), int)
        bundle = Bundle(x, vectors, growth, jnp.zeros(()), h, none, none)
        bundle, arrived = carried(mu, field, bundle, begin, end, rtol, max_steps)
        vectors, _ = orthonormal(mu.space.tangent(ahead, bundle.vectors))
        return (vectors, bundle.growth, bundle.h, steps + bundle.accepted), (bundle.growth, arrived)

    first = (start, jnp.zeros(start.shape[0]), jnp.asarray(1e-2), jnp.zeros((), int))
    legs = (points[:-1], points[1:], jnp.stack([times[:-1], times[1:]], axis=1))
    (last, _, _, steps), (growth, arrived) = jax.lax.scan(to_next, first, legs)
    return jnp.concatenate([jnp.zeros_like(growth[:1]), growth]), last, steps, jnp.all(arrived)


def carried(
    mu: Tokens, field: Field, bundle: Bundle, begin: Array, end: Array, rtol: Array, max_steps: Array
) -> tuple[Bundle, Array]:
    """Return the bundle carried from one kept time to the next, and whether it arrived."""
    import diffrax  # imported when used: it is slow to import

    span, latest = end - begin, jnp.nextafter(end, begin)

    def rate(passed: Any, y: Any, _: Any) -> tuple[Array, Array]:
        # a leg ends before the field jumps, if it jumps there
        here = field if field.autonomous else field.at(jnp.minimum(begin + passed, latest))
        # extended off the space by v(N(x)), as in a flow
        v, push = jax.linearize(lambda x: velocity_of(mu, here, mu.space.project(x)), y[0])
        return v, jax.vmap(push)(y[1])

    term, solver = diffrax.ODETerm(rate), diffrax.Dopri5()

    def step(b: Bundle) -> Bundle:
        last = b.h >= span - b.passed
        h = jnp.where(last, span - b.passed, b.h)
        y, t = (b.x, b.vectors), (b.passed, b.passed + h)
        # orthonormal vectors have other slopes than the stretched ones at which the last step ended
        begun = solver.init(term, *t, y, None)
        (x, vectors), error, _, _, _ = solver.step(term, *t, y, None, begun, made_jump=False)
        worst = jnp.maximum(relative(error[0], jnp.max(jnp.abs(b.x)), rtol), relative(error[1], 1.0, rtol))
        worst = jnp.where(jnp.isfinite(worst), worst, jnp.inf)
        accept = worst <= 1.0
        factor = jnp.clip(SAFETY * jnp.maximum(worst, 1e-12) ** (-0.2), SHRINK, jnp.where(accept, GROW, SAFETY))
        x = mu.space.project(x)
        straight, lengths = orthonormal(mu.space.tangent(x, vectors))
        return Bundle(
            x=jnp.where(accept & mu.present[:, None], x, b.x),
            vectors=jnp.where(accept, straight, b.vectors),
            growth=jnp.where(accept, b.growth + lengths, b.growth),
            passed=jnp.where(accept, jnp.where(last, span, b.passed + h), b.passed),
            h=jnp.where(accept & last, jnp.maximum(b.h, h * factor), h * factor),
            accepted=b.accepted + accept,
            tried=b.tried + 1,
        )

    bundle = jax.lax.while_loop(lambda b: (b.passed < span) & (b.tried < max_steps), step, bundle)
    return bundle, bundle.passed >= span


def relative(error: Array, size: Any, rtol: Array) -> Array:
    """Return the largest error of a row, in units of its tolerance."""
    return jnp.max(jnp.sqrt(jnp.sum(error * error, axis=-1))) / (rtol * (1e-2 + size))

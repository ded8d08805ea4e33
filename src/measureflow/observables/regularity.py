"""How much a field stretches: the largest singular value of its Jacobian, by products with it alone."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.measures import Tokens
from measureflow.observables.along import along, field_of
from measureflow.observables.jacobians import steady, velocity_of
from measureflow.spaces import Euclidean

__all__ = ["Stretch", "lipschitz", "stretch"]

NORMS = ("wasserstein", "token")
#: vectors of one cycle of Lanczos, and the most cycles
VECTORS, CYCLES = 16, 40
#: sweeps of the token norm, each of which can only raise it
SWEEPS = 40


class Stretch(eqx.Module):
    """The most stretched direction of a field at a measure.

    Attributes:
        constant: by how much it is stretched. direction: `(n, d)`, of length 1.
        residual: `|J^T J e - constant^2 e|` over `constant^2`: the relative error of `constant` is at most half of it.
    """

    constant: Float[Array, "*s"]
    direction: Float[Array, "*s n d"]
    residual: Float[Array, "*s"]


def lipschitz(
    subject: Any,
    field: Field | None = None,
    *,
    norm: str = "wasserstein",
    step: float | None = None,
    rtol: float = 1e-8,
) -> Float[Array, "*s"]:
    r"""Return the local Lipschitz constant of a field at a measure, or at every state of a path.

    $$ L = \max_e \frac{\|J e\|}{\|e\|}, \qquad \|e\|^2 = \textstyle\sum_i a_i|e_i|^2 \;\text{ or }\; \max_i|e_i| $$

    `J` is that of `jacobian`, on tangent vectors: of $X \mapsto (v(x_i; \mu))_i$, where moving a token moves the
    measure as well. The first norm is that of $W_2$ near the measure (of equal masses: the Frobenius norm). By Lanczos'
    on $J^TJ$ takes products alone, so it is exact to `rtol` for any number of tokens; tokens without mass are left out.

    Main arguments:
        subject: a measure, or a path. field: what moves it; by default the path's own, at each of its depths.
        norm: `"wasserstein"`, or `"token"`: there the value is that of a local maximum, found by sweeps that only raise
            it: exact in dimension 1, else at most L.
        step: h for the layer $x + hA(x;\mu)$ instead of the field itself, on Euclidean space. A sub-layer of a trained
            network is a layer of step 1.

    Raises:
        BadInput: there is no field, it changes with depth and there is no path; an unknown norm; a step off flat space.

    Source: local constants of [arXiv:2312.14820](https://arxiv.org/abs/2312.14820).

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.Tokens(mf.Euclidean(1), [[-1.5], [1.5], [1.5]])  # one against the others
        >>> round(float(mf.observe.lipschitz(tokens, mf.SelfAttention(1.0, query=-1.0))), 3)
        1.557
    """
    return stretch(subject, field, norm=norm, step=step, rtol=rtol).constant


def stretch(
    subject: Any,
    field: Field | None = None,
    *,
    norm: str = "wasserstein",
    step: float | None = None,
    rtol: float = 1e-8,
) -> Stretch:
    """Return the local Lipschitz constant with the direction that has it; the arguments are those of `lipschitz`.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.Tokens(mf.Euclidean(1), [[-1.5], [1.5], [1.5]])
        >>> mf.observe.stretch(tokens, mf.SelfAttention(1.0, query=-1.0)).direction.shape
        (3, 1)
    """
    field = field_of("lipschitz", subject, field)
    if norm not in NORMS:
        raise BadInput(f"lipschitz: norm is {norm!r}; it is one of {', '.join(map(repr, NORMS))}.")
    mu = getattr(subject, "measure", subject)
    if step is not None and not isinstance(getattr(mu, "space", None), Euclidean):
        raise BadInput("lipschitz: step= is that of a layer x + h A(x) on mf.Euclidean(d).")
    h = None if step is None else jnp.asarray(step, float)
    of = stretch_of_tokens if norm == "token" else stretch_of_measure
    if field.autonomous or not hasattr(subject, "times"):
        return along(of, subject, field=steady("lipschitz", field), step=h, rtol=rtol)
    depths = jnp.asarray(subject.times)[jnp.asarray(subject.kept)]
    return along_depth(of, subject.measure.replace(labels=None), depths, field, h, rtol)


@eqx.filter_jit
def along_depth(of: Any, mu: Tokens, depths: Array, field: Field, step: Any, rtol: float) -> Stretch:
    """Return what `of` sees at every state, of the field at its depth."""
    return jax.lax.map(lambda state: of(state[0], field.at(state[1]), step, rtol), (mu, depths))


def moved(mu: Tokens, field: Field, step: Any) -> Any:
    """Return the map whose Jacobian is looked at."""
    if step is None:
        return lambda points: velocity_of(mu, field, points)
    return lambda points: points + step.astype(points.dtype) * velocity_of(mu, field, points)


def stretch_of_measure(mu: Tokens, field: Field, step: Any, rtol: float) -> Stretch:
    """Return the largest singular value in the norm of W_2, by Lanczos' method with restarts."""
    x, heavy = mu.points, (mu.present & (mu.weights > 0))[:, None]
    scale = jnp.sqrt(jnp.where(heavy, mu.weights[:, None], 1.0)).astype(x.dtype)
    motion = moved(mu, field, step)
    push, (_, pull) = jax.linearize(motion, x)[1], jax.vjp(motion, x)

    def gram(v: Array) -> Array:
        tangent = jnp.where(heavy, mu.space.tangent(x, v / scale), 0)
        out = jnp.where(heavy, mu.space.tangent(x, push(tangent)), 0)
        (back,) = pull(mu.space.tangent(x, out * scale**2))
        return jnp.where(heavy, mu.space.tangent(x, back) / scale, 0)

    start = jnp.where(heavy, mu.space.tangent(x, jax.random.normal(jax.random.key(0), x.shape, x.dtype)), 0)
    root, vector, residual = largest_eigenpair(gram, start, min(VECTORS, x.size), rtol)
    direction = jnp.where(heavy, vector / scale, 0)
    return Stretch(jnp.sqrt(jnp.maximum(root, 0.0)), direction, residual)


def largest_eigenpair(gram: Any, start: Array, count: int, rtol: float) -> tuple[Array, Array, Array]:
    """Return the largest eigenvalue of a symmetric operator >= 0, its vector and the relative residual."""
    small = jnp.finfo(start.dtype).tiny

    def unit(v: Array) -> tuple[Array, Array]:
        size = jnp.linalg.norm(v)
        return v / jnp.maximum(size, small), size

    def cycle(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        turn, _, vector, _ = carry
        basis = jnp.zeros((count, *start.shape), start.dtype).at[0].set(vector)

        def extend(k: Array, held: tuple[Array, Array]) -> tuple[Array, Array]:
            basis, images = held
            image = gram(basis[k])
            images = images.at[k].set(image)
            for _ in range(2):  # what rounding leaves of the earlier vectors goes in a second turn
                image = image - jnp.tensordot(jnp.tensordot(basis, image, image.ndim), basis, 1)
            new, size = unit(image)
            # in an invariant space nothing is left but rounding, which is no direction
            fresh = jnp.where(size > 1e3 * jnp.finfo(start.dtype).eps * jnp.linalg.norm(images[0]), new, 0.0)
            return basis.at[k + 1].set(fresh, mode="drop"), images

        basis, images = jax.lax.fori_loop(0, count, extend, (basis, jnp.zeros_like(basis)))
        small_one = jnp.tensordot(basis.reshape(count, -1), images.reshape(count, -1).T, 1)
        roots, vectors = jnp.linalg.eigh(0.5 * (small_one + small_one.T))
        mixed, image = (jnp.tensordot(vectors[:, -1], rows, 1) for rows in (basis, images))
        rest = jnp.linalg.norm(image - roots[-1] * mixed) / jnp.maximum(roots[-1], small)
        return turn + 1, roots[-1], unit(mixed)[0], rest

    def going(carry: tuple[Array, ...]) -> Array:
        turn, _, _, rest = carry
        return (turn < CYCLES) & (rest > jnp.maximum(rtol, 10 * jnp.finfo(start.dtype).eps))

    first = (jnp.zeros((), int), jnp.zeros((), start.dtype), unit(start)[0], jnp.asarray(jnp.inf, start.dtype))
    _, root, vector, rest = jax.lax.while_loop(going, cycle, first)
    return root, vector, rest


def stretch_of_tokens(mu: Tokens, field: Field, step: Any, rtol: float) -> Stretch:
    """Return a local maximum of the stretching in the token norm: each token's best, and of these the largest."""
    x, motion = mu.points, moved(mu, field, step)
    push, (_, pull) = jax.linearize(motion, x)[1], jax.vjp(motion, x)

    def sized(v: Array) -> tuple[Array, Array]:
        size = jnp.linalg.norm(v, axis=-1, keepdims=True)
        return v / jnp.where(size > 0, size, 1.0), size

    def best(i: Array) -> tuple[Array, Array]:
        def sweep(_: Any, u: Array) -> Array:
            (back,) = pull(jnp.zeros_like(x).at[i].set(u))
            return sized(push(sized(mu.space.tangent(x, back))[0])[i])[0]

        u = jax.lax.fori_loop(0, SWEEPS, sweep, sized(jax.random.normal(jax.random.key(0), x.shape[1:], x.dtype))[0])
        (back,) = pull(jnp.zeros_like(x).at[i].set(u))
        direction = sized(mu.space.tangent(x, back))[0]
        return jnp.linalg.norm(mu.space.tangent(x, push(direction))[i]), direction

    sizes, directions = jax.lax.map(best, jnp.arange(x.shape[0]))
    k = jnp.argmax(sizes)
    return Stretch(sizes[k], directions[k], jnp.zeros((), x.dtype))

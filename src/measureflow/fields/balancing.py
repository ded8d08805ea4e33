r"""Doubly stochastic attention: potentials f and g with $\int e^{c(x,y) + f(x) + g(y)}\,d\mu = 1$ in x and in y.

All is done on logarithms. Only g is kept: f of any query is $-\log \int e^{c(x,y) + g(y)}\,d\mu(y)$.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["balanced", "centred", "half_steps", "log_means", "rounding"]

#: from so many atoms on a pass over the pairs is spared by the potentials of the step before
LARGE = 512
#: those will do while they have moved by less than this: the exponentials stay in the range of a double (or a single)
NEAR = 0.4
#: a logit this part of the largest exponent above the shift is cut off, as in softmax
CUT = 0.9
#: up to so many atoms the linear system of the derivative is solved directly, beyond by conjugate gradients
DIRECT = 1024
#: what keeps that system solvable where groups of tokens see nothing of each other, in units of rounding
REGULAR = 32.0


def log_means(logits: Float[Array, "m n"], masses: Float[Array, "n"]) -> Float[Array, "m"]:
    r"""Return $\log \sum_j a_j e^{\ell_{ij}}$ for every row; absent atoms have mass 0 and a finite logit."""
    top = jnp.max(logits, axis=1, where=masses > 0, initial=-jnp.inf, keepdims=True)
    top = jax.lax.stop_gradient(jnp.where(jnp.isfinite(top), top, jnp.zeros_like(top)))
    # an atom without mass may lie far above the shift: cut off, so that the derivative by its mass is finite
    above = jnp.minimum(logits - top, CUT * math.log(float(jnp.finfo(logits.dtype).max)))
    total = jnp.sum(masses * jnp.exp(above), axis=1)
    return top[:, 0] + jnp.log(jnp.where(total > 0, total, jnp.ones_like(total)))


def means_near(
    logits: Float[Array, "m n"], column: Float[Array, "n"], masses: Float[Array, "n"], guess: Array, near: Array
) -> Float[Array, "m"]:
    """Return the log means of `logits + column`; where they are known to lie near `guess` without a search for the
    largest."""
    if logits.shape[1] < LARGE:
        return log_means(logits + column, masses)

    def quickly() -> Array:
        # an absent atom is left out by its potential: one factor less in the innermost loop
        weighed = jnp.where(masses > 0, column + jnp.log(jnp.where(masses > 0, masses, 1)), -jnp.inf)
        return guess + jnp.log(jnp.sum(jnp.exp(logits + weighed - guess[:, None]), axis=1))

    return jax.lax.cond(near, quickly, lambda: log_means(logits + column, masses))


def is_near(moved: Float[Array, "n"]) -> Bool[Array, ""]:
    """Tell whether potentials that moved so far leave all exponentials of the next step in range."""
    return jnp.max(jnp.abs(moved)) < NEAR * math.log(float(jnp.finfo(moved.dtype).max))


def rounding(logits: Float[Array, "n n"]) -> Float[Array, ""]:
    """Return what rounding of the logits alone does to a sum of weights."""
    return 8.0 * float(jnp.finfo(logits.dtype).eps) * (1.0 + jnp.max(jnp.abs(logits)))


@partial(jax.jit, static_argnums=2)
def half_steps(logits: Float[Array, "n n"], masses: Float[Array, "n"], count: int) -> Float[Array, "n"]:
    """Return g after `count` half steps, an odd number: rows, columns, .., rows. The last is made by softmax.

    Nothing is detached: derivatives go through both potentials of every step.
    """
    across = logits.T

    def both(state: tuple[Array, ...], _: None) -> tuple[tuple[Array, ...], None]:
        f, g, near = state
        row = -means_near(logits, g, masses, -f, near)
        column = -means_near(across, row, masses, -g, near & is_near(row - f))
        return (row, column, is_near(column - g)), None

    zero = jnp.zeros_like(masses)
    start = (zero, zero, jnp.asarray(False))
    return jax.lax.scan(both, start, None, length=(count - 1) // 2)[0][1]


@partial(jax.jit, static_argnums=(0, 1))
def balanced(
    tolerance: float, most: int, logits: Float[Array, "n n"], masses: Float[Array, "n"]
) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    r"""Return g, and the largest error of a row or column sum, that of an atom with mass.

    Symmetric logits have f = g, found by the damped iteration $g \leftarrow (g - \log\int e^{c + g}d\mu)/2$: the modes
    of a positive kernel at least halve. Others alternate, at the rate of the square of the second singular value.
    What is measured bounds the error of both marginals once softmax has made the rows exact. The iteration ends at
    `tolerance`, at what rounding allows, or after `most` steps.
    """
    return solved(tolerance, most, logits, masses)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def solved(tolerance: float, most: int, logits: Array, masses: Array) -> tuple[Array, Array]:
    """Return what `balanced` does."""
    allowed = jnp.maximum(jnp.asarray(tolerance, logits.dtype), rounding(logits))
    across = logits.T
    size = jnp.max(jnp.abs(logits))
    symmetric = jnp.max(jnp.abs(logits - across)) <= 64.0 * float(jnp.finfo(logits.dtype).eps) * size
    heard = masses > 0

    def going(state: tuple[Array, ...]) -> Array:
        return (state[0] < most) & (state[3] > allowed)

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        k, f, g, _, near = state
        row = -means_near(logits, g, masses, -f, near)

        def damped() -> tuple[Array, Array, Array]:
            new = 0.5 * (g + row)
            # once softmax has made the rows exact, columns are off by up to twice what rows were
            return new, new, 2.0 * (g - row)

        def alternated() -> tuple[Array, Array, Array]:
            new = -means_near(across, row, masses, -g, near & is_near(row - f))
            return row, new, g - new

        f, new, off = jax.lax.cond(symmetric, damped, alternated)
        residual = jnp.max(jnp.abs(jnp.expm1(jnp.where(heard, off, 0))))
        return k + 1, f, new, residual, is_near(new - g)

    zero = jnp.zeros_like(masses)
    start = (jnp.asarray(0), zero, zero, jnp.asarray(jnp.inf, logits.dtype), jnp.asarray(False))
    _, _, g, residual, _ = jax.lax.while_loop(going, step, start)
    return g, residual


@solved.defjvp
def solved_jvp(
    tolerance: float, most: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    r"""Return g and its derivative, by the implicit function theorem.

    g is a fixed point of one alternated step $\Phi$, so $dg = (I - \partial_g\Phi)^{-1}\,\partial\Phi$, and
    $\partial_g\Phi = SR$ with the two stochastic matrices R (rows) and S (columns, transposed). A constant may be added
    to g: the derivative is that whose mean is 0.
    """
    logits, masses = primals
    g, residual = solved(tolerance, most, logits, masses)

    def again(logits: Array, masses: Array) -> Array:
        return -log_means(logits.T - log_means(logits + g, masses), masses)

    _, pushed = jax.jvp(again, primals, tangents)
    f = -log_means(logits + g, masses)
    joint = jnp.exp(jnp.minimum(logits + f[:, None] + g, CUT * math.log(float(jnp.finfo(g.dtype).max))))
    rows, columns = joint * masses, joint.T * masses
    rows, columns = (part / jnp.sum(part, axis=1, keepdims=True) for part in (rows, columns))
    solve = directly if g.shape[0] <= DIRECT else by_conjugate_gradients
    return (g, residual), (solve(rows, columns, masses, pushed), jnp.zeros_like(residual))


def directly(rows: Array, columns: Array, masses: Array, right: Array) -> Array:
    """Return the solution of mean 0 of `(I - S R) dg = right`."""
    n = right.shape[0]
    diagonal = (1.0 + REGULAR * jnp.finfo(right.dtype).eps) * jnp.eye(n, dtype=right.dtype)
    factors = jax.scipy.linalg.lu_factor(diagonal - columns @ rows + masses)
    return jax.scipy.linalg.lu_solve(factors, right)


def by_conjugate_gradients(rows: Array, columns: Array, masses: Array, right: Array) -> Array:
    """Return the same from products with R and S alone: with the roots of the masses the matrix is symmetric."""
    root = jnp.sqrt(masses)
    over = jnp.where(root > 0, 1.0 / jnp.where(root > 0, root, 1), 0)
    more = 1.0 + REGULAR * jnp.finfo(right.dtype).eps

    def product(y: Array) -> Array:
        return more * y - root * (columns @ (rows @ (over * y))) + root * (root @ y)

    within = 8.0 * float(jnp.finfo(right.dtype).eps)
    y, _ = jax.scipy.sparse.linalg.cg(product, root * right, tol=within, maxiter=1000)
    return right + columns @ (rows @ (over * y)) - root @ y  # of atoms without mass as well


def centred(f: Float[Array, "n"], g: Float[Array, "n"], masses: Float[Array, "n"]) -> tuple[Array, Array]:
    """Return both potentials, the constant shared out so that their means agree: f = g for a symmetric score."""
    shift = 0.5 * (masses @ f - masses @ g)
    return f - shift, g + shift

r"""Doubly stochastic attention: potentials f and g with $\int e^{c(x,y) + f(x) + g(y)}\,d\mu = 1$ in x and in y.

All is done on logarithms. Only g is kept: f of any query is $-\log \int e^{c(x,y) + g(y)}\,d\mu(y)$.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

__all__ = ["PATIENT", "balanced", "centred", "half_steps", "log_means", "rounding"]

#: from so many atoms on a pass over the pairs is spared by the potentials of the step before
LARGE = 512
#: those will do while they have moved by less than this: the exponentials stay in the range of a double (or a single)
NEAR = 0.4
#: a logit this part of the largest exponent above the shift is cut off, as in softmax
CUT = 0.9
#: up to so many atoms the linear system of the derivative is solved directly, beyond by conjugate gradients
DIRECT = 1024
#: after so many steps the iteration is left for Newton's method
PATIENT = 300
#: steps of Newton's method at most; the spread of logits from which it starts; the error that ends a temperature
NEWTON, SOFT, LOOSE = 200, 8.0, 1e-2
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


@partial(jax.jit, static_argnums=(0, 1), static_argnames="newton")
def balanced(
    tolerance: float, most: int, logits: Float[Array, "n n"], masses: Float[Array, "n"], *, newton: bool = False
) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    r"""Return g, and the largest error of a row or column sum, that of an atom with mass.

    Symmetric logits have f = g, found by the damped iteration $g \leftarrow (g - \log\int e^{c + g}d\mu)/2$: the modes
    of a positive kernel at least halve. Others alternate, at the rate of the square of the second singular value.
    What is measured bounds the error of both marginals once softmax has made the rows exact. The iteration ends at
    `tolerance`, at what rounding allows, or after `most` steps. With logits that spread over hundreds that value comes
    near 1, and tens of thousands of steps would not do: with `newton` up to `DIRECT` atoms leave it after `PATIENT`
    steps for Newton's method (`annealed`, some 25 steps) and come back to it for the end.
    """
    return solved(tolerance, most, newton and most > PATIENT and masses.shape[0] <= DIRECT, logits, masses)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def solved(tolerance: float, most: int, newton: bool, logits: Array, masses: Array) -> tuple[Array, Array]:
    """Return what `balanced` does."""
    allowed = jnp.maximum(jnp.asarray(tolerance, logits.dtype), rounding(logits))
    across = logits.T
    size = jnp.max(jnp.abs(logits))
    symmetric = jnp.max(jnp.abs(logits - across)) <= 64.0 * float(jnp.finfo(logits.dtype).eps) * size
    heard = masses > 0

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

    def iterated(state: tuple[Array, ...], most: Any) -> tuple[Array, ...]:
        return jax.lax.while_loop(lambda now: (now[0] < most) & (now[3] > allowed), step, state)

    zero, far = jnp.zeros_like(masses), jnp.asarray(False)
    start = (jnp.asarray(0), zero, zero, jnp.asarray(jnp.inf, logits.dtype), far)
    if not newton:
        _, _, g, residual, _ = iterated(start, most)
        return g, residual

    def attempt(state: tuple[Array, tuple[Array, ...]]) -> tuple[Array, tuple[Array, ...]]:
        again, (k, f, g, residual, near) = state
        g = annealed(logits, masses, g, allowed, again)
        return jnp.asarray(True), iterated((k, f, g, residual, near & ~again), jnp.where(again, most, PATIENT))

    def unfinished(state: tuple[Array, tuple[Array, ...]]) -> Array:
        return (state[1][3] > allowed) & (state[1][0] < most)

    _, (_, _, g, residual, _) = jax.lax.while_loop(unfinished, attempt, (far, start))
    return g, residual


def annealed(logits: Array, masses: Array, g: Array, allowed: Array, wanted: Array) -> Array:
    r"""Return g by Newton's method, where it is `wanted`; else what is given.

    g maximises the concave dual $\int g\,d\mu - \int\log\int e^{sc(x,y) + g(y)}\,d\mu(y)\,d\mu(x)$ at s = 1; s starts
    small and doubles, so that each level starts near its end. With the roots of the masses the matrix is symmetric,
    and the constants, that change nothing, are given the eigenvalue 1.
    """
    heard = masses > 0
    root = jnp.sqrt(masses)
    over = jnp.where(heard, 1.0 / jnp.where(heard, root, 1), 0)
    eps, one = float(jnp.finfo(logits.dtype).eps), jnp.ones((), logits.dtype)
    regular, cut = REGULAR * eps * math.sqrt(len(masses)), CUT * math.log(float(jnp.finfo(logits.dtype).max))
    enough = jnp.maximum(LOOSE, allowed)

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        k, share, base, along, length, value, slope, _ = state
        g = base + length * along
        shifted = share * logits + g
        f = log_means(shifted, masses)
        reached = masses @ (g - f)
        # a concave function: a rise of the size that the slope promises will do, or one that is lost in rounding
        kept = reached >= value + 1e-4 * length * slope - 64.0 * eps * (1.0 + jnp.abs(value))
        rows = masses * jnp.exp(jnp.minimum(shifted - f[:, None], cut))
        missing = masses - masses @ rows
        off = jnp.max(jnp.abs(missing) * over**2)
        level = kept & (off <= enough) & (share < 1)
        half = root[:, None] * rows * over
        matrix = jnp.diag(jnp.where(heard, 1.0 + regular - missing * over**2, 1)) - half.T @ half + root[:, None] * root
        ahead = over * by_cholesky(matrix, over * missing)
        larger = jnp.minimum(one, 2.0 * share)
        base = jnp.where(level, g * larger / share, jnp.where(kept, g, base))
        along = jnp.where(level, 0, jnp.where(kept, ahead, along))
        value = jnp.where(level, -jnp.inf, jnp.where(kept, reached, value))
        slope = jnp.where(level, 0, jnp.where(kept, missing @ ahead, slope))
        off = jnp.where(kept & ~level, off, jnp.inf)
        return (
            k + 1,
            jnp.where(level, larger, share),
            base,
            along,
            jnp.where(kept, one, 0.5 * length),
            value,
            slope,
            off,
        )

    def going(state: tuple[Array, ...]) -> Array:
        return wanted & (state[0] < NEWTON) & (state[-1] > allowed)

    spread = 2.0 * jnp.max(jnp.abs(logits))
    zero, least = jnp.zeros_like(g), -jnp.inf * one
    start = (jnp.asarray(0), SOFT / jnp.maximum(spread, SOFT), zero, zero, one, least, 0.0 * one, -least)
    return jnp.where(wanted, jax.lax.while_loop(going, step, start)[2], g)


def by_cholesky(matrix: Array, right: Array) -> Array:
    """Return the solution of a system with a positive matrix."""
    lower = jax.lax.linalg.cholesky(matrix, symmetrize_input=False)
    half = jax.lax.linalg.triangular_solve(lower, right[:, None], left_side=True, lower=True)
    return jax.lax.linalg.triangular_solve(lower, half, left_side=True, lower=True, transpose_a=True)[:, 0]


@solved.defjvp
def solved_jvp(
    tolerance: float, most: int, newton: bool, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    r"""Return g and its derivative, by the implicit function theorem.

    g is a fixed point of one alternated step $\Phi$, so $dg = (I - \partial_g\Phi)^{-1}\,\partial\Phi$, and
    $\partial_g\Phi = SR$ with the two stochastic matrices R (rows) and S (columns, transposed). A constant may be added
    to g: the derivative is that whose mean is 0.
    """
    logits, masses = primals
    g, residual = solved(tolerance, most, newton, logits, masses)

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

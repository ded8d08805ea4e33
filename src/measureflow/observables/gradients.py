"""How much of a velocity is a gradient, in the metric in which attention with a symmetric form is a gradient flow."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields import Dot, Field, SelfAttention, Softmax, Unnormalised
from measureflow.fields.matrices import apply
from measureflow.measures import Density, Tokens, as_tokens
from measureflow.observables.along import along, field_of, measure_of
from measureflow.spaces import Sphere

__all__ = ["gradient_part"]

#: the degree of the potentials where none is given, if there are tokens enough
USUAL = 8
#: directions among the potentials' gradients that are smaller than this beside the largest are rounding
RANK = 1e-10


def gradient_part(subject: Any, *, field: Field | None = None, degree: int | None = None) -> Float[Array, "*s"]:
    r"""Return the share of a velocity that is a gradient, between 0 and 1, in the metric of the field.

    $$ Z_\mu v = \nabla\phi + r, \qquad \int \langle r, \nabla\psi\rangle\, \frac{d\mu}{Z_\mu} = 0, \qquad
       \text{share} = \frac{\int |\nabla\phi|^2 d\mu/Z_\mu}{\int Z_\mu |v|^2 d\mu} $$

    In the metric with mobility $\mu/Z_\mu$ (softmax; for unnormalised attention $Z = 1$: the Wasserstein metric) the
    gradient of a functional F moves the measure by $v = Z_\mu^{-1}\nabla\,\delta F/\delta\mu$. The functionals admitted
    are those whose first variation is a polynomial of at most `degree` on the sphere; on finitely many separate tokens
    every velocity would be a gradient if all were. The share is 1, up to the part of $Z_\mu$ above that degree, where
    `V = ±D` with a symmetric form D (the gradient flow of the energy), for tokens that rest, and in general less.

    Main arguments:
        subject: tokens on a sphere, a density (by its quadrature), or a path of either.
        field: softmax or unnormalised attention without a mask; a path's own if not given.
        degree: of the potentials; if None 8, or the largest with which there are at most a quarter as many potentials
            as directions in which tokens can move: each potential takes up its share of what is no gradient, too.

    Raises:
        BadInput: another field, tokens that are not on a sphere, a degree below 1 or with as many potentials as
            directions.

    Source: for the geometry of [arXiv:2501.03096](https://arxiv.org/abs/2501.03096); the decomposition is ours.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=100, seed=0)
        >>> turning = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        >>> gradient, other = mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=1.0, value=turning)
        >>> one, less = (mf.observe.gradient_part(tokens, field=field) for field in (gradient, other))
        >>> bool(one > 1 - 1e-7), bool(less < 0.9)
        (True, True)
    """
    field = field_of("gradient_part", subject, field)
    mu = measure_of(subject, (Tokens, Density))
    kernel = field.kernel if isinstance(field, SelfAttention) else None
    plain = kernel is not None and isinstance(kernel.score, Dot) and kernel.mask is None
    if kernel is None or not plain or not isinstance(kernel.weighting, (Softmax, Unnormalised)):
        raise BadInput(
            f"gradient_part: the metric is known for softmax and unnormalised attention without a mask, and this is "
            f"{field!r}."
        )
    if not isinstance(mu.space, Sphere):
        raise BadInput(f"gradient_part: the tokens live in {mu.space!r}; take path.on_sphere().")
    n = mu.n if isinstance(mu, Tokens) else len(first_atoms(mu))
    degree = checked_degree(degree, n * (mu.d - 1), mu.d)
    return along(share, subject, (Tokens, Density), field=field, degree=degree)


def first_atoms(mu: Density) -> np.ndarray:
    """Return the points of a density's quadrature."""
    grid = mu.whole.grid if not mu.batch else mu.grid
    return np.zeros(int(np.prod(grid.shape)))


def potentials(degree: int, d: int) -> int:
    """Return how many polynomials of at most this degree there are on the sphere, beside the constant."""
    return math.comb(d + degree - 1, degree) + math.comb(d + degree - 2, degree - 1) - 1


def checked_degree(degree: Any, directions: int, d: int) -> int:
    """Return the degree given, or the usual one for so many directions."""
    if degree is None:
        return max([1, *(k for k in range(1, USUAL + 1) if 4 * potentials(k, d) <= directions)])
    if isinstance(degree, bool) or not isinstance(degree, (int, np.integer)) or degree < 1:
        raise BadInput(f"gradient_part: degree is {degree!r}; it is a whole number of at least 1.")
    count = potentials(int(degree), d)
    if count >= directions:
        raise BadInput(
            f"gradient_part: of degree {degree} there are {count} potentials and the tokens have "
            f"{directions} directions, so that everything would be a gradient; give a lower degree or more tokens."
        )
    return int(degree)


def exponents(degree: int, d: int) -> Int[np.ndarray, "k d"]:
    """Return the monomials of the two highest degrees: on the sphere they span all lower ones."""
    rows = [
        np.bincount(chosen, minlength=d)
        for k in (degree, degree - 1)
        for chosen in itertools.combinations_with_replacement(range(d), k)
    ]
    return np.array(rows, int).reshape(-1, d)


def share(mu: Any, field: SelfAttention, degree: int) -> Array:
    """Return the share of one measure's velocity that is a gradient."""
    mu = as_tokens(mu)
    x, d = mu.points, mu.points.shape[1]
    velocity = jnp.where(mu.present[:, None], field(x, mu), 0.0)
    if isinstance(field.kernel.weighting, Softmax):
        scores = field.beta * (apply(field.kernel.query, x) @ apply(field.kernel.key, x).T)
        mobility = jnp.exp(scores - jnp.max(scores)) @ mu.weights
    else:
        mobility = jnp.ones(x.shape[0])
    root = jnp.sqrt(mu.weights / mobility)[:, None]
    wanted = (root * mobility[:, None] * velocity).ravel()
    powers = jnp.stack([x**k for k in range(degree + 1)], axis=-1)  # (n, d, degree + 1)
    rising = exponents(degree, d)
    columns = []
    for axis in range(d):
        factors = [
            rising[:, j] * powers[:, j, np.maximum(rising[:, j] - 1, 0)] if j == axis else powers[:, j, rising[:, j]]
            for j in range(d)
        ]
        columns.append(jnp.prod(jnp.stack(factors), axis=0))
    slopes = jnp.stack(columns, axis=1)  # (n, d, k)
    slopes = slopes - x[:, :, None] * jnp.sum(x[:, :, None] * slopes, axis=1, keepdims=True)
    basis, sizes, _ = jnp.linalg.svd((root[:, :, None] * slopes).reshape(-1, slopes.shape[-1]), full_matrices=False)
    parts = jnp.where(sizes > RANK * sizes[0], basis.T @ wanted, 0.0)
    whole = jnp.sum(wanted * wanted)
    return jnp.where(whole > 0, jnp.sum(parts * parts) / jnp.where(whole > 0, whole, 1.0), 1.0)

"""Coefficients of `e^{c(t-1)}` in Fourier, Legendre and Gegenbauer modes: scaled Bessel functions, tails, degrees."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import gammaln, ive

__all__ = [
    "circle_coefficients",
    "circle_degree",
    "harmonics_of_degree",
    "hypersphere_coefficients",
    "hypersphere_degree",
    "sphere_coefficients",
    "sphere_degree",
]

#: steps of the continued fraction above twice the highest mode that is asked for
EXTRA = 40


def circle_coefficients(c: Float[Array, ""], degree: int) -> tuple[Float[Array, "k"], Float[Array, ""]]:
    r"""Return $e^{-c} I_k(c)$ for k = 0..degree and a bound on the tail $2 \sum_{k > degree} e^{-c} I_k(c)$; c >= 0.

    $e^{c(\cos\theta - 1)} = \sum_{k=-\infty}^{\infty} e^{-c} I_k(c) e^{ik\theta}$ (Jacobi-Anger). Relative error of
    each coefficient a few `k` units in the last place; no overflow at any `c`, exact at c = 0, differentiable.
    """
    ratios = bessel_ratios(c, degree + 1, 0.0)
    values = scaled_i0(c) * jnp.concatenate([jnp.ones_like(ratios[:1]), jnp.cumprod(ratios)])
    # the ratios fall with k: beyond the first mode left out the tail is below a geometric series
    tail = 2.0 * values[degree + 1] / (1.0 - ratios[degree])
    return values[: degree + 1], jnp.minimum(jax.lax.stop_gradient(tail), 1.0)


def sphere_coefficients(c: Float[Array, ""], degree: int) -> tuple[Float[Array, "k"], Float[Array, ""]]:
    r"""Return $(2l+1) e^{-c} i_l(c)$ for l = 0..degree and a bound on the sum of all later ones; c >= 0.

    $e^{c(t-1)} = \sum_l (2l+1) e^{-c} i_l(c) P_l(t)$ with the modified spherical Bessel functions
    $i_l(c) = \sqrt{\pi/2c}\, I_{l+1/2}(c)$.
    """
    ratios = bessel_ratios(c, degree + 1, 0.5)
    values = scaled_spherical_i0(c) * jnp.concatenate([jnp.ones_like(ratios[:1]), jnp.cumprod(ratios)])
    values = values * (2.0 * jnp.arange(degree + 2) + 1.0).astype(c.dtype)
    quotient = ratios[degree] * ((2 * degree + 5) / (2 * degree + 3))
    tail = jnp.where(quotient < 1.0, values[degree + 1] / jnp.where(quotient < 1.0, 1.0 - quotient, 1.0), 1.0)
    return values[: degree + 1], jnp.minimum(jax.lax.stop_gradient(tail), 1.0)


def hypersphere_coefficients(
    c: Float[Array, "*n"], degree: int, d: int
) -> tuple[Float[Array, "k *n"], Float[Array, "*n"]]:
    r"""Return $A_l = N_l \Gamma(d/2) (2/c)^\lambda e^{-c} I_{l+\lambda}(c)$, l = 0..degree, and a bound on later ones.

    $e^{c(t-1)} = \sum_l A_l C_l^\lambda(t) / C_l^\lambda(1)$ with $\lambda = d/2 - 1$ and `N_l` harmonics of degree l;
    no term is larger than at t = 1, where they add up to 1. c >= 0, of any shape. $e^c A_l$ and its tail grow with c.
    """
    order = d / 2 - 1
    ratios = bessel_ratios(c, degree + 1, order)
    values = scaled_mean(c, d, degree) * jnp.concatenate([jnp.ones_like(ratios[:1]), jnp.cumprod(ratios, axis=0)])
    dims = [float(harmonics_of_degree(d, l)) for l in range(degree + 3)]
    values = values * jnp.asarray(dims[: degree + 2], c.dtype).reshape(-1, *(1,) * c.ndim)
    quotient = ratios[degree] * (dims[degree + 2] / dims[degree + 1])
    tail = jnp.where(quotient < 1.0, values[degree + 1] / jnp.where(quotient < 1.0, 1.0 - quotient, 1.0), 1.0)
    return values[: degree + 1], jnp.minimum(jax.lax.stop_gradient(tail), 1.0)


def scaled_mean(c: Float[Array, "*n"], d: int, degree: int) -> Float[Array, "*n"]:
    r"""Return the mean of $e^{c(t-1)}$ over the sphere, $\Gamma(d/2) (2/c)^\lambda e^{-c} I_\lambda(c)$.

    Two dimensions up it is smaller by $2 (\lambda+1) I_{\lambda+1} / (c I_\lambda)$, which has a fraction without a
    quotient by c.
    """
    order = 0.0 if d % 2 == 0 else 0.5
    value = scaled_i0(c) if d % 2 == 0 else scaled_spherical_i0(c)
    while order < d / 2 - 1:
        value = value / (1.0 + c * bessel_ratios(c, degree + 1, order + 1.0)[0] / (2.0 * (order + 1.0)))
        order += 1.0
    return value


def harmonics_of_degree(d: int, l: int) -> int:
    """Return how many independent harmonics of degree l the unit sphere of R^d has, d >= 2."""
    return math.comb(l + d - 1, l) - (math.comb(l + d - 3, l - 2) if l > 1 else 0)


def bessel_ratios(c: Float[Array, "*n"], count: int, order: float) -> Float[Array, "k *n"]:
    r"""Return $r_k = I_{\nu+k+1}(c) / I_{\nu+k}(c)$ for k = 0..count-1, by $r_k = c / (2(\nu+k+1) + c\, r_{k+1})$.

    Run downwards, the continued fraction forgets its start; the start is Amos's bound, near the truth at every c.
    """
    top = 2 * count + EXTRA
    above = order + top
    start = c / (above + 0.5 + jnp.sqrt((above + 1.5) ** 2 + c * c))

    def down(r: Array, k: Array) -> tuple[Array, Array]:
        new = c / (2.0 * (order + k + 1.0) + c * r)
        return new, new

    _, ratios = jax.lax.scan(down, start, jnp.arange(top - 1, -1, -1).astype(c.dtype))
    return ratios[::-1][:count]


@jax.custom_jvp
def scaled_i0(c: Float[Array, ""]) -> Float[Array, ""]:
    """Return `e^{-c} I_0(c)`, whose derivative at 0 from the right is -1 (that of `lax.bessel_i0e` is 0 there)."""
    return jax.lax.bessel_i0e(c)


@scaled_i0.defjvp
def scaled_i0_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Return the value and the derivative `e^{-c} (I_1(c) - I_0(c))`."""
    (c,), (dc,) = primals, tangents
    value = scaled_i0(c)
    return value, (value * bessel_ratios(c, 1, 0.0)[0] - value) * dc


def scaled_spherical_i0(c: Float[Array, ""]) -> Float[Array, ""]:
    """Return `(1 - e^{-2c}) / (2c)`, by its series where the quotient would lose its derivative."""
    small = c < 1e-3
    safe = jnp.where(small, 1.0, c)
    series = 1.0 - c * (1.0 - c * (2.0 / 3.0) * (1.0 - c * 0.5 * (1.0 - c * 0.4 * (1.0 - c / 3.0))))
    return jnp.where(small, series, -jnp.expm1(-2.0 * safe) / (2.0 * safe))


def circle_degree(c: float, tolerance: float) -> int:
    """Return the least degree whose tail is below a quarter of `tolerance` times the mean of the kernel.

    Over the uniform law that keeps what is cut off from a softmax, in numerator and denominator, below half of
    `tolerance`; the other half is for rounding. Grows like `sqrt(c)`.
    """
    orders = all_orders(c)
    return least_degree(2.0 * ive(orders, c), float(ive(0, c)), tolerance)


def sphere_degree(c: float, tolerance: float) -> int:
    """Return the least degree on S² in the sense of `circle_degree`."""
    orders = all_orders(c)
    # near 0, where the quotient fails: (2l+1) i_l(c) <= c^l
    near_zero = c < 1e-6
    sizes = c**orders if near_zero else (2 * orders + 1) * math.sqrt(math.pi / (2 * c)) * ive(orders + 0.5, c)
    return least_degree(sizes, float(sizes[0]), tolerance)


def hypersphere_degree(c: float, d: int, tolerance: float, mean: float | None = None) -> int:
    """Return the least degree on the unit sphere of R^d in the sense of `circle_degree`, for another mean if given."""
    sizes = hypersphere_sizes(c, d)
    return least_degree(sizes, float(sizes[0]) if mean is None else mean, tolerance)


def hypersphere_sizes(c: float, d: int) -> np.ndarray:
    """Return the coefficients `A_l` of `hypersphere_coefficients`, as far as they are of any size."""
    orders, half = all_orders(c), d / 2 - 1
    dims = np.array([float(harmonics_of_degree(d, int(l))) for l in orders])
    # near 0, where the quotient fails: A_l <= N_l (c/2)^l Gamma(d/2) / Gamma(l + d/2)
    if c < 1e-6:
        return dims * (c / 2) ** orders * np.exp(gammaln(d / 2) - gammaln(orders + d / 2))
    return dims * np.exp(gammaln(d / 2) + half * math.log(2 / c)) * ive(orders + half, c)


def all_orders(c: float) -> np.ndarray:
    """Return orders up to where the coefficients are below the smallest rounding error."""
    return np.arange(int(12 * math.sqrt(c)) + 80)


def least_degree(sizes: np.ndarray, mean: float, tolerance: float) -> int:
    """Return the least K >= 1 with the sizes beyond K summing to no more than `tolerance * mean / 4`."""
    tails = np.append(np.cumsum(sizes[::-1])[::-1][1:], 0.0)
    return max(1, int(np.argmax(tails <= 0.25 * tolerance * mean)))

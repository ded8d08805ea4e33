r"""K equal clusters at the corners of a regular polygon: how fast that metastable state breaks up."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from measureflow.theory.checks import as_count, as_finite, as_model, in_interval

__all__ = ["eigenvalues_of_equal_clusters", "escape_time"]


def eigenvalues_of_equal_clusters(k: int, *, beta: float, model: str = "softmax") -> Float[np.ndarray, "k-1"]:
    r"""Return the eigenvalues `sigma_1 .. sigma_{K-1}` of K equal clusters at angles $2\pi m/K$ on the
    circle.

    $$ \sigma_j = -\frac{\sum_{m=1}^{K-1} g(2\pi m/K)\,(1-\cos(2\pi jm/K))}
                        {\sum_{m=0}^{K-1} e^{\beta\cos(2\pi m/K)}},
       \qquad g(x) = (\cos x-\beta\sin^2 x)\,e^{\beta\cos x} $$

    for SA; under USA the denominator is K. A positive `sigma` means decay: $1/\sigma$ is the lifetime scale
    of the state, and the escape takes $\sigma^{-1}\log(1/\text{noise})$. Any sign of `beta`: a negative one is the
    field with `query=-1`, under which three clusters are stable for $\beta < -2/3$. Derived from
    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 5; relative error below 1e-12 (of the
    largest term). Under USA the result is infinite where a rate overflows.

    Raises:
        BadInput: fewer than 2 clusters, beta is not finite.

    Example:
        >>> from measureflow import theory
        >>> theory.eigenvalues_of_equal_clusters(3, beta=4.0).round(8).tolist()
        [0.02589851, 0.02589851]
        >>> theory.eigenvalues_of_equal_clusters(3, beta=-0.67, model="unnormalised").round(6).tolist()
        [-0.003495, -0.003495]
    """
    beta, k = as_finite("beta", beta), as_count("k", k, 2)
    angles = 2.0 * np.pi * np.arange(k) / k
    exponents, slopes = beta * np.cos(angles), np.cos(angles) - beta * np.sin(angles) ** 2
    bend = 2.0 * np.sin(np.outer(np.arange(1, k), angles[1:]) / 2.0) ** 2  # 1 - cos(2 pi j m / K)
    # the largest weight between clusters is taken out: that of a cluster on itself may overflow, or leave them nothing
    top = float(exponents[1:].max())
    shares = -(bend @ (slopes[1:] * np.exp(exponents[1:] - top))) / k
    if as_model(model) == "softmax":
        highest = float(exponents.max())
        return shares * np.exp(top - highest) / np.exp(exponents - highest).mean()
    with np.errstate(over="ignore"):
        return shares * np.exp(top)


def escape_time(k: int, *, beta: float, noise: float, model: str = "softmax") -> float:
    r"""Return the time in which a perturbation of K equal clusters grows from the angle `noise` to the order of 1.

    $$ t \approx \frac{1}{\max_j\sigma_j}\,\log\frac{1}{\text{noise}} $$

    with the rates of `eigenvalues_of_equal_clusters`; `noise` is the amplitude along the fastest mode, and the time is
    right up to a constant over the rate. Infinite where the clusters are stable, or the time is beyond a double.
    Derived from [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 5.

    Raises:
        BadInput: fewer than 2 clusters, beta is not finite, a noise outside `(0, 1)`.

    Example:
        >>> from measureflow import theory
        >>> round(theory.escape_time(3, beta=9.0, noise=1e-3) / 1e5, 3)
        2.317
    """
    noise = in_interval("noise", noise, 0.0, 1.0)
    fastest = float(np.max(eigenvalues_of_equal_clusters(k, beta=beta, model=model)))
    with np.errstate(over="ignore"):
        return float(np.divide(-math.log(noise), fastest)) if fastest > 0 else math.inf

r"""Attention of small bandwidth: what the normalisations of one Gaussian kernel become, each with its constant."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.errors import BadInput
from measureflow.theory.checks import as_masses, as_numbers

__all__ = ["drift_of_small_bandwidth"]


def drift_of_small_bandwidth(
    points: Any, *, means: Any, deviations: Any, masses: Any = None, weighting: str = "sinkhorn"
) -> Float[np.ndarray, "m d"]:
    r"""Return the limit of $(T_\epsilon(x) - x)/\epsilon$ for a mixture of round Gaussians of density $\rho$.

    With the kernel $e^{-|x-y|^2/2\epsilon}$ and barycentres $T_\epsilon(x) = \int k(x,y)\,y\,d\rho(y)$:

    - sinkhorn: $\frac12\nabla\log\rho$ (the potential is $f = -\frac\epsilon2\log\rho$ to leading order);
    - softmax: $\nabla\log\rho$;
    - unnormalised: $\nabla\rho$, of $(2\pi\epsilon)^{-d/2}\int e^{-|x-y|^2/2\epsilon}(y - x)\,d\rho(y)/\epsilon$.

    Tokens that are repelled, $v = -(T_\epsilon - x)/\epsilon$, so obey $\dot\rho = \frac12\Delta\rho$, $\Delta\rho$ and
    $\frac12\Delta\rho^2$. The kernel $e^{-|x-y|^2/4\epsilon}$ would double each. The error is of first order in
    $\epsilon$. Derived, with the statement of [arXiv:2110.11773](https://arxiv.org/abs/2110.11773) on Sinkhorn.

    Main arguments:
        points: `(m, d)`. means: `(k, d)` and deviations `(k,)` of the components; masses: `(k,)`, equal if not given.

    Raises:
        BadInput: shapes that do not fit, a deviation that is not positive, an unknown weighting.

    Example:
        >>> from measureflow import theory
        >>> one = dict(means=[[0.0]], deviations=[2.0])
        >>> [theory.drift_of_small_bandwidth([[1.0]], weighting=name, **one).item() for name in ("sinkhorn", "softmax")]
        [-0.125, -0.25]
    """
    points, means, deviations = (
        as_numbers(name, part) for name, part in (("points", points), ("means", means), ("deviations", deviations))
    )
    if points.ndim != 2 or means.ndim != 2 or means.shape[1] != points.shape[1] or deviations.shape != means.shape[:1]:
        raise BadInput(
            f"theory: points have shape {points.shape}, means {means.shape} and deviations {deviations.shape}; give "
            f"(m, d), (k, d) and (k,)."
        )
    if not (np.isfinite(deviations).all() and (deviations > 0).all()):
        raise BadInput(f"theory: deviations are {deviations.tolist()}; they must be positive.")
    if weighting not in ("sinkhorn", "softmax", "unnormalised"):
        raise BadInput(f"theory: weighting is {weighting!r}; it is 'sinkhorn', 'softmax' or 'unnormalised'.")
    k, d = means.shape
    masses = np.full(k, 1.0 / k) if masses is None else as_masses(masses, k)
    apart = points[:, None, :] - means
    exponents = -0.5 * (apart**2).sum(axis=-1) / deviations**2 + np.log(masses) - d * np.log(deviations)
    top = exponents.max(axis=1, keepdims=True)
    parts = np.exp(exponents - top)
    score = -np.einsum("mk,mkd->md", parts / deviations**2, apart) / parts.sum(axis=1, keepdims=True)
    if weighting == "unnormalised":
        return score * (parts.sum(axis=1, keepdims=True) * np.exp(top) / (2 * np.pi) ** (d / 2))
    return score if weighting == "softmax" else 0.5 * score

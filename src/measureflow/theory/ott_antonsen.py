r"""Densities on the circle without temperature: Poisson kernels stay Poisson kernels (Ott and Antonsen)."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.theory.checks import as_times, in_interval

__all__ = ["order_parameter_of_poisson_density"]


def order_parameter_of_poisson_density(times: Any, *, start: float) -> Float[np.ndarray, "s"]:
    r"""Return `R(t)`, the length of the mean of a Poisson kernel on the circle at beta = 0.

    The density $\frac{1-R^2}{1-2R\cos\theta+R^2}$ keeps its form and $\dot R = \tfrac12 R(1-R^2)$, so that
    $R^2 = c e^t/(1 + c e^t)$ with $c = R_0^2/(1-R_0^2)$. Kuramoto's model, to which attention on the circle reduces at
    beta = 0 ([arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 7); derived by the Ott-Antonsen ansatz.

    Raises:
        BadInput: start outside (0, 1), negative times.

    Example:
        >>> from measureflow import theory
        >>> theory.order_parameter_of_poisson_density([1.0, 2.0], start=0.3).round(6).tolist()
        [0.460303, 0.649791]
    """
    times, start = as_times(times), in_interval("start", start, 0.0, 1.0)
    # 1/R^2 = 1 + e^(-t)/c does not overflow
    return 1.0 / np.sqrt(1.0 + np.exp(-times) * (1.0 - start**2) / start**2)

"""Schedules of normalisation schemes that bring equiangular tokens where one wants them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import root_scalar

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_count, as_numbers, in_interval
from measureflow.theory.normalisations import along_and_size, as_cosines, gap_and_radius_of_normalised_tokens

__all__ = ["alpha_for_cosine", "switch_for_cosine"]


def alpha_for_cosine(rho: Any, slope: Any, *, n: int, beta: float) -> Float[np.ndarray, "s"]:
    r"""Return the $\alpha_t$ of nGPT under which equiangular tokens follow a curve with cosine `rho` and `slope`.

    $$ \alpha_t = \frac{\dot\rho\,|A|(\rho)}{2 w\,(1-\rho)((n-1)\rho+1)} $$

    Source: derived here, for the open problem of [arXiv:2512.01868](https://arxiv.org/abs/2512.01868) on the choice of
    $\alpha_t$.

    Raises:
        BadInput: a cosine outside $(-1/(n-1), 1)$, beta < 0, fewer than 2 tokens.

    Example:
        >>> from measureflow import theory
        >>> rate = theory.initial_speed_of_normalised_tokens(scheme="ngpt", n=64, beta=2.0)
        >>> float(theory.alpha_for_cosine(0.0, rate, n=64, beta=2.0).round(12))
        1.0
    """
    n, beta, slope = as_count("n", n, 2), as_beta(beta), as_numbers("slope", slope)
    gap = 1.0 - as_cosines(rho, n)
    lift = n - (n - 1) * gap
    if (gap <= 0).any() or (lift <= 0).any():
        raise BadInput(f"theory: rho is {rho}; at -1/(n-1) and at 1 nothing moves: take a cosine between them.")
    _, size = along_and_size(beta * gap, lift, n)
    with np.errstate(over="ignore"):
        return slope * size * (np.exp(beta * gap) + n - 1) / (2.0 * gap * lift)


def switch_for_cosine(target: float, *, depth: float, n: int, beta: float, start: float) -> float:
    r"""Return the switch of Mix-LN with which equiangular tokens have the cosine `target` at a depth.

    Later switches give larger cosines: radii at least 1 make Pre-LN the slower of the two.

    Source: derived here, for the open problem of [arXiv:2512.01868](https://arxiv.org/abs/2512.01868) on the choice of
    the switch.

    Raises:
        BadInput: the target lies outside what switches from 0 to `depth` reach, a depth that is not positive.

    Example:
        >>> from measureflow import theory
        >>> switch = theory.switch_for_cosine(0.999, depth=12.0, n=16, beta=2.0, start=0.1)
        >>> gap, _ = theory.gap_and_radius_of_normalised_tokens(
        ...     [12.0], scheme="mix", switch=switch, n=16, beta=2.0, start=0.1)
        >>> round(1.0 - float(gap[0]), 9)
        0.999
    """
    target, depth = in_interval("target", target, -1.0, 1.0), in_interval("depth", depth, 0.0, math.inf)

    def gap(switch: float) -> float:
        found, _ = gap_and_radius_of_normalised_tokens(
            [depth], scheme="mix", switch=switch, n=n, beta=beta, start=start
        )
        return math.log(max(found[0], 1e-300)) - math.log1p(-target)

    low, high = gap(0.0), gap(depth)
    if not high <= 0.0 <= low:
        reached = [1.0 - (1.0 - target) * math.exp(value) for value in (low, high)]
        raise BadInput(
            f"theory: target is {target}; at depth {depth:g} Mix-LN has cosines from {reached[0]:.6g} (switch 0) to "
            f"{reached[1]:.6g} (switch {depth:g})."
        )
    return float(root_scalar(gap, bracket=(0.0, depth), method="brentq", xtol=1e-12, rtol=1e-14).root)

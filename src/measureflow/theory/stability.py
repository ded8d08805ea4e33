r"""How far apart two runs can drift: bounds in the sup norm of tokens and in the transport distance of measures."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.theory.checks import as_beta, as_finite, as_times

__all__ = ["distance_to_no_temperature", "dobrushin_constant", "growth_of_twins"]


def growth_of_twins(*, beta: float, form: float = 1.0, value: float = 1.0) -> float:
    r"""Return C such that $\max_i|x_i-y_i|(t) \le e^{Ct}\max_i|x_i-y_i|(0)$ for two runs of SA.

    $$ C = \|V\|\,(3 + 2\beta\|Q^TK\|) $$

    whatever the number of tokens, their dimension and their masses. Derived (2 + 1 from the projection and the average,
    2 beta from the two arguments of the weights); the bound of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794) is
    $c(\beta)^{nt}$ with $c = e^{10\max(1,\beta)}$.

    Arguments:
        form, value: spectral norms of $Q^TK$ and V.

    Raises:
        BadInput: beta < 0, a norm that is negative or infinite.

    Example:
        >>> from measureflow import theory
        >>> theory.growth_of_twins(beta=2.0)
        7.0
    """
    for name, norm in (("form", form), ("value", value)):
        as_finite(name, norm, 0.0)
    return float(value * (3.0 + 2.0 * as_beta(beta) * form))


def dobrushin_constant(*, beta: float) -> float:
    r"""Return C such that $W_1(\mu_t,\nu_t) \le e^{Ct}\,W_1(\mu_0,\nu_0)$ for two measures under SA.

    $$ C = \beta + 2 + (1+2\beta)\,e^{2\beta} $$

    with $W_1$ of the chord $|x-y|$ (`inf` beyond beta 350). Derived: the velocity is $(\beta+2)$-Lipschitz in the
    place and $(1+2\beta)e^{2\beta}$-Lipschitz in the measure; that there is a constant is in
    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 3.

    Raises:
        BadInput: beta < 0.

    Example:
        >>> from measureflow import theory
        >>> theory.dobrushin_constant(beta=0.0)
        3.0
    """
    beta = as_beta(beta)
    with np.errstate(over="ignore"):
        return beta + 2.0 + (1.0 + 2.0 * beta) * float(np.exp(2.0 * beta))


def distance_to_no_temperature(times: Any, *, beta: float) -> Float[np.ndarray, "s"]:
    r"""Return a bound on $\max_i|x_i^\beta - x_i^0|(t)$, runs of SA from one start at beta and at 0.

    $$ \max_i|x^\beta_i-x^0_i| \le \beta\,\frac{e^{3t}-1}{3} $$

    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794) has $C\beta e^{3t}$ with a constant that depends on n and d;
    derived: the two velocities differ by at most beta (a covariance), and that at beta = 0 is 3-Lipschitz.

    Raises:
        BadInput: a negative time, beta < 0.

    Example:
        >>> from measureflow import theory
        >>> theory.distance_to_no_temperature([0.0, 1.0], beta=0.1).round(4).tolist()
        [0.0, 0.6362]
    """
    return as_beta(beta) * np.expm1(3.0 * as_times(times)) / 3.0

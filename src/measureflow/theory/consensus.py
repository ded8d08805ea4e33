r"""Close to consensus: how fast tokens that have almost met come together, in the flow and in the layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from measureflow.theory.checks import as_beta, as_count, as_finite, as_masses, as_model, in_interval

__all__ = [
    "contraction_of_a_layer",
    "effective_rate_of_layers",
    "hemisphere_rate",
    "rate_at_consensus",
    "rates_at_causal_consensus",
]


def rate_at_consensus(*, beta: float, model: str = "softmax", mass: float = 1.0) -> float:
    r"""Return the rate at which $1-\rho_{ij}$ decays between tokens that have almost met.

    SA: `2`, whatever `beta`, n and the masses; USA: $2e^\beta$; USA* (kernel $e^{\beta(\rho-1)}$): `2`. For
    a cluster of mass fraction $a$ far from all others: SA 2, USA $2ae^\beta$, USA* $2a$. `model` is
    `"softmax"`, `"unnormalised"` or `"shifted"`. [arXiv:2312.10794](https://arxiv.org/abs/2312.10794),
    section 6, and derived; exact in the limit, with the relative correction $O(\beta(1-\rho))$ before it.

    Raises:
        BadInput: an unknown model, beta < 0, a mass outside `(0, 1]`.

    Example:
        >>> from measureflow import theory
        >>> theory.rate_at_consensus(beta=3.0)
        2.0
        >>> round(theory.rate_at_consensus(beta=1.0, model="unnormalised"), 5)
        5.43656
    """
    beta, mass = as_beta(beta), in_interval("mass", mass, 0.0, 1.0, closed=True)
    as_model(model, ("softmax", "unnormalised", "shifted"))
    if model == "softmax":
        return 2.0
    with np.errstate(over="ignore"):
        return 2.0 * mass * (float(np.exp(beta)) if model == "unnormalised" else 1.0)


def rates_at_causal_consensus(masses: Any) -> Float[np.ndarray, "n-1"]:
    r"""Return the rates at which tokens 2 .. n approach the first one under causal softmax attention with
    `V = I`.

    $$ \lambda_k = 1 - \frac{a_k}{\sum_{j\le k} a_j}, \qquad k = 2, \dots, n $$

    the eigenvalues of the deviations ($1-\rho$ falls twice as fast); equal masses: $1 - 1/k$, so the
    slowest is token 2 at 1/2. `masses` are the masses in the order of the text, or a count of equal ones.
    Derived for the model of [arXiv:2411.04990](https://arxiv.org/abs/2411.04990); exact to rounding.

    Example:
        >>> from measureflow import theory
        >>> theory.rates_at_causal_consensus(4).round(6).tolist()
        [0.5, 0.666667, 0.75]
    """
    if np.ndim(masses) == 0:
        n = as_count("masses", masses, 2)
        masses = np.full(n, 1.0 / n)
    masses = as_masses(masses)
    return (np.cumsum(masses)[:-1] / np.cumsum(masses)[1:]).astype(float)


def contraction_of_a_layer(step: float) -> float:
    r"""Return the factor `1/(1+h)` by which one layer `N(x + h A(x))` shrinks deviations from consensus
    under SA.

    Derived from the discrete map of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 2;
    correct up to relative corrections of second order in the deviation. The flow would shrink them by
    $e^{-h}$.

    Example:
        >>> from measureflow import theory
        >>> round(theory.contraction_of_a_layer(0.1), 6)
        0.909091
    """
    return 1.0 / (1.0 + in_interval("step", step, 0.0, np.inf))


def effective_rate_of_layers(step: float) -> float:
    r"""Return the rate `ln(1+h)/h` at which layers of step `h` approach consensus, per unit of depth time.

    It is 1 for the flow and 0.953 at h = 0.1: the slow-down visible in the phase diagrams of
    [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 6. Derived; exact to rounding.

    Example:
        >>> from measureflow import theory
        >>> round(theory.effective_rate_of_layers(0.1), 3)
        0.953
    """
    step = in_interval("step", step, 0.0, np.inf)
    return float(np.log1p(step) / step)


def hemisphere_rate(n: int, *, beta: float, norm: float = 1.0, model: str = "softmax") -> float:
    r"""Return a rate that the collapse of tokens in one open hemisphere cannot fall short of.

    With $x^*$ the limit and $\alpha = \min_i\langle x_i,x^*\rangle \ge \tfrac12$, for $V = I$ and n equal masses:

    $$ \text{SA: } \dot\alpha \ge \frac{1-\alpha}{2n\,e^{2\beta\|Q^TK\|}}, \qquad
       \text{USA: } \dot\alpha \ge \frac{1-\alpha}{2n\,e^{\beta\|Q^TK\|}} $$

    A weight is at least $e^{-2\beta\|Q^TK\|}/n$ under SA and $e^{-\beta\|Q^TK\|}/n$ under USA; some token has a cosine
    of at most $\alpha$ with the one that is farthest from $x^*$, and alone pulls it by that weight times
    $\alpha(1-\alpha)$. [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), Lemma 6.4 and its proof for SA; derived
    for USA. Bounds, far below the true rates.

    Raises:
        BadInput: no tokens, beta < 0, a norm that is negative or infinite, an unknown model.

    Example:
        >>> from measureflow import theory
        >>> theory.hemisphere_rate(10, beta=0.0)
        0.05
    """
    n, beta, norm = as_count("n", n), as_beta(beta), as_finite("norm", norm, 0.0)
    power = 2.0 if as_model(model) == "softmax" else 1.0
    return float(np.exp(-power * beta * norm) / (2.0 * n))

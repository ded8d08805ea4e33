r"""Attention as a nonlinear Markov kernel: Gibbs laws, what they minimise, and how a step contracts the diameter."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import lambertw

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_finite, as_number, as_numbers

__all__ = [
    "KernelConstants",
    "contraction_of_diameter",
    "free_energy",
    "gibbs_law",
    "largest_mean_square_of_l2_attention",
    "lipschitz_of_l2_attention",
    "lipschitz_of_markov_kernel",
]


def gibbs_law(scores: Any, masses: Any) -> Float[np.ndarray, "*m n"]:
    r"""Return the Gibbs law $\Psi_x(\mu)(dy) = e^{a(x,y)}\mu(dy)/\int e^{a(x,\cdot)}d\mu$: a row of softmax attention.

    Arguments:
        scores: `(*m, n)`, the logits of each query on the atoms. masses: `(n,)`, at least 0.

    Source: [arXiv:2007.02876](https://arxiv.org/abs/2007.02876).

    Example:
        >>> import numpy as np
        >>> from measureflow import theory
        >>> theory.gibbs_law([0.0, np.log(3.0)], [0.5, 0.5]).round(12).tolist()
        [0.25, 0.75]
    """
    masses = _masses(masses)
    scores = _scores(scores, masses.shape[-1])
    raised = masses * np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def free_energy(law: Any, scores: Any, masses: Any) -> Float[np.ndarray, "*m"]:
    r"""Return the free energy of laws on the atoms of a measure, which the Gibbs law alone minimises.

    $$ F(\nu) = KL(\nu\,|\,\mu) - \int a\,d\nu = -\log\int e^a\,d\mu + KL(\nu\,|\,\Psi) $$

    So attention is the law of largest entropy relative to $\mu$ among those with its mean score. A mass of the law
    where the measure has none makes it infinite.

    Source: derived (Gibbs' variational principle), for [arXiv:2007.02876](https://arxiv.org/abs/2007.02876).

    Example:
        >>> from measureflow import theory
        >>> float(theory.free_energy([0.5, 0.5], [1.0, 3.0], [0.5, 0.5]))  # the law is mu itself: no entropy
        -2.0
    """
    law, masses = _masses(law), _masses(masses)
    scores = _scores(scores, masses.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(law > 0, law * (np.log(law / masses) - scores), 0.0)
    return terms.sum(axis=-1)


def contraction_of_diameter(
    *, oscillation: float | None = None, form: float | None = None, diameter: float | None = None
) -> float:
    r"""Return a factor by which pure attention with V = I shrinks the diameter of its tokens, at least.

    $$ \operatorname{diam}(PX) \le \tanh(\omega/2)\operatorname{diam}(X), \qquad
       \operatorname{diam}(PX) \le \tanh\bigl(\tfrac14\|A\|\operatorname{diam}(X)^2\bigr)\operatorname{diam}(X) $$

    with $\omega$ the largest oscillation of a row of logits. Two Gibbs laws whose log-ratio oscillates by $\Delta$ are
    within $\tanh(\Delta/4)$ in total variation. Both are attained by two opposite tokens of the line; both are sharper
    than Dobrushin's $1-e^{-\omega}$.

    Arguments:
        oscillation: omega, for the first; or form and diameter, $\|A\|$ and that of the tokens, for the second.

    Source: derived, for [arXiv:2007.02876](https://arxiv.org/abs/2007.02876).

    Example:
        >>> from measureflow import theory
        >>> round(theory.contraction_of_diameter(oscillation=1.0), 6)
        0.462117
    """
    if (oscillation is None) == (form is None or diameter is None):
        raise BadInput("theory: give oscillation= alone, or form= and diameter=.")
    if oscillation is not None:
        return math.tanh(_positive("oscillation", oscillation) / 2.0)
    return math.tanh(_positive("form", form) * _positive("diameter", diameter) ** 2 / 4.0)


class KernelConstants(NamedTuple):
    """Lipschitz constants of an attention kernel: of its mean as a function of the query, and of the measure (W_1)."""

    query: float
    measure: float


def lipschitz_of_markov_kernel(
    *, oscillation: float, score: tuple[float, float], value: float, diameter: float
) -> KernelConstants:
    r"""Return Lipschitz constants of attention with any score and value map on a compact set.

    $$ \text{in the query: } \tfrac12 l_x D_v, \qquad \text{in the measure, } W_1: \; e^\omega(L_v + D_v l_y) $$

    and the map of measures, by the means or by the kernel $\mu \mapsto \mu A_\mu$ itself, has their sum in $W_1$.
    $\omega$ is the range of the score, $l_x$ and $l_y$ its Lipschitz constants, $L_v$ and $D_v$ that of the value map
    and the diameter of its image. Both are attained (the second in a limit) by scores and values that are linear.

    Arguments:
        oscillation: omega; the range over keys of the score of one query will do. score: $(l_x, l_y)$. value: $L_v$.
            diameter: $D_v$.

    Source: derived; the setting is that of [arXiv:2007.02876](https://arxiv.org/abs/2007.02876). Two Gibbs laws whose
        log-ratio oscillates by $2 l_x r$ are within $\tanh(l_x r/2)$ in total variation. For the second,
        $\int G (f\circ v - c)\,d(\mu-\nu)/\mu(G)$ with G the exponential of the score, c the mean under the second
        law and any f of slope 1.

    Example:
        >>> from measureflow import theory
        >>> theory.lipschitz_of_markov_kernel(oscillation=0.0, score=(1.0, 1.0), value=1.0, diameter=2.0)
        KernelConstants(query=1.0, measure=3.0)
    """
    if np.shape(score) != (2,):
        raise BadInput(f"theory: score is {score!r}; give the two constants, in the query and in the key.")
    query, key = (_positive("score", one) for one in score)
    value, diameter = _positive("value", value), _positive("diameter", diameter)
    rise = math.exp(min(_positive("oscillation", oscillation), 709.0))
    return KernelConstants(0.5 * query * diameter, rise * (value + diameter * key))


def largest_mean_square_of_l2_attention(n: int) -> float:
    r"""Return the largest $\sum_j P_{ij}|x_i-x_j|^2$ of attention with the score $-|x_i-x_j|^2$, over all n tokens.

    $$ \varphi^{-1}(n-1) = W_0\bigl((n-1)/e\bigr), \qquad \varphi(c) = c\,e^{c+1} $$

    It is attained by n - 1 tokens on a sphere around the first, and grows like log n.

    Source: the lemma of [arXiv:2006.04710](https://arxiv.org/abs/2006.04710).

    Example:
        >>> from measureflow import theory
        >>> round(theory.largest_mean_square_of_l2_attention(100), 5)
        2.62865
    """
    return float(lambertw((as_count("n", n) - 1) / math.e).real)


def lipschitz_of_l2_attention(n: int, *, norm: str = "token", d: int = 1, inner: Any = 1.0, outer: Any = 1.0) -> float:
    r"""Return a bound on the Lipschitz constant of attention with the score $-|Wx-Wy|^2$ and values $UWy$.

    $$ \text{token: } \|U\|\|W\|\,(4\varphi^{-1}(n-1)+1), \qquad \text{frobenius: } \sqrt n \text{ times that}, \qquad
       \text{coordinate: } \|U\|\|W\|\,(4\sqrt d\,\varphi^{-1}(n-1)+1) $$

    `token` is $\max_i|x_i|$ with Euclidean $|x_i|$, `coordinate` is $\max_{ia}|x_{ia}|$ (for it W = U = 1). Queries and
    keys share W; without sharing there is no bound. Several heads: the constants add.

    Source: [arXiv:2006.04710](https://arxiv.org/abs/2006.04710), derived here with these norms: in the coordinate norm
        the constant without $\sqrt d$ is wrong for d > 1.

    Raises:
        BadInput: an unknown norm, weights under the coordinate norm.

    Example:
        >>> from measureflow import theory
        >>> round(theory.lipschitz_of_l2_attention(2), 5)
        2.11386
    """
    reach, stretch = largest_mean_square_of_l2_attention(n), _spectral("inner", inner) * _spectral("outer", outer)
    if norm == "token":
        return stretch * (4.0 * reach + 1.0)
    if norm == "frobenius":
        return stretch * math.sqrt(n) * (4.0 * reach + 1.0)
    if norm != "coordinate":
        raise BadInput(f"theory: norm is {norm!r}; it is 'token', 'frobenius' or 'coordinate'.")
    if np.ndim(inner) or np.ndim(outer) or stretch != 1.0:
        raise BadInput("theory: under the coordinate norm the bound is that of W = U = 1; leave inner and outer out.")
    return 4.0 * math.sqrt(as_count("d", d)) * reach + 1.0


def _masses(masses: Any) -> np.ndarray:
    """Return masses, at least 0, with something in every row."""
    masses = np.atleast_1d(as_numbers("masses", masses))
    if (masses < 0).any() or not (masses.sum(axis=-1) > 0).all():
        raise BadInput(f"theory: masses are {masses.tolist()}; they must be finite, >= 0 and not all 0.")
    return masses


def _scores(scores: Any, count: int) -> np.ndarray:
    """Return logits of queries on so many atoms; one that is -inf leaves an atom out, but not all of them."""
    try:
        scores = np.asarray(scores, float)
    except (TypeError, ValueError):
        raise BadInput("theory: scores are no array of numbers; give (*m, n) of them.") from None
    if not scores.size or not scores.ndim or count not in (1, scores.shape[-1]):  # one mass: all atoms weigh the same
        raise BadInput(f"theory: scores have shape {scores.shape} for {count} atoms; give (*m, n).")
    if np.isnan(scores).any() or not np.isfinite(scores.max(axis=-1)).all():
        raise BadInput("theory: a score is NaN or inf, or all of one query are -inf; give numbers.")
    return scores


def _positive(name: str, value: Any) -> float:
    """Return a number that is not negative."""
    return as_finite(name, value, 0.0)


def _spectral(name: str, matrix: Any) -> float:
    """Return the spectral norm of a matrix, or the size of a number."""
    matrix = as_numbers(name, matrix)
    return float(np.linalg.norm(matrix, 2)) if matrix.ndim == 2 else abs(as_number(name, matrix))

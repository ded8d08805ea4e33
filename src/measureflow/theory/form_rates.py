r"""Attention with a symmetric form D and values ±D: what is stable on the sphere, and at which rates it is left or met.

Eigenvalues of D are $\mu_1..\mu_d$, `sign` is 1 for V = D (tokens attract) and -1 for V = -D. Time is that of softmax
attention; without a denominator every rate is multiplied by the partition function at the token.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ive

from measureflow.errors import BadInput
from measureflow.theory.checks import as_count, as_dimension, as_finite, as_numbers, as_times, in_interval
from measureflow.theory.uniform_measure import funk_hecke_coefficients

__all__ = [
    "FormRates",
    "energy_on_degenerate_form",
    "largest_rate_of_limit",
    "rates_around_uniform_of_form",
    "rates_of_null_pair",
    "rates_of_one_cluster",
    "rates_of_two_clusters",
    "rotation_of_polygon",
    "rotation_of_ring",
    "single_cluster_window",
    "stable_limits",
    "variance_on_degenerate_form",
]


class FormRates(NamedTuple):
    """Rates of the linearised flow about clusters at plus and minus an eigenvector.

    Attributes:
        within: of tokens against their own cluster's mean, one for each cluster, in every direction.
        between: of the clusters as wholes, a row for each of the other eigenvectors, in the order of the eigenvalues.
    """

    within: Float[np.ndarray, "c"]
    between: Float[np.ndarray, "k c"]

    @property
    def stable(self) -> bool:
        """Whether every rate is negative."""
        return bool((self.within < 0).all() and (self.between < 0).all())


def rates_of_one_cluster(eigenvalues: Any, at: int, *, sign: int = 1) -> FormRates:
    r"""Return the rates about all tokens at one eigenvector $e_k$: $-\mu_k$ within it, and $\mu_j - \mu_k$ as a whole.

    Both times `sign`. Stable iff $\mu_k > 0$ is the largest eigenvalue (`sign=1`), or $\mu_k < 0$ the smallest (-1).
    Derived for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Arguments:
        eigenvalues: of D. at: the index k.

    Raises:
        BadInput: fewer than two eigenvalues, an index that is none, a sign that is neither 1 nor -1.

    Example:
        >>> from measureflow import theory
        >>> theory.rates_of_one_cluster([2.0, 0.5], 0).between.tolist()
        [[-1.5]]
    """
    _, own, others = split(eigenvalues, at)
    return FormRates(np.array([-as_sign(sign) * own]), as_sign(sign) * (others - own)[:, None])


def rates_of_two_clusters(eigenvalues: Any, at: int, *, mass: float = 0.5, sign: int = 1) -> FormRates:
    r"""Return the rates about two clusters at $e_k$ and $-e_k$ of masses p and 1 - p.

    $$ a = \frac{p e^{\mu_k}}{p e^{\mu_k} + (1-p) e^{-\mu_k}}, \quad b = a|_{p \to 1-p}, \qquad
       \text{within: } -\mu_k(2a-1),\ -\mu_k(2b-1) $$

    and along $e_j$ the eigenvalues of
    $\begin{pmatrix} -\mu_k(2a-1) + \mu_j a & \mu_j(1-a) \\ \mu_j(1-b) & -\mu_k(2b-1) + \mu_j b \end{pmatrix}$,
    all times `sign`. For p = 1/2: $-\mu_k\tanh\mu_k$ within, $\tanh(\mu_k)(\mu_j-\mu_k)$ for the rotation of the pair
    and $\mu_j - \mu_k\tanh\mu_k$ for both clusters to one side. Derived for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Arguments:
        eigenvalues: of D. at: the index k. mass: p, in (0, 1).

    Raises:
        BadInput: as `rates_of_one_cluster`; a mass outside (0, 1).

    Example:
        >>> from measureflow import theory
        >>> theory.rates_of_two_clusters([1.0, 0.76], 0).stable, theory.rates_of_two_clusters([1.0, 0.77], 0).stable
        (True, False)
    """
    (_, own, others), p = split(eigenvalues, at), in_interval("mass", mass, 0.0, 1.0)
    # a and b as logistic functions: nothing overflows
    a, b = (1.0 / (1.0 + math.exp(min(-2.0 * own - odds, 700.0))) for odds in (logit(p), -logit(p)))
    within = np.array([-own * (2 * a - 1), -own * (2 * b - 1)])
    between = []
    for other in others:
        matrix = np.array([[within[0] + other * a, other * (1 - a)], [other * (1 - b), within[1] + other * b]])
        between.append(np.sort(np.linalg.eigvals(matrix).real))
    return FormRates(as_sign(sign) * within, as_sign(sign) * np.array(between))


def rates_of_null_pair(eigenvalues: Any, *, sign: int = -1) -> FormRates:
    r"""Return the rates about two balanced clusters at $\pm x$ with $\langle x, Dx\rangle = 0$ on the circle.

    With eigenvalues $\mu_1 < 0 < \mu_2$, $\gamma^2 = |Dx|^2 = -\mu_1\mu_2$ and $\tau = \mu_1+\mu_2$, for repulsion:
    $-\gamma^2$ within, $-2\gamma^2$ for the rotation of the pair and $-(\gamma^2+\tau)$ for both clusters to one side.
    So where $\mu_2 > |\mu_1|/(1+|\mu_1|)$ the pair attracts, although $\int\!\!\int e^{\langle x,Dy\rangle} = 1$ there
    is far above the minimum $e^{\mu_1}$: descent does not always find the minimum. Derived here, for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Raises:
        BadInput: eigenvalues other than two of opposite sign; a sign that is neither 1 nor -1.

    Example:
        >>> from measureflow import theory
        >>> theory.rates_of_null_pair([-1.4, 0.9]).between.round(6).tolist()
        [[-2.52, -0.76]]
        >>> theory.rates_of_null_pair([-1.4, 0.5]).stable
        False
    """
    mu = as_numbers("eigenvalues", eigenvalues)
    if mu.shape != (2,) or not (np.isfinite(mu).all() and mu[0] * mu[1] < 0):
        raise BadInput(f"theory: eigenvalues are {mu.tolist()}; a null pair needs two of opposite sign.")
    square, trace = -mu[0] * mu[1], mu.sum()
    return FormRates(as_sign(sign) * np.full(2, square), as_sign(sign) * np.array([[2 * square, square + trace]]))


def single_cluster_window() -> tuple[float, float]:
    r"""Return $(\tanh 1, d^*)$ with $d^*\tanh d^* = 1$: where D = diag(d, 1) has no stable pair of balanced clusters.

    For d in (0.7616, 1.1997) attracting tokens from anywhere end in one cluster; outside the window two clusters at
    plus and minus the eigenvector of the larger eigenvalue attract too, although one has the larger energy. Derived;
    figure 2 of [arXiv:2501.03096](https://arxiv.org/abs/2501.03096) has the counts.

    Example:
        >>> from measureflow import theory
        >>> [round(float(d), 4) for d in theory.single_cluster_window()]
        [0.7616, 1.1997]
    """
    from scipy.optimize import root_scalar  # imported when used: it is slow to import

    found = root_scalar(lambda d: d * math.tanh(d) - 1.0, bracket=(1.0, 2.0), method="brentq", xtol=1e-15)
    return math.tanh(1.0), float(found.root)


def stable_limits(eigenvalues: Any, *, sign: int = 1, mass: float = 0.5) -> list[tuple[str, int]]:
    r"""Return the clusters at eigenvectors that are linearly stable, as `("one cluster", k)` and `("two clusters", k)`.

    Two clusters are those of masses `mass` and 1 - `mass`. With `sign=-1` and a positive definite form there is none:
    tokens spread. Derived for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Raises:
        BadInput: as `rates_of_two_clusters`.

    Example:
        >>> from measureflow import theory
        >>> theory.stable_limits([-1.0, 0.5])
        [('two clusters', 0), ('one cluster', 1), ('two clusters', 1)]
        >>> theory.stable_limits([1.0, 0.5], sign=-1)
        []
    """
    found = []
    for k in range(len(np.atleast_1d(eigenvalues))):
        if rates_of_one_cluster(eigenvalues, k, sign=sign).stable:
            found.append(("one cluster", k))
        if rates_of_two_clusters(eigenvalues, k, mass=mass, sign=sign).stable:
            found.append(("two clusters", k))
    return found


def largest_rate_of_limit(kind: str, eigenvalues: Any, at: int, *, sign: int = 1) -> Float[np.ndarray, "*s"]:
    r"""Return the largest rate about one cluster, or two balanced ones, at an eigenvector: negative where stable.

    Its zeros are the borders of a phase map. The rates are those of `rates_of_one_cluster` and `rates_of_two_clusters`.

    Arguments:
        kind: `"one cluster"` or `"two clusters"`. eigenvalues: `(*s, d)`, of many forms. at: the index k.

    Raises:
        BadInput: another kind; an index that is none; a sign that is neither 1 nor -1.

    Example:
        >>> from measureflow import theory
        >>> theory.largest_rate_of_limit("two clusters", [[1.0, 0.5], [1.0, 0.9]], 0).round(3).tolist()
        [-0.262, 0.138]
    """
    mu = np.atleast_1d(as_numbers("eigenvalues", eigenvalues))
    at = as_index(at, mu.shape[-1])
    own, others = mu[..., at], np.delete(mu, at, axis=-1)
    if kind == "one cluster":
        rates = [-own, *np.moveaxis(others - own[..., None], -1, 0)]
    elif kind == "two clusters":
        held = np.tanh(own)
        sides = np.concatenate([held[..., None] * (others - own[..., None]), others - (own * held)[..., None]], axis=-1)
        rates = [-own * held, *np.moveaxis(sides, -1, 0)]
    else:
        raise BadInput(f"theory: kind is {kind!r}; it must be 'one cluster' or 'two clusters'.")
    return np.max([as_sign(sign) * rate for rate in rates], axis=0)


def rates_around_uniform_of_form(degrees: Any, *, kappa: float, d: int, sign: int = 1) -> Float[np.ndarray, "k"]:
    r"""Return the rates of density modes about the uniform measure for $D = \kappa\,\mathrm{Id}$, V = ±D.

    $$ \pm\,k(k+d-2)\,\frac{\lambda_k(\kappa)}{\lambda_0(\kappa)} $$

    with the Funk-Hecke numbers of `funk_hecke_coefficients`: growth under attraction, decay under repulsion. It is
    kappa times `growth_rates_around_uniform`, whose values are V = Id. Derived for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Raises:
        BadInput: a negative degree, d < 2, kappa < 0, a sign that is neither 1 nor -1.

    Example:
        >>> from measureflow import theory
        >>> theory.rates_around_uniform_of_form([1, 2, 3, 4], kappa=1.0, d=2).round(6).tolist()
        [0.44639, 0.42888, 0.157587, 0.034591]
    """
    degrees = as_numbers("degrees", degrees)
    ratio = funk_hecke_coefficients(degrees, beta=kappa, d=as_dimension(d), shifted=True)
    ratio = ratio / funk_hecke_coefficients(0, beta=kappa, d=d, shifted=True)
    return as_sign(sign) * degrees * (degrees + d - 2) * ratio


def variance_on_degenerate_form(
    times: Any, *, eigenvalue: float, start: float, kurtosis: float | None = None, skewness: float = 0.0
) -> Float[np.ndarray, "s"]:
    r"""Return the variance of the heights $\langle e, x\rangle$ under repulsion by $D = \lambda e e^T$, $\lambda > 0$.

    $$ s^2(t) = \frac{s_0^2}{1 + 2\lambda^2 s_0^2 t} \sim \frac{1}{2\lambda^2 t} $$

    to leading order in small heights about mean 0, which itself decays like $e^{-\lambda t}$: tokens come to the great
    sphere orthogonal to e, algebraically. With the kurtosis q and the skewness g of the heights at time 0, whose shape
    lasts as they shrink, the next order too:

    $$ (s^2)' = -2\lambda^2 s^4 + (2\lambda^2 q - \lambda^3 g^2)\,s^6, \qquad
       \frac1{s^2(t)} = 2\lambda^2 t + \frac1{s_0^2} - \bigl(q - \tfrac12\lambda g^2\bigr)\log t + .. $$

    so the first correction to $2\lambda^2 t s^2 = 1$ is of relative order $\log t/(2\lambda^2 t)$: some percent at
    $t = 1000$. Derived for [arXiv:2501.03096](https://arxiv.org/abs/2501.03096): $h' = -\lambda(1-h^2)K'(\lambda h)$
    with the cumulant function K of the heights, and a mean that is slaved at $O(s^5)$.

    Arguments:
        eigenvalue: lambda > 0. start: the variance at time 0, in (0, 1]. kurtosis: $\langle h^4\rangle/s_0^4$, at least
            1; None for the leading order. skewness: $\langle h^3\rangle/s_0^3$.

    Raises:
        BadInput: an eigenvalue that is not positive, a start outside the interval, a negative time, a kurtosis below 1
            or heights too large for the next order.

    Example:
        >>> from measureflow import theory
        >>> round(float(2e6 * theory.variance_on_degenerate_form(1e6, eigenvalue=1.0, start=0.3)), 6)
        0.999998
        >>> round(float(2e3 * theory.variance_on_degenerate_form(1e3, eigenvalue=1.0, start=0.3, kurtosis=1.8)), 4)
        1.0048
    """
    eigenvalue = in_interval("eigenvalue", eigenvalue, 0.0, math.inf)
    rate, start = 2.0 * eigenvalue**2, in_interval("start", start, 0.0, 1.0, closed=True)
    leading = rate * as_times(times) + 1.0 / start
    if kurtosis is None:
        return 1.0 / leading
    shape = in_interval("kurtosis", kurtosis, 1.0, math.inf, closed=True) - 0.5 * eigenvalue * skewness**2
    if shape * start >= 0.9:
        raise BadInput(
            f"theory: the variance {start:.3g} is too large for the next order; start later, or leave it out."
        )
    # u = 1/s^2 solves u' = rate (1 - shape/u): u + shape log(u - shape) grows at that rate
    u, gone = leading.copy(), 1.0 / start + shape * math.log(1.0 / start - shape)
    for _ in range(30):
        u -= (u + shape * np.log(u - shape) - gone - (leading - 1.0 / start)) / (1.0 + shape / (u - shape))
        u = np.maximum(u, 1.0 / start)
    return 1.0 / u


def energy_on_degenerate_form(
    times: Any, *, eigenvalue: float, start: float, kurtosis: float | None = None, skewness: float = 0.0
) -> Float[np.ndarray, "s"]:
    r"""Return how far $\int\!\!\int e^{\langle x,Dy\rangle}$ is above its minimum 1:
    $\tfrac12\lambda^2 s^4\,(1 + \tfrac13\lambda g^2 s^2)$ at time t.

    With $s^2$ of `variance_on_degenerate_form`, whose arguments and errors these are; the bracket is left out at
    leading order: $\sim 1/(8\lambda^2t^2)$, with no exponential rate. Derived for
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Example:
        >>> from measureflow import theory
        >>> round(float(8e6 * theory.energy_on_degenerate_form(1e3, eigenvalue=1.0, start=0.3)), 4)
        0.9967
    """
    options = {"eigenvalue": eigenvalue, "start": start, "kurtosis": kurtosis, "skewness": skewness}
    variance = variance_on_degenerate_form(times, **options)
    more = 0.0 if kurtosis is None else eigenvalue * skewness**2 * variance / 3.0
    return 0.5 * eigenvalue**2 * variance**2 * (1.0 + more)


def rotation_of_polygon(corners: int, *, twist: float, kappa: float = 0.0) -> float:
    r"""Return the angular speed of k equal clusters at the corners of a polygon under $D = \kappa + \epsilon A$.

    $$ \Omega = \frac{\sum_r e^{\kappa\cos t_r + \epsilon\sin t_r}\sin t_r}
                     {\sum_r e^{\kappa\cos t_r + \epsilon\sin t_r}}, \qquad t_r = 2\pi r/k $$

    with V = -Id on the circle and A the quarter turn: they turn rigidly in the sense of A, where the logits are
    $\langle x, Dy\rangle$, so that no energy can be monotone. Derived for the asymmetric neighbour of
    [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Raises:
        BadInput: fewer than three corners, a twist or kappa that is infinite.

    Example:
        >>> from measureflow import theory
        >>> round(theory.rotation_of_polygon(60, twist=0.6), 5)
        0.28726
    """
    corners, twist, kappa = as_count("corners", corners, 3), as_finite("twist", twist), as_finite("kappa", kappa)
    angles = 2 * np.pi * np.arange(corners) / corners
    exponents = kappa * np.cos(angles) + twist * np.sin(angles)
    weights = np.exp(exponents - exponents.max())
    return float(weights @ np.sin(angles) / weights.sum())


def rotation_of_ring(twist: float) -> float:
    r"""Return the angular speed of the uniform measure's tokens under $D = \epsilon A$, V = -Id.

    $I_1(\epsilon)/I_0(\epsilon)$, the limit of `rotation_of_polygon` for many corners, with the same source;
    about $\epsilon/2$.

    Example:
        >>> from measureflow import theory
        >>> round(theory.rotation_of_ring(0.6), 5)
        0.28726
    """
    twist = as_finite("twist", twist)
    return float(ive(1, twist) / ive(0, twist))


def split(eigenvalues: Any, at: int) -> tuple[Float[np.ndarray, "d"], float, Float[np.ndarray, "k"]]:
    """Return the eigenvalues, the one at the index, and the others."""
    mu = as_numbers("eigenvalues", eigenvalues)
    if mu.ndim != 1 or len(mu) < 2 or not np.isfinite(mu).all():
        raise BadInput(f"theory: eigenvalues are {mu.tolist()}; give at least two finite numbers.")
    at = as_index(at, len(mu))
    return mu, float(mu[at]), np.delete(mu, at)


def as_index(at: Any, count: int) -> int:
    """Return the index of one of so many eigenvalues."""
    if isinstance(at, bool) or not isinstance(at, (int, np.integer)) or not 0 <= at < count:
        raise BadInput(f"theory: at is {at!r}; it is an index of the eigenvalues, 0 .. {count - 1}.")
    return int(at)


def as_sign(sign: Any) -> int:
    """Return 1 or -1."""
    if sign not in (1, -1):
        raise BadInput(f"theory: sign is {sign!r}; it must be 1 (attraction, V = D) or -1 (repulsion, V = -D).")
    return int(sign)


def logit(p: float) -> float:
    """Return `log(p / (1 - p))`."""
    return math.log(p) - math.log1p(-p)

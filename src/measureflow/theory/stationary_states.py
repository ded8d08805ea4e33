r"""Stationary states of attention with noise: fixed points of the Gibbs map, followed around the fold of their branch.

A state that is symmetric about an axis is known by its moments $m_k = \int P_k\,d\mu$ in the zonal harmonics
($P_k(1) = 1$; on the circle $\cos k\theta$). With $N_k$ harmonics of degree k and the eigenvalues $a_k$ of the kernel,

$$ \mu \propto \exp\Big(\tfrac{\kappa}{\beta}\int e^{\beta\langle x,y\rangle}d\mu(y)\Big)
   \quad\Longleftrightarrow\quad
   m_k = \langle P_k\rangle_{\mu}, \qquad \mu \propto \exp\Big(\sum_k c_k m_k P_k\Big), \quad
   c_k = \tfrac{\kappa}{\beta} N_k a_k. $$

A branch is followed by its arc length in `(log kappa, m)`, so that it may turn back in kappa.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.optimize import root_scalar
from scipy.special import logsumexp, roots_gegenbauer

from measureflow.errors import BadInput
from measureflow.theory.checks import as_beta, as_count, as_dimension, in_interval
from measureflow.theory.uniform_measure import funk_hecke_coefficients

__all__ = [
    "Branch",
    "StationaryState",
    "branch_of_stationary_states",
    "stationary_states",
]

#: arc length of the first point from the uniform law, and of the shortest step
FIRST, SHORTEST = 1e-4, 1e-7
#: how far Newton's method may go from where a step led, in steps: the chord of a bend of the tangent is nearer
FAR = 0.3
#: what Newton's method leaves, relative to moments of size 1
RESIDUAL = 1e-13
#: Newton steps before a point of the branch counts as lost
STEPS = 12
#: kappa e^beta / (d - 1) of the tightest state whose quadrature is worth its cost
STIFFEST = 3e5
#: dimension from which on the midpoint rule in the angle serves
MANY = 64


@dataclasses.dataclass(frozen=True)
class StationaryState:
    """One stationary state.

    Attributes:
        kappa: noise parameter. moments: `m_1, m_2, ...`; the first is the order parameter.
        free_energy: $\\int\\mu\\log\\mu - \\frac{\\kappa}{2\\beta}\\iint e^{\\beta\\langle x,y\\rangle}\\mu\\mu$, less
            that of the uniform law.
        slope: largest eigenvalue of the derivative of the Gibbs map among perturbations with the same symmetry.
        heights, density: values with respect to the uniform probability at heights `<x, e>` (quadrature nodes); `inf`
            beyond the largest float, in some hundreds of dimensions.
    """

    beta: float
    d: int
    kappa: float
    moments: Float[np.ndarray, "k"]
    free_energy: float
    slope: float
    heights: Float[np.ndarray, "m"]
    density: Float[np.ndarray, "m"]

    @property
    def order_parameter(self) -> float:
        """Length of the mean, `m_1`."""
        return float(self.moments[0])

    @property
    def stable(self) -> bool:
        """Whether the free energy has a local minimum here, among perturbations with the same symmetry."""
        return self.slope < 1.0

    def __repr__(self) -> str:
        kind = "stable" if self.stable else "unstable"
        return (
            f"StationaryState(m_1={self.order_parameter:.6g}, {kind}, kappa={self.kappa:.6g}, beta={self.beta:g}, "
            f"d={self.d}, free energy {self.free_energy:+.3e} beside the uniform law)"
        )


@dataclasses.dataclass(frozen=True)
class Branch:
    """Stationary states in order along a branch that starts at the uniform law."""

    beta: float
    d: int
    degree: int
    states: tuple[StationaryState, ...]

    @property
    def kappas(self) -> Float[np.ndarray, "s"]:
        """The noise parameter along the branch: not monotone where the transition is discontinuous."""
        return np.array([state.kappa for state in self.states])

    @property
    def order_parameters(self) -> Float[np.ndarray, "s"]:
        """`m_degree` along the branch."""
        return np.array([state.moments[self.degree - 1] for state in self.states])

    @property
    def free_energies(self) -> Float[np.ndarray, "s"]:
        """Free energies along the branch, less that of the uniform law."""
        return np.array([state.free_energy for state in self.states])

    @property
    def stable(self) -> np.ndarray:
        """Which states are stable."""
        return np.array([state.stable for state in self.states])


@functools.lru_cache(maxsize=32)
def harmonics(d: int, degree: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return heights and log-probabilities of a rule on the sphere, `P_k` there for k = 1..degree, and `N_k`.

    On the circle, and from dimension `MANY` on, it is the midpoint rule in the angle: exact for harmonics there, and
    here better than any power of its step, while the weights of a Gauss rule underflow or are not found.
    """
    if d == 2 or d >= MANY:
        angles = np.pi * (np.arange(size) + 0.5) / size
        heights, logs = np.cos(angles), (d - 2.0) * np.log(np.sin(angles))
    else:
        heights, weights = roots_gegenbauer(size, d / 2.0 - 1.0)
        logs = np.log(weights)
    table = np.empty((degree + 1, size))
    table[0], table[1] = 1.0, heights
    for k in range(1, degree):  # (k + d - 2) P_(k+1) = (2k + d - 2) t P_k - k P_(k-1)
        table[k + 1] = ((2 * k + d - 2) * heights * table[k] - k * table[k - 1]) / (k + d - 2)
    k = np.arange(1, degree + 1)
    with np.errstate(over="ignore"):  # refused where it is used
        counts = (2 * k + d - 2) / (k + d - 2) * np.exp(np.cumsum(np.log((k + d - 2.0) / k)))
    return heights, logs - logsumexp(logs), table[1:], counts


class GibbsMap:
    """The map $m \\mapsto \\langle P_k\\rangle_\\mu$ at one beta and d, with what Newton's method needs of it."""

    def __init__(self, beta: float, d: int, size: int) -> None:
        degree = degree_of_moments(beta)
        self.beta, self.d = beta, d
        self.heights, self.log_weights, self.table, counts = harmonics(d, degree, size)
        pull = funk_hecke_coefficients(np.arange(1, degree + 1), beta=beta, d=d)
        #: the mean of P_k^2 under the uniform law
        self.variance = 1.0 / counts
        #: c_k for kappa = 1
        with np.errstate(over="ignore", invalid="ignore"):
            self.strength = counts * pull / beta if beta > 1e-9 else np.where(np.arange(degree) == 0, 1.0, 0.0)
        if not np.isfinite(self.strength).all():
            raise BadInput(f"theory: at beta {beta:g} and d {d} the kernel is beyond floats; take a smaller beta.")

    def log_density(self, kappa: float, moments: np.ndarray) -> np.ndarray:
        """Return the logarithm of the Gibbs density of the field that the moments make."""
        exponent = kappa * (self.strength * moments) @ self.table
        return exponent - logsumexp(exponent + self.log_weights)

    def derivative(self, kappa: float, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the moments of the Gibbs density and their covariance."""
        masses = np.exp(self.log_density(kappa, moments) + self.log_weights)
        mean = self.table @ masses
        centred = self.table - mean[:, None]
        return mean, (centred * masses) @ centred.T

    @np.errstate(over="ignore", invalid="ignore")  # a step too far, of which nothing is taken
    def solve(self, guess: np.ndarray, normal: np.ndarray, offset: float) -> np.ndarray | None:
        """Return the fixed point `(log kappa, m)` on the plane `<normal, u> = offset`, by Newton's method from a guess.

        `None` where it does not converge: the guess was too far away.
        """
        u = np.array(guess)
        for _ in range(STEPS):
            mean, covariance = self.derivative(float(np.exp(u[0])), u[1:])
            residual = np.append(mean - u[1:], normal @ u - offset)
            if np.abs(residual).max() < RESIDUAL:
                return u
            if not np.isfinite(residual).all() or np.abs(residual).max() > 1.0:
                return None
            slopes = self.slopes(u, covariance)
            if not np.isfinite(slopes).all():
                return None
            u = u - np.linalg.solve(np.vstack([slopes, normal]), residual)
        return None

    def slopes(self, u: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Return the derivative of `<P_k> - m_k` by `(log kappa, m)`."""
        response = np.exp(u[0]) * covariance * self.strength
        return np.column_stack([response @ u[1:], response - np.eye(len(u) - 1)])

    def tangent(self, u: np.ndarray, along: np.ndarray) -> np.ndarray:
        """Return the unit tangent of the branch that goes on in the direction of `along`."""
        _, covariance = self.derivative(float(np.exp(u[0])), u[1:])
        tangent = np.linalg.svd(self.slopes(u, covariance))[2][-1]
        return tangent * np.sign(tangent @ along)

    def state(self, u: np.ndarray) -> StationaryState:
        """Return a fixed point with all that is known of it."""
        kappa, moments = float(np.exp(u[0])), u[1:]
        logs = self.log_density(kappa, moments)
        _, covariance = self.derivative(kappa, moments)
        root = np.sqrt(kappa * self.strength)
        with np.errstate(over="ignore"):  # in some hundreds of dimensions
            density = np.exp(logs)
        return StationaryState(
            beta=self.beta,
            d=self.d,
            kappa=kappa,
            moments=moments,
            free_energy=float(np.exp(logs + self.log_weights) @ logs) - 0.5 * kappa * float(self.strength @ moments**2),
            slope=float(np.linalg.eigvalsh(root[:, None] * covariance * root)[-1]),
            heights=self.heights,
            density=density,
        )


def branch_of_stationary_states(*, beta: float, d: int, degree: int = 1, top: float = 0.9, size: int = 0) -> Branch:
    r"""Follow the stationary states of USA with noise that leave the uniform law along one harmonic.

    $\mu \propto \exp(\kappa\beta^{-1}\int e^{\beta\langle x,y\rangle}d\mu(y))$, symmetric about an axis. `degree=1` is
    the polarised branch, which starts at `kappa_#`; `degree=k` starts at $\beta/a_k$ (on the circle: k equal humps).
    Fixed points to 1e-10 in the moments, which tell $e^{\beta\langle x,y\rangle}$ to rounding; continued by arc length.
    [arXiv:2606.05140](https://arxiv.org/abs/2606.05140), [arXiv:2412.14813](https://arxiv.org/abs/2412.14813),
    [arXiv:2510.20094](https://arxiv.org/abs/2510.20094).

    Arguments:
        top: the value of `m_degree` at which the branch ends.
        size: nodes of the quadrature (default: enough for a state of `top`).

    Raises:
        BadInput: beta < 0, d < 2, degree < 1 or too high for the kernel, a `top` outside (0, 1), or a lost branch.

    Example:
        >>> from measureflow import theory
        >>> branch = theory.branch_of_stationary_states(beta=4.0, d=2)
        >>> bool(branch.kappas.min() < branch.kappas[0])  # it turns back: the transition is discontinuous
        True
    """
    gibbs = gibbs_map(beta, d, top, size)
    degree = as_count("degree", degree)
    if degree > len(gibbs.strength):
        raise BadInput(f"theory: degree is {degree}; give one of 1..{len(gibbs.strength)}.")
    points = follow(gibbs, degree - 1, top)
    return Branch(float(beta), int(d), degree, tuple(gibbs.state(u) for u in points))


def gibbs_map(beta: float, d: int, top: float, size: int = 0) -> GibbsMap:
    """Return the Gibbs map on a grid that resolves states up to a first moment of `top`."""
    beta, d, top = as_beta(beta), as_dimension(d), in_interval("top", top, 0.0, 1.0)
    # a state of mean length top has about the width sqrt(1 - top), and the field sqrt(1 / beta)
    enough = int(16.0 * np.sqrt(1.0 + beta) + 12.0 * np.sqrt((d - 1) / (1.0 - top)))
    least, size = degree_of_moments(beta) + 1, as_count("size", size, 0)
    if 0 < size < least:
        raise BadInput(f"theory: size is {size}; {least - 1} moments need at least {least} nodes (0: enough for top).")
    return GibbsMap(beta, d, size or enough)


def degree_of_moments(beta: float) -> int:
    """Return how many moments a state is known by."""
    return int(4.0 * np.sqrt(beta) + 12.0)


def highest(beta: float, kappa: float, d: int) -> float:
    """Return an order parameter beyond that of the polarised state at kappa.

    In the harmonic well of a tight state $1 - m_1 = (d-1)/(2\\kappa e^\\beta)$; a loose one is wider than that.
    """
    stiffness = kappa * np.exp(min(beta, 700.0)) / (as_dimension(d) - 1)
    if stiffness > STIFFEST:
        raise BadInput(
            f"theory: at kappa {kappa:.6g} and beta {beta:g} a state is {stiffness**-0.5:.1e} wide, too narrow for the "
            f"quadrature; take a smaller kappa (the noise 1/kappa hardly matters there)."
        )
    return max(0.97, 1.0 - 0.25 / stiffness)


def follow(gibbs: GibbsMap, index: int, top: float) -> list[np.ndarray]:
    """Return points `(log kappa, m)` of the branch from near the uniform law to where the moment `index` is `top`.

    Steps of arc length, halved where Newton's method fails or ends far from where it began, on another branch perhaps,
    or the branch bends.
    """
    u = np.zeros(len(gibbs.strength) + 1)
    u[0] = -np.log(gibbs.strength[index] * gibbs.variance[index])
    along = np.eye(len(u))[index + 1]
    first = gibbs.solve(u + FIRST * along, along, FIRST)
    points, tangent, step = [], along, 0.02
    while first is not None and (not points or points[-1][index + 1] < top):
        if not points:
            points.append(first)
            tangent = gibbs.tangent(first, along)
        ahead = points[-1] + step * tangent
        u = gibbs.solve(ahead, tangent, float(tangent @ ahead))
        turned = None if u is None or np.linalg.norm(u - ahead) > FAR * step else gibbs.tangent(u, tangent)
        if u is None or turned is None or turned @ tangent < 0.95:
            step *= 0.5
            if step < SHORTEST:
                break
            continue
        points.append(u)
        tangent, step = turned, min(1.5 * step, 0.05)
    if not points or points[-1][index + 1] < top:
        last = points[-1][index + 1] if points else 0.0
        raise BadInput(
            f"theory: the branch of stationary states was lost at a moment of {last:.6g} (beta {gibbs.beta:g}, d "
            f"{gibbs.d}), and is known to there: take top= below that, or a smaller beta."
        )
    return points


def between(gibbs: GibbsMap, low: np.ndarray, high: np.ndarray, zero: Callable[[np.ndarray], float]) -> np.ndarray:
    """Return the point of the branch between two neighbours where a function vanishes, by bisection of the chord."""
    normal = (high - low) / np.linalg.norm(high - low)

    def at(share: float) -> np.ndarray:
        guess = low + share * (high - low)
        found = gibbs.solve(guess, normal, float(normal @ guess))
        if found is None:
            raise BadInput(f"theory: a stationary state at beta {gibbs.beta:g} was lost between two of its neighbours.")
        return found

    found = root_scalar(lambda share: zero(at(float(share))), bracket=(0.0, 1.0), xtol=1e-13)
    return at(float(found.root))


def stationary_states(*, beta: float, kappa: float, d: int) -> tuple[StationaryState, ...]:
    r"""Return the uniform law and the polarised states of USA with noise at one kappa, by their order parameter.

    Every solution of $\mu \propto \exp(\kappa\beta^{-1}\int e^{\beta\langle x,y\rangle}d\mu(y))$ on the polarised
    branch: none before the spinodal, two between it and `kappa_#` where the transition is discontinuous, else one.
    [arXiv:2606.05140](https://arxiv.org/abs/2606.05140); moments right to 1e-10.

    Raises:
        BadInput: beta < 0, kappa <= 0, d < 2, or a kappa so large that the state is too narrow.

    Example:
        >>> from measureflow import theory
        >>> for state in theory.stationary_states(beta=4.0, kappa=0.97 * theory.critical_kappa(beta=4.0, d=2), d=2):
        ...     print(round(state.order_parameter, 4), state.stable, state.free_energy < 0)
        0.0 True False
        0.2908 False False
        0.7241 True True
    """
    beta, kappa = as_beta(beta), in_interval("kappa", kappa, 0.0, np.inf)
    top = highest(beta, kappa, d)
    gibbs = gibbs_map(beta, d, top)
    uniform = np.append(np.log(kappa), np.zeros(len(gibbs.strength)))
    points = follow(gibbs, 0, top)
    excess = np.array([u[0] - np.log(kappa) for u in points])
    crossings = np.flatnonzero((excess[:-1] < 0) != (excess[1:] < 0))
    found = [between(gibbs, points[k], points[k + 1], lambda u: u[0] - np.log(kappa)) for k in crossings]
    return tuple(gibbs.state(u) for u in (uniform, *sorted(found, key=lambda u: u[1])))

"""Claims of arXiv:2412.09080, on the number of modes of Gaussian kernel density estimators, and its circle."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.special import ive

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import exploration

#: places on the circle where a sample may fall (below their Nyquist frequency it makes no difference), harmonics of
#: the kernel, and repetitions
PLACES, DEGREE, REPETITIONS = 192, 90, 5000


def around(places: int) -> np.ndarray:
    """Return points at equal angles on the circle."""
    angles = 2 * np.pi * np.arange(places) / places
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@eqx.filter_jit
def peaks(shares: Any, field: mf.SelfAttention) -> Any:
    """Return how many stable points attention has among the samples of each row: the maxima of their density.

    The velocity is 1/beta of the gradient of the logarithm of the kernel density, so its sign is that of the slope.
    """
    places, queries = jnp.asarray(around(PLACES)), jnp.asarray(around(2 * PLACES))
    forwards = jnp.stack([-queries[:, 1], queries[:, 0]], axis=1)

    def one(masses: Any) -> Any:
        speed = jnp.sum(field(queries, mf.Tokens(mf.Sphere(2), places, masses)) * forwards, axis=1)
        return jnp.sum((speed > 0) & (jnp.roll(speed, -1) <= 0))

    return jax.lax.map(one, shares, batch_size=500)


@claim(
    "2412.09080",
    "the circle's counterpart",
    covers=["V20"],
    status="derived",
    states=lambda beta: theory.expected_peaks_of_kernel_density(beta=beta),
)
def kernel_density_of_uniform_samples_has_this_many_peaks(case: Case) -> None:
    """Among many uniform tokens attention has sqrt(S_4/S_2) stable points, some sqrt(3 beta/2): as many as their
    density with kernel e^(beta cos) has peaks."""
    beta, n = case.draw("beta", 120.0, 150.0), 100_000
    generator = case.generator("samples")
    shares = generator.multinomial(n, np.full(PLACES, 1 / PLACES), REPETITIONS) / n
    field = mf.SelfAttention(beta, sum=mf.sums.Harmonic(degree=DEGREE))
    found = np.asarray(case.measure(peaks, shares, field))
    error = float(found.std() / np.sqrt(REPETITIONS))
    because = f"seven standard errors of {error:.2g}; n = 100,000 samples are nearly a Gaussian field"
    case.compare(found.mean(), case.predict(beta), within=7 * error, because=because)


@kernel_density_of_uniform_samples_has_this_many_peaks.mutation
def most_unstable_mode(beta: float) -> float:
    """sqrt(2 beta): the mode that grows fastest around the uniform law."""
    return float(theory.dominant_degree(beta=beta, d=2))


@kernel_density_of_uniform_samples_has_this_many_peaks.mutation
def zeros_of_the_density(beta: float) -> float:
    """sqrt(S_2/S_0): the field's own zeros are counted, not those of its slope."""
    k = np.arange(1, 400)
    power = ive(k, beta) ** 2
    return float(np.sqrt((k**2 @ power) / (power.sum() + 0.5 * ive(0, beta) ** 2)))


@kernel_density_of_uniform_samples_has_this_many_peaks.mutation
def law_of_the_line(beta: float) -> float:
    """sqrt(beta log beta), the order of Gaussian samples on the line."""
    return float(np.sqrt(beta * np.log(beta)))


def softmax_flow(points: np.ndarray, beta: float, until: float, steps: int) -> np.ndarray:
    """Follow tokens of SA on a sphere by midpoint steps with projection."""
    h = until / steps

    def velocity(x: np.ndarray) -> np.ndarray:
        weights = np.exp(beta * (x @ x.T - 1))
        mean = (weights @ x) / weights.sum(axis=1, keepdims=True)
        return mean - (mean * x).sum(axis=1, keepdims=True) * x

    for _ in range(steps):
        middle = points + h / 2 * velocity(points)
        points = points + h * velocity(middle / np.linalg.norm(middle, axis=1, keepdims=True))
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return points


@exploration("2412.09080", "number of metastable clusters", covers=["P10"])
def how_many_clusters_stand_at_the_first_plateau(case: Case) -> dict[str, Any]:
    """How does the number of clusters at t = 10 grow with beta, on the circle and on the sphere?

    Candidates: peaks of the kernel density, sqrt(3 beta/2) on the circle and beta/sqrt(3) on S^2 (the maxima of the
    plane's Gaussian field with spectrum e^(-k^2/beta), times 4 pi); the dominant mode, sqrt(2 beta). The study counts
    components of SA tokens (gap 0.5/sqrt(beta)) and gives ratios to the first. The constants stay open.
    """
    betas, n = [16.0, 36.0, 64.0], 160
    draws, steps = {"smoke": 1, "standard": 6, "full": 40}[case.tier], 120
    found: dict[str, Any] = {"beta": betas}
    for d, law in ((2, lambda beta: np.sqrt(1.5 * beta)), (3, lambda beta: beta / np.sqrt(3))):
        counts = []
        for beta in betas:
            row = []
            for draw in range(draws):
                points = case.generator(f"start {d} {draw}").normal(size=(n, d))
                points = softmax_flow(points / np.linalg.norm(points, axis=1, keepdims=True), beta, 10.0, steps)
                near = points @ points.T > np.cos(0.5 / np.sqrt(beta))
                row.append(connected_components(near)[0])
            counts.append(float(np.mean(row)))
        found[f"clusters, d = {d}"] = counts
        found[f"over the peaks, d = {d}"] = [count / law(beta) for count, beta in zip(counts, betas, strict=True)]
    return found

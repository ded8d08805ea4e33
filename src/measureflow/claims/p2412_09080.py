"""Claims of arXiv:2412.09080, on the number of modes of Gaussian kernel density estimators, and its circle."""

from __future__ import annotations

import numpy as np
from scipy.special import ive

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim

#: places on the circle where a sample may fall (below their Nyquist frequency it makes no difference), and repetitions
PLACES, REPETITIONS = 384, 3500


def peaks(counts: np.ndarray, beta: float) -> np.ndarray:
    """Return how many local maxima the kernel density of each row of counts has, from signs of its slope by FFT."""
    modes = np.fft.rfft(counts, axis=1)[:, : PLACES // 2]
    k = np.arange(PLACES // 2)
    slope = np.fft.irfft(1j * k * ive(k, beta) * modes, 2 * PLACES, axis=1)
    return ((slope > 0) & (np.roll(slope, -1, axis=1) <= 0)).sum(axis=1)


@claim(
    "2412.09080",
    "the circle's counterpart",
    covers=["V20"],
    status="derived",
    states=lambda beta: theory.expected_peaks_of_kernel_density(beta=beta),
)
def kernel_density_of_uniform_samples_has_this_many_peaks(case: Case) -> None:
    """The density of many uniform samples with kernel e^(beta cos) has sqrt(S_4/S_2) peaks, some sqrt(3 beta/2)."""
    beta, n = case.draw("beta", 120.0, 150.0), 4000
    generator = case.generator("samples")
    counts = generator.multinomial(n, np.full(PLACES, 1 / PLACES), REPETITIONS)
    found = case.measure(peaks, counts, beta)
    error = float(found.std() / np.sqrt(REPETITIONS))
    because = f"six standard errors of {error:.2g}; n = 4000 samples are nearly a Gaussian field"
    case.compare(found.mean(), case.predict(beta), within=6 * error, because=because)


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

"""Open questions about metastability: uniform data, the staircase of the unmodified flow, and bands of the energy."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import exploration
from measureflow.claims.instances import normalised
from measureflow.fields import Paced, SpeedOfEnergy, Unnormalised


def uniform(case: Case, n: int, d: int, draw: int) -> mf.Tokens:
    """Return uniform tokens."""
    points = normalised(case.generator(f"uniform {d} {draw}").normal(size=(n, d)))
    return mf.Tokens(mf.Sphere(d), points)


@exploration("2410.06833", "section 4, uniform data", covers=["P1"], id="2410.06833/P1")
def lifetimes_of_plateaus_from_uniform_tokens(case: Case) -> dict[str, Any]:
    """How many clusters does the first plateau of uniform tokens have, and how long do plateaus last, in fixed d?

    The metastability theorem covers separated tokens only, which uniform ones on the circle are with probability at
    most c^(n-1) (claim 2410.06833/circle). SA on the circle and on S^2; a plateau is a stretch of one number of
    clusters over which time grows tenfold. For comparison the modes of a kernel density,
    sqrt(3 beta/2) on the circle and beta/sqrt(3) on S^2.
    """
    n, draws = {"smoke": (12, 4), "standard": (100, 40)}.get(case.tier, (200, 200))
    save = 50 if case.tier == "smoke" else 200
    found: dict[str, Any] = {"tokens": n, "draws": draws}
    for d, betas in ((2, (4.0, 9.0)),) if case.tier == "smoke" else ((2, (4.0, 9.0, 16.0)), (3, (4.0, 9.0))):
        for beta in betas:
            field, until = mf.SelfAttention(beta), float(np.exp(1.5 * beta) * 100)
            paths = [mf.flow(uniform(case, n, d, k), field, until=until, save=save) for k in range(draws)]
            near = {"delta": 0.125 / beta, "ratio": 10.0}  # half of beta^(-1/2): merges are seen much later than that
            first = [mf.observe.plateaus(path, **near).counts[:1] for path in paths]
            lives = mf.observe.plateaus(paths, **near)
            found[f"d = {d}, beta = {beta:g}"] = {
                "clusters of the first plateau": float(np.concatenate(first).mean()),
                "modes of a density": float(np.sqrt(1.5 * beta) if d == 2 else theory.expected_modes_on_sphere(beta)),
                "median lifetime, from, to, by clusters": {
                    int(count): [float(value) for value in row]
                    for count, *row in zip(lives.counts, lives.median, lives.low, lives.high, strict=True)
                },
            }
    return found


@exploration("2410.06833", "section 5, unmodified dynamics", covers=["P8"], id="2410.06833/P8")
def staircase_of_the_unmodified_flow(case: Case) -> dict[str, Any]:
    """Does the energy of unmodified SA and USA, in any d, become a staircase in the clock log beta / |grad E|?

    Stated for modified USA on the circle with the clock of the nearest pair (claim 2410.06833/V16); for others the
    clock log beta / |grad E| is proposed. In it the speed is log beta, and a jump, over distances of about beta^(-1/2),
    takes a time of about beta^(-1/2)/log beta. Measured is the share of the time to one cluster in which the energy is
    not within 0.01 of a sum of squares of masses: it falls to 0 for a staircase.
    """
    small = case.tier == "smoke"
    betas = {"smoke": (20.0, 80.0), "standard": (20.0, 80.0, 320.0)}.get(case.tier, (20.0, 80.0, 320.0, 1280.0))
    found: dict[str, Any] = {}
    models = (("SA", "softmax"), ("USA*", Unnormalised(shifted=True)))
    for d, (name, weighting) in [(3, models[0]), (2, models[1]), (2, models[0]), (3, models[1])][: 1 if small else 4]:
        for beta in betas:
            field = Paced(mf.SelfAttention(beta, weighting=weighting), SpeedOfEnergy(beta))
            tokens, save = mf.Tokens(mf.Sphere(d), spread(d)), np.linspace(0.0, 0.6, 61 if small else 301)
            path = mf.flow(tokens, field, until=30.0, save=save)
            energy, times = np.asarray(mf.observe.energy(path, beta=beta)), np.asarray(path.times)
            end = float(times[np.argmax(energy > 0.999)]) if energy.max() > 0.999 else float("inf")
            between = np.abs(energy[:, None] - levels(tokens.n)).min(axis=1) > 0.01
            inside = float(between[times <= end].mean())
            found[f"d = {d}, {name}, beta = {beta:g}"] = {"one cluster at": end, "share between levels": inside}
    return found


def spread(d: int) -> np.ndarray:
    """Return four tokens at unequal distances, on a curve that turns out of the plane where there is room."""
    angles = np.array([0.0, 0.5, 1.3, 2.5])
    height = 0.3 * np.sin(2.0 * angles)
    points = [np.cos(angles), np.sin(angles), *([height] if d == 3 else [])]
    return normalised(np.stack(points, axis=1))


def levels(n: int) -> np.ndarray:
    """Return every sum of squares of the masses of a partition of n equal tokens."""
    sums = {0: {0}}
    for whole in range(1, n + 1):
        sums[whole] = {part**2 + rest for part in range(1, whole + 1) for rest in sums[whole - part]}
    return np.array(sorted(sums[n])) / n**2


@exploration("2410.06833", "section 4, energy levels", covers=["P9"], id="2410.06833/P9")
def bands_of_the_energy(case: Case) -> dict[str, Any]:
    """Is a band of the energy metastable: does a flow from uniform tokens stay in it for a time exponential in beta?

    For each draw, the longest time that the energy takes through a band of width 1/50 which it also leaves; the median
    over draws against beta, on the circle (and from the standard tier on S^2), and the slope of its logarithm. A slope
    that does not fall off with beta speaks for metastability of bands of this width; two clusters of cosine u last
    e^(beta (1 - u)).
    """
    n, draws = {"smoke": (12, 4), "standard": (64, 24)}.get(case.tier, (128, 100))
    betas = (4.0, 9.0) if case.tier == "smoke" else (4.0, 8.0, 12.0, 16.0)
    save = 50 if case.tier == "smoke" else 200
    found: dict[str, Any] = {"tokens": n, "draws": draws}
    for d in (2,) if case.tier == "smoke" else (2, 3):
        medians = []
        for beta in betas:
            field, until = mf.SelfAttention(beta), float(np.exp(2.0 * beta) * 100)
            paths = [mf.flow(uniform(case, n, d, k), field, until=until, save=save) for k in range(draws)]
            dwells = [longest_in_a_band(np.asarray(path.times), np.asarray(path.energy), 0.02) for path in paths]
            medians.append(float(np.median(dwells)))
        found[f"d = {d}: median of the longest dwell"] = dict(zip(map(str, betas), medians, strict=True))
        found[f"d = {d}: slope of its logarithm in beta"] = float(np.polyfit(betas, np.log(medians), 1)[0])
    return found


def longest_in_a_band(times: np.ndarray, energy: np.ndarray, width: float) -> float:
    """Return the longest dwell of a rising energy in a band `[e, e + width]` that it also leaves."""
    first = np.arange(len(times))
    leaves = np.searchsorted(np.maximum.accumulate(energy), energy + width, side="right")
    seen = (leaves < len(times)) & (times > 0)
    dwell = np.where(seen, times[np.minimum(leaves, len(times) - 1)] - times[first], 0.0)
    return float(max(dwell.max(), times[1]))

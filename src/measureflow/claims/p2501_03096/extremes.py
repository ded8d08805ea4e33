"""Extreme values of the energy: no measure passes them, some attain them, and the repulsive flow comes to the least."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import normalised
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2501.03096"
#: atoms and restarts of the search for the largest energy, and its steps
ATOMS, RESTARTS, STEPS = 6, 16, 300
#: tokens on S² of the repulsive flow, and how long it runs: the kernel is approached like 1/t^2
TOKENS, END = 32, 1000.0


def turned(case: Case, name: str, eigenvalues: Any) -> np.ndarray:
    """Return the form with these eigenvalues about random axes."""
    axes, _ = np.linalg.qr(case.generator(name).normal(size=(len(eigenvalues),) * 2))
    return (axes * np.asarray(eigenvalues)) @ axes.T


def energy(form: np.ndarray, points: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return E_2 of weighted points `(..., n, d)`, equal weights by default."""
    kernel = np.exp(points @ form @ np.swapaxes(points, -1, -2))
    if weights is None:
        return kernel.mean(axis=(-2, -1))
    return np.einsum("...i,...ij,...j->...", weights, kernel, weights)


def climbed(form: np.ndarray, seed: int, atoms: int = ATOMS) -> float:
    """Return the largest energy that weighted atoms reach from random starts, points and weights climbing together."""
    generator = np.random.default_rng(seed)
    points = normalised(generator.normal(size=(RESTARTS, atoms, len(form))))
    weights, step = np.full((RESTARTS, atoms), 1.0 / atoms), 0.7 / np.abs(np.linalg.eigvalsh(form)).max()
    for _ in range(STEPS):
        kernel = np.exp(points @ form @ np.swapaxes(points, -1, -2)) * weights[:, None, :]
        potential = kernel.sum(axis=-1)
        points = normalised(points + step * (kernel @ points @ form) / potential[..., None])
        weights = weights * np.exp(potential / potential.max(axis=-1, keepdims=True) - 1.0)
        weights /= weights.sum(axis=-1, keepdims=True)
    return float(energy(form, points, weights).max())


def maximum(form: np.ndarray) -> float:
    """Return the largest energy."""
    return theory.extremal_energy(form).maximum


@claim(PAPER, "maximisers of the energy, every symmetric D", covers=["T4", "1.3"], status="derived", states=maximum)
def largest_energy_is_that_of_a_dirac_or_of_an_antipodal_pair(case: Case) -> None:
    """max E_2 is e^lam_max, or max(e^lam_max, cosh lam_min) where lam_min < 0: never passed, and reached.

    Weighted atoms climb from random starts; the forms are definite, indefinite with either winner, and near the tie
    lam_max = log cosh lam_min.
    """
    atoms = case.given("atoms", ATOMS)
    for name, eigenvalues in spectra_of_maxima(case).items():
        form = turned(case, name, eigenvalues)
        found, stated = case.measure(climbed, form, case.seed, atoms), case.predict(form)
        because = f"rounding of a sum of {atoms**2} terms"
        case.at_most(found, stated, within=1e-11 * stated, because=because, name=f"never passed, {name}")
        because = "300 steps of a climb whose slowest rate is 0.01, the distance from the tie: 1e-4 squared is left"
        case.at_least(found, stated, within=1e-5 * stated, because=because, name=f"reached, {name}")


def spectra_of_maxima(case: Case) -> dict[str, list[float]]:
    """Return the eigenvalues of every kind of form."""
    depth = case.draw("depth", 1.5, 2.5)
    tie = float(np.log(np.cosh(depth)))
    return {
        "definite": [0.5, case.draw("top", 1.5, 2.5)],
        "negative": [-depth, -0.5, -0.3],
        "pair wins": [-depth, 0.2, 0.5 * tie],
        "pair wins narrowly": [-depth, 0.1, 0.2, tie - 0.01],
        "dirac wins narrowly": [-depth, tie + 0.01],
        "dirac wins": [-depth, 0.3, tie + 0.5],
    }


@largest_energy_is_that_of_a_dirac_or_of_an_antipodal_pair.figure
def who_has_the_largest_energy(case: Case, ax: Any) -> None:
    """Draw the energy that atoms climb to for every kind of form, between those of a Dirac and of a pair."""
    spectra = spectra_of_maxima(case)
    places = np.arange(len(spectra))
    found = [case.measure(climbed, turned(case, name, mu), case.seed, case.instance["atoms"])
             for name, mu in spectra.items()]  # fmt: skip
    ax.plot(places, [np.exp(max(mu)) for mu in spectra.values()], "_", color=ACCENT[1], ms=30, mew=2, label="Dirac")
    ax.plot(places, [np.cosh(min(mu)) for mu in spectra.values()], "_", color=MUTED, ms=30, mew=2,
            label="antipodal pair at the least eigenvalue")  # fmt: skip
    stated = [case.predict(turned(case, name, mu)) for name, mu in spectra.items()]
    ax.hlines(stated, places - 0.42, places + 0.42, color=THEORY, ls="--", lw=1.3, label=r"stated maximum of $E_2$")
    ax.plot(places, found, "o", color=ACCENT[0], ms=7, label="reached by climbing atoms")
    ax.set_xticks(places, [name.replace(" narrowly", "\nnarrowly").replace(" wins", "\nwins") for name in spectra])
    ax.tick_params(axis="x", labelsize=8)
    ax.set(ylabel="$E_2$")
    ax.set_ylim(top=1.35 * ax.get_ylim()[1])
    depth, atoms = case.instance["depth"], case.instance["atoms"]
    ax.set_title(rf"least eigenvalue {-depth:.3g}, {atoms} atoms", fontsize=11, loc="left")
    ax.legend(fontsize=8.5, loc="upper right")


@largest_energy_is_that_of_a_dirac_or_of_an_antipodal_pair.mutation
def pair_forgotten(form: np.ndarray) -> float:
    """Only Diracs are considered."""
    return float(np.exp(np.linalg.eigvalsh(form)[-1]))


@largest_energy_is_that_of_a_dirac_or_of_an_antipodal_pair.mutation
def largest_modulus(form: np.ndarray) -> float:
    """The eigenvalue of largest modulus is taken, whatever its sign."""
    return float(np.exp(np.abs(np.linalg.eigvalsh(form)).max()))


@largest_energy_is_that_of_a_dirac_or_of_an_antipodal_pair.mutation
def one_half_of_the_pair(form: np.ndarray) -> float:
    """Of the cosh only the growing half is kept."""
    eigenvalues = np.linalg.eigvalsh(form)
    return float(max(np.exp(eigenvalues[-1]), np.exp(-eigenvalues[0]) / 2))


def scattered(case: Case) -> np.ndarray:
    """Draw tokens of S²."""
    return normalised(case.generator("tokens").normal(size=(case.given("n", TOKENS), 3)))


def repelled(case: Case, form: np.ndarray) -> np.ndarray:
    """Return where tokens of S² are after a long repulsive flow of SA; its energy falls, so any end will do."""
    start, end = mf.Tokens(mf.Sphere(3), scattered(case)), case.given("until", END)
    field = mf.SelfAttention(1.0, query=form, value=-form)
    path = case.measure(mf.flow, start, field, until=end, save=[end], solver=mf.Adaptive(rtol=1e-6, atol=1e-8))
    case.require("the flow ran to its end", path.status in ("reached", "stationary"))
    return np.asarray(path.points)[-1]


def minimum(form: np.ndarray) -> float:
    """Return the least energy."""
    return theory.extremal_energy(form).minimum


@claim(PAPER, "minimisers of the energy, every symmetric D", covers=["T5", "1.3"], status="derived", states=minimum)
def least_energy_has_three_cases(case: Case) -> None:
    """min E_2 is e^lam_min, 1 or 1/E[e^(-tau/2)] as lam_min is negative, 0 or positive: 32 repelled tokens come to it.

    For a positive form the minimiser has full support, and 32 tokens stay above it by what they miss.
    """
    for name, (eigenvalues, within, because) in spectra_of_minima(case).items():
        form = turned(case, name, eigenvalues)
        found = energy(form, repelled(case, form))
        stated = case.predict(form)
        case.compare(found, stated, within=within, because=because, name=f"least energy, {name}")
        case.at_least(found, stated, within=1e-8, because="the minimum is known to 1e-9", name=f"{name}, never below")


def spectra_of_minima(case: Case) -> dict[str, tuple[list[float], float, str]]:
    """Return the eigenvalues of the three cases, and how near so many tokens come to the minimum by the end."""
    top, few = case.draw("top", 1.5, 2.0), max(1.0, TOKENS / case.given("n", TOKENS))
    middle = case.draw("middle", 1.0, 1.5)
    sharp = max(1.0, float(np.exp(2.0 * (max(top, middle) - 2.0))))  # a larger form sees more of what tokens miss
    slow = max(1.0, (END / case.given("until", END)) ** 2)
    return {
        "negative": ([-case.draw("depth", 0.5, 1.0), 0.3, top], 1e-5 * slow, "the Dirac is approached exponentially"),
        "zero": ([0.0, 1.0, top], 1e-5 * slow, "the kernel is approached like 1/(8 lam^2 t^2), 1e-7 at t = 1000"),
        "positive": (
            [1.0, middle, top],
            1e-4 * slow * sharp * few**4,
            "tokens for a density, and a slow descent",
        ),
    }


@least_energy_has_three_cases.figure
def energies_at_start_and_end(case: Case, ax: Any) -> None:
    """Draw the energy of random tokens, and of the same after the repulsive flow, for the three cases."""
    spectra = spectra_of_minima(case)
    forms = [turned(case, name, mu) for name, (mu, _, _) in spectra.items()]
    places, start = np.arange(3), scattered(case)
    ax.plot(places, [energy(form, start) for form in forms], "o", color=MUTED, mfc="none", ms=9, label="random tokens")
    ends = [energy(form, repelled(case, form)) for form in forms]
    ax.plot(places, ends, "o", color=ACCENT[0], ms=8, label=f"repelled, t = {case.instance['until']:g}")
    ax.plot(places, [case.predict(form) for form in forms], "_", color=THEORY, ms=44, mew=2, label=r"stated $\min E_2$")
    ax.set_xticks(places, [rf"$\lambda_{{\min}} = {mu[0]:.3g}$" for mu, _, _ in spectra.values()])
    ax.set(ylabel="$E_2$", xlim=(-0.5, 2.5))
    ax.set_title(f"n = {len(start)} tokens of S², V = -D", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@least_energy_has_three_cases.mutation
def always_a_dirac(form: np.ndarray) -> float:
    """A Dirac at the least eigenvalue is taken in every case."""
    return float(np.exp(np.linalg.eigvalsh(form)[0]))


@least_energy_has_three_cases.mutation
def never_below_one(form: np.ndarray) -> float:
    """The centred measures alone are considered where an eigenvalue is negative."""
    return max(minimum(form), 1.0)


@least_energy_has_three_cases.mutation
def killed_twice_as_fast(form: np.ndarray) -> float:
    """The paths are killed at the rate 1 and not 1/2."""
    return minimum(np.sqrt(2.0) * form) if np.linalg.eigvalsh(form)[0] > 1e-9 else minimum(form)


@least_energy_has_three_cases.mutation
def uniform_law(form: np.ndarray) -> float:
    """The uniform law is taken for the minimiser of a positive form."""
    if np.linalg.eigvalsh(form)[0] < 1e-9:
        return minimum(form)
    heights, weights = np.polynomial.legendre.leggauss(24)
    around = np.pi * np.arange(24) / 12
    sines = np.sqrt(1 - heights**2)
    points = np.stack([np.outer(sines, np.cos(around)), np.outer(sines, np.sin(around)),
                       np.repeat(heights[:, None], 24, axis=1)], axis=-1).reshape(-1, 3)  # fmt: skip
    return float(energy(form, points, np.repeat(weights / 48, 24)))

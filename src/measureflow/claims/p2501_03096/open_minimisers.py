"""Open questions on the descent to the minimiser of full support: its rates, and what finitely many tokens miss."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ive

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.p2501_03096.minimisers import on_circle
from measureflow.paths.style import THEORY, shades

PAPER = "2501.03096"
#: modes of the linearised flow, and points of the circle that give its kernel
MODES, SIZE = 12, 128
#: second eigenvalues of the form, and numbers of tokens, by tier
SEVERAL, MANY = (1.0, 1.3, 2.0, 3.0, 5.0), (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
RATIOS = {"smoke": (1.0, 2.0)}
NUMBERS = {"smoke": (2, 3, 4, 6, 8)}


def rates(form: np.ndarray) -> np.ndarray:
    r"""Return the rates at which SA with V = -D returns to the minimiser, the fastest first.

    There the potential is a constant Z, and a disturbance h of the density f moves by
    $\partial_t h = \operatorname{div}(f \nabla K h) / Z$: the eigenvalues of $K^{1/2} L K^{1/2} / Z$ in Fourier modes,
    with $L g = -\operatorname{div}(f \nabla g)$.
    """
    angles = 2 * np.pi * np.arange(SIZE) / SIZE
    found, points = theory.full_support_minimiser(form), on_circle(angles)
    orders = np.concatenate([np.arange(-MODES, 0), np.arange(1, MODES + 1)])
    waves = np.exp(1j * np.outer(orders, angles)) / SIZE
    kernel = waves.conj() @ np.exp(points @ form @ points.T) @ waves.T
    density = waves @ (found.density(points)[:, None] * waves.conj().T) * SIZE
    stiff = np.outer(orders, orders) * density.conj()
    values, vectors = np.linalg.eigh(kernel)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.conj().T
    return np.sort(np.linalg.eigvalsh(root @ stiff @ root))[::-1] / found.energy


def defect(form: np.ndarray, tokens: int, seed: int, starts: int) -> float:
    """Return how far the least energy of so many tokens on the circle is above that of all measures."""
    from scipy.optimize import minimize

    def energy_and_slope(angles: np.ndarray) -> tuple[float, np.ndarray]:
        points = on_circle(angles)
        kernel = np.exp(points @ form @ points.T)
        force = kernel @ points @ form
        along = force[:, 1] * points[:, 0] - force[:, 0] * points[:, 1]
        return float(kernel.mean()), 2.0 * along / tokens**2

    generator, whole = np.random.default_rng(seed), theory.full_support_minimiser(form)
    grid = 2 * np.pi * (np.arange(512) + 1) / 512
    shares, reached = np.cumsum(whole.density(on_circle(grid - np.pi / 512))) / 512, np.inf
    for k in range(starts):  # at random, and at quantiles from a random one on
        quantiles = (np.arange(tokens) + generator.uniform()) / tokens
        start = generator.uniform(0, 2 * np.pi, tokens) if k % 2 else np.interp(quantiles, shares, grid)
        reached = min(reached, float(minimize(energy_and_slope, start, jac=True, method="BFGS", tol=1e-12).fun))
    return reached - whole.energy


@exploration(PAPER, "the minimising flow of a positive form", covers=["Q4"])
def descent_to_the_minimiser_of_full_support(case: Case) -> dict[str, Any]:
    """How fast does the repulsive flow come to the minimiser of a positive form, and what do N tokens miss?

    On the circle, D = diag(1, b). Reported are the rates of SA linearised about the minimiser, largest first (about the
    uniform law, b = 1, they are k^2 I_k/I_0, each twice), and the defect of the best N tokens found, by descent from
    random places and from quantiles. The rates fall faster than exponentially, so that none is the last one: a density
    is approached mode by mode. The defect does so too for b = 1, where it is 2 I_N(1) + ...; it is asked whether it
    does where equal masses cannot follow the density. Rounding ends both at some 1e-15. General kernels, and V
    that is not -D, are not studied.
    """
    ratios, numbers = (
        case.given("b", RATIOS.get(case.tier, SEVERAL)),
        list(case.given("N", NUMBERS.get(case.tier, MANY))),
    )
    starts = case.given("starts", {"smoke": 4, "standard": 12, "full": 40}[case.tier])
    case.require("b is positive, as a minimiser of full support needs", min(ratios) > 0)
    orders = np.repeat(np.arange(1, 7), 2)
    law = orders**2 * ive(orders, 1.0) / ive(0, 1.0)
    found: dict[str, Any] = {"b": list(ratios), "N": numbers, "rates about the uniform law": law.tolist()}
    for ratio in ratios:
        form = np.diag([1.0, ratio])
        found[f"rates, b = {ratio:g}"] = [float(rate) for rate in rates(form)[:12]]
        found[f"defect of N tokens, b = {ratio:g}"] = [defect(form, n, case.seed, starts) for n in numbers]
    return found


@descent_to_the_minimiser_of_full_support.figure
def rates_and_defects(findings: Findings, ax: Any) -> None:
    """Draw the rates by their order, and the defects by the number of tokens."""
    found = findings.found
    law = found["rates about the uniform law"]
    ax.plot(np.arange(1, len(law) + 1), law, "--", color=THEORY, label="$k^2 I_k/I_0$, each twice: b = 1", zorder=3)
    for ratio, colour in zip(found["b"], shades(len(found["b"]), high=0.8), strict=True):
        rates_of = np.array(found[f"rates, b = {ratio:g}"])
        ax.plot(
            np.arange(1, len(rates_of) + 1), rates_of, "o-", ms=4, color=colour, label=f"rate number k, b = {ratio:g}"
        )
        missed = np.maximum(found[f"defect of N tokens, b = {ratio:g}"], 1e-16)
        ax.plot(found["N"], missed, "s:", ms=4, color=colour, mfc="none", label=f"defect, k tokens, b = {ratio:g}")
    ax.set(yscale="log", ylim=(1e-16, 3.0), xlabel="k", ylabel=r"rate of SA about $\mu_D$; $E_N - \min E_2$")
    ax.legend(fontsize=9)

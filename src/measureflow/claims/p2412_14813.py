"""Claims of arXiv:2412.14813, bifurcations of McKean-Vlasov equations on spheres: branches of higher degree."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import roots_gegenbauer, roots_legendre

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, FAINT, THEORY


def zonal(k: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return P_k at the nodes of a Gauss rule for heights on the sphere, and the rule's masses."""
    heights, masses = roots_legendre(24) if d == 3 else roots_gegenbauer(24, d / 2 - 1)
    before, harmonic = np.ones_like(heights), heights
    for j in range(1, k):
        before, harmonic = harmonic, ((2 * j + d - 2) * heights * harmonic - j * before) / (j + d - 2)
    return harmonic, masses / masses.sum()


def onset_of_degree(k: int, beta: float, d: int) -> float:
    """Return the kappa at which the branch of degree k leaves the uniform law: beta over the eigenvalue a_k."""
    return float(beta / theory.funk_hecke_coefficients(k, beta=beta, d=d))


def slope_of_degree(k: int, d: int) -> float:
    """Return the slope of kappa/kappa_k by the k-th moment, where the branch begins."""
    harmonic, masses = zonal(k, d)
    return float(-(masses @ harmonic**3) / (2 * (masses @ harmonic**2) ** 2))


@claim(
    "2412.14813",
    "resonance criterion on spheres",
    covers=["5.5"],
    status="derived",
    id="2412.14813/transcritical",
    states={"onset": onset_of_degree, "slope": slope_of_degree},
)
def even_degrees_branch_with_a_slope(case: Case) -> None:
    """On S^(d-1), d >= 3, the zonal branch of degree k leaves the uniform law at kappa_k = beta/a_k with the slope
    -<P_k^3>/(2 <P_k^2>^2) of kappa/kappa_k by the moment <P_k>: not 0 for even k, where the transition is
    discontinuous, and 0 for odd k.

    Derived here: to second order the Gibbs law of a field h along P_k has the moment <P_k^2> h + <P_k^3> h^2/2, and
    other degrees, which are fed at second order, answer at third. On S^2 the slope of degree 2 is -5/7, whatever beta.
    """
    k, beta = case.choose("k", [2, 3, 4]), case.draw("beta", 1.0, 4.0)
    d = case.draw("d", 3, 6, integer=True)
    case.require(
        "the degree is 2 or more, in three dimensions or more, and beta is positive", k >= 2 and d >= 3 and beta > 0
    )
    harmonic, masses = zonal(k, d)
    case.require("a moment of 1e-4 is small beside <P_k^2>", bool(masses @ harmonic**2 > 1e-3))
    branch = case.measure(theory.branch_of_stationary_states, beta=beta, d=d, degree=k, top=0.004)
    onset, moment = case.statement.onset(k, beta, d), branch.order_parameters[0]
    measured = (branch.kappas[0] / onset - 1.0) / moment
    because = "the next order at a moment of 1e-4, and moments to 1e-10 over it"
    steep = abs(slope_of_degree(k, d))
    within, said = max(4e-3, 3.6e-4 * steep), "the slope, at most 11 for what is drawn, times 1e-4"
    case.compare(branch.kappas[0] / onset, 1.0, within=within, because=said, name="onset")
    within = max(0.05, 4e-4 * steep**2)  # the next order grows like the square of the slope
    case.compare(measured, case.statement.slope(k, d), within=within, because=because, name="slope")


@even_degrees_branch_with_a_slope.figure
def beginning_of_a_branch(case: Case, ax: Any) -> None:
    """Draw the branch's kappa over its moment, and the line of the stated slope."""
    k, beta, d = (case.instance[name] for name in ("k", "beta", "d"))
    harmonic, masses = zonal(k, d)
    top = min(0.1, 4.0 * float(masses @ harmonic**2))  # the branch is a line where moments are small beside <P_k^2>
    branch = case.measure(theory.branch_of_stationary_states, beta=beta, d=d, degree=k, top=top)
    moments = np.append(0.0, branch.order_parameters)
    slope = case.statement.slope(k, d)
    ax.plot(moments, 1 + slope * moments, "--", color=THEORY, label=f"stated slope {round(slope, 6):.3g}")
    ax.plot(
        branch.order_parameters, branch.kappas / case.statement.onset(k, beta, d), "o", color=ACCENT[0], label="branch"
    )
    ax.axhline(1.0, color=FAINT, lw=1)
    ax.locator_params(nbins=5)
    ax.set(xlabel=f"moment $m_{k}$", ylabel=rf"$\kappa/\kappa_{k}$", title=rf"$k={k}$, $d={d}$, $\beta={beta:.2f}$")
    ax.legend()


@even_degrees_branch_with_a_slope.mutation("slope")
def pitchforks_in_every_degree(k: int, d: int) -> float:
    """The slope is 0, as on the circle, and that of even degrees stands for the odd ones."""
    return slope_of_degree(2, d) if k % 2 else 0.0


@even_degrees_branch_with_a_slope.mutation("slope")
def towards_larger_kappa(k: int, d: int) -> float:
    """The sign is wrong: the branch of positive moments would begin at larger kappa (odd degrees with a slope too)."""
    return -slope_of_degree(k, d) if k % 2 == 0 else -slope_of_degree(k + 1, d)


@even_degrees_branch_with_a_slope.mutation("onset")
def onset_of_the_polarised_branch(k: int, beta: float, d: int) -> float:
    """All branches leave where the uniform law loses its stability, at beta/a_1."""
    return onset_of_degree(1, beta, d)


@even_degrees_branch_with_a_slope.mutation("onset")
def eigenvalue_of_the_laplacian_kept(k: int, beta: float, d: int) -> float:
    """k(k + d - 2), which attraction and diffusion share, divides one side alone."""
    return onset_of_degree(k, beta, d) / (k * (k + d - 2))

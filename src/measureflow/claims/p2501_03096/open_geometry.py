"""Open questions about the geometry: is the energy convex along geodesics, and how much of a velocity is a gradient?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import normalised
from measureflow.paths.style import MUTED, THEORY, shades

#: forms of the plane, by name
FORMS = {
    "positive, D = diag(1, 0.5)": np.diag([1.0, 0.5]),
    "indefinite, D = diag(1, -1)": np.diag([1.0, -1.0]),
    "negative, D = diag(-1, -0.5)": np.diag([-1.0, -0.5]),
}
#: pairs of laws, tokens of each, and turns in V, by tier
PAIRS = {"smoke": 2, "standard": 30, "full": 200}
COUNTS = {"smoke": (4, 8), "standard": (4, 8, 16, 32), "full": (4, 8, 16, 32, 64)}
TURNS = {"smoke": (1.0,), "standard": (0.3, 1.0, 3.0), "full": (0.1, 0.3, 1.0, 3.0, 10.0)}


def quantiles(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return n quantiles of a random law of the circle: two bells of random places and widths, of equal mass."""
    centres, widths = rng.uniform(0.0, 2 * np.pi, 2), rng.uniform(0.1, 0.8, 2)
    levels = (np.arange(n // 2) + 0.5) / (n // 2)
    angles = (centres[:, None] + widths[:, None] * ndtri(levels)).ravel()
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def second_derivatives(path: mf.Path, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return E along a geodesic, and its second derivative by its time of length 1."""
    x, w = np.asarray(path.points), np.asarray(path.weights[0])
    energy = 0.5 * (np.exp(x @ D @ x.transpose(0, 2, 1)) @ w) @ w
    return energy, np.diff(energy, 2) * (len(x) - 1) ** 2


@exploration("2501.03096", "geodesics of the metric", covers=["Q1"], id="2501.03096/Q1")
def convexity_of_the_energy_along_geodesics(case: Case) -> dict[str, Any]:
    """Is E convex, or semiconvex, along geodesics of W_m, and does the answer depend on the sign of D?

    It would give contraction and uniqueness of the gradient flow with rates; nothing is known. Measured is the least
    second derivative of E along computed geodesics over W_m^2, the constant lambda of semiconvexity: over pairs of
    laws on the circle, by form, each law by more and more of its quantiles (independent tokens would come near the
    uniform law, and near each other, as they become many). A value that falls without bound as tokens are added speaks
    against semiconvexity. What is computed are critical paths, of which the shortest found is taken; they need not be
    the shortest there are.
    """
    pairs, counts = case.given("pairs", PAIRS[case.tier]), case.given("n", COUNTS[case.tier])
    case.require("n are even, for two bells", all(n % 2 == 0 for n in counts))
    found: dict[str, Any] = {"pairs": pairs, "tokens": list(counts)}
    for name, D in FORMS.items():
        least, share, worst = [], [], 0.0
        for n in counts:
            curvatures = []
            for k in range(pairs):
                ends = [quantiles(case.generator(f"{k} {end}"), n) for end in range(2)]
                one, other = (mf.Tokens(mf.Sphere(2), points) for points in ends)
                geodesic = mf.wasserstein_m(one, other, D, times=17, refine=2)
                bent = second_derivatives(geodesic.path, D)[1] / geodesic.distance**2
                curvatures.append(bent.min())
                worst = max(worst, geodesic.residual)
            least.append(float(min(curvatures)))
            share.append(float(np.mean(np.array(curvatures) > 0)))
        found[name] = {"least lambda by tokens": least, "share of convex geodesics": share, "worst residual": worst}
    return found


@convexity_of_the_energy_along_geodesics.figure
def least_curvatures(findings: Findings, ax: Any) -> None:
    """Draw the least constant against the number of tokens."""
    counts = findings.found["tokens"]
    for name, shade, marker in zip(FORMS, shades(len(FORMS), high=0.8), "osD", strict=True):
        row = findings.found[name]
        label = f"{name}: {row['share of convex geodesics'][-1]:.0%} of them convex"
        ax.plot(counts, row["least lambda by tokens"], marker + "-", color=shade, label=label)
    ax.axhline(0.0, color=THEORY, ls="--", lw=1.2, zorder=0, label="convex above 0")
    ax.set(xlabel="tokens $n$", ylabel=r"least $E''/W_m^2$ along geodesics", xticks=counts)
    title = f"{findings.found['pairs']} pairs of laws on the circle"
    ax.legend(title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=10)


@exploration("2501.03096", "general V in the same geometry", covers=["Q2"], id="2501.03096/gradient-part")
def how_much_of_a_velocity_is_a_gradient(case: Case) -> dict[str, Any]:
    """Along the flow with general V, how much of the velocity is a gradient in W_m, and does the share tend to 1?

    For V = ±D it is all of it; for other V the abstract proposes the same geometry, and no functional is known to
    decrease. Measured is the share `observe.gradient_part` (potentials of degree 4) at three times, for V = I + r J
    with J a rotation, on S^2 with a symmetric form D.
    """
    n, ratios = (
        case.given("n", {"smoke": 24, "standard": 100, "full": 200}[case.tier]),
        case.given("r", TURNS[case.tier]),
    )
    until, beta = case.given("t", 3.0), case.given("beta", 1.0)
    values = case.given("eigenvalues of D", (1.0, 0.5, -0.5))
    case.require("D has three eigenvalues", len(values) == 3)
    points = normalised(case.generator("tokens").normal(size=(n, 3)))
    tokens, D = mf.Tokens(mf.Sphere(3), points), np.diag(values)
    times = until * np.array([0.0, 1 / 3, 1.0])
    found: dict[str, Any] = {"tokens": n, "times": times.tolist()}
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    for ratio in ratios:
        field = mf.SelfAttention(beta, query=D, value=np.eye(3) + ratio * turn)
        path = mf.flow(tokens, field, until=until, save=times, solver=mf.Adaptive(coarsen=False))
        share = np.asarray(mf.observe.gradient_part(path, degree=2 if n < 100 else 4))
        found[f"V = I + {ratio:g} J"] = [float(value) for value in share]
    return found


@how_much_of_a_velocity_is_a_gradient.figure
def shares_of_gradients(findings: Findings, ax: Any) -> None:
    """Draw the share of the velocity that is a gradient over time, for each turn in V."""
    found = findings.found
    rows = {name: row for name, row in found.items() if name.startswith("V")}
    for (name, row), colour in zip(rows.items(), shades(len(rows), high=0.8), strict=True):
        ax.plot(found["times"], row, "o-", color=colour, label=f"${name}$")
    ax.axhline(1.0, ls="--", color=THEORY, label=r"a gradient flow: $V = \pm D$")
    ax.axhline(0.0, color=MUTED, lw=1)
    ax.set(xlabel="time $t$", ylabel="share of the velocity that is a gradient in $W_m$", ylim=(-0.02, 1.05))
    ax.set_title(f"{found['tokens']} tokens on $S^2$")
    ax.legend()

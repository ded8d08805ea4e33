"""An open question: closures of the hierarchy of laws on the sphere, for USA and for SA."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import legendre

from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import normalised
from measureflow.claims.runge_kutta import classical_step
from measureflow.paths.style import MUTED, shades

#: replicas and values of beta by tier
REPLICAS = {"smoke": 2000, "standard": 50_000, "full": 200_000}
BETAS = {"smoke": (2.0,)}
#: tokens, harmonics of the pair law, and those whose means are compared
N, MODES, COMPARED = 6, 12, 3


def speed(x: np.ndarray, beta: float, softmax: bool) -> np.ndarray:
    """Return the velocities of each replica's tokens under USA or SA."""
    kernel = np.exp(beta * x @ x.swapaxes(1, 2))
    output = kernel @ x / (kernel.sum(axis=2, keepdims=True) if softmax else x.shape[1])
    return output - (output * x).sum(axis=2, keepdims=True) * x


def evolved(x: np.ndarray, beta: float, softmax: bool, until: float, steps: int = 12) -> np.ndarray:
    """Follow replicas on the sphere."""
    for _ in range(steps):
        x = normalised(classical_step(lambda y: speed(y, beta, softmax), x, until / steps))
    return x


def third_token(modes: np.ndarray, beta: float, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return E[e^(beta x_1.y) <P_1 y, x_2>] and E[e^(beta x_1.y)] given x_1.x_2 = u, where the third token y has the
    density psi(x_1.y) psi(x_2.y) of Kirkwood's superposition; modes are E P_k(u), k = 0, 1, ..., of psi."""
    grid = np.linspace(-1, 1, 2001)
    psi = np.maximum(legendre.legval(grid, (2 * np.arange(len(modes)) + 1) * modes), 0.0)
    # y by its cosine with x_1 and the angle about it: 48 places by Gauss's rule, 64 by the mean
    height, weights = legendre.leggauss(48)
    one, angle = (part.ravel() for part in np.meshgrid(height, 2 * np.pi * np.arange(64) / 64, indexing="ij"))
    aside = np.sqrt(1 - u[:, None] ** 2) * (np.sqrt(1 - one**2) * np.cos(angle))
    two = np.clip(u[:, None] * one + aside, -1, 1)
    joint = np.repeat(weights, 64) * np.interp(one, grid, psi) * np.interp(two, grid, psi)
    kernel, total = np.exp(beta * one), joint.sum(axis=1)
    return (joint * kernel * aside).sum(axis=1) / total, joint @ kernel / total


@exploration("2312.10794", "Problem 4, on the sphere", covers=["P4"], id="2312.10794/P4-sphere")
def does_superposition_close_the_pair_law_on_the_sphere(case: Case) -> dict[str, Any]:
    """Does Kirkwood's superposition close the law of u = x_1.x_2 on S^2, under USA, and under SA where even the
    hierarchy does not close at a finite order?

    For independent uniform tokens E[u' | u] is measured against two laws of a third token: by superposition, and
    uniform, as at the start, when it pulls nowhere on average. Under SA the ratio of means stands for the mean of a
    ratio. Reported are the largest errors of d/dt E P_k(u), k = 1, 2, 3, over the largest of these, at t = 1, 2 under
    SA and at these over sinh(beta)/beta, the mean weight of an independent token, under USA.
    """
    replicas, betas = (
        case.given("replicas", REPLICAS[case.tier]),
        case.given("betas", BETAS.get(case.tier, (1.0, 2.0, 4.0))),
    )
    n, times = case.given("n", N), case.given("t", (1.0, 2.0))
    points = normalised(case.generator("tokens").normal(size=(replicas, n, 3)))
    u = np.linspace(-0.999, 0.999, 101)
    found: dict[str, Any] = {"beta": list(betas), "n": n, "t": list(times)}
    for softmax in (False, True):
        for time in times:
            name = f"{'SA' if softmax else 'USA'}, t = {time:g}"
            clock = [time if softmax else time * beta / np.sinh(beta) for beta in betas]
            states = [evolved(points, beta, softmax, until) for beta, until in zip(betas, clock, strict=True)]
            rows = [errors(x, beta, softmax, u) for x, beta in zip(states, betas, strict=True)]
            for k, part in enumerate(("mean cosine", "superposition", "uniform third token")):
                found[f"{name}: {part}"] = [row[k] for row in rows]
    return found


def errors(x: np.ndarray, beta: float, softmax: bool, u: np.ndarray) -> list[float]:
    """Return the mean cosine of a pair and the errors of the two closures, relative to the largest change."""
    velocity = speed(x, beta, softmax)
    n = x.shape[1]
    one, two = np.triu_indices(n, 1)
    cosine = (x[:, one] * x[:, two]).sum(axis=2)
    change = (velocity[:, one] * x[:, two] + x[:, one] * velocity[:, two]).sum(axis=2)
    basis = np.eye(COMPARED + 1)[1:]
    slopes = np.stack([legendre.legval(cosine, legendre.legder(row)) for row in basis])
    exact = (slopes * change).mean(axis=(1, 2))
    modes = np.array([legendre.legval(cosine, row).mean() for row in np.eye(MODES + 1)])
    pair = np.exp(beta * u) * (1 - u**2)
    # both tokens of the pair are moved alike: a factor 2
    laws = [third_token(modes, beta, u), third_token(np.eye(MODES + 1)[0], beta, u)]
    found = [float(cosine.mean())]
    for pulled, weight in laws:
        total = np.exp(beta) + np.exp(beta * u) + (n - 2) * weight if softmax else n
        closed = 2 * (pair + (n - 2) * pulled) / total
        guess = (slopes * np.interp(cosine, u, closed)).mean(axis=(1, 2))
        found.append(float(np.abs(guess - exact).max() / np.abs(exact).max()))
    return found


@does_superposition_close_the_pair_law_on_the_sphere.figure
def errors_of_closures(findings: Findings, ax: Any) -> None:
    """Draw the error of each closure at each time, superposition beside a uniform third token."""
    found = findings.found
    rows = [f"{model}, t = {time:g}" for model in ("USA", "SA") for time in found["t"]]
    colours = shades(len(found["beta"]), high=0.6)
    for height, row in enumerate(rows):
        for beta, colour, known, null in zip(
            found["beta"], colours, found[f"{row}: superposition"], found[f"{row}: uniform third token"], strict=True
        ):
            ax.plot([known, null], [height] * 2, color=MUTED, lw=1, zorder=1)
            label = rf"superposition, $\beta$ = {beta:g}" if height == 0 else None
            ax.plot(known, height, "o", ms=10, color=colour, label=label)
            ax.plot(null, height, "D", ms=8, color=MUTED, mfc="white", zorder=2)
    ax.plot([], [], "D", ms=8, color=MUTED, mfc="white", label="null: a uniform third token")
    ax.set(xscale="log", xlabel=r"largest error of $\frac{d}{dt} E P_k(u)$, $k = 1, 2, 3$, over the largest of these")
    ax.set(ylim=(-0.5, len(rows) - 0.5), title=f"n = {found['n']} tokens on $S^2$")
    ax.set_yticks(range(len(rows)), rows)
    ax.legend()

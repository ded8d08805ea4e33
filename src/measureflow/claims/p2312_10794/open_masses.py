"""Exploration of remark 3.5 of arXiv:2312.10794: tokens whose masses move too, by the unbalanced gradient flow."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.paths.style import THEORY, shades

TOKENS, REPLICAS = {"smoke": 16, "standard": 48, "full": 96}, {"smoke": 2, "standard": 16, "full": 64}
#: when clusters have formed and are looked at, and the mass from which on one has won
FORMED, WON = 12.0, 0.9


def rates(angles: np.ndarray, masses: np.ndarray, beta: float, speed: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the velocities of angles and masses: the gradient of $\frac12\sum w_iw_je^{\beta(\cos-1)}$ in the metric
    that moves mass along the circle and, `speed` times as easily, from place to place at once."""
    apart = angles[None, :] - angles[:, None]
    kernel = np.exp(beta * (np.cos(apart) - 1.0))
    height = kernel @ masses
    return (kernel * np.sin(apart)) @ masses, speed * masses * (height - masses @ height)


def followed(angles: np.ndarray, beta: float, speed: float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return angles and masses at times, from equal masses."""
    n = len(angles)

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        return np.concatenate(rates(state[:n], state[n:], beta, speed))

    start = np.concatenate([angles, np.full(n, 1.0 / n)])
    run = solve_ivp(slope, (0.0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-8, atol=1e-10)
    return run.y[:n].T, run.y[n:].T


def cluster_masses(angles: np.ndarray, masses: np.ndarray, beta: float) -> np.ndarray:
    """Return the masses of chains of tokens nearer than half of beta^(-1/2), largest first."""
    order = np.argsort(angles % (2 * np.pi))
    ordered = angles[order] % (2 * np.pi)
    wide = np.flatnonzero(np.diff(ordered, append=ordered[0] + 2 * np.pi) > 0.5 / np.sqrt(beta))
    if not len(wide):
        return np.ones(1)
    chain = np.searchsorted(wide, np.arange(len(ordered))) % len(wide)
    return np.sort(np.bincount(chain, weights=masses[order]))[::-1]


def replicated(masses: np.ndarray, speed: float, times: np.ndarray) -> np.ndarray:
    """Return the largest mass along times if clusters do not see each other: m' = speed m (m - sum m^2)."""
    run = solve_ivp(
        lambda t, m: speed * m * (m - m @ m), (times[0], times[-1]), masses, t_eval=times, rtol=1e-9, atol=1e-12
    )
    return run.y.max(axis=0)


@exploration("2312.10794", "remark 3.5, unbalanced masses", covers=["P16"], id="2312.10794/P16-masses")
def do_clusters_wait_when_masses_move_too(case: Case) -> dict[str, Any]:
    """Is there metastability when tokens are unbalanced: when masses follow the gradient of the energy as places do?

    No theory is known. Equal tokens on the circle under USA*, with the Wasserstein-Fisher-Rao gradient in place of
    Wasserstein's: places move as ever, and masses by w_i' = a w_i (h_i - sum w h), h the kernel's mean at a token. Once
    K clusters stand apart, their masses should obey m' = a m (m - sum m^2): the heaviest takes all within a time of
    order 1/a, where without (a = 0) clusters of this beta wait for e^(beta (1 - cos)). Here clusters form without
    exchange up to t = 12, and then masses move. Reported: when the largest mass passes 0.9 (never, where two clusters
    have the same mass), what that equation says, how far the largest mass is from it at most, and the clusters that are
    left without exchange by then.
    """
    n, replicas = case.given("n", TOKENS[case.tier]), case.given("replicas", REPLICAS[case.tier])
    beta, speeds = case.given("beta", 12.0), case.given("exchange", (0.1, 1.0))
    found: dict[str, Any] = {"n": n, "beta": beta, "replicas": replicas}
    for speed in speeds:
        times = np.concatenate([[0.0], np.geomspace(0.1, 200.0, 80) / speed])
        rows = []
        for k in range(replicas):
            uniform = case.generator(f"angles {k}").uniform(0.0, 2 * np.pi, n)
            start = followed(uniform, beta, 0.0, np.array([0.0, FORMED]))[0][-1]
            angles, masses = followed(start, beta, speed, times)
            largest = np.array([cluster_masses(*one, beta)[0] for one in zip(angles, masses, strict=True)])
            stated = replicated(cluster_masses(angles[0], masses[0], beta), speed, times)
            still = cluster_masses(followed(start, beta, 0.0, times[[0, -1]])[0][-1], np.full(n, 1 / n), beta)
            passed = [float(times[(m >= WON).argmax()]) if m[-1] >= WON else None for m in (largest, stated)]
            rows.append((*passed, float(np.abs(largest - stated).max()), len(still), largest, stated))
        found[f"exchange {speed:g}"] = {
            "time to 0.9": [row[0] for row in rows],
            "the same by m' = a m (m - sum m^2)": [row[1] for row in rows],
            "largest mass off by": [row[2] for row in rows],
            "clusters without exchange at the last time": [row[3] for row in rows],
            "times": times.tolist(),
            "largest mass": np.array(rows[0][4]).tolist(),
            "largest mass, stated": np.array(rows[0][5]).tolist(),
        }
    return found


@do_clusters_wait_when_masses_move_too.figure
def largest_masses(findings: Findings, ax: Any) -> None:
    """Draw the largest mass of a cluster along time for the first start, beside the equation of clusters apart."""
    rows = {name: row for name, row in findings.found.items() if isinstance(row, dict)}
    for (name, row), colour in zip(rows.items(), shades(len(rows)), strict=True):
        ax.plot(row["times"][1:], row["largest mass"][1:], color=colour, label=name)
        ax.plot(row["times"][1:], row["largest mass, stated"][1:], "--", color=THEORY, lw=1.3)
    ax.plot([], [], "--", color=THEORY, label=r"$\dot m_k = a\, m_k (m_k - \sum m^2)$")
    ax.axhline(WON, color="0.8", lw=0.8, zorder=0)
    ax.set(xscale="log", xlabel="time since clusters formed", ylabel="mass of the heaviest cluster", ylim=(0, 1.03))
    ax.set_title(rf"USA*, $n = {findings.found['n']}$, $\beta = {findings.found['beta']:g}$, masses move too")
    ax.legend()

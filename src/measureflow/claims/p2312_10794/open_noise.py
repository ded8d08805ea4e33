"""Open questions with noise: how long two systems of different size stay together, and how long clusters last."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.paths.style import MUTED, THEORY, shades

#: replicas of a study by tier
REPLICAS = {"smoke": 10, "standard": 200, "full": 1000}
STEP = 0.04
#: what waiting times are called, and their betas by tier
WAITED = "e^(-beta) mean time, by beta and kappa"
BETAS = {"smoke": (1.0, 2.0)}


def drift(theta: np.ndarray, beta: float) -> np.ndarray:
    """Return the USA velocities of replicas `(r, n)` on the circle, from the modes of the kernel."""
    degrees = np.arange(1, 15)
    strength = 2 * theory.funk_hecke_coefficients(degrees, beta=beta, d=2) * degrees / beta
    waves = np.exp(1j * theta[..., None] * degrees)
    return np.imag((waves.mean(axis=1, keepdims=True) * waves.conj()) @ strength)


@exploration("2312.10794", "Problem 7, propagation of chaos", covers=["P7"], id="2312.10794/P7-chaos")
def do_noisy_tokens_of_two_sizes_stay_together(case: Case) -> dict[str, Any]:
    """Does the distance of n tokens from n of 2n tokens with the same starts and noise stay of order n^(-1/2) for all
    times?

    Below kappa_# the uniform law is the only state at rest, above it tokens gather and hold each other, while the two
    means turn by themselves. On the circle nothing brings a token of the uniform state back to its twin: paths may part
    like t^(1/2) although the laws stay close. Noisy USA from uniform starts: the root mean square of theta_i - theta'_i
    times n^(1/2), by time, for two n, as it is and with the turn of the mean taken out.
    """
    beta = case.draw("beta", 0.5, 2.0)
    replicas, times = case.given("replicas", REPLICAS[case.tier]), list(case.given("t", (2.0, 8.0, 32.0)))
    ratios, sizes = case.given("kappa / kappa_#", (0.5, 2.0)), case.given("n", (16, 32))
    found: dict[str, Any] = {"t": times, "beta": beta, "kappa / kappa_#": list(ratios), "n": list(sizes)}
    for share in ratios:
        kappa = share * theory.critical_kappa(beta=beta, d=2)
        for n in sizes:
            generator = case.generator(f"noise {share} {n}")
            large = generator.uniform(-np.pi, np.pi, (replicas, 2 * n))
            small, now, plain, turned = large[:, :n].copy(), 0.0, [], []
            for time in times:
                while now < time - 1e-9:
                    kicks = np.sqrt(2 * STEP / kappa) * generator.normal(size=large.shape)
                    large += STEP * drift(large, beta) + kicks
                    small += STEP * drift(small, beta) + kicks[:, :n]
                    now += STEP
                apart = np.exp(1j * (small - large[:, :n]))
                plain.append(float(np.sqrt(n * (np.angle(apart) ** 2).mean())))
                turn = apart.mean(axis=1, keepdims=True)
                turned.append(float(np.sqrt(n * (np.angle(apart * turn.conj()) ** 2).mean())))
            name = f"kappa = {share:g} kappa_#, n = {n}"
            found |= {f"{name}: n^(1/2) distance": plain, f"{name}: without the turn": turned}
    return found


@do_noisy_tokens_of_two_sizes_stay_together.figure
def distances_of_twins(findings: Findings, ax: Any) -> None:
    """Draw the distances over time, as they are and without the turn of the mean, with free diffusion beside them."""
    found = findings.found
    times = np.array(found["t"])
    for share, colour in zip(found["kappa / kappa_#"], shades(len(found["kappa / kappa_#"]), high=0.6), strict=True):
        for n, marker in zip(found["n"], "osD^v" * len(found["n"]), strict=False):
            name = f"kappa = {share:g} kappa_#, n = {n}"
            label = rf"$\kappa = {share:g}\,\kappa_\#$, n = {n}"
            ax.plot(times, found[f"{name}: n^(1/2) distance"], marker + "-", color=colour, label=label)
            ax.plot(times, found[f"{name}: without the turn"], marker + ":", color=colour, mfc="white")
    ax.plot([], [], ":", color=MUTED, label="without the turn of the mean")
    first = max(row[0] for name, row in found.items() if name.endswith("distance"))
    ax.plot(times, first * (times / times[0]) ** 0.5, "--", color=THEORY, label="null: free paths, $t^{1/2}$")
    ax.set(xscale="log", yscale="log", xlabel="time $t$", ylabel=r"$n^{1/2}\,\langle(\theta - \theta')^2\rangle^{1/2}$")
    ax.set(title=rf"n tokens and n of 2n, $\beta$ = {found['beta']:.2f}")
    ax.legend(fontsize=10)


@exploration("2312.10794", "Problem 7, waiting times", covers=["P7"], id="2312.10794/P7-kramers")
def how_long_do_two_noisy_clusters_last(case: Case) -> dict[str, Any]:
    """How long does noise leave two opposite clusters, and how does that time depend on the noise and on n?

    Under USA two opposite points part at the rate e^(-beta) without noise: a saddle, not a well, so that the time grows
    like e^beta log(n kappa)/2 and not like e^(n kappa times a barrier), as Kramers has it for wells. Means of the first
    time with |mean of e^(i theta)| > 1/2 over replicas, their standard error, and the power of kappa in it.
    """
    replicas, n = case.given("replicas", REPLICAS[case.tier]), case.given("n", 16)
    betas, kappas = (
        list(case.given("betas", BETAS.get(case.tier, (1.0, 1.5, 2.0, 2.5, 3.0)))),
        np.array(case.given("kappas", (50.0, 800.0))),
    )
    case.require("n is even, for two clusters alike", n % 2 == 0)
    case.require("there are two kappas at least, for a growth", len(kappas) > 1)
    found: dict[str, Any] = {"beta": betas, "kappa": kappas, "n": n}
    rows, errors = [], []
    for beta in betas:
        for kappa in kappas:
            generator = case.generator(f"noise {beta} {kappa}")
            theta = np.pi * np.tile(np.arange(n) % 2, (replicas, 1)).astype(float)
            left, step = np.full(replicas, np.nan), STEP / np.exp(beta - 1)
            for k in range(round(200 * np.exp(beta) / step)):
                theta += step * drift(theta, beta) + np.sqrt(2 * step / kappa) * generator.normal(size=theta.shape)
                gone = np.isnan(left) & (np.abs(np.exp(1j * theta).mean(axis=1)) > 0.5)
                left[gone] = (k + 1) * step
                if not np.isnan(left).any():
                    break
            rows.append(float(np.nanmean(left) * np.exp(-beta)))
            errors.append(float(np.nanstd(left) * np.exp(-beta) / np.sqrt(replicas)))
    table = np.array(rows).reshape(len(betas), -1)
    found[WAITED] = table
    found["standard error"] = np.array(errors).reshape(table.shape)
    found["growth by log kappa (1/2 for a saddle)"] = (table[:, -1] - table[:, 0]) / np.log(kappas[-1] / kappas[0])
    return found


@how_long_do_two_noisy_clusters_last.figure
def waiting_times(findings: Findings, ax: Any) -> None:
    """Draw the mean waiting times over kappa for each beta, with the growth that a saddle gives."""
    found = findings.found
    kappas, times, errors = (np.asarray(found[name], float) for name in ("kappa", WAITED, "standard error"))
    colours, markers = shades(len(found["beta"]), high=0.8), "osD^v" * len(found["beta"])
    for beta, row, error, colour, marker in zip(found["beta"], times, errors, colours, markers, strict=False):
        growth = (row[-1] - row[0]) / np.log(kappas[-1] / kappas[0])
        label = rf"$\beta$ = {beta:g}: grows by {growth:.2f} $\log\kappa$"
        ax.errorbar(kappas, row, yerr=error, fmt=marker + "-", color=colour, capsize=4, label=label)
    saddle = times[:, 0].mean() + 0.5 * np.log(kappas / kappas[0])
    ax.plot(kappas, saddle, "--", color=THEORY, label=r"a saddle: grows by $\frac{1}{2}\log\kappa$")
    ax.set(xscale="log", xlabel=r"$\kappa$ (noise falls to the right)", ylabel=r"$e^{-\beta}$ mean time to leave")
    ax.set(title=f"two opposite clusters of {found['n'] // 2} tokens", ylim=(0, None))
    ax.legend()

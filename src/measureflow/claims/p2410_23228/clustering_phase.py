"""The clustering phase: a periodic density ends in equally spaced clusters, and at which rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import iv

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2410_23228.particles import N, angles_along
from measureflow.paths.style import ACCENT, THEORY

#: the first cell of a density beside a gap begins at e^-24: what is left there at the end came from e^-16
DEPTH = 24.0
#: foldings of the way out of a gap between which the distance is measured
WINDOW = 16.0


def periodic_start(k: int, phase: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return N particles and their weights for the density 1 + share cos(k theta - phase).

    Cells are ever smaller towards the k gaps, which are left last.
    """
    edges = np.append(0.0, np.exp(np.linspace(-DEPTH, np.log(np.pi / k), N // (2 * k))))
    away, widths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    weights = np.tile(widths * (1 - share * np.cos(k * away)), 2 * k)
    gaps = (phase + np.pi * (2 * np.arange(k) + 1)) / k
    angles = gaps[:, None] + np.concatenate([away, -away])
    return angles.ravel(), weights / weights.sum()


def pulls_of_the_harmonics(k: int, beta: float) -> np.ndarray:
    """Return by how much the harmonics k, 2k, 3k... of k equal clusters draw in what is near one of them."""
    order = k * np.arange(1, 41)
    return 2.0 * order**2 * iv(order, beta) / beta


def rate_of_clustering(k: int, beta: float) -> float:
    r"""Return half the rate at which tokens leave the gaps, $-\sum_m (-1)^m s_m / 2$."""
    pulls = pulls_of_the_harmonics(k, beta)
    return 0.5 * float(pulls[::2].sum() - pulls[1::2].sum())


def equally_spaced(k: int, phase: float) -> np.ndarray:
    """Return the angles of k clusters where the density was largest."""
    return (phase + 2 * np.pi * np.arange(k)) / k


def beta_of_the_fastest(case: Case, k: int, place: float) -> float:
    """Return the beta at a place, from 0 to 1, of those for which mode k is the fastest on the circle."""
    case.require("k is a wave number", k >= 1)
    low, high = np.append(0.0, theory.switching_betas(max(4, k), d=2))[k - 1 : k + 1]
    beta = float(low + place * (high - low))
    case.require("mode k is the fastest", beta > 0 and theory.dominant_degree(beta=beta, d=2) == k)
    return beta


def distances_to(angles: np.ndarray, weights: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Return the W_2 distances `(s,)` of particles `(s, n)` from clusters that each take what is nearest."""
    turned = (angles[..., None] - peaks + np.pi) % (2 * np.pi) - np.pi
    return np.sqrt((4 * np.sin(np.abs(turned).min(axis=-1) / 2) ** 2) @ weights)


@claim(
    "2410.23228",
    "clustering phase",
    covers=["6.1"],
    status="derived",
    id="2410.23228/clustering",
    states={"rate": rate_of_clustering, "centres": equally_spaced},
)
def periodic_densities_end_in_equally_spaced_clusters(case: Case) -> None:
    r"""A density 1 + epsilon cos(k theta - phi) on the circle, k the fastest mode, keeps its period under USA and tends
    to k equal clusters at its peaks, in W_2 at half the rate r = -sum_m (-1)^m s_m, s_m = 2 (mk)^2 I_mk(beta)/beta, at
    which tokens leave the gaps.

    Derived here: k equal clusters give the velocity -(2/beta) sum_m mk I_mk sin(mk theta), which draws in at sum_m s_m
    near a cluster, and sends away at r in the middle of a gap. Of a density there the mass e^(-rt) has not left, whose
    root is felt in W_2; the way in is never slower than the way out.
    """
    k = case.choose("k", [2, 3, 4])
    beta = beta_of_the_fastest(case, k, case.draw("place between the switching values", 0.2, 0.7))
    case.require("cells are at most a folding", N // (2 * k) >= DEPTH)
    phase, share = case.draw("phase", 0.0, 6.0), case.draw("epsilon", 0.2, 0.6)
    case.require("epsilon is a share", 0 < share < 1)
    angles, weights = periodic_start(k, phase, share)
    # until e^-16 of the mass is left between the clusters
    end = WINDOW / (2 * rate_of_clustering(k, beta))
    times, found, status = case.measure(angles_along, angles, weights, beta, end, 1e-7)
    case.require("the flow ran to its end", status == "reached")
    case.require("tokens leave the gaps", rate_of_clustering(k, beta) > 0)
    peaks = equally_spaced(k, phase)
    distances = distances_to(found, weights, peaks)
    rate = np.log(distances[-4] / distances[-1]) / (times[-1] - times[-4])
    because = "corrections of relative order e^-10 from what is still on its way, and cells of up to a folding"
    within = 1e-3 * max(1.0, 0.2 / share)
    case.compare(rate, case.statement.rate(k, beta), within=within, relative=True, because=because, name="rate of W_2")
    centres = np.asarray(case.statement.centres(k, phase))
    near = np.abs((found[-1] - centres[:, None] + np.pi) % (2 * np.pi) - np.pi) < 0.05
    because = "the mass still between clusters, e^-16 times a few"
    over = {"cluster": 1 + np.arange(len(centres))}
    case.compare(near @ weights, 1 / len(centres), within=1e-5, because=because, name="mass of a cluster", over=over)


@periodic_densities_end_in_equally_spaced_clusters.figure
def approach_of_the_clusters(case: Case, ax: Any) -> Any:
    """Draw the distance from the equal clusters along time, and its stated rate."""
    k, phase = case.instance["k"], case.instance["phase"]
    beta = beta_of_the_fastest(case, k, case.instance["place between the switching values"])
    angles, weights = periodic_start(k, phase, case.instance["epsilon"])
    end = WINDOW / (2 * rate_of_clustering(k, beta))
    times, found, _ = case.measure(angles_along, angles, weights, beta, end, 1e-7)
    distances = distances_to(found, weights, equally_spaced(k, phase))
    stated = distances[-1] * np.exp(case.statement.rate(k, beta) * (times[-1] - times))
    ax.semilogy(times, distances, "o", color=ACCENT[0], label=f"$W_2$ distance from {k} equal clusters")
    ax.semilogy(times, stated, "--", color=THEORY, label="stated rate, $r/2$")
    ax.set(
        xlabel="$t$",
        ylabel="$W_2$",
        title=rf"$k = {k}$, $\beta = {beta:.3g}$, $\epsilon = {case.instance['epsilon']:.2g}$",
    )
    ax.legend()
    return ax


@periodic_densities_end_in_equally_spaced_clusters.mutation("rate")
def way_in(k: int, beta: float) -> float:
    """The rate of single tokens near a cluster."""
    return float(pulls_of_the_harmonics(k, beta).sum())


@periodic_densities_end_in_equally_spaced_clusters.mutation("rate")
def mass_for_its_root(k: int, beta: float) -> float:
    """The mass left in the gaps is given for the distance, which feels its root."""
    return 2 * rate_of_clustering(k, beta)


@periodic_densities_end_in_equally_spaced_clusters.mutation("rate")
def first_harmonic_alone(k: int, beta: float) -> float:
    """k^2 I_k/beta, the rate of the linear phase: clusters have all harmonics of k."""
    return float(0.5 * pulls_of_the_harmonics(k, beta)[0])


@periodic_densities_end_in_equally_spaced_clusters.mutation("centres")
def one_cluster_more(k: int, phase: float) -> np.ndarray:
    """k + 1 clusters."""
    return equally_spaced(k + 1, phase)


@periodic_densities_end_in_equally_spaced_clusters.mutation("centres")
def one_cluster_less(k: int, phase: float) -> np.ndarray:
    """k - 1 clusters."""
    return equally_spaced(k - 1, phase)


@periodic_densities_end_in_equally_spaced_clusters.mutation("centres")
def clusters_at_the_troughs(k: int, phase: float) -> np.ndarray:
    """Half a period off."""
    return equally_spaced(k, phase + np.pi)

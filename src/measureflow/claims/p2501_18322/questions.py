"""Open questions on Gaussian flows: limits for general weights, explosions, and particles behind the blow-up."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.p2501_18322.instances import BATCH, KINDS, SAVED, orbits
from measureflow.claims.p2501_18322.ranks import rank_that_stays
from measureflow.paths.style import FAINT, MUTED, THEORY, shades

PAPER = "2501.18322"
#: laws of each kind of attention
DRAWS = {"smoke": BATCH, "standard": 16 * BATCH, "full": 128 * BATCH}
OUTCOMES = ("to zero", "rank 1", "rank 2", "grows", "still moves")


def outcomes(cov: np.ndarray, followed: np.ndarray) -> np.ndarray:
    """Return what became of each law, as a place in `OUTCOMES`, from its last decade on its own clock."""
    before, after = (np.maximum(np.linalg.eigvalsh(cov[:, k]), 0.0) for k in (-10, -1))
    trace = after.sum(axis=1)
    share = after / np.maximum(before, 1e-300)
    rank = rank_that_stays(before, after)
    settled = (np.abs(share[:, 1] - 1) < 0.02) & ((np.abs(share[:, 0] - 1) < 0.02) | (share[:, 0] < 0.5))
    found = np.where(settled & followed, rank, 4)
    return np.where(trace < 1e-3, 0, np.where(trace > 1e2, 3, found))


@exploration(PAPER, "limits", covers=["Q9"], title="where do Gaussians end for general Q, K, V")
def where_do_gaussians_end_for_general_weights(case: Case) -> dict[str, Any]:
    """Is the limit rank at most ceil(d/2) for generic Q, K, V, and along what does a covariance explode?

    Known: V = I and A + A^T <= 0 end at rank dim ker(A + A^T); V symmetric > 0 has limit points there. A profile
    S ~ w w^T/(t* - t) of softmax attention with one head needs V w = mu w and 2 mu w^T A w = 1: explosions should end
    along eigenvectors of V, unless V = I. Here d = 2 and all entries are N(0, 1). Reported: how many fall to zero, rest
    at rank 1 or 2, grow (explode or diverge) or still move at tau = 300, dtau = tr S dt, for each attention; and for
    softmax the angle between the direction of growth and the nearest eigenvector of V.
    """
    count, until = case.given("laws", DRAWS[case.tier]), case.given("tau", 300.0)
    generator = case.generator("weights")
    query, key, value, root = generator.normal(size=(4, count, 2, 2))
    covs = root @ np.swapaxes(root, 1, 2)
    covs = covs / np.trace(covs, axis1=1, axis2=2)[:, None, None]
    times = np.concatenate([[0.0], np.geomspace(until / 1000, until, SAVED - 1)])
    found: dict[str, Any] = {"d": 2, "laws": count, "tau": until}
    for kind in KINDS:
        moved = orbits(kind, covs, query, key, value, times, own_clock=True, rtol=1e-6)
        ended = outcomes(moved.cov, moved.finished)
        found[kind] = {name: int((ended == k).sum()) for k, name in enumerate(OUTCOMES)}
        if kind == "softmax":
            found["angles to eigenvectors of V"] = sorted(angles_to_axes(moved.cov[ended == 3, -1], value[ended == 3]))
    return found


def angles_to_axes(covs: np.ndarray, values: np.ndarray) -> list[float]:
    """Return the angle between the widest axis of each law and the nearest real eigenvector of its V."""
    angles = []
    for cov, value in zip(covs, values, strict=True):
        widest = np.linalg.eigh(cov)[1][:, -1]
        roots, vectors = np.linalg.eig(value)
        real = np.real(vectors[:, np.abs(np.imag(roots)) < 1e-12])
        cosine = float(np.abs(widest @ real).max()) if real.size else np.nan
        angles.append(float(np.arccos(min(cosine, 1.0))))
    return angles


@where_do_gaussians_end_for_general_weights.figure
def shares(findings: Findings, ax: Any) -> None:
    """Draw the share of each outcome under every attention."""
    left = np.zeros(len(KINDS))
    colours = (*shades(len(OUTCOMES) - 1), FAINT)
    for name, colour in zip(OUTCOMES, colours, strict=True):
        part = np.array([findings.found[kind][name] for kind in KINDS]) / findings.found["laws"]
        ax.barh(range(len(KINDS)), part, left=left, color=colour, label=name)
        left += part
    ax.set_yticks(range(len(KINDS)), KINDS)
    found = findings.found
    ax.set(xlabel=rf"share of {found['laws']} random Q, K, V, at $\tau$ = {found['tau']:g}", xlim=(0, 1))
    title = "asked: is the rank at most 1?"
    angles = found["angles to eigenvectors of V"]
    if angles:
        title = (
            f"softmax explosions lie {np.degrees(np.nanmedian(angles)):.2g} degrees (median) off an eigenvector of V"
        )
    ax.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.4, 1.0), title=title, fontsize=10)


#: particles, how often they are drawn, and the variance of their start
SIZES = {"smoke": (16, 64), "standard": (64, 256, 1024), "full": (64, 256, 1024, 4096)}
REPETITIONS, START = {"smoke": 8, "standard": 16, "full": 32}, 0.25


def variance_of(mu: mf.Tokens) -> Any:
    """Return the variance of tokens on the line."""
    points, masses = mu.atoms()
    return masses @ (points[:, 0] - masses @ points[:, 0]) ** 2


@exploration(
    PAPER, "particles", covers=["Q9", "T15"], id="2501.18322/Q9-particles", title="what becomes of particles past t*"
)
def what_becomes_of_particles_behind_the_blow_up(case: Case) -> dict[str, Any]:
    """How do n particles leave the exploding Gaussian, and does sqrt(2 ln n) measure when?

    On the line with v = a = 1 a variance of 1/4 explodes at t* = 2; n tokens never do. A token at sqrt(s) z weighs the
    others by e^{s z u} with standard normal u: among n of them such a mean is one of many terms only while
    s z < sqrt(2 ln n), the freezing point of the random energy model, so that tokens should leave near
    s = c sqrt(2 ln n), c of order 1. Samples have variance 1/4 exactly, so that only the shape is left to chance.
    Reported for each n: the mean variance over the Gaussian's at t = 1, 1.6, 1.8, 1.9; the Gaussian's variance where it
    has become twice that of the particles (mean over draws), and the same over sqrt(2 ln n).
    """
    sizes, draws = case.given("n", SIZES[case.tier]), case.given("draws", REPETITIONS[case.tier])
    start = case.given("variance", START)
    end = 0.5 / start
    case.require("n is at least 2", min(sizes) >= 2)
    most, generator = max(sizes), case.generator("particles")
    points, present = np.zeros((len(sizes) * draws, most, 1)), np.zeros((len(sizes) * draws, most), bool)
    for row in range(len(points)):
        n = sizes[row // draws]
        drawn = generator.normal(size=n)
        points[row, :n, 0] = np.sqrt(start) * (drawn - drawn.mean()) / drawn.std()
        present[row, :n] = True
    clouds = jax.vmap(
        lambda x, here: mf.Tokens(mf.Euclidean(1), x, here / jnp.sum(here), present=here)
    )(points, present)  # fmt: skip
    times = np.concatenate([[0.0], end * (1 - 0.5 ** np.arange(1.0, 7.01, 0.25))])
    moved = mf.flows.ensemble(clouds, mf.SelfAttention(1.0), save=times, record={"variance": variance_of})
    gaussian = start / (1 - times / end)
    part = moved.recorded["variance"].reshape(len(sizes), draws, -1) / gaussian
    found: dict[str, Any] = {"sizes": list(sizes), "draws": draws, "followed": bool(moved.resolved.all())}
    for t in end * np.array([0.5, 0.8, 0.9, 0.95]):
        found[f"variance over the Gaussian's at t = {t:g}"] = [
            float(np.interp(t, times, row.mean(axis=0))) for row in part
        ]
    first = (part < 0.5).argmax(axis=2)
    escaped = np.where((part < 0.5).any(axis=2), gaussian[first], np.nan)
    found["variance at the escape"] = np.nanmean(escaped, axis=1).tolist()
    found["over sqrt(2 ln n)"] = (np.nanmean(escaped, axis=1) / np.sqrt(2 * np.log(sizes))).tolist()
    found["times"], found["mean share"] = times.tolist(), part.mean(axis=1).tolist()
    found["variance of the Gaussian"] = gaussian.tolist()
    return found


@what_becomes_of_particles_behind_the_blow_up.figure
def escapes(findings: Findings, ax: Any) -> None:
    """Draw the share of the Gaussian's variance that particles have, against that variance over sqrt(2 ln n)."""
    found = findings.found
    gaussian = np.array(found["variance of the Gaussian"])
    rows = zip(found["sizes"], found["mean share"], found["over sqrt(2 ln n)"], strict=True)
    for (n, row, escape), colour in zip(rows, shades(len(found["sizes"]), high=0.8), strict=True):
        label = f"n = {n}: half of it at {escape:.2f}"
        ax.plot(gaussian / np.sqrt(2 * np.log(n)), row, color=colour, label=label)
    ax.axhline(1.0, color=THEORY, ls="--", label="the Gaussian, which explodes")
    ax.axhline(0.5, color=MUTED, lw=1)
    ax.set(
        xscale="log", xlabel=r"$s(t)/\sqrt{2\ln n}$, $s$ of the Gaussian", ylabel=r"variance of $n$ particles$\,/\,s$"
    )
    ax.legend()

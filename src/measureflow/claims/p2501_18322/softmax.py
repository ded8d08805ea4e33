"""Softmax attention with V = I: the covariance in closed form, its blow-up and its limits."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2501_18322.instances import D, attracting, follow, spread
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades

#: what is left of the time to the blow-up, in parts of it
LEFT = np.array([1e-4, 1e-5, 1e-6])


def exploding(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw a covariance, and query and key under which it explodes; the last is their form."""
    query, key = attracting(case)
    return spread(case, len(query)), query, key, case.given("beta", 1.0) * query.T @ key


def titled(ax: Any, case: Case) -> None:
    """Say the dimension and the temperature."""
    ax.set_title(
        "d = {}, beta = {:g}, V = I".format(case.instance["d"], case.instance["beta"]), fontsize=11, loc="left"
    )


@claim("2501.18322", "softmax, V = I", covers=["T14"], status="derived", states=theory.covariance_of_gaussian)
def inverse_covariance_falls_linearly(case: Case) -> None:
    """Under softmax attention with V = I the covariance is (S_0^-1 - t (D + D^T))^-1, D = Q^T K, up to its blow-up."""
    cov, query, key, form = exploding(case)
    end, shares = theory.blow_up_time_of_gaussian(cov, form), case.given("shares", (0.1, 0.5, 0.9))
    case.require("the covariance explodes", bool(np.isfinite(end)))
    case.require("all times are before that", min(shares) > 0 and max(shares) < 1)
    times = end * np.array(shares)
    path = follow(case, cov, query, key, times)
    case.require("the flow ran to its end", path.status == "reached")
    predicted = case.predict(times, cov, form)
    size = np.abs(predicted).max(axis=(1, 2), keepdims=True)
    because = "rtol 1e-12 a step, grown tenfold where nine tenths of the way to the blow-up are passed"
    within = 1e-10 * size * max(1.0, 0.0999 / (1.0 - max(shares)))
    case.compare(path.cov, predicted, within=within, because=because, name="covariance")


@inverse_covariance_falls_linearly.figure
def inverse_variances(case: Case, ax: Any) -> None:
    """Draw the inverse covariance along its last axis to vanish, and across it, over the straight lines stated."""
    cov, query, key, form = exploding(case)
    end = theory.blow_up_time_of_gaussian(cov, form)
    times, line = end * np.array(case.instance["shares"]), end * np.array([0.0, 1.0])
    found, start = np.linalg.inv(np.asarray(follow(case, cov, query, key, times).cov)), np.linalg.inv(cov)
    axes = np.linalg.eigh(start - end * (form + form.T))[1]
    for u, colour in zip(axes.T, shades(len(cov)), strict=True):
        ax.plot(times / end, np.einsum("sij,i,j->s", found, u, u), "o", color=colour, ms=8)
        law = [u @ (start - t * (form + form.T)) @ u for t in line]
        ax.plot(line / end, law, "--", color=THEORY, lw=1.3, label="stated" if u is axes.T[-1] else None)
    ax.plot([], [], "o", color=ACCENT[0], ms=8, label="measured")
    ax.axhline(0.0, color=MUTED, lw=0.8)
    ax.set(xlabel="$t/t^*$", ylabel=r"$\langle u, S(t)^{-1} u\rangle$ along the axes $u$ at $t^*$")
    titled(ax, case)
    ax.legend(fontsize=9)


@inverse_covariance_falls_linearly.mutation
def one_of_the_two_forms_lost(times: Any, cov: Any, form: Any) -> Any:
    """D stands alone where D + D^T belongs."""
    return theory.covariance_of_gaussian(times, cov, form / 2)


@inverse_covariance_falls_linearly.mutation
def sign_of_time(times: Any, cov: Any, form: Any) -> Any:
    """The inverse covariance rises: repulsion."""
    inverse = np.linalg.inv(cov) + np.asarray(times)[:, None, None] * (form + form.T)
    return np.linalg.inv(inverse)


@inverse_covariance_falls_linearly.mutation
def equation_of_the_public_summary(times: Any, cov: Any, form: Any) -> Any:
    """The derivative is that of S' = VS + SV^T as printed in a summary: exponential growth without attention."""
    return np.exp(2 * np.asarray(times))[:, None, None] * cov


@claim(
    "2501.18322",
    "blow-up, V = I",
    covers=["T14"],
    status="derived",
    states=theory.blow_up_time_of_gaussian,
    id="2501.18322/T14-blow-up",
)
def covariance_explodes_at_a_known_time(case: Case) -> None:
    """Under softmax attention with V = I the covariance explodes at 1/lambda_max(S_0^1/2 (D + D^T) S_0^1/2)."""
    cov, query, key, form = exploding(case)
    case.require("D + D^T has a positive eigenvalue", bool(np.linalg.eigvalsh(form + form.T)[-1] > 0.1))
    solver = mf.Adaptive(rtol=1e-9, atol=1e-10, pair="dopri8")
    path = follow(case, cov, query, key, np.array([1e3]), solver=solver)
    case.require("it explodes before t = 1000", path.status == "blow-up")
    because = "rtol 1e-9 a step over the steps before the covariance is large"
    end, stated = float(path.times[-1]), case.predict(cov, form)
    case.compare(end, stated, within=1e-7, relative=True, because=because, name="time of the blow-up")


@covariance_explodes_at_a_known_time.figure
def growth_to_the_blow_up(case: Case, ax: Any) -> None:
    """Draw the variances up to the blow-up, with its stated and its measured time."""
    cov, query, key, form = exploding(case)
    end, found = case.predict(cov, form), float(case.curves[0].measured[0])
    times = end * np.linspace(0.02, 0.98, 25)
    roots = np.linalg.eigvalsh(np.asarray(follow(case, cov, query, key, times).cov))
    for values, colour in zip(roots.T, shades(len(cov)), strict=True):
        ax.plot(times, values, "o", color=colour, ms=4)
    ax.axvline(found, color=ACCENT[1], lw=3.0, alpha=0.5, label=f"the flow ended at {found:.8g}")
    ax.axvline(end, color=THEORY, ls="--", lw=1.3, label=f"stated $t^*$ = {end:.8g}")
    ax.set(yscale="log", xlabel="$t$", ylabel="eigenvalues of $S(t)$")
    titled(ax, case)
    ax.legend(fontsize=9)


@covariance_explodes_at_a_known_time.mutation
def factor_two(cov: Any, form: Any) -> float:
    """D stands alone where D + D^T belongs: twice the time."""
    return 2 * theory.blow_up_time_of_gaussian(cov, form)


@covariance_explodes_at_a_known_time.mutation
def product_of_the_largest(cov: Any, form: Any) -> float:
    """The largest eigenvalues of S_0 and of D + D^T are multiplied."""
    return float(1 / (np.linalg.eigvalsh(cov)[-1] * np.linalg.eigvalsh(form + form.T)[-1]))


@claim(
    "2501.18322",
    "limits, V = I and K = -Q",
    covers=["T14"],
    status="derived",
    states=theory.limit_of_gaussian,
    id="2501.18322/T14-limit",
)
def covariance_falls_to_the_kernel_of_the_form(case: Case) -> None:
    """With V = I and K = -Q of size floor(d/2) x d the covariance ends at U (U^T S_0^-1 U)^-1 U^T: rank ceil(d/2)."""
    cov, query, form = falling(case)
    times = np.array([1e9])
    path = follow(case, cov, query, -query, times)
    case.require("the flow ran to its end", path.status == "reached")
    limit = case.predict(cov, form)
    # several rows decay at the rate of the least of them
    least = np.linalg.svd(query, compute_uv=False)[-1] if len(query) > 1 else np.linalg.norm(query)
    reach = 1.0 / float(case.instance["beta"] * least**2)
    because = "the approach is like 1/t: at t = 1e9, S_0^-1 aside, 1/(2 |q|^2 t) in the direction that dies"
    case.compare(path.cov[-1], limit, within=1e-8 * (1.0 + reach), because=because, name="limit of the covariance")
    ranks = [int((np.linalg.eigvalsh(matrix) > 1e-6).sum()) for matrix in (np.asarray(path.cov[-1]), limit)]
    case.compare(ranks[0], ranks[1], within=0.5, because="a rank is a whole number", name="rank")


def falling(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a covariance, a query of half as many rows, and the form of it and of the key K = -Q."""
    d = case.given("d", D)
    rows = case.given("rows", d // 2)
    case.require("the head is smaller than the tokens", 0 < rows < d)
    query = case.generator("query").normal(size=(rows, d))
    return spread(case, d), query, -case.given("beta", 1.0) * query.T @ query


@covariance_falls_to_the_kernel_of_the_form.figure
def fall_to_the_limit(case: Case, ax: Any) -> None:
    """Draw the variances as they fall, and those of the limit."""
    cov, query, form = falling(case)
    times = np.geomspace(0.01, 1e6, 25)
    roots = np.linalg.eigvalsh(np.asarray(follow(case, cov, query, -query, times).cov))
    for values, colour in zip(roots.T, shades(len(cov)), strict=True):
        ax.plot(times, values, "o", color=colour, ms=5)
    ends = np.linalg.eigvalsh(case.predict(cov, form))
    for value in ends[ends > 1e-9]:
        ax.axhline(value, color=THEORY, ls="--", lw=1.3, label="stated limits" if value == ends[-1] else None)
    ax.set(xscale="log", yscale="log", xlabel="$t$", ylabel="eigenvalues of $S(t)$")
    about = (case.instance["d"], case.instance["rows"], case.instance["beta"])
    ax.set_title("d = {}, {} rows of Q, beta = {:g}, V = I, K = -Q".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@covariance_falls_to_the_kernel_of_the_form.mutation
def projection_of_the_covariance(cov: Any, form: Any) -> Any:
    """The covariance is projected on the kernel, instead of its inverse."""
    values, vectors = np.linalg.eigh(form + form.T)
    kernel = vectors[:, values > -1e-9]
    return kernel @ kernel.T @ cov @ kernel @ kernel.T


@covariance_falls_to_the_kernel_of_the_form.mutation
def nothing_remains(cov: Any, form: Any) -> Any:
    """The covariance falls to 0, as for an invertible form."""
    return np.zeros_like(cov)


@claim(
    "2501.18322",
    "blow-up, V = I",
    covers=["T14", "T15"],
    status="derived",
    states=theory.blow_up_profile_of_gaussian,
    id="2501.18322/T14-profile",
)
def covariance_explodes_along_one_line(case: Case) -> None:
    """Under softmax attention with V = I, (t* - t) S(t) tends to w w^T, w = sqrt(t*) S_0^1/2 u, u the top vector."""
    cov, query, key, form = exploding(case)
    end = theory.blow_up_time_of_gaussian(cov, form)
    case.require("the covariance explodes", bool(np.isfinite(end)))
    times = end * (1 - LEFT)
    path = follow(case, cov, query, key, times)
    case.require("the flow ran to its end", path.status == "reached")
    along = case.predict(cov, form)
    left = end - times
    measured = left[:, None, None] * np.asarray(path.cov)
    because = "what stays finite, of the size of S_0 over the gap of the top eigenvalue, is multiplied by t* - t"
    within = (50 * left / end)[:, None, None] * np.abs(cov).max() * max(end, 1.0)
    stated, name = np.outer(along, along), "(t* - t) S"
    case.compare(measured, stated, within=within, because=because, name=name)


@covariance_explodes_along_one_line.figure
def shape_at_the_blow_up(case: Case, ax: Any) -> None:
    """Draw the eigenvalues of (t* - t) S(t), of which the largest alone is to remain."""
    cov, query, key, form = exploding(case)
    end = theory.blow_up_time_of_gaussian(cov, form)
    found = (end * LEFT)[:, None] * np.linalg.eigvalsh(np.asarray(follow(case, cov, query, key, end * (1 - LEFT)).cov))
    for values, colour in zip(found.T, shades(len(cov)), strict=True):
        ax.plot(LEFT, values, "o-", color=colour, ms=8, lw=1.0)
    size = float(np.sum(case.predict(cov, form) ** 2))
    ax.axhline(size, color=THEORY, ls="--", lw=1.3, label=f"stated $|w|^2$ = {size:.4g}")
    ax.set(xscale="log", yscale="log", xlabel="$1 - t/t^*$", ylabel="eigenvalues of $(t^* - t)\\,S(t)$")
    titled(ax, case)
    ax.legend(fontsize=9)


@covariance_explodes_along_one_line.mutation
def top_direction_of_the_form(cov: Any, form: Any) -> Any:
    """The direction is the top eigenvector of D + D^T, whatever S_0 is."""
    top = np.linalg.eigh(form + form.T)[1][:, -1]
    return top * np.linalg.norm(theory.blow_up_profile_of_gaussian(cov, form))


@covariance_explodes_along_one_line.mutation
def size_of_the_inverse(cov: Any, form: Any) -> Any:
    """t* stands for its root."""
    end = theory.blow_up_time_of_gaussian(cov, form)
    return 2 * np.sqrt(end) * theory.blow_up_profile_of_gaussian(cov, form)


@claim(
    "2501.18322",
    "convergence to 0",
    covers=["T14", "5.3"],
    status="derived",
    states=theory.decay_of_gaussian,
    id="2501.18322/T14-decay",
)
def covariance_falls_like_one_over_time(case: Case) -> None:
    """With V = I and D + D^T < 0 (K = -Q invertible) t S(t) tends to -(D + D^T)^-1, whatever the start."""
    cov, query, form = decaying(case)
    times = np.array([1e10, 1e11, 1e12])
    path = follow(case, cov, query, -query, times)
    case.require("the flow ran to its end", path.status == "reached")
    stated = case.predict(form)
    size = float(np.abs(stated).max())
    because = "the start counts S_0^-1 against 2 t Q^T Q, and the solver is at rtol 1e-12"
    within = 20 * size * (size / times[:, None, None] + 1e-9)
    case.compare(times[:, None, None] * np.asarray(path.cov), stated, within=within, because=because, name="t S(t)")


def decaying(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a covariance, an invertible query, and the form of it and of the key K = -Q."""
    d = case.given("d", D)
    query, _ = np.linalg.qr(case.generator("query").normal(size=(d, d)))
    query = query * case.generator("sizes").uniform(0.3, 2.0, d)
    return spread(case, d), query, -case.given("beta", 1.0) * query.T @ query


@covariance_falls_like_one_over_time.figure
def fall_like_one_over_time(case: Case, ax: Any) -> None:
    """Draw the eigenvalues of t S(t) as they come to their limits."""
    cov, query, form = decaying(case)
    times = np.geomspace(0.01, 1e4, 25)
    roots = np.linalg.eigvalsh(np.asarray(follow(case, cov, query, -query, times).cov))
    for values, colour in zip(roots.T, shades(len(cov)), strict=True):
        ax.plot(times, times * values, "o", color=colour, ms=5)
    for value in np.linalg.eigvalsh(case.predict(form)):
        ax.axhline(value, color=THEORY, ls="--", lw=1.3)
    ax.plot([], [], "--", color=THEORY, lw=1.3, label="eigenvalues of $-(D + D^T)^{-1}$")
    ax.set(xscale="log", yscale="log", xlabel="$t$", ylabel="eigenvalues of $t\\,S(t)$")
    titled(ax, case)
    ax.legend(fontsize=9)


@covariance_falls_like_one_over_time.mutation
def one_form_lost(form: Any) -> Any:
    """D stands alone where D + D^T belongs."""
    return 2 * theory.decay_of_gaussian(form)


@covariance_falls_like_one_over_time.mutation
def form_for_its_inverse(form: Any) -> Any:
    """What decays is weighed by the form itself."""
    return -(form + form.T)

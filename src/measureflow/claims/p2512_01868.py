"""Claims of arXiv:2512.01868, the mean-field dynamics of transformers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import MAX_STEPS, N, cloud, masses, normalised, sharp, speeds
from measureflow.fields import Unnormalised
from measureflow.paths.style import ACCENT, MUTED, THEORY


@claim(
    "2512.01868",
    "section 5.6, pair merging",
    covers=["V9"],
    status="erratum",
    states=theory.asymptotic_merge_time,
)
def two_clusters_merge_after_an_exponential_time(case: Case) -> None:
    """The merge time of two clusters is e^(beta (1-u)) / (beta (1-u^2) (a_2/a_1 + a_1/a_2)) as beta grows, and under
    USA e^(-beta u) / (beta (1-u^2)) for any masses."""
    start, share = case.draw("start", 0.58, 0.62), case.draw("smaller mass", 0.1, 0.2)
    beta = case.draw("beta", 180.0, 200.0)
    case.require("the clusters see each other, and have not met", 0 <= start <= 0.8 and 0 < share < 1)
    case.require("beta is large, and the times are numbers", beta * (1 - start**2) > 20 and beta < 300)
    ends = [[1.0, 0.0], [start, np.sqrt(1 - start**2)]]
    instance = {"beta": beta, "start": start, "masses": (share, 1 - share)}
    correction = (2 * start + 2 / beta) / (beta * (1 - start**2))
    because = "the law is asymptotic: its first correction, 2u/(beta (1-u^2)), is at most 1.1e-2 here"
    predicted, found = case.predict(**instance), merged_after(case, beta, start, share)
    case.require("the clusters met", np.isfinite(found))
    within = max(0.028, 2.5 * correction)
    case.compare(found, predicted, within=within, relative=True, because=because, name="merge time under SA")
    # USA in the clock of USA*, e^beta times as long; from 0.9 to consensus takes e^(-0.3 beta) of the whole
    massless = np.arange(N) >= 2  # near the clusters, which they join: they keep the shape that other claims have
    near = normalised(np.column_stack([np.resize(ends, (N, 2)), np.where(massless, 1e-2, 0.0)]))
    tokens = mf.Tokens(mf.Sphere(3), near, np.where(massless, 0.0, np.resize([share, 1 - share], N)))
    field = mf.SelfAttention(beta, weighting=Unnormalised(shifted=True))
    solver = mf.Adaptive(rtol=1e-6, atol=1e-8, max_steps=MAX_STEPS)
    path = case.measure(mf.flow, tokens, field, until=mf.Consensus(1e-6, cap=1e200), save=[0.0], solver=solver)
    case.require("the clusters met under USA", path.status == "reached")
    predicted = np.exp(beta) * case.predict(**instance, model="unnormalised")
    case.compare(float(path.times[-1]), predicted, within=within, relative=True, because=because,
                 name="merge time under USA*")  # fmt: skip


def merged_after(case: Case, beta: float, start: float, share: float) -> float:
    """Return when two clusters have a cosine of 0.9 under SA; infinity where the flow broke off."""
    tokens = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [start, np.sqrt(1 - start**2)]], [share, 1 - share])
    until = mf.Overlap(0, 1, 0.9, cap=1e60)
    path = case.measure(mf.flow, tokens, mf.SelfAttention(beta), until=until, save=[0.0], solver=sharp(1e-9))
    return float(path.times[-1]) if path.status == "reached" else np.inf


@two_clusters_merge_after_an_exponential_time.figure
def exponential_times(case: Case, ax: Any) -> Any:
    """Draw the merge time under SA over beta, and the stated law."""
    start, share = case.instance["start"], case.instance["smaller mass"]
    betas = case.instance["beta"] * np.linspace(0.05, 1.0, 9)
    ax.semilogy(
        betas, [merged_after(case, float(beta), start, share) for beta in betas], "o", color=ACCENT[0], label="measured"
    )
    given = {"start": start, "masses": (share, 1 - share)}
    fine = np.linspace(betas[0], betas[-1], 80)
    ax.semilogy(
        fine,
        [case.predict(beta=float(beta), **given) for beta in fine],
        "--",
        color=THEORY,
        label="stated, as $\\beta$ grows",
    )
    ax.set(
        xlabel=r"$\beta$",
        ylabel="merge time under SA",
        title=f"$u_0 = {start:.3g}$, masses {share:.2f} and {1 - share:.2f}",
    )
    ax.legend()
    return ax


@two_clusters_merge_after_an_exponential_time.mutation
def masses_ignored_as_printed(*, beta: float, start: float, masses: Any, model: str = "softmax") -> float:
    """The printed form: the masses are left out."""
    return theory.asymptotic_merge_time(beta=beta, start=start, model=model)


@two_clusters_merge_after_an_exponential_time.mutation
def fixed_clock_as_printed(*, beta: float, start: float, masses: Any, model: str = "softmax") -> float:
    """The printed clock stands still: the factor 1/beta of the accelerating approach is lost."""
    return beta * theory.asymptotic_merge_time(beta=beta, start=start, masses=masses, model=model)


@two_clusters_merge_after_an_exponential_time.mutation
def chord_in_place_of_its_square(*, beta: float, start: float, masses: Any, model: str = "softmax") -> float:
    """1 - u^2 is lost in the denominator."""
    return (1 - start**2) * theory.asymptotic_merge_time(beta=beta, start=start, masses=masses, model=model)


@two_clusters_merge_after_an_exponential_time.mutation
def mass_factor_of_sa(*, beta: float, start: float, masses: Any, model: str = "softmax") -> float:
    """The factor a_2/a_1 + a_1/a_2 of SA stands under USA too."""
    factor = masses[1] / masses[0] + masses[0] / masses[1] if model == "unnormalised" else 1.0
    return theory.asymptotic_merge_time(beta=beta, start=start, masses=masses, model=model) / factor


@two_clusters_merge_after_an_exponential_time.mutation
def clock_of_usa(*, beta: float, start: float, masses: Any, model: str = "softmax") -> float:
    """The time in the clock of USA*: without the masses' ratios and twice the equal-mass SA time."""
    return 2 * theory.asymptotic_merge_time(beta=beta, start=start)


@claim("2512.01868", "section 5.3", covers=["V28"], status="derived", states=theory.mean_shift_velocity)
def mean_shift_is_attention_with_time_times_beta(case: Case) -> None:
    """The gradient of the log of the Gaussian kernel density, on the sphere, is beta times the SA velocity."""
    n, d = case.given("n", N), case.given("d", 3)
    beta, weights = case.choose("beta", [3.0, 50.0, 1000.0]), masses(case, n)
    case.require("d is at least 2, and beta is positive", d >= 2 and beta > 0)
    angle = min(np.pi, 3.0 / np.sqrt(beta))
    tokens = cloud(case, n=n, d=d, angle=angle, weights=weights)
    measured = beta * speeds(case, mf.SelfAttention(beta), tokens)
    predicted = case.predict(tokens.points, beta=beta, masses=weights)
    because = "rounding of beta |x-y|^2 in the exponent, times beta and the distance of the tokens"
    case.compare(measured, predicted, within=1e-13 * (1 + beta * angle) * max(1.0, beta / 1e3),
                 because=because,
                 name="gradient of the log-density, by coordinates")  # fmt: skip


@mean_shift_is_attention_with_time_times_beta.mutation
def factor_beta_lost(points: Any, *, beta: float, masses: Any) -> Any:
    """The two are identified without the factor beta, as the text may be read."""
    return theory.mean_shift_velocity(points, beta=beta, masses=masses) / beta


@mean_shift_is_attention_with_time_times_beta.mutation
def half_forgotten(points: Any, *, beta: float, masses: Any) -> Any:
    """The kernel is e^(-beta |x-y|^2), without the 1/2."""
    return theory.mean_shift_velocity(points, beta=2 * beta, masses=masses) / 2


@mean_shift_is_attention_with_time_times_beta.mutation
def towards_the_density_minimum(points: Any, *, beta: float, masses: Any) -> Any:
    """The sign is wrong: downhill."""
    return -theory.mean_shift_velocity(points, beta=beta, masses=masses)


#: walkers of a sample
WALKERS = 160_000


class Rest(mf.Field):
    """No drift: what moves is noise."""

    def output(self, x: Any, mu: Any, positions: Any = None) -> Any:
        """Return zero."""
        return jnp.zeros_like(x)


@claim(
    "2512.01868",
    "section 7, Fokker-Planck equation",
    covers=["E8"],
    status="erratum",
    states=theory.cosine_of_brownian_motion,
)
def noise_spreads_tokens(case: Case) -> None:
    """Noise alone takes E<x_t, x_0> down like e^(-(d-1)t/kappa): the law obeys d mu/dt = + Laplacian mu / kappa."""
    kappa, until = case.draw("kappa", 1.5, 3.0), case.draw("t", 0.3, 0.6)
    d = case.given("d", 3)
    case.require("d is at least 2, and time and noise are positive", d >= 2 and kappa > 0 and until > 0)
    start = mf.Tokens(mf.Sphere(d), np.tile(np.eye(d)[-1], (WALKERS, 1)))
    options = {"until": until, "save": [0.0, until], "noise": 1 / kappa}
    solver = mf.Splitting(step=0.05)
    walked = case.measure(mf.flow, start, Rest(), seed=case.seed, solver=solver, **options)
    heights = np.asarray(walked.points)[-1, :, -1]
    predicted = case.predict([until], kappa=kappa, d=d)[0]
    error = float(heights.std() / np.sqrt(WALKERS))
    because = f"eight standard errors of {error:.2g}; the splitting of steps 0.05 errs by 1e-5"
    case.compare([heights.mean()], predicted, within=8 * error, because=because, name="mean cosine with the start",
                 over={"t": [until]})  # fmt: skip


@noise_spreads_tokens.figure
def spreading(case: Case, ax: Any) -> Any:
    """Draw the stated mean cosine with the start along time, and what walkers have at the end."""
    kappa, d, (curve,) = case.instance["kappa"], case.instance["d"], case.curves
    times = np.linspace(0.0, 1.5 * curve.places[0], 80)
    ax.plot(times, case.predict(times, kappa=kappa, d=d), "--", color=THEORY, label=r"stated: $e^{-(d-1)t/\kappa}$")
    printed = laplacian_on_the_left_as_printed(times, kappa=kappa, d=d)
    ax.plot(times, printed, ":", color=MUTED, label="printed: backward heat")
    ax.errorbar(
        curve.places, curve.measured, curve.within, fmt="o", color=ACCENT[0], capsize=4, label=f"{WALKERS:,} walkers"
    )
    ax.set(xlabel="$t$", ylabel=r"$E\langle x_t, x_0\rangle$", title=rf"$d = {d}$, $\kappa = {kappa:.3g}$")
    ax.legend()
    return ax


@noise_spreads_tokens.mutation
def laplacian_on_the_left_as_printed(times: Any, *, kappa: float, d: int) -> Any:
    """The printed equation, with the Laplacian on the side of the time derivative: backward heat."""
    return 1 / theory.cosine_of_brownian_motion(times, kappa=kappa, d=d)


@noise_spreads_tokens.mutation
def noise_without_its_root(times: Any, *, kappa: float, d: int) -> Any:
    """sqrt(2/kappa) dW taken for sqrt(1/kappa) dW: the generator would be half the Laplacian."""
    return theory.cosine_of_brownian_motion(times, kappa=2 * kappa, d=d)


@noise_spreads_tokens.mutation
def laplacian_of_the_space(times: Any, *, kappa: float, d: int) -> Any:
    """d stands for d - 1."""
    return theory.cosine_of_brownian_motion(times, kappa=kappa, d=d + 1)


@claim(
    "2512.01868",
    "section 5, limits of large beta",
    covers=["5.1"],
    status="derived",
    id="2512.01868/backward-heat",
    states={"softmax": lambda f, slope: slope / f, "unnormalised": lambda f, slope: slope},
)
def attention_runs_heat_and_porous_media_backwards(case: Case) -> None:
    """At large beta SA moves a density f at (1/beta) grad log f, and USA at (a_0/beta) grad f: uphill."""
    half, count = case.draw("half the inner beta", 100.0, 140.0), case.given("modes", 3)
    case.require("beta is large for the modes, and e^(2 beta) a number", count >= 1 and 4 * count**2 <= half < 350)
    size = int(np.ceil(512 * max(1.0, np.sqrt(half / 140.0))))  # a fine grid for the kernel
    angles, waves = 2 * np.pi * np.arange(size) / size, np.arange(1, count + 1)
    shares, phases = case.generator("shares").uniform(0.1, 0.25, count), case.generator("phases").uniform(0, 6, count)
    modes = np.outer(waves, angles) + phases[:, None]
    f, slope = 1 + shares @ np.cos(modes), -(shares * waves) @ np.sin(modes)
    case.require("the density is well above 0", bool(f.min() > 0.1))
    tokens = mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1), f / f.sum())
    tangents = np.stack([-np.sin(angles), np.cos(angles)], axis=1)
    for model in ("softmax", "unnormalised"):
        scaled = []
        for beta in (half, 2 * half):
            scale = beta / theory.funk_hecke_coefficients(0, beta=beta, d=2) if model == "unnormalised" else beta
            moved = speeds(case, mf.SelfAttention(beta, weighting=model), tokens)
            scaled.append(scale * (moved * tangents).sum(axis=1))
        limit = 2 * scaled[1] - scaled[0]
        because = (
            "two beta extrapolated to infinity: terms of order (k^2/beta)^2, k = 3; a sum over a fine grid is exact"
        )
        name = {"softmax": "SA: beta times the velocity", "unnormalised": "USA: beta/a_0 times the velocity"}[model]
        within = 0.008 * max(1.0, count / 3) ** 4 * max(1.0, 100.0 / half) ** 2
        stated = getattr(case.statement, model)(f, slope)
        case.compare(limit, stated, within=within, because=because, name=name, over={"angle": angles})


@attention_runs_heat_and_porous_media_backwards.figure
def uphill(case: Case, ax: Any) -> Any:
    """Draw the scaled velocities of both models along the circle, and the stated slopes."""
    for curve, colour in zip(case.curves, ACCENT, strict=False):
        ax.plot(curve.places, curve.measured, color=colour, lw=3, alpha=0.6, label=curve.name)
        ax.plot(curve.places, curve.stated, "--", color=THEORY, lw=1.4)
    ax.plot([], [], "--", color=THEORY, label=r"stated: $\nabla\log f$ and $\nabla f$")
    ax.set(
        xlabel="angle",
        ylabel="scaled velocity",
        title=rf"from $\beta = {case.instance['half the inner beta']:.3g}$ and twice it",
    )
    ax.legend()
    return ax


@attention_runs_heat_and_porous_media_backwards.mutation("softmax")
def heat_runs_forwards(f: Any, slope: Any) -> Any:
    """The sign is wrong: mass would flow downhill."""
    return -slope / f


@attention_runs_heat_and_porous_media_backwards.mutation("softmax")
def normalisation_forgotten(f: Any, slope: Any) -> Any:
    """grad f in place of grad log f."""
    return slope


@attention_runs_heat_and_porous_media_backwards.mutation("unnormalised")
def porous_medium_of_twice_the_rate(f: Any, slope: Any) -> Any:
    """Laplacian of f^2 without the 1/2."""
    return 2 * slope


@attention_runs_heat_and_porous_media_backwards.mutation("unnormalised")
def heat_for_porous_medium(f: Any, slope: Any) -> Any:
    """Linear diffusion: grad log f."""
    return slope / f

"""What the dynamics close on, conserve and raise: Gram matrices, spans, cross-ratios and energies."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, follow, gram, masses, sharp, speeds
from measureflow.paths.style import ACCENT, FAINT, THEORY

EPS = float(np.finfo(float).eps)


@claim("2312.10794", "(2.2), (2.5)", covers=["V1"], status="derived", states=theory.velocity_of_gram)
def gram_matrix_moves_by_itself(case: Case) -> None:
    """The overlaps of tokens move by an equation of their own, whatever the dimension, under SA and USA."""
    n, d = case.given("n", N), case.given("d", 3)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    weights = masses(case, n)
    for model, beta in (
        # a large beta is felt by tokens about beta^(-1/2) apart
        ("softmax", case.choose("beta", [1.5, 40.0, 1000.0])),
        ("unnormalised", case.draw("beta of USA", 0.5, 3.0)),
    ):
        case.require("beta is not negative", beta >= 0)
        angle = min(np.pi, 3.0 / np.sqrt(beta)) if beta > 0 else np.pi
        tokens = cloud(case, d=d, n=n, angle=angle, weights=weights)
        x, v = np.asarray(tokens.points), speeds(case, mf.SelfAttention(beta, weighting=model), tokens)
        moved = v @ x.T + x @ v.T
        predicted = case.predict(gram(x), beta=beta, masses=weights, model=model)
        scale = np.exp(beta) if model == "unnormalised" else 1.0
        because = f"rounding of sums of {n} terms, and of beta rho in the exponent over the spread of the tokens"
        within = 4e-15 * max(n / 8, 1.0) * (1 + beta * angle**2) * scale
        name, over = f"velocity of the overlaps, {model}", {"overlap of the pair": gram(x)}
        case.compare(moved, predicted, within=within, because=because, name=name, over=over)


@gram_matrix_moves_by_itself.mutation
def projection_dropped(gram: Any, *, beta: float, masses: Any, model: str) -> Any:
    """The tangent projection is dropped: the loss term is missing."""
    pulled = attention(gram, beta, masses, model) @ gram
    return pulled + pulled.T


@gram_matrix_moves_by_itself.mutation
def transposed(gram: Any, *, beta: float, masses: Any, model: str) -> Any:
    """The attention matrix acts as its transpose."""
    rows = attention(gram, beta, masses, model)
    pulled, loss = rows.T @ gram, (rows * gram).sum(axis=1)
    return pulled + pulled.T - (loss[:, None] + loss[None, :]) * gram


@gram_matrix_moves_by_itself.mutation
def masses_forgotten(gram: Any, *, beta: float, masses: Any, model: str) -> Any:
    """All tokens pull with equal mass."""
    return theory.velocity_of_gram(gram, beta=beta, model=model)


def attention(gram: np.ndarray, beta: float, masses: np.ndarray, model: str) -> np.ndarray:
    """Return the attention matrix, for the mutations."""
    if model == "unnormalised":
        return masses * np.exp(beta * gram)
    raised = masses * np.exp(beta * (gram - 1.0))
    return raised / raised.sum(axis=1, keepdims=True)


@claim("2312.10794", "(2.2)", covers=["V2"], status="derived", states=theory.span_coordinates)
def tokens_never_leave_their_first_span(case: Case) -> None:
    """More dimensions than tokens change nothing: coordinates in the span of the first tokens move alike."""
    n, d, until = case.given("n", N), case.given("d", 40), case.given("t", 3.0)
    case.require("there are no fewer dimensions than tokens, and two of these", 2 <= n <= d)
    field = mf.SelfAttention(case.draw("beta", 0.5, 6.0))
    tokens = cloud(case, d=d, n=n)
    short = mf.Tokens(mf.Sphere(n), case.predict(tokens.points))
    times = np.linspace(0.0, until, 7)
    whole = follow(case, tokens, field, times, reduce=False)
    because = f"rtol 1e-12 in both runs over t = {until:g}"
    reduced, every = gram(follow(case, short, field, times)), gram(whole)
    name, over = "overlaps of the tokens, moved in their span", {"t": times[:, None, None]}
    case.compare(reduced, every, within=1e-11, because=because, name=name, over=over)
    lifted = follow(case, tokens, field, times)
    case.compare(lifted, whole, within=1e-11, because=because, name="coordinates, lifted back")


@tokens_never_leave_their_first_span.figure
def overlaps_over_time(case: Case, ax: Any) -> None:
    """Draw the overlaps of all pairs over time, moved in all dimensions and in the coordinates of the span."""
    n, d, until, beta = (case.instance[name] for name in ("n", "d", "t", "beta"))
    field, times, tokens = mf.SelfAttention(beta), np.linspace(0.0, until, 7), cloud(case, d=d, n=n)
    whole = gram(follow(case, tokens, field, times, reduce=False))[:, *np.triu_indices(n, 1)]
    short = mf.Tokens(mf.Sphere(n), case.predict(tokens.points))
    reduced = gram(follow(case, short, field, times))[:, *np.triu_indices(n, 1)]
    ax.plot(times, reduced, "--", color=THEORY, lw=1.2)
    ax.plot(times, whole, "o", color=ACCENT[0], ms=4)
    ax.plot([], [], "o", color=ACCENT[0], label=f"in all {d} coordinates")
    ax.plot([], [], "--", color=THEORY, label=f"in {n} coordinates of the span")
    head = rf"$n={n}$, $d={d}$, $\beta={beta:.2f}$"
    ax.set(xlabel="time $t$", ylabel=r"$\langle x_i, x_j\rangle$", title=head)
    ax.legend()


@tokens_never_leave_their_first_span.mutation
def first_coordinates(points: Any) -> Any:
    """The first n coordinates are kept in place of the span."""
    points = np.asarray(points)[:, : len(points)]
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@tokens_never_leave_their_first_span.mutation
def rows_of_r(points: Any) -> Any:
    """The triangular factor is read by rows, not by columns."""
    rows = np.linalg.qr(np.asarray(points).T)[1]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@claim(
    "2312.10794",
    "section 4, beta = 0",
    covers=["V3"],
    status="derived",
    states={"invariant": theory.cross_ratios, "temperature": lambda: 0.0},
)
def cross_ratios_are_conserved_without_temperature(case: Case) -> None:
    """At beta = 0 the flow is Möbius: cross-ratios of 1 - rho keep their values, for any masses."""
    n, d, until = case.given("n", N), case.given("d", 3), case.given("t", 4.0)
    case.require("there are four tokens and more, in two dimensions and more", n >= 4 and d >= 2)
    rtol, times = 1e-12, np.linspace(0.0, until, 9)
    points = without_temperature(case, n, d, case.statement.temperature(), times)
    ratios = case.statement.invariant(points)
    distance = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    nearest = np.min(distance + 9.0 * np.eye(n), axis=(1, 2))
    because, name = "10 rtol, over the smallest distance on which a ratio is built", "cross-ratio over its first value"
    within, over = 10 * rtol / nearest, {"t": times}
    case.compare((ratios / ratios[0]).T, 1.0, within=within, because=because, name=name, over=over)


def without_temperature(case: Case, n: int, d: int, beta: float, times: np.ndarray) -> np.ndarray:
    """Return where a cloud is at some times, of random masses, at beta = 0 or an other one."""
    return follow(case, cloud(case, d=d, n=n, weights=masses(case, n)), mf.SelfAttention(beta), times)


@cross_ratios_are_conserved_without_temperature.figure
def ratios_over_time(case: Case, ax: Any) -> None:
    """Draw some cross-ratios over time at beta = 0, and the same tokens at beta = 1, where they change."""
    n, d, until = (case.instance[name] for name in ("n", "d", "t"))
    times = np.linspace(0.0, until, 9)
    for beta, style, shade in ((1.0, "-", FAINT), (0.0, "o-", ACCENT[0])):
        ratios = case.statement.invariant(without_temperature(case, n, d, beta, times))
        some = np.linspace(0, ratios.shape[1] - 1, 6).astype(int)
        ax.semilogy(times, ratios[:, some], style, color=shade, ms=4, lw=1.2)
        ax.plot([], [], style, color=shade, label=rf"tokens at $\beta={beta:g}$")
    for first in case.statement.invariant(without_temperature(case, n, d, 0.0, times))[0][some]:
        ax.axhline(first, ls="--", color=THEORY, lw=1)
    ax.plot([], [], "--", color=THEORY, label="conserved")
    ax.set(xlabel="time $t$", ylabel="cross-ratios of four tokens", title=rf"random masses, $n={n}$, $d={d}$")
    ax.legend()


def successive(n: int) -> np.ndarray:
    """Return the places of three quadruples of successive tokens, as far as there are so many, for the mutations."""
    return np.add.outer(np.arange(4), np.arange(min(3, n - 3)))


@cross_ratios_are_conserved_without_temperature.mutation("invariant")
def one_token_twice(points: Any) -> Any:
    """The denominator repeats a token: (ik)(jk) in place of (ik)(jl)."""
    gap = 1.0 - gram(points)
    i, j, k, l = successive(gap.shape[-1])
    return gap[..., i, j] * gap[..., k, l] / (gap[..., i, k] * gap[..., j, k])


@cross_ratios_are_conserved_without_temperature.mutation("invariant")
def angles_in_place_of_chords(points: Any) -> Any:
    """Squared angles stand where 1 - rho, the squared chord, belongs."""
    angle = np.arccos(np.clip(gram(points), -1.0, 1.0)) ** 2
    i, j, k, l = successive(angle.shape[-1])
    return angle[..., i, j] * angle[..., k, l] / (angle[..., i, k] * angle[..., j, l])


@cross_ratios_are_conserved_without_temperature.mutation("temperature")
def at_a_small_beta() -> float:
    """Conservation is claimed at beta = 0.01 as well."""
    return 0.01


@claim(
    "2312.10794",
    "section 3, gradient structure",
    covers=["V4"],
    states={"growth": theory.growth_of_energy, "direction": lambda: 1.0},
)
def energy_grows_by_the_weighted_squares_of_the_speeds(case: Case) -> None:
    """dE/dt is the sum of a_i z_i |v_i|^2 (z_i = 1 under USA), so the energy never falls along V = B."""
    n, d, beta = case.given("n", N), case.given("d", 3), case.draw("beta", 0.5, 3.0)
    case.require("there are tokens, in two dimensions and more", n >= 1 and d >= 2)
    case.require("beta is positive", beta > 0)
    weights = masses(case, n)
    tokens, form = cloud(case, d=d, n=n, weights=weights), symmetric(case, d)
    softmax = mf.SelfAttention(beta, query=form, value=form)
    cases = (("softmax", softmax, form), ("unnormalised", mf.SelfAttention(beta, weighting="unnormalised"), None))
    for model, field, matrix in cases:
        growth = np.exp(beta) / (2 * beta) * float(case.measure(rise, field, tokens))
        v = speeds(case, field, tokens)
        predicted = case.statement.growth(tokens.points, v, beta=beta, masses=weights, model=model, form=matrix)
        because, name = "rounding of sums over pairs", f"{model}: growth of the energy"
        case.compare(growth, predicted, within=1e-13, relative=True, because=because, name=name)
        path = energetic(case, tokens, field)
        energy = np.asarray(case.measure(energies, path))
        bound = 8 * EPS * energy.max()
        because = "8 eps E: rounding of the energy itself"
        steps = case.statement.direction() * np.diff(energy)
        name, over = f"{model}: growth along the path", {"t": np.asarray(path.times)[1:]}
        case.at_least(steps, 0.0, within=bound, because=because, name=name, over=over)
        decrease = path.stats["largest_energy_decrease"]
        case.at_most(decrease, 0.0, within=bound, because=because, name=f"{model}: accepted steps")


def symmetric(case: Case, d: int) -> np.ndarray:
    """Draw a symmetric form of norm about 1, not definite."""
    root = case.generator("form").normal(size=(d, d))
    return 0.25 * (root + root.T)


def energetic(case: Case, tokens: mf.Tokens, field: mf.Field) -> mf.Path:
    """Return the path of tokens until t = 2, with its energy."""
    path = case.measure(mf.flow, tokens, field, until=2.0, save=41, solver=sharp(1e-9))
    case.require("the flow ran to its end", path.status in ("reached", "stationary"))
    return path


@energy_grows_by_the_weighted_squares_of_the_speeds.figure
def energy_over_time(case: Case, ax: Any) -> None:
    """Draw the energy along USA, and the tangents that the squares of the speeds give at some times."""
    n, d, beta = (case.instance[name] for name in ("n", "d", "beta"))
    weights, field = masses(case, n), mf.SelfAttention(beta, weighting="unnormalised")
    path = energetic(case, cloud(case, d=d, n=n, weights=weights), field)
    times, energy = np.asarray(path.times), np.asarray(case.measure(energies, path))
    ax.plot(times, energy, "o-", ms=3, lw=1.2, color=ACCENT[0], label="energy $E$ along USA")
    for k in np.linspace(0, len(times) - 1, 7).astype(int)[:-1]:
        now = path[int(k)]
        slope = case.statement.growth(
            now.points, speeds(case, field, now), beta=beta, masses=weights, model="unnormalised", form=None
        )
        # the stated growth is of another scale of E: that of 1/(2 beta) sum a_i a_j e^(beta rho)
        slope *= 2 * beta * np.exp(-beta)
        near = np.array([-1.0, 1.0]) * min(0.1, 0.1 * float(np.ptp(energy)) / max(slope, 1e-12))
        ax.plot(times[k] + near, energy[k] + slope * near, "--", color=THEORY, lw=2.5)
    ax.plot([], [], "--", color=THEORY, label=r"$dE/dt=\sum_i a_i|v_i|^2$")
    ax.set(xlabel="time $t$", ylabel="energy $E$", title=rf"$n={n}$, $d={d}$, $\beta={beta:.2f}$")
    ax.legend()


@eqx.filter_jit
def rise(field: mf.Field, mu: mf.Tokens) -> Any:
    """Return the derivative of the field's reporting energy along its velocity, by automatic differentiation."""
    along = field(mu.points, mu)
    return jax.jvp(lambda points: field.energy(mu.replace(points=points)), (mu.points,), (along,))[1]


def energies(path: mf.Path) -> Any:
    """Return the energy along a path."""
    return path.energy


@energy_grows_by_the_weighted_squares_of_the_speeds.mutation("growth")
def partition_function_lost(points: Any, velocities: Any, *, beta: float, masses: Any, model: str, form: Any) -> float:
    """z_i is taken as 1 under SA too."""
    return theory.growth_of_energy(points, velocities, beta=beta, masses=masses, model="unnormalised", form=form)


@energy_grows_by_the_weighted_squares_of_the_speeds.mutation("growth")
def sum_in_place_of_mean(points: Any, velocities: Any, *, beta: float, masses: Any, model: str, form: Any) -> float:
    """The 1/n in front of the squared speeds is lost."""
    exact = theory.growth_of_energy(points, velocities, beta=beta, masses=masses, model=model, form=form)
    return len(np.asarray(points)) * exact


@energy_grows_by_the_weighted_squares_of_the_speeds.mutation("growth")
def half_forgotten(points: Any, velocities: Any, *, beta: float, masses: Any, model: str, form: Any) -> float:
    """The factor 1/2 of the energy is forgotten: dE/dt comes out twice as large."""
    return 2 * theory.growth_of_energy(points, velocities, beta=beta, masses=masses, model=model, form=form)


@energy_grows_by_the_weighted_squares_of_the_speeds.mutation("direction")
def energy_falls() -> float:
    """The sign of V = -B: the energy falls."""
    return -1.0

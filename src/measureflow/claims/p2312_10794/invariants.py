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

EPS = float(np.finfo(float).eps)


@claim("2312.10794", "(2.2), (2.5)", covers=["V1"], status="derived", states=theory.velocity_of_gram)
def gram_matrix_moves_by_itself(case: Case) -> None:
    """The overlaps of tokens move by an equation of their own, whatever the dimension, under SA and USA."""
    weights = masses(case)
    for model, beta in (
        # a large beta is felt by tokens about beta^(-1/2) apart
        ("softmax", case.choose("beta", [1.5, 40.0, 1000.0])),
        ("unnormalised", case.draw("beta of USA", 0.5, 3.0)),
    ):
        angle = min(np.pi, 3.0 / np.sqrt(beta))
        tokens = cloud(case, angle=angle, weights=weights)
        x, v = np.asarray(tokens.points), speeds(case, mf.SelfAttention(beta, weighting=model), tokens)
        moved = v @ x.T + x @ v.T
        predicted = case.predict(gram(x), beta=beta, masses=weights, model=model)
        scale = np.exp(beta) if model == "unnormalised" else 1.0
        because = "rounding of sums of 8 terms, and of beta rho in the exponent over the spread of the tokens"
        case.compare(moved, predicted, within=4e-15 * (1 + beta * angle**2) * scale, because=because, name=model)


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
    field = mf.SelfAttention(case.draw("beta", 0.5, 6.0))
    tokens = cloud(case, d=40)
    short = mf.Tokens(mf.Sphere(N), case.predict(tokens.points))
    times = np.linspace(0.0, 3.0, 7)
    whole = follow(case, tokens, field, times, reduce=False)
    because = "rtol 1e-12 in both runs over t = 3"
    reduced = gram(follow(case, short, field, times))
    case.compare(reduced, gram(whole), within=1e-11, because=because, name="in the span")
    lifted = follow(case, tokens, field, times)
    case.compare(lifted, whole, within=1e-11, because=because, name="lifted back")


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
    field = mf.SelfAttention(case.statement.temperature())
    tokens = cloud(case, weights=masses(case))
    rtol = 1e-12
    times = np.linspace(0.0, 4.0, 9)
    points = follow(case, tokens, field, times, rtol=rtol)
    ratios = case.statement.invariant(points)
    distance = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    nearest = np.min(distance + 9.0 * np.eye(N), axis=(1, 2))
    because = "10 rtol, over the smallest distance on which a ratio is built"
    case.compare(ratios / ratios[0], 1.0, within=(10 * rtol / nearest)[:, None], because=because)


@cross_ratios_are_conserved_without_temperature.mutation("invariant")
def one_token_twice(points: Any) -> Any:
    """The denominator repeats a token: (ik)(jk) in place of (ik)(jl)."""
    gap = 1.0 - gram(points)
    i, j, k, l = np.array([(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)]).T
    return gap[..., i, j] * gap[..., k, l] / (gap[..., i, k] * gap[..., j, k])


@cross_ratios_are_conserved_without_temperature.mutation("invariant")
def angles_in_place_of_chords(points: Any) -> Any:
    """Squared angles stand where 1 - rho, the squared chord, belongs."""
    angle = np.arccos(np.clip(gram(points), -1.0, 1.0)) ** 2
    i, j, k, l = np.array([(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)]).T
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
    weights, beta = masses(case), case.draw("beta", 0.5, 3.0)
    tokens = cloud(case, weights=weights)
    root = case.generator("form").normal(size=(3, 3))
    form = 0.25 * (root + root.T)  # symmetric, of norm about 1, not definite
    softmax = mf.SelfAttention(beta, query=form, value=form)
    cases = (("softmax", softmax, form), ("unnormalised", mf.SelfAttention(beta, weighting="unnormalised"), None))
    for model, field, matrix in cases:
        growth = np.exp(beta) / (2 * beta) * float(case.measure(rise, field, tokens))
        v = speeds(case, field, tokens)
        predicted = case.statement.growth(tokens.points, v, beta=beta, masses=weights, model=model, form=matrix)
        case.compare(growth, predicted, within=1e-13, relative=True, because="rounding of sums over pairs", name=model)
        path = case.measure(mf.flow, tokens, field, until=2.0, save=41, solver=sharp(1e-9))
        case.require("the flow ran to its end", path.status in ("reached", "stationary"))
        energy = np.asarray(case.measure(energies, path))
        bound = 8 * EPS * energy.max()
        because = "8 eps E: rounding of the energy itself"
        steps = case.statement.direction() * np.diff(energy)
        case.at_least(steps, 0.0, within=bound, because=because, name=f"{model}: along the path")
        decrease = path.stats["largest_energy_decrease"]
        case.at_most(decrease, 0.0, within=bound, because=because, name=f"{model}: accepted steps")


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

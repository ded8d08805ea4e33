"""The energy's books balance in the metric with mobility mu/Z, and velocities are gradients in no other."""

from __future__ import annotations

import itertools
import math
from typing import Any

import equinox as eqx
import jax
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, cloud, speeds
from measureflow.paths.style import ACCENT, MUTED, THEORY

__all__ = ["bounded_form"]

PAPER = "2501.03096"
#: steps between evenly spaced times of a path of length 1 under a form of norm 1.2; a faster one has more, up to MOST
STEPS, MOST = 192, 16
#: the two dynamics: their weightings
DYNAMICS = {"sa": "softmax", "usa": "unnormalised"}


def bounded_form(case: Case, d: int = 3, name: str = "form") -> np.ndarray:
    """Draw a symmetric form of norm at most 1.2."""
    draw = case.generator(name).normal(size=(d, d))
    form = draw + draw.T
    return 1.2 * form / np.linalg.norm(form, 2) * case.generator(f"{name} size").uniform(0.6, 1.0)


def instance(case: Case, *, masses: bool = False) -> tuple[np.ndarray, mf.Tokens]:
    """Draw a form of some size, and tokens, of unequal masses or of equal ones."""
    d, n = case.given("d", 3), case.given("n", N)
    weights = case.generator("masses").dirichlet(np.full(n, 5.0)) if masses else None
    return case.given("kappa", 1.0) * bounded_form(case, d), cloud(case, d=d, n=n, weights=weights)


def pace(D: np.ndarray, until: float) -> int:
    """Return how many times as many steps a path needs as one of length 1 under a form of norm 1.2: |D| e^|D| is the
    size of the slopes of USA."""
    norm = float(np.linalg.norm(D, 2))
    return max(1, math.ceil(until * norm / 1.2 * math.exp(norm - 1.2) - 1e-9))


def followed(tokens: mf.Tokens, D: np.ndarray, weighting: str, until: float) -> list[dict[str, np.ndarray]]:
    """Follow the ascent and the descent, and return what the books of each are made of, from points alone."""
    both = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), tokens)
    field = gradient_fields(np.stack([D, D]), np.stack([D, -D]), weighting)
    # both signs are one program; all times are landed on
    solver = mf.Adaptive(rtol=1e-11, atol=1e-12, pair="dopri8", coarsen=False)
    times = np.linspace(0.0, until, STEPS * pace(D, until) + 1)
    moved = mf.flows.ensemble(both, field, save=times, record={"points": where}, solver=solver, varies=True)
    found = []
    for x, sign in zip(moved.recorded["points"], (1, -1), strict=True):
        kernel = np.exp(x @ D @ x.swapaxes(1, 2)) / x.shape[1]
        Z = kernel.sum(axis=2)
        pulled = kernel @ x @ D * sign / (Z[:, :, None] if weighting == "softmax" else 1.0)
        v = pulled - (pulled * x).sum(axis=2, keepdims=True) * x
        found.append({"energy": 0.5 * Z.mean(axis=1), "Z": Z, "squares": (v * v).sum(axis=2)})
    return found


def where(mu: mf.Tokens) -> Any:
    """Return the points."""
    return mu.points


@eqx.filter_jit
def gradient_fields(forms: Any, values: Any, weighting: str) -> mf.SelfAttention:
    """Return one field for each form and matrix of values."""
    return jax.vmap(lambda D, V: mf.SelfAttention(1.0, query=D, value=V, weighting=weighting))(forms, values)


def with_denominator(Z: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """SA: the metric counts Z |v|^2."""
    return (Z * squares).mean(axis=1)


def without_denominator(Z: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """USA: the metric counts |v|^2."""
    return squares.mean(axis=1)


def simpson(rate: np.ndarray, until: float) -> float:
    """Return the integral over evenly spaced times."""
    h = until / (len(rate) - 1)
    return float(h / 3 * (rate[0] + rate[-1] + 4 * rate[1:-1:2].sum() + 2 * rate[2:-1:2].sum()))


def by_quarters(energy: np.ndarray, rate: np.ndarray, step: int, until: float) -> float:
    """Return the root of the sum of squared errors of the identity over the quarters of the time."""
    ends = np.linspace(0, len(rate) - 1, 5).astype(int)
    parts = [energy[b] - energy[a] - simpson(rate[a : b + 1 : step], until / 4) for a, b in itertools.pairwise(ends)]
    return float(np.linalg.norm(parts))


@claim(
    PAPER,
    "energy-dissipation identities of SA and USA",
    covers=["T2"],
    status="derived",
    states={
        "sa": with_denominator,
        "usa": without_denominator,
        "share": lambda: 1.0,
        "order": lambda: 4.0,
    },
)
def the_energy_falls_or_rises_by_the_squared_speed_in_the_metric(case: Case) -> None:
    """E = 1/2 int int e^(x.Dy) changes by +-int Z |v|^2 under SA and by +-int |v|^2 under USA, for V = +-D."""
    (D, tokens), until = instance(case), case.given("until", 1.0)
    case.require("steps resolve the flow", pace(D, until) <= MOST)
    size = max(1.0, np.exp(2.0 * (np.linalg.norm(D, 2) - 1.2)))  # of the speeds squared
    for name, weighting in DYNAMICS.items():
        for found, sign in zip(case.measure(followed, tokens, D, weighting, until), (1, -1), strict=True):
            rate = getattr(case.statement, name)(found["Z"], found["squares"]) * case.statement.share()
            changed, said = found["energy"][-1] - found["energy"][0], f"{name} with V = {sign:+d} D"
            because = "the flow to 1e-11 and Simpson's rule on 192 steps, extrapolated, to less"
            integral = sign * (16.0 * simpson(rate, until) - simpson(rate[::2], until)) / 15.0
            case.compare(changed, integral, within=1e-10 * size, because=because, name=f"{said}: identity")
            # the error of the whole time may lose its leading term by chance; those of its quarters do not all
            errors = [by_quarters(found["energy"], sign * rate, step, until) for step in (8, 4)]
            because = "the next term of the error on 24 and 48 steps"
            slope = math.log2(errors[0] / errors[1])
            case.compare(slope, case.statement.order(), within=0.1, because=because, name=f"{said}: order")


books = the_energy_falls_or_rises_by_the_squared_speed_in_the_metric


@books.figure
def energies_and_their_books(case: Case, ax: Any) -> None:
    """Draw the energy along the four flows, and what the squared speeds in the metric sum up to."""
    (D, tokens), until = instance(case), case.instance["until"]
    for (name, weighting), colour in zip(DYNAMICS.items(), ACCENT, strict=False):
        for found, sign in zip(case.measure(followed, tokens, D, weighting, until), (1, -1), strict=True):
            rate = sign * getattr(case.statement, name)(found["Z"], found["squares"])
            times = np.linspace(0.0, until, len(rate))
            summed = np.append(0.0, np.cumsum(rate[1:] + rate[:-1])) * 0.5 * times[1]
            ax.plot(times, found["energy"], color=colour, lw=3.5, alpha=0.5, label=name.upper() if sign > 0 else None)
            label = r"$E(0) \pm \int |v|^2$ in the metric" if (name, sign) == ("usa", -1) else None
            ax.plot(times, found["energy"][0] + summed, "--", color=THEORY, lw=1.3, label=label)
    ax.set(xlabel="$t$", ylabel="energy $E$ (rising: V = D, falling: V = -D)")
    about = (case.instance["n"], case.instance["d"], np.linalg.norm(D, 2))
    ax.set_title("n = {}, d = {}, |D| = {:.2g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@books.mutation("sa")
def partition_function_lost(Z: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """SA in the plain Wasserstein metric: Z is missing."""
    return squares.mean(axis=1)


@books.mutation("usa")
def partition_function_in_excess(Z: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """USA in the metric of SA: a Z too many."""
    return (Z * squares).mean(axis=1)


@books.mutation("sa")
def partition_function_inverted(Z: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """The mobility mu/Z in place of its inverse: |v|^2/Z."""
    return (squares / Z).mean(axis=1)


@books.mutation("share")
def energy_without_its_half() -> float:
    """The energy of the released code, without the 1/2, changes twice as fast."""
    return 2.0


@books.mutation("share")
def sign_of_the_change() -> float:
    """The energy rises where it falls."""
    return -1.0


@books.mutation("order")
def trapezoidal_rule() -> float:
    """An integral of order 2 in the step, as plain sums give."""
    return 2.0


@claim(
    PAPER,
    "which velocities are gradients",
    covers=["T3"],
    status="derived",
    states={
        "sa": lambda tokens, field: mf.observe.asymmetry(tokens, field=field, metric="partition"),
        "usa": lambda tokens, field: mf.observe.asymmetry(tokens, field=field),
    },
)
def the_jacobian_is_symmetric_in_the_metric_with_the_partition_function(case: Case) -> None:
    """The Jacobian of the velocities is symmetric under USA, that of Z_i v_i under SA, where that of v_i is not."""
    D, tokens = instance(case, masses=True)
    sign = case.choose("sign", [1, -1])
    case.require("three tokens or more", len(tokens.points) >= 3)
    because = "rounding in matrices of norm 1"
    for name, weighting in DYNAMICS.items():
        field = mf.gradient_attention(D, sign=sign, weighting=weighting)
        found = float(case.measure(getattr(case.statement, name), tokens, field))
        case.compare(found, 0.0, within=1e-12, because=because, name=f"asymmetry, {name.upper()} in its metric")
    bare = float(case.measure(mf.observe.asymmetry, tokens, field=mf.gradient_attention(D, sign=sign)))
    because = "an asymmetry of order 1, which a draw of tokens does not hide"
    case.at_least(bare, 0.01, within=1e-3, because=because, name="SA in the plain metric")
    # at a state of rest v = 0 makes the derivative of Z unseen: only away from it is the claim sharp
    case.require("tokens move", bool(np.linalg.norm(speeds(case, mf.gradient_attention(D), tokens)) > 1e-2))


gradients = the_jacobian_is_symmetric_in_the_metric_with_the_partition_function


@gradients.figure
def asymmetries(case: Case, ax: Any) -> None:
    """Draw how far each Jacobian is from symmetric."""
    sizes = [max(float(curve.measured[0]), 1e-18) for curve in case.curves]
    labels = ("SA, metric with\nmobility $\\mu/Z$", "USA,\nplain metric", "SA,\nplain metric")
    ax.bar(range(len(sizes)), sizes, width=0.55, color=[ACCENT[0], ACCENT[1], MUTED][: len(sizes)])
    ax.axhline(1e-12, color=THEORY, ls="--", lw=1.2, label="a gradient: zero up to rounding")
    ax.set_xticks(range(len(sizes)), labels[: len(sizes)])
    ax.set(yscale="log", ylim=(1e-18, 1e2), ylabel=r"$|J - J^T| / |J|$")
    about = (case.instance["n"], case.instance["d"], case.instance["sign"])
    ax.set_title("n = {}, d = {}, V = {:+d} D".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9, loc="upper left")


@gradients.mutation("sa")
def partition_function_missing(tokens: mf.Tokens, field: Any) -> Any:
    """SA as a gradient flow of the plain Wasserstein metric."""
    return mf.observe.asymmetry(tokens, field=field)


@gradients.mutation("sa")
def partition_function_not_differentiated(tokens: mf.Tokens, field: Any) -> Any:
    """The rows of the velocities' Jacobian times Z: what Z itself changes is dropped."""
    return asymmetry_of_weighed_rows(tokens, field)


def asymmetry_of_weighed_rows(tokens: mf.Tokens, field: Any) -> Any:
    """Return the asymmetry of the velocities' Jacobian whose rows are multiplied by mass and Z."""
    matrix = np.asarray(mf.observe.jacobian(tokens, field=field))
    factors = np.asarray(tokens.weights) * np.asarray(mf.observe.partition(tokens, field=field))
    matrix = np.repeat(factors, len(matrix) // len(factors))[:, None] * matrix
    return np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix)


@gradients.mutation("usa")
def masses_forgotten(tokens: mf.Tokens, field: Any) -> Any:
    """Tokens of unequal masses in the metric of equal ones."""
    matrix = np.asarray(mf.observe.jacobian(tokens, field=field))
    return np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix)


@gradients.mutation("usa")
def metric_of_softmax(tokens: mf.Tokens, field: Any) -> Any:
    """The partition function where there is no denominator."""
    return asymmetry_of_weighed_rows(tokens, field)

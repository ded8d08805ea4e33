"""Attention without residuals contracts: the diameter of its tokens, and the distance of two laws of them."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2312_14820.ascent import ascended, rise_of_contraction
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2007.02876"
N, D = 6, 3


@eqx.filter_jit
def outputs(field: mf.Field, clouds: Any) -> Any:
    """Return what attention makes of many clouds."""

    def one(points: Any) -> Any:
        weights = jax.numpy.full(points.shape[0], 1.0 / points.shape[0])
        mu = mf.Tokens(mf.Euclidean(points.shape[1]), points, weights)
        return field.output(points, mu)

    return jax.vmap(one)(clouds)


def diameters(clouds: Any) -> np.ndarray:
    """Return the largest distance of two tokens of each cloud."""
    clouds = np.asarray(clouds)
    return np.linalg.norm(clouds[:, :, None] - clouds[:, None], axis=-1).max(axis=(1, 2))


def factor(points: np.ndarray, form: np.ndarray) -> tuple[float, float, float]:
    """Return by what two opposite tokens of the line contract, and the oscillation and diameter of their scores."""
    moved = np.asarray(outputs(mf.SelfAttention(1.0, query=form), points[None]))
    oscillation = float(np.ptp(points @ form.T @ points.T, axis=1).max())
    return float(diameters(moved)[0] / diameters(points[None])[0]), oscillation, float(diameters(points[None])[0])


def shrunk(
    seed: int, form: np.ndarray, count: int, raised: int, steps: int, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return diameters, largest oscillations of a row of logits, and by what the diameters shrink: of random clouds,
    and of some after gradient ascent of either ratio."""
    rng, d = np.random.default_rng(seed), len(form)
    clouds = rng.normal(size=(count, n, d)) * np.exp(rng.uniform(-3.0, 2.0, (count, 1, 1)))
    gentle = rng.normal(size=(raised, n, d)) * np.exp(rng.uniform(-3.0, 0.0, (raised, 1, 1)))
    wide = diameters(gentle)[:, None, None]
    tops = [
        ascended(
            lambda x, kind=kind: rise_of_contraction(x, form, kind),
            gentle,
            steps,
            lambda x: x * wide / diameters(x)[:, None, None],
        )
        for kind in (False, True)
    ]
    clouds = np.concatenate([clouds, *tops])
    logits = clouds @ form.T @ np.swapaxes(clouds, 1, 2)
    before, after = diameters(clouds), diameters(theory.gibbs_law(logits, np.ones(n)) @ clouds)
    return before, np.ptp(logits, axis=2).max(axis=1), after / before


@claim(PAPER, "contraction of the diameter", covers=["T18"], status="derived", states=theory.contraction_of_diameter)
def one_step_of_attention_contracts_the_diameter(case: Case) -> None:
    """Pure attention with V = I shrinks the diameter by tanh(omega/2) at least, omega the oscillation of the scores,
    and by tanh(|A| diam^2/4); both are attained by two opposite tokens of the line."""
    # random clouds of all sizes (100,000 in three draws), those raised by gradient ascent, and by how many steps
    sizes = (256, 16, 30) if case.tier == "smoke" else (33_400, 334, 200)
    n, d = case.given("n", N), case.given("d", D)
    case.require("two tokens or more", n >= 2)
    form = case.given("beta", 1.0) * case.generator("form").normal(size=(d, d))
    before, swings, ratio = case.measure(shrunk, case.seed, form, *sizes, n)
    size = float(np.linalg.norm(form, 2))
    first = np.array([case.predict(oscillation=one) for one in swings])
    second = np.array([case.predict(form=size, diameter=one) for one in before])
    because = "rounding of differences, relative to the diameter"
    for name, stated, along in (
        ("by the oscillation", first, {"oscillation of the scores": swings}),
        ("by the diameter", second, {"diameter": before}),
    ):
        case.at_most(ratio, stated, within=1e-12, because=because, name=f"contraction {name}", over=along)
        gentle = (ratio / stated)[stated < 0.9]  # where omega is large both sides are 1
        case.instance[f"largest ratio, {name}, where the bound is below 0.9"] = float(gentle.max(initial=0.0))
    x, root = case.draw("x", 0.3, 1.0), case.draw("root", 0.5, 1.0)
    measured, swing, wide = case.measure(factor, np.array([[x], [-x]]), np.array([[root]]))
    case.compare(measured, case.predict(oscillation=swing), within=1e-13, because="rounding", name="attained")
    case.compare(measured, case.predict(form=root, diameter=wide), within=1e-13, because="rounding", name="attained")


@one_step_of_attention_contracts_the_diameter.figure
def contraction_against_the_oscillation(case: Case, ax: Any) -> None:
    """Draw by what every cloud contracts against the oscillation of its scores, below the bound."""
    curve, x, root = case.curves[0], case.instance["x"], case.instance["root"]
    measured, swing, _ = case.measure(factor, np.array([[x], [-x]]), np.array([[root]]))
    shown = curve.places > 1e-3
    line = np.geomspace(max(curve.places[shown].min(), 1e-3), 50.0, 200)
    ax.plot(
        curve.places[shown], curve.measured[shown], "o", color=MUTED, ms=3.5, alpha=0.7, label="clouds, some raised"
    )
    ax.plot(line, [case.predict(oscillation=float(one)) for one in line], "--", color=THEORY,
            label=r"bound $\tanh(\omega/2)$")  # fmt: skip
    ax.plot([swing], [measured], "o", color=ACCENT[0], ms=9, label="two opposite tokens of the line")
    ax.set(
        xscale="log", yscale="log", xlabel=r"oscillation $\omega$ of the scores", ylabel="diameter after over before"
    )
    ax.set_xlim(right=50.0)
    ax.set_title("n = {}, d = {}, V = I".format(case.instance["n"], case.instance["d"]), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@one_step_of_attention_contracts_the_diameter.mutation
def constant_of_dobrushin(*, oscillation: float | None = None, form: float = 0.0, diameter: float = 0.0) -> float:
    """Dobrushin's 1 - e^-omega, which holds and is not sharp."""
    swing = 0.5 * form * diameter**2 if oscillation is None else oscillation
    return float(-np.expm1(-swing))


@one_step_of_attention_contracts_the_diameter.mutation
def half_of_the_oscillation(*, oscillation: float | None = None, form: float = 0.0, diameter: float = 0.0) -> float:
    """tanh(omega/4): the log-ratio of two rows oscillates by omega, not 2 omega."""
    swing = 0.5 * form * diameter**2 if oscillation is None else oscillation
    return float(np.tanh(swing / 4.0))


def distances(form: float, value: float, points: np.ndarray, shift: float, steps: int) -> np.ndarray:
    """Return W_1 of two laws on the line along iterations of attention without residuals, and the last size."""
    field = mf.SelfAttention(1.0, query=form, value=value)
    clouds, found = np.stack([points, points + shift])[..., None], []
    for _ in range(steps):
        found.append(np.abs(np.diff(np.sort(clouds[..., 0], axis=1), axis=0)).mean())
        clouds = np.asarray(outputs(field, clouds))
    return np.array([*found, np.abs(clouds).max()])


@claim(PAPER, "weight-shared attention", covers=["4.2"], status="derived", id=f"{PAPER}/shared",
       states=lambda a, v, radius: theory.lipschitz_of_measures(form=a, value=v, radius=radius))  # fmt: skip
def attention_that_shares_its_weights_forgets_its_input(case: Case) -> None:
    """Where |V|(1+3|A|R^2)e^(2|A|R^2) < 1, iterated attention without residuals contracts the distance W_1 of any two
    laws of the ball by that factor at every step, and all tokens end at the origin."""
    form, value, shift = case.draw("form", 0.25, 0.35), case.draw("value", 0.2, 0.25), case.given("shift", 0.02)
    n, steps = case.given("n", 8), case.given("steps", 12)
    case.require("both laws are in the unit ball", abs(shift) <= 0.03)
    points = case.generator("points").choice([-0.97, 0.97], n, p=[0.5, 0.5])
    points = points * np.where(np.arange(n) < n - 2, 1.0, case.generator("inside").uniform(-1.0, 1.0, n))
    stated = case.predict(form, value, 1.0)
    case.require("the factor is below 1", theory.lipschitz_of_measures(form=form, value=value, radius=1.0) < 1)
    found = case.measure(distances, form, value, points, shift, steps)
    # what is nearer than that is rounding
    seen = int((found[:-1] > 1e-10).sum())
    case.require("two steps are seen", seen >= 3)
    because, over = "rounding beside distances of 1e-9", {"step": np.arange(1, seen)}
    factors = found[1:seen] / found[: seen - 1]
    case.at_most(factors, stated, within=1e-4, because=because, name="factor of W_1 at a step", over=over)
    case.at_most(found[-1], stated**steps, within=1e-9, because="rounding", name="largest token at the end")


@attention_that_shares_its_weights_forgets_its_input.figure
def distance_along_the_steps(case: Case, ax: Any) -> None:
    """Draw the distance of the two laws at every step, in that of the start, below the powers of the factor."""
    curve = case.curves[0]
    steps = np.append(0.0, curve.places)
    ax.plot(steps, np.append(1.0, np.cumprod(curve.measured)), "o", color=ACCENT[0], ms=7, label="measured")
    ax.plot(steps, float(curve.stated[0]) ** steps, "--", color=THEORY, label=f"bound {curve.stated[0]:.3g}$^k$")
    ax.set(yscale="log", xlabel="step $k$", ylabel="$W_1$ of the two laws, in that of the start")
    form, value, n = (case.instance[name] for name in ("form", "value", "n"))
    ax.set_title(f"A = {form:.3g}, V = {value:.3g}, n = {n}, no residual", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@attention_that_shares_its_weights_forgets_its_input.mutation
def weights_held(form: float, value: float, radius: float) -> float:
    """The weights are held: a mean contracts by |V|."""
    return value


@attention_that_shares_its_weights_forgets_its_input.mutation
def half_of_the_value(form: float, value: float, radius: float) -> float:
    """The factor is |V|/2."""
    return 0.5 * value

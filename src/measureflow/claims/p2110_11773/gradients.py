"""Which attention flows are Wasserstein gradient flows: of which functional, and how their Jacobians show it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import masses
from measureflow.paths.style import ACCENT, MUTED, THEORY

N, D = 6, 2


def tokens_of(case: Case, weights: Any = None) -> mf.Tokens:
    """Draw tokens in the plane, or in a space of another dimension."""
    n, d = case.given("n", N), case.given("d", D)
    return mf.Tokens(mf.Euclidean(d), case.generator("tokens").normal(size=(n, d)), weights)


def symmetric(case: Case) -> np.ndarray:
    """Draw a symmetric form, of either sign, with eigenvalues of size kappa/2 to kappa."""
    generator, d, kappa = case.generator("form"), case.given("d", D), case.given("kappa", 1.0)
    axes, _ = np.linalg.qr(generator.normal(size=(d, d)))
    return kappa * (axes * generator.uniform(0.5, 1.0, d) * generator.choice([-1.0, 1.0], d)) @ axes.T


def attention(weighting: str, form: np.ndarray, value: np.ndarray) -> mf.SelfAttention:
    """Return the field of a form and a value matrix at beta = 1."""
    return mf.SelfAttention(np.asarray(1.0), query=form, key=np.eye(len(form)), value=value, weighting=weighting)


@eqx.filter_jit
def jacobian(field: mf.SelfAttention, mu: mf.Tokens, weighed: bool) -> jax.Array:
    """Return the Jacobian of all velocities, of `weighed` ones those times the partition function of their token."""

    def motion(points: jax.Array) -> jax.Array:
        velocity = field(points, mu.replace(points=points))
        if not weighed:
            return velocity.ravel()
        logits = field.kernel.logits(points, points)
        return ((jnp.exp(logits) @ mu.weights)[:, None] * velocity).ravel()

    return jax.jacfwd(motion)(mu.points).reshape(mu.points.size, mu.points.size)


def asymmetry(matrix: Any) -> float:
    """Return the norm of J - J^T in that of J."""
    matrix = np.asarray(matrix)
    return float(np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix))


#: name of a motion: weighting, and whether it is multiplied by the partition function
MOTIONS = {
    "k^0": ("unnormalised", False),
    "k^1": ("softmax", False),
    "Z k^1": ("softmax", True),
    "k^inf": ("sinkhorn", False),
}


@claim(
    "2110.11773",
    "which flows are gradient flows",
    covers=["T3"],
    status="theorem",
    states=lambda: {"k^0": True, "k^1": False, "Z k^1": True, "k^inf": True},
)
def only_the_jacobian_of_softmax_is_not_symmetric(case: Case) -> None:
    """With a symmetric form and V = -form the velocities are a gradient for k^0, k^inf and Z k^1, and not for k^1.

    What is looked at is the Jacobian of all velocities in all tokens, Z differentiated too. With a form that is not
    symmetric, or a V that is no multiple of it, doubly stochastic attention is no gradient either.
    """
    mu, form = tokens_of(case), symmetric(case)
    d, kappa = len(form), case.instance["kappa"]
    case.require("two dimensions and three tokens, or more", d >= 2 and len(mu.points) >= 3)
    case.require("all eigenvalues of the form count", bool(np.abs(np.linalg.eigvalsh(form)).min() > 0.1 * kappa))
    stated = case.predict()
    found = {}
    for name, (weighting, weighed) in MOTIONS.items():
        found[name] = asymmetry(case.measure(jacobian, attention(weighting, form, -form), mu, weighed))
    turned = form.copy()
    turned[:2, :2] += kappa * np.array([[0.0, 0.7], [-0.7, 0.0]])
    for name, (left, right) in {"form": (turned, -turned), "value": (form, np.diag(np.resize([1.0, -2.0], d)))}.items():
        found[name] = asymmetry(case.measure(jacobian, attention("sinkhorn", left, right), mu, False))
    case.require("Sinkhorn's iteration comes to its tolerance", bool(np.isfinite(list(found.values())).all()))
    because = "rounding, and the tolerance 1e-12 of the iteration divided by its contraction"
    large = "an asymmetry is a part of the Jacobian itself; it depends on the draw"
    for name, is_gradient in (stated | {"form": False, "value": False}).items():
        if is_gradient:
            case.at_most(found[name], 0.0, within=1e-8, because=because, name=f"asymmetry, {name}")
        else:
            case.at_least(found[name], 0.01, within=9e-4, because=large, name=f"asymmetry, {name}")


@only_the_jacobian_of_softmax_is_not_symmetric.figure
def asymmetries(case: Case, ax: Any) -> None:
    """Draw how far each Jacobian is from symmetric."""
    labels = {
        "k^0": "$k^0$:\nno norm.",
        "k^1": "$k^1$:\nsoftmax",
        "Z k^1": "$Z k^1$",
        "k^inf": "$k^\\infty$:\nSinkhorn",
        "form": "Sinkhorn,\nform turned",
        "value": "Sinkhorn,\nother $V$",
    }
    for place, curve in enumerate(case.curves):
        colour = ACCENT[1] if curve.sense == "at most" else MUTED
        ax.bar(place, max(float(curve.measured[0]), 1e-18), width=0.6, color=colour)
    ax.axhline(1e-8, color=THEORY, ls="--", lw=1.2, label="a gradient: below, up to rounding")
    ax.set_xticks(range(len(case.curves)), [labels[curve.name.removeprefix("asymmetry, ")] for curve in case.curves])
    ax.tick_params(axis="x", labelsize=9)
    ax.set(yscale="log", ylim=(1e-18, 1e3), ylabel=r"$|J - J^T| / |J|$")
    about = (case.instance["n"], case.instance["d"], case.instance["kappa"])
    ax.set_title("n = {}, d = {}, kappa = {:g}, V = -D".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9, loc="upper left")


@only_the_jacobian_of_softmax_is_not_symmetric.mutation
def softmax_is_a_gradient() -> dict[str, bool]:
    """Softmax attention is taken for a Wasserstein gradient flow."""
    return {"k^0": True, "k^1": True, "Z k^1": True, "k^inf": True}


@only_the_jacobian_of_softmax_is_not_symmetric.mutation
def sinkhorn_is_none() -> dict[str, bool]:
    """Doubly stochastic attention is taken for none."""
    return {"k^0": True, "k^1": False, "Z k^1": True, "k^inf": False}


@only_the_jacobian_of_softmax_is_not_symmetric.mutation
def mobility_does_not_help() -> dict[str, bool]:
    """The metric weighted by Z is taken for no cure."""
    return {"k^0": True, "k^1": False, "Z k^1": False, "k^inf": True}


def balanced_by_hand(logits: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return the potential f of a symmetric matrix of logits, in plain NumPy: alternating, then the mean of both."""
    f, g = np.zeros(len(a)), np.zeros(len(a))
    for _ in range(2000):
        f = -np.log(np.exp(logits + g) @ a)
        new = -np.log(np.exp(logits.T + f) @ a)
        if np.abs(new - g).max() < 1e-15:
            break
        g = new
    return 0.5 * (f + g)


def minus_mean_potential(logits: np.ndarray, a: np.ndarray) -> float:
    """Return F = -1/2 int int k log(k/e^c) = -int f."""
    return -float(a @ balanced_by_hand(logits, a))


@claim(
    "2110.11773",
    "the functional of doubly stochastic attention",
    covers=["2.2"],
    status="theorem",
    states=minus_mean_potential,
    id="2110.11773/2.2-functional",
)
def doubly_stochastic_attention_descends_its_functional(case: Case) -> None:
    """With V = -form the velocity of a token is minus the gradient of F = -1/2 int int k log(k/e^c), by its mass.

    F is computed here from alternating scalings in NumPy, its gradient by central differences.
    """
    a, form, h = masses(case, case.given("n", N)), symmetric(case), 1e-4
    mu = tokens_of(case, a)
    velocity = np.asarray(case.measure(velocities, attention("sinkhorn", form, -form), mu))
    x = np.asarray(mu.points)

    def functional(points: np.ndarray) -> float:
        return case.predict(points @ form @ points.T, a)

    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        shift = np.zeros_like(x)
        shift[index] = h
        near, far = (functional(x + s * shift) - functional(x - s * shift) for s in (1, 2))
        gradient[index] = (8 * near - far) / (12 * h)
    because = "differences of fourth order with a step of 1e-4: rounding of F divided by the step"
    # F is of the size of the form, and rounded as such
    within = 1e-9 * max(1.0, case.instance["kappa"]) ** 4 * max(1.0, len(a) / N)
    case.compare(velocity, -gradient / a[:, None], within=within, because=because, name="velocities")


@doubly_stochastic_attention_descends_its_functional.figure
def velocities_against_slopes(case: Case, ax: Any) -> None:
    """Draw the velocities against the slopes of the functional."""
    (curve,) = case.curves
    line = np.array([curve.stated.min(), curve.stated.max()])
    ax.plot(line, line, "--", color=THEORY, label="stated: equal")
    ax.plot(curve.stated, curve.measured, "o", color=ACCENT[0], ms=7, label="coordinates of all tokens")
    ax.set(xlabel=r"$-\nabla_i F / a_i$, by differences", ylabel="velocity under Sinkhorn attention")
    about = (case.instance["n"], case.instance["d"], case.instance["kappa"])
    ax.set_title("n = {}, d = {}, kappa = {:g}, V = -D".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


velocities = eqx.filter_jit(lambda field, mu: field(mu.points, mu))


@doubly_stochastic_attention_descends_its_functional.mutation
def half_lost(logits: np.ndarray, a: np.ndarray) -> float:
    """The factor 1/2 is lost."""
    return 2 * minus_mean_potential(logits, a)


@doubly_stochastic_attention_descends_its_functional.mutation
def entropy_of_the_weights(logits: np.ndarray, a: np.ndarray) -> float:
    """The entropy of k alone is taken, not relative to e^c."""
    f = balanced_by_hand(logits, a)
    k = np.exp(logits + f + f[:, None])
    return -0.5 * float(a @ (k * np.log(k)) @ a)


@doubly_stochastic_attention_descends_its_functional.mutation
def functional_without_normalisation(logits: np.ndarray, a: np.ndarray) -> float:
    """The functional 1/2 int int e^c of unnormalised attention."""
    return 0.5 * float(a @ np.exp(logits) @ a)

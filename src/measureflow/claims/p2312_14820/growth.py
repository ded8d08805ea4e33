"""One token against all others: growth like the square root of their number, and its end."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2312.14820"


def stretch(points: np.ndarray, form: np.ndarray, value: np.ndarray) -> float:
    """Return the exact constant of one cloud."""
    return float(np.linalg.norm(theory.jacobian_of_attention(points, form=form, value=value), 2))


@claim(
    PAPER,
    "lower bound",
    covers=["T16", "4.3"],
    status="derived",
    states=theory.lipschitz_of_adversarial_tokens,
    id=f"{PAPER}/growth",
)
def constant_grows_like_the_root_of_n_and_then_no_longer(case: Case) -> None:
    """At adversarial tokens the constant is at least |Vu| sqrt(n-1) p (1 + 2 gamma R^2 (1-p)), and at most a few
    percent more where n is large: it grows up to n of about e^(2 gamma R^2) and is smaller again at 16 times that."""
    sign, radius, form, value = instance(case)
    exponent = 2.0 * radius**2 * (-sign if sign < 0 else 0.125 * sign)
    case.require("the constant grows first, and so many tokens fit", 1.5 < exponent < 5.2)
    counts = [3, 7, int(np.exp(exponent)), int(12 * np.exp(exponent))]
    exact = []
    for n in counts:
        points = theory.adversarial_tokens(n, form=form, radius=radius)
        exact.append(case.measure(stretch, points, form, value))
    lower = np.array([case.predict(n, form=form, value=value, radius=radius) for n in counts])
    because, over = "rounding of singular values", {"n": counts}
    case.at_least(exact, lower, within=1e-9, because=because, name="lower bound", over=over)
    excess = "directions other than u of all tokens, and the first token's own share, of relative order 1/n"
    if sign < 0:
        case.compare(exact[-2:], lower[-2:], within=0.2, relative=True, because=excess, name="sharp for many tokens")
    case.at_least(exact[2], exact[3], within=1e-9, because="the constant falls again", name="saturation")
    tokens = mf.Tokens(mf.Euclidean(2), theory.adversarial_tokens(7, form=form, radius=radius))
    measured = case.measure(mf.observe.lipschitz, tokens, mf.SelfAttention(1.0, query=form, value=value))
    case.compare(measured, exact[1], within=1e-7, relative=True, because="rtol 1e-8 of Lanczos", name="observed")


def instance(case: Case) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Draw the sign of the largest eigenvalue, or take that itself, a radius, a form and a value."""
    sign = case.choose("sign of the eigenvalue", [-1.0, 1.0])
    radius = case.draw("radius", 1.05, 1.25) * (1.0 if sign < 0 else np.sqrt(8.0))
    turn = case.draw("turn", 0.0, 3.0)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return sign, radius, axes @ np.diag([sign, 0.05 * sign]) @ axes.T, case.draw("value", 0.5, 2.0) * axes


@constant_grows_like_the_root_of_n_and_then_no_longer.figure
def constant_against_the_number_of_tokens(case: Case, ax: Any) -> None:
    """Draw the constant against the number of adversarial tokens, over its lower bound."""
    (sign, radius, form, value), most = instance(case), int(case.curves[0].places.max())
    counts = np.unique(np.geomspace(2, most, 16).astype(int))
    exact = [
        case.measure(stretch, theory.adversarial_tokens(int(n), form=form, radius=radius), form, value) for n in counts
    ]
    lower = [case.predict(int(n), form=form, value=value, radius=radius) for n in counts]
    ax.plot(counts, exact, "o", color=ACCENT[0], ms=6, label="exact")
    ax.plot(counts, lower, "--", color=THEORY, label="lower bound, as stated")
    ax.plot(counts, exact[0] * np.sqrt(counts / counts[0]), ":", color=MUTED, label=r"$\sqrt{n}$")
    end = float(np.exp(2.0 * radius**2 * (-sign if sign < 0 else 0.125 * sign)))
    ax.axvline(end, color=THEORY, lw=0.8, ls=":", label=r"$n = e^{2\gamma R^2}$")
    ax.set(xscale="log", yscale="log", xlabel="tokens $n$", ylabel="Lipschitz constant at the tokens")
    ax.set_title(f"largest eigenvalue {sign:+g}, R = {radius:.3g}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@constant_grows_like_the_root_of_n_and_then_no_longer.mutation
def it_grows_for_ever(n: int, *, form: Any, value: Any, radius: float) -> float:
    """Every token keeps its weight on the first: sqrt(n-1) without an end."""
    roots, axes = np.linalg.eigh(form)
    direction = axes[:, np.abs(roots).argmax()]
    return float(np.linalg.norm(value @ direction) * np.sqrt(n - 1) * (1.0 + radius**2))


@constant_grows_like_the_root_of_n_and_then_no_longer.mutation
def gamma_doubled(n: int, *, form: Any, value: Any, radius: float) -> float:
    """The exponent is 4 gamma R^2: the distance of the two groups is counted twice."""
    return theory.lipschitz_of_adversarial_tokens(n, form=2.0 * np.asarray(form), value=value, radius=radius)

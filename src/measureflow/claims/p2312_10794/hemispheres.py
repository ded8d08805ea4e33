"""Tokens in one hemisphere: how likely it is, and how slowly they may collapse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N, speeds
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: independent clouds of one count, and how many of them are looked at by their hulls too
CLOUDS, SOLVED = 80_000, 400


def by_hulls(points: np.ndarray) -> np.ndarray:
    """Return which clouds lie in an open hemisphere: those whose convex hull is away from the centre."""
    return np.array([mf.observe.distance_to_hull(np.zeros(cloud.shape[1]), cloud)[0] > 1e-9 for cloud in points])


def uniform_clouds(d: int, n: int, seed: int, count: int = CLOUDS) -> np.ndarray:
    """Return independent clouds of the library's uniform law, all of one dimension from as many tokens."""
    most = max(2 * d, n)
    tokens = mf.uniform(mf.Sphere(d), count * most, seed=seed)
    return np.asarray(tokens.points).reshape(count, most, d)[:, :n]


def by_planes(points: np.ndarray) -> np.ndarray:
    """Return which clouds lie in an open hemisphere: then some plane through d - 1 of them has the rest on one side."""
    n, d = points.shape[1:]
    if n < d:
        return np.ones(len(points), bool)
    found = np.zeros(len(points), bool)
    for on in itertools.combinations(range(n), d - 1):
        if d == 2:
            normal = points[:, on[0]] @ np.array([[0.0, 1.0], [-1.0, 0.0]])
        elif d == 3:
            normal = np.cross(points[:, on[0]], points[:, on[1]])
        else:
            minors = [np.linalg.det(np.delete(points[:, on], k, axis=2)) for k in range(d)]
            normal = np.stack(minors, axis=1) * (-1.0) ** np.arange(d)
        sides = np.einsum("cnd,cd->cn", np.delete(points, on, axis=1), normal)
        found |= (sides > 0).all(axis=1) | (sides < 0).all(axis=1)
    return found


@claim(
    "2312.10794",
    "Theorem 6.7 (Wendel)",
    covers=["V22", "Thm 6.7"],
    states=lambda n, d: theory.chance_of_a_common_hemisphere(n, d=d),
)
def common_hemisphere_has_the_chance_of_wendel(case: Case) -> None:
    """n independent uniform tokens lie in an open hemisphere with chance 2^-(n-1) sum_(k<d) binom(n-1, k)."""
    d = case.choose("d", [2, 3])
    n = case.draw("n", 2 * d - 1, 2 * d, integer=True)
    count = case.given("clouds", CLOUDS)
    case.require("there are tokens in two dimensions or more, and many clouds", n >= 1 and d >= 2 and count >= 100)
    clouds = case.measure(uniform_clouds, d, n, case.seed, count)
    found = case.measure(by_planes, clouds)
    differ = case.measure(by_hulls, clouds[:SOLVED]) != found[:SOLVED]
    case.compare(differ.sum(), 0, within=0.05, because="a number of clouds", name="hulls that hold the centre")
    because = f"six standard errors of a coin over {count:,} clouds"
    name = "share of clouds in an open hemisphere"
    case.compare(found.mean(), case.predict(n, d), within=3 / np.sqrt(count), because=because, name=name)


@common_hemisphere_has_the_chance_of_wendel.figure
def chance_over_number(case: Case, ax: Any) -> None:
    """Draw the share of the clouds that lie in a hemisphere, by their first tokens, over Wendel's chance."""
    d, n, count = case.instance["d"], case.instance["n"], case.instance["clouds"]
    numbers = range(1, max(2 * d, n) + 1)
    clouds = case.measure(uniform_clouds, d, numbers[-1], case.seed, count)
    found = [case.measure(by_planes, clouds[:, :k]).mean() for k in numbers]
    ax.plot(numbers, [case.predict(k, d) for k in numbers], "--", color=THEORY, label="Wendel")
    ax.plot(numbers, found, "o", color=ACCENT[0], label=f"{count:,} clouds")
    ax.set(xlabel="tokens $n$", ylabel="share in an open hemisphere", title=f"$d={d}$", ylim=(0, 1.05))
    ax.legend()


@common_hemisphere_has_the_chance_of_wendel.mutation
def one_token_too_many(n: int, d: int) -> float:
    """n stands where n - 1 belongs."""
    return theory.chance_of_a_common_hemisphere(n + 1, d=d)


@common_hemisphere_has_the_chance_of_wendel.mutation
def last_term_included(n: int, d: int) -> float:
    """The sum runs to k = d."""
    return theory.chance_of_a_common_hemisphere(n, d=d + 1)


@common_hemisphere_has_the_chance_of_wendel.mutation
def a_given_hemisphere(n: int, d: int) -> float:
    """All tokens on one side of a plane that was there before them, or on the other."""
    return 2.0 ** -(n - 1)


@claim(
    "2312.10794",
    "(6.8), proof of Lemma 6.4",
    covers=["E10"],
    status="erratum",
    states=theory.hemisphere_rate,
)
def slowest_collapse_in_a_hemisphere_has_twice_the_exponent(case: Case) -> None:
    """Once <x_i, x*> >= 1/2 it grows at least at the rate 1/(2n e^(2 beta)) under SA, and may grow slower than
    1/(2n e^beta); under USA at the rate 1/(2n e^beta), which for some Q and K is right up to a factor of 2n."""
    n, beta = case.given("n", N), case.draw("beta", 9.0, 14.0)
    case.require("there are tokens on both sides", n >= 2)
    angles = np.pi / 3 * np.where(np.arange(n) < n // 2, 1.0, -1.0)
    frame, _ = np.linalg.qr(case.generator("frame").normal(size=(3, 3)))
    points = np.stack([np.cos(angles), np.sin(angles), np.zeros(n)], axis=1) @ frame
    tokens = mf.Tokens(mf.Sphere(3), points)
    # each token is taken to the opposite of the others: they attend to one another the least that they can
    query = -frame.T @ np.diag([1.0, -1.0, 1.0]) @ frame
    fields = {
        "softmax": mf.SelfAttention(beta),
        "unnormalised": mf.SelfAttention(beta, weighting="unnormalised", query=query, key=np.eye(3)),
    }
    because = "rounding of an exponential of beta"
    for model, field in fields.items():
        growth = speeds(case, field, tokens) @ frame[0]
        rate = float(growth.min() / (1 - np.cos(np.pi / 3)))
        bound = np.log(case.predict(n, beta=beta, model=model))
        case.at_least(np.log(rate), bound, within=0.02, because=because, name=f"log of the rate, {model}")
    top = bound + np.log(2 * n)
    case.at_most(np.log(rate), top, within=0.02, because=because, name="attained up to a factor of 2n under USA")


@slowest_collapse_in_a_hemisphere_has_twice_the_exponent.figure
def rates_and_bounds(case: Case, ax: Any) -> None:
    """Draw the measured rates of both models at this beta, and the bounds over beta: stated, and as printed."""
    n, beta = case.instance["n"], case.instance["beta"]
    betas = np.linspace(0.5 * beta, 1.3 * beta, 50)
    for model, said, shade in (("softmax", "SA", ACCENT[0]), ("unnormalised", "USA", ACCENT[1])):
        bound = np.log([case.predict(n, beta=float(b), model=model) for b in betas])
        ax.plot(betas, bound, "--", color=THEORY if said == "SA" else MUTED, label=f"stated, {said}: at least")
        rate = next(one.measured for one in case.comparisons if one.name == f"log of the rate, {model}")
        ax.plot([beta], [rate], "o" if said == "SA" else "s", color=shade, ms=9, label=f"tokens, {said}")
    ax.set(xlabel=r"$\beta$", ylabel="logarithm of the rate", title=f"$n={n}$")
    ax.legend()


@slowest_collapse_in_a_hemisphere_has_twice_the_exponent.mutation
def exponent_as_printed(n: int, *, beta: float, norm: float = 1.0, model: str) -> float:
    """The printed (6.8): e^beta where e^(2 beta) belongs."""
    return theory.hemisphere_rate(n, beta=beta if model == "unnormalised" else beta / 2)


@slowest_collapse_in_a_hemisphere_has_twice_the_exponent.mutation
def exponent_of_sa(n: int, *, beta: float, norm: float = 1.0, model: str) -> float:
    """The exponent of SA for USA as well."""
    return theory.hemisphere_rate(n, beta=beta)


@slowest_collapse_in_a_hemisphere_has_twice_the_exponent.mutation
def local_rate(n: int, *, beta: float, norm: float = 1.0, model: str) -> float:
    """The rate near consensus is given from the start on."""
    return theory.rate_at_consensus(beta=beta, model=model)

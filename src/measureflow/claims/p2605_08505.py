"""Claims of arXiv:2605.08505, scaling limits of long-context transformers: independent keys before one query."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import normalised
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: contexts by dimension: the law is off by O(n^(-2/(d-1))) for n keys, and 8 standard errors are allowed
CONTEXTS = {2: 8000, 3: 1200}


def uniform_keys(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Draw independent uniform keys."""
    return normalised(np.random.default_rng(seed).normal(size=shape))


@eqx.filter_jit
def participations(field: mf.SelfAttention, keys: Any) -> Any:
    """Return the sum of squared weights of attention from one fixed query on each context of keys."""

    def one(points: Any) -> Any:
        query = jnp.zeros((1, points.shape[1])).at[0, 0].set(1.0)
        return jnp.sum(field.weights(query, mf.Tokens(mf.Sphere(points.shape[1]), points)) ** 2)

    return jax.lax.map(one, keys, batch_size=200)


@claim(
    "2605.08505",
    "critical regime",
    covers=["5.4"],
    status="derived",
    id="2605.08505/nearest-keys",
    states={"beta": theory.critical_beta_of_nearest_key, "participation": theory.participation_of_keys},
)
def finitely_many_nearest_keys_share_the_weight(case: Case) -> None:
    """At beta of order n^(2/(d-1)) the weights of n independent uniform keys follow a Poisson process."""
    d = case.choose("d", [2, 3])
    scale = case.draw("beta / beta_n", 0.1, 0.2) * (2.0 if d == 2 else 1.0)
    n, repetitions = case.given("n", 200 if d == 2 else 2000), CONTEXTS.get(d, CONTEXTS[3])
    case.require("d is at least 2, and there are many keys", d >= 2 and 50 <= n <= 20_000)
    case.require("beta is of the critical scale", 0.02 < scale < 5)
    keys = case.measure(uniform_keys, case.seed, (repetitions, n, d))
    field = mf.SelfAttention(scale * case.statement.beta(n=n, d=d))
    found = np.asarray(case.measure(participations, field, keys))
    error = float(found.std() / np.sqrt(repetitions))
    because = f"eight standard errors of {error:.2g} and a bias of order n^(-2/(d-1))"
    within = 8 * error + 0.3 * max(1, d - 2) ** 2 * scale * n ** (-2 / (d - 1))
    case.compare([found.mean()], case.statement.participation(scale, d=d), within=within, because=because,
                 name="mean of the sum of squared weights", over={"beta over beta_n": [scale]})  # fmt: skip


@finitely_many_nearest_keys_share_the_weight.figure
def shared_weight(case: Case, ax: Any) -> Any:
    """Draw the stated participation over beta, and what contexts of keys have."""
    d, n, (curve,) = case.instance["d"], case.instance["n"], case.curves
    scales = curve.places[0] * np.geomspace(0.1, 10.0, 50)
    stated = [case.statement.participation(float(scale), d=d) for scale in scales]
    ax.semilogx(scales, stated, "--", color=THEORY, label="stated, as $n$ grows")
    ax.errorbar(
        curve.places, curve.measured, curve.within, fmt="o", color=ACCENT[0], capsize=4, label="mean over contexts"
    )
    ax.set(xlabel=r"$\beta/\beta_n$", ylabel=r"mean of $\sum_j A_j^2$", title=f"$n = {n}$, $d = {d}$")
    ax.legend()
    return ax


@finitely_many_nearest_keys_share_the_weight.mutation("beta")
def scale_of_the_distance(*, n: float, d: int) -> float:
    """n^(1/(d-1)): the distance of the nearest key, not its square, is set against 1/beta."""
    return float(np.sqrt(theory.critical_beta_of_nearest_key(n=n, d=d)))


@finitely_many_nearest_keys_share_the_weight.mutation("beta")
def dimension_of_the_space(*, n: float, d: int) -> float:
    """n^(2/d): the dimension of the space in place of the sphere's."""
    return theory.critical_beta_of_nearest_key(n=n, d=d) * n ** (2 / d - 2 / (d - 1))


@finitely_many_nearest_keys_share_the_weight.mutation("participation")
def sphere_of_one_dimension_more(scale: float, *, d: int) -> float:
    """(s/scale)^(d/2) keys within s: the dimension of the space in the Poisson process."""
    return theory.participation_of_keys(scale, d=d + 1)


@eqx.filter_jit
def heights(field: mf.SelfAttention, keys: Any) -> Any:
    """Return the height, along one fixed query, of what it takes from each context of keys."""

    def one(points: Any) -> Any:
        query = jnp.zeros((1, points.shape[1])).at[0, 0].set(1.0)
        return field.output(query, mf.Tokens(mf.Sphere(points.shape[1]), points))[0, 0]

    return jax.lax.map(one, keys, batch_size=200)


def of_contexts(seen: Any, field: mf.SelfAttention, seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Return what is seen of independent contexts, drawn here: their seed is remembered in their place."""
    return np.asarray(seen(field, uniform_keys(seed, shape)))


@claim(
    "2605.08505",
    "subcritical and supercritical regimes",
    covers=["5.4"],
    status="derived",
    id="2605.08505/regimes",
    states={
        "beta": theory.critical_beta_of_nearest_key,
        "depth": lambda beta: 1 / beta,
        "others": lambda scale: 1 / scale,
    },
)
def a_query_takes_a_local_average_or_its_nearest_key(case: Case) -> None:
    """On S^2, far below beta_n of order n, a query takes the mean of the keys about it, of height 1 - 1/beta; far above
    it takes its nearest key, and all others have the weight beta_n/beta in the mean of 1 - sum A^2.

    Derived here: below, the mean of uniform keys under e^(beta (cos - 1)) is Langevin's coth(beta) - 1/beta, as of heat
    for the time 1/(2 beta); above, two keys of a Poisson process have logits within 1 at the chance beta_n/beta.
    """
    n, repetitions = case.given("n", 1000), 1200
    case.require("there are many keys", 200 <= n <= 20_000)
    beta, scale = case.draw("beta", 8.0, 14.0), case.draw("beta / beta_n", 20.0, 30.0)
    case.require("beta is far below the critical scale", beta < 0.05 * theory.critical_beta_of_nearest_key(n=n, d=3))
    case.require("and its mean is local", beta >= 4)
    case.require("the other is far above it", scale >= 5)
    shape = (repetitions, n, 3)
    depth = 1 - case.measure(of_contexts, heights, mf.SelfAttention(beta), case.seed, shape)
    error = float(depth.std() / np.sqrt(repetitions))
    stated = case.statement.depth(beta)
    because = f"six standard errors of {error:.2g}, and 1/n for the keys that there are"
    within = 6 * error + 2.5 / n
    case.compare([depth.mean()], stated, within=within, because=because, name="below: depth of the mean",
                 over={"beta": [beta]})  # fmt: skip
    field = mf.SelfAttention(scale * case.statement.beta(n=n, d=3))
    shared = 1 - case.measure(of_contexts, participations, field, case.seed, shape)
    stated = case.statement.others(scale)
    error = float(shared.std() / np.sqrt(repetitions))
    because = f"six standard errors of {error:.2g}, and three keys at once"
    case.compare([shared.mean()], stated, within=6 * error + scale**-2, because=because, name="above: weight of others",
                 over={"beta": [float(field.beta)]})  # fmt: skip


@a_query_takes_a_local_average_or_its_nearest_key.figure
def two_regimes(case: Case, ax: Any) -> Any:
    """Draw what is stated below and above the critical scale over beta, and what contexts have."""
    n, (below, above) = case.instance["n"], case.curves
    critical = case.statement.beta(n=n, d=3)
    low, high = np.geomspace(below.places[0] / 2, 0.05 * critical, 40), above.places[0] * np.geomspace(0.25, 2.0, 40)
    ax.loglog(low, case.statement.depth(low), "--", color=THEORY, label="stated")
    ax.loglog(high, case.statement.others(high / critical), "--", color=THEORY)
    for curve, colour in zip((below, above), ACCENT, strict=False):
        ax.loglog(curve.places, curve.measured, "o", color=colour, ms=8, label=curve.name)
    ax.axvline(critical, color=MUTED, lw=1, ls=":", label=r"$\beta_n$")
    ax.set(xlabel=r"$\beta$", ylabel="depth below, weight of others above", title=f"$n = {n}$, $d = 3$")
    ax.legend(fontsize=10)
    return ax


@a_query_takes_a_local_average_or_its_nearest_key.mutation("beta")
def distance_for_its_square(*, n: float, d: int) -> float:
    """n^(1/(d-1)): the nearest key would take all at the root of the scale."""
    return float(np.sqrt(theory.critical_beta_of_nearest_key(n=n, d=d)))


@a_query_takes_a_local_average_or_its_nearest_key.mutation("depth")
def heat_for_twice_the_time(beta: float) -> float:
    """Heat for the time 1/beta."""
    return 2 / beta


@a_query_takes_a_local_average_or_its_nearest_key.mutation("depth")
def the_query_itself(beta: float) -> float:
    """The output is the query: a key stands there."""
    return 0.0


@a_query_takes_a_local_average_or_its_nearest_key.mutation("others")
def shared_at_any_scale(scale: float) -> float:
    """Finitely many keys share the weight, as at the critical scale."""
    return 1 - theory.participation_of_keys(1.0, d=3)

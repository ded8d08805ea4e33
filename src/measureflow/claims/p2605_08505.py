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

#: keys and repetitions by dimension: the law is off by O(n^(-2/(d-1))), and 8 standard errors are allowed
KEYS = {2: (200, 8000), 3: (2000, 1200)}


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
    n, repetitions = KEYS[d]
    keys = case.measure(uniform_keys, case.seed, (repetitions, n, d))
    field = mf.SelfAttention(scale * case.statement.beta(n=n, d=d))
    found = np.asarray(case.measure(participations, field, keys))
    error = float(found.std() / np.sqrt(repetitions))
    because = f"eight standard errors of {error:.2g} and a bias of order n^(-2/(d-1))"
    within = 8 * error + 0.3 * scale * n ** (-2 / (d - 1))
    case.compare(found.mean(), case.statement.participation(scale, d=d), within=within, because=because)


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

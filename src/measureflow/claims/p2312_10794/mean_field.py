"""Densities and many tokens: the exact solution without temperature, and how near tokens are to their mean field."""

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
from measureflow.measures import wasserstein_on_circle

TIMES = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
ANGLES = 2 * np.pi * np.arange(1024) / 1024


@claim(
    "2312.10794",
    "section 7, Kuramoto model",
    covers=["V14"],
    status="derived",
    states=theory.order_parameter_of_poisson_density,
)
def poisson_kernels_keep_their_form_without_temperature(case: Case) -> None:
    """At beta = 0 on the circle the order parameter of a Poisson kernel obeys R' = R(1-R^2)/2, as do its tokens."""
    start = case.draw("R(0)", 0.25, 0.35)
    density = poisson(start)
    field = mf.SelfAttention(0.0, sum=mf.sums.Harmonic(degree=4))
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, coarsen=False, max_steps=5000)
    options = {"until": TIMES[-1], "save": TIMES, "solver": solver}
    moved = case.measure(mf.flow, density, field, **options)
    case.require("the density was resolved to the end", moved.status == "reached")
    predicted = case.predict(TIMES, start=start)
    measured = np.abs((np.asarray(moved.values) * np.exp(1j * ANGLES)).mean(axis=1))
    case.compare(measured, predicted, within=1e-6, because="solver rtol 1e-8 over t = 4", name="density")
    count = 2_000 if case.tier == "smoke" else 20_000
    tokens = case.measure(quantiles, density, count)
    path = case.measure(mf.flow, tokens, field, **options)
    measured = np.linalg.norm(np.asarray(path.points).mean(axis=1), axis=1)
    because = f"a grid of {count:,} quantiles, spread by up to e^4 near the antipode, and solver rtol 1e-8"
    case.compare(measured, predicted, within=1e-5, because=because, name="tokens")


def poisson(start: float) -> mf.Density:
    """Return the Poisson kernel whose mean has length `start`."""
    values = (1 - start**2) / (1 - 2 * start * np.cos(ANGLES) + start**2)
    return mf.Density(mf.Sphere(2), values)


def quantiles(density: mf.Density, n: int) -> mf.Tokens:
    """Return the grid of quantiles: no chance in it."""
    return density.quantiles(n)


@poisson_kernels_keep_their_form_without_temperature.mutation
def clock_doubled(times: Any, *, start: float) -> Any:
    """R' = R(1-R^2), without the 1/2: the rate at which finitely many tokens close."""
    return theory.order_parameter_of_poisson_density(2 * np.asarray(times), start=start)


@poisson_kernels_keep_their_form_without_temperature.mutation
def one_mode_alone(times: Any, *, start: float) -> Any:
    """R' = R/2: the linear growth of the first mode, without what the others take."""
    return start * np.exp(0.5 * np.asarray(times))


@poisson_kernels_keep_their_form_without_temperature.mutation
def two_tokens(times: Any, *, start: float) -> Any:
    """R' = (1-R^2)/2: as two tokens close."""
    return np.tanh(np.arctanh(start) + 0.5 * np.asarray(times))


#: replicas, and how many tokens each has
REPLICAS, COUNTS = 1024, (32, 512)


@claim(
    "2312.10794",
    "section 4, mean-field limit",
    covers=["V30"],
    status="theorem",
    tier="standard",
    states=theory.mean_field_exponent,
)
def tokens_come_near_their_mean_field_like_the_root_of_their_number(case: Case) -> None:
    """On the circle n independent tokens stay within n^(-1/2) of the density that moves by the continuity equation."""
    beta, until = case.draw("beta", 0.5, 1.5), case.draw("t", 0.5, 1.0)
    mean = case.draw("R(0)", 0.1, 0.3)
    start = poisson(mean)
    field = mf.SelfAttention(beta, sum=mf.sums.Harmonic(degree=14))
    moved = case.measure(mf.flow, start, field, until=until, save=2, keep="last")
    case.require("the density was resolved to the end", moved.status == "reached")
    limit = moved[-1].quantiles(512)
    drawn = case.measure(drawn_from_poisson, mean, case.key)
    gaps = [float(case.measure(mean_gap, drawn, jnp.asarray(n), field, limit, until)) for n in COUNTS]
    slope = np.log(gaps[1] / gaps[0]) / np.log(COUNTS[1] / COUNTS[0])
    # W_1 varies by 0.4 of its mean from replica to replica
    error = 0.4 * np.sqrt(2 / REPLICAS) / np.log(COUNTS[1] / COUNTS[0])
    because = f"six standard errors of the mean over {REPLICAS} replicas, {error:.3f} each"
    case.compare(slope, case.predict(d=2), within=6 * error, because=because)


@eqx.filter_jit
def drawn_from_poisson(mean: Any, key: Any) -> Any:
    """Return independent tokens of the Poisson kernel, of every replica: a uniform angle under a Möbius map."""
    uniform = jax.random.uniform(key, (REPLICAS, max(COUNTS)), minval=-jnp.pi, maxval=jnp.pi)
    angle = 2 * jnp.arctan((1 - mean) / (1 + mean) * jnp.tan(uniform / 2))
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)


@eqx.filter_jit
def mean_gap(drawn: Any, n: Any, field: mf.SelfAttention, limit: mf.Tokens, until: Any) -> Any:
    """Return the mean distance W_1 of the first n moved tokens of a replica from the moved density."""
    present = jnp.arange(drawn.shape[1]) < jnp.asarray(n)
    solver = mf.Adaptive(rtol=1e-5, atol=1e-7, coarsen=False)

    def gap(points: Any) -> Any:
        tokens = mf.Tokens(mf.Sphere(2), points, present=present)
        path = mf.flow(tokens, field, until=until, save=2, keep="last", solver=solver)
        return wasserstein_on_circle(path[-1], limit)

    return jnp.mean(jax.lax.map(gap, drawn, batch_size=64))


@tokens_come_near_their_mean_field_like_the_root_of_their_number.mutation
def as_a_grid(*, d: int) -> float:
    """1/n, the rate of a grid of quantiles: the tokens' independence forgotten."""
    return -1.0


@tokens_come_near_their_mean_field_like_the_root_of_their_number.mutation
def no_limit(*, d: int) -> float:
    """No rate: tokens that do not come near a density."""
    return 0.0

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
from measureflow.paths.style import ACCENT, THEORY

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
    start, until = case.draw("R(0)", 0.25, 0.35), case.given("t", 4.0)
    case.require("R(0) lies between 0 and 1", 0 < start < 1)
    n = case.given("n", 2_000 if case.tier == "smoke" else 20_000)
    times, density, tokens = order_parameters(case, start, until, n)
    predicted = case.predict(times, start=start)
    because, name = f"solver rtol 1e-8 over t = {until:g}", "order parameter, density"
    case.compare(density, predicted, within=1e-6, because=because, name=name, over={"t": times})
    spread = f"spread by up to e^{until:g} near the antipode"
    because, name = f"a grid of {n:,} quantiles, {spread}, and solver rtol 1e-8", "order parameter, tokens"
    case.compare(tokens, predicted, within=1e-5, because=because, name=name, over={"t": times})


def order_parameters(case: Case, start: float, until: float, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times and the order parameters of a moved Poisson kernel and of its n quantiles."""
    times, density = np.linspace(0.0, until, 5), poisson(start)
    field = mf.SelfAttention(0.0, sum=mf.sums.Harmonic(degree=4))
    solver = mf.Adaptive(rtol=1e-8, atol=1e-10, coarsen=False, max_steps=5000)
    options = {"until": times[-1], "save": times, "solver": solver}
    moved = case.measure(mf.flow, density, field, **options)
    case.require("the density was resolved to the end", moved.status == "reached")
    path = case.measure(mf.flow, case.measure(quantiles, density, n), field, **options)
    of_density = np.abs((np.asarray(moved.values) * np.exp(1j * ANGLES)).mean(axis=1))
    return times, of_density, np.linalg.norm(np.asarray(path.points).mean(axis=1), axis=1)


@poisson_kernels_keep_their_form_without_temperature.figure
def order_over_time(case: Case, ax: Any) -> None:
    """Draw the order parameter of density and tokens over the solution."""
    start, until, n = (case.instance[name] for name in ("R(0)", "t", "n"))
    times, density, tokens = order_parameters(case, start, until, n)
    fine = np.linspace(0.0, until, 200)
    ax.plot(fine, case.predict(fine, start=start), "--", color=THEORY, label="$R'=R(1-R^2)/2$")
    ax.plot(times, density, "s", color=ACCENT[1], ms=9, mfc="none", mew=1.6, label="density")
    ax.plot(times, tokens, "o", color=ACCENT[0], ms=5, label=f"{n:,} tokens")
    ax.set(xlabel="time $t$", ylabel="order parameter $R$", title=rf"$\beta=0$, $R(0)={start:.2f}$")
    ax.legend()


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
    mean, counts = case.draw("R(0)", 0.1, 0.3), case.given("n", COUNTS)
    replicas = case.given("replicas", REPLICAS)
    case.require("R(0) lies between 0 and 1", 0 < mean < 1)
    case.require("there are two numbers of tokens, of 2 and more", len(set(counts)) == len(counts) == 2 <= min(counts))
    gaps = gaps_to_the_limit(case, beta, until, mean, counts, replicas)
    slope = np.log(gaps[1] / gaps[0]) / np.log(counts[1] / counts[0])
    # W_1 varies by 0.4 of its mean from replica to replica
    error = 0.4 * np.sqrt(2 / replicas) / abs(np.log(counts[1] / counts[0]))
    because = f"six standard errors of the mean over {replicas} replicas, {error:.3f} each"
    case.compare(slope, case.predict(d=2), within=6 * error, because=because, name="exponent of the distance in n")


def gaps_to_the_limit(
    case: Case, beta: float, until: float, mean: float, counts: tuple[int, ...], replicas: int
) -> list[float]:
    """Return the mean distances W_1 of so many moved tokens of a Poisson kernel from the moved density."""
    field = mf.SelfAttention(beta, sum=mf.sums.Harmonic(degree=14))
    moved = case.measure(mf.flow, poisson(mean), field, until=until, save=2, keep="last")
    case.require("the density was resolved to the end", moved.status == "reached")
    limit = moved[-1].quantiles(512)
    drawn = case.measure(drawn_from_poisson, mean, case.key, replicas, max(counts))
    return [float(case.measure(mean_gap, drawn, jnp.asarray(n), field, limit, until)) for n in counts]


@tokens_come_near_their_mean_field_like_the_root_of_their_number.figure
def distance_over_number(case: Case, ax: Any) -> None:
    """Draw the mean distance over the number of tokens, and the stated power through the first."""
    beta, until, mean, counts, replicas = (case.instance[name] for name in ("beta", "t", "R(0)", "n", "replicas"))
    gaps = gaps_to_the_limit(case, beta, until, mean, counts, replicas)
    fine = np.geomspace(min(counts), max(counts), 50)
    power = case.predict(d=2)
    ax.loglog(fine, gaps[0] * (fine / counts[0]) ** power, "--", color=THEORY, label=rf"$n^{{{power:g}}}$")
    ax.loglog(counts, gaps, "o", color=ACCENT[0], ms=8, label=f"mean of {replicas:,} replicas")
    head = rf"$\beta={beta:.2f}$, $t={until:.2f}$, $R(0)={mean:.2f}$"
    ax.set_xticks(counts, [f"{n:g}" for n in counts], minor=False)
    ax.set_xticks([], minor=True)
    ax.set(xlabel="tokens $n$", ylabel="distance $W_1$ from the mean field", title=head)
    ax.legend()


@eqx.filter_jit
def drawn_from_poisson(mean: Any, key: Any, replicas: int, n: int) -> Any:
    """Return independent tokens of the Poisson kernel, of every replica: a uniform angle under a Möbius map."""
    uniform = jax.random.uniform(key, (replicas, n), minval=-jnp.pi, maxval=jnp.pi)
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

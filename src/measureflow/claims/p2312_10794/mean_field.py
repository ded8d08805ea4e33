"""Densities and many tokens: the exact solution without temperature, and how near tokens are to their mean field."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim

TIMES = np.array([0.0, 1.0, 2.0, 3.0])
ANGLES = 2 * np.pi * np.arange(512) / 512


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
    case.compare(measured, predicted, within=1e-6, because="solver rtol 1e-8 over t = 3", name="density")
    tokens = case.measure(quantiles, density, 2000)
    path = case.measure(mf.flow, tokens, field, **options)
    measured = np.linalg.norm(np.asarray(path.points).mean(axis=1), axis=1)
    because = "a grid of 2,000 quantiles, spread by up to e^3 near the antipode, and solver rtol 1e-8"
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

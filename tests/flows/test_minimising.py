"""Minimising movements: the energy falls at every step, and small steps follow the flow."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf

FORM = np.array([[1.0, 0.4, 0.0], [0.4, 0.5, -0.3], [0.0, -0.3, -1.2]])
FIELD = mf.SelfAttention(1.0, query=FORM, value=-FORM)
MASSES = np.array([1.0, 2.0, 1.0, 1.0, 3.0, 0.0]) / 8


def start() -> mf.Tokens:
    points = np.random.default_rng(3).normal(size=(6, 3))
    return mf.Tokens(mf.Sphere(3), points / np.linalg.norm(points, axis=1, keepdims=True), MASSES)


def test_small_steps_follow_the_softmax_flow_at_first_order():
    solver = mf.Adaptive(rtol=1e-10, atol=1e-11, coarsen=False)
    limit = np.asarray(mf.flow(start(), FIELD, until=1.0, save=[0.0, 1.0], solver=solver).points[-1])
    errors = []
    for step in (0.2, 0.1, 0.05):
        path = mf.minimising_movements(start(), FORM, step=step, until=1.0)
        gap = np.asarray(path.points[-1]) - limit
        errors.append(np.sqrt(MASSES @ (gap**2).sum(axis=1)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 1.0, atol=0.1)
    assert errors[-1] < 0.02


@pytest.mark.parametrize("step", [0.05, 1.0, 50.0])
def test_energy_falls_at_every_step_however_large(step):
    path = mf.minimising_movements(start(), FORM, step=step, until=5 * step, states=4)
    assert (np.diff(path.energy) < 0).all()
    assert path.stats["least_decrease"] > 0
    assert path.stats["residual"] < 1e-6
    np.testing.assert_allclose(np.linalg.norm(path.points, axis=-1), 1.0, atol=1e-14)


def test_a_step_is_short_in_the_metric_and_the_distance_agrees():
    step = 0.1
    path = mf.minimising_movements(start(), FORM, step=step, until=2 * step, states=9)
    moved = [path[k].replace(points=path.points[k][:5], weights=path.weights[k][:5]) for k in (0, 1)]
    moved = [mf.Tokens(mf.Sphere(3), mu.points, mu.weights) for mu in moved]
    distance = mf.wasserstein_m(*moved, FORM, times=9).distance
    energies = 0.5 * np.e * np.asarray(path.energy)  # E of a reporting energy with beta 1
    # E(nu) + W_m^2/(2 tau) is not more than E of the start
    assert energies[1] + distance**2 / (2 * step) < energies[0]
    # and half of what is lost is that, in the limit of small steps
    assert distance**2 / (2 * step) == pytest.approx(0.5 * (energies[0] - energies[1]), rel=0.1)


def test_massless_tokens_stay_and_a_rest_is_kept():
    path = mf.minimising_movements(start(), FORM, step=0.5, until=1.0)
    np.testing.assert_array_equal(path.points[-1][5], start().points[5])
    axis = mf.Tokens(mf.Sphere(3), np.eye(3)[[0, 0]])
    rest = mf.minimising_movements(axis, np.diag([1.0, 2.0, 3.0]), step=0.5, until=1.0)
    np.testing.assert_allclose(rest.points[-1], axis.points, atol=1e-14)


def test_bad_input_is_refused():
    for arguments, message in (
        ((start(), np.triu(FORM)), "differs from its transpose"),
        ((mf.Density.uniform(mf.Sphere(2)), 1.0), r"density.quantiles\(n\)"),
        ((start(), FORM, 0.0), "step is 0.0"),
        ((start(), FORM, 0.3), "whole number of steps of 0.3"),
        ((start(), FORM, 0.1, 1), "states is 1"),
    ):
        values = (*arguments, *(None, None, 0.1, 3)[len(arguments) :])
        with pytest.raises(mf.BadInput, match=message):
            mf.minimising_movements(values[0], values[1], step=values[2], until=1.0, states=values[3])

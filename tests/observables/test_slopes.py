"""The metric of a gradient flow: mobility, speed and slope, the balance of its energy, and symmetric Jacobians."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow import observe

FORM = np.array([[1.0, 0.4, 0.0], [0.4, -0.7, 0.2], [0.0, 0.2, 0.3]])
MASSES = np.array([0.1, 0.3, 0.2, 0.25, 0.15])
DRAW = np.random.default_rng(0).normal(size=(5, 3))
TOKENS = mf.Tokens(mf.Sphere(3), DRAW / np.linalg.norm(DRAW, axis=1, keepdims=True), MASSES)
Z = np.exp(np.asarray(TOKENS.points) @ FORM @ np.asarray(TOKENS.points).T) @ MASSES
SA, USA = (mf.gradient_attention(FORM, sign=-1, weighting=name) for name in ("softmax", "unnormalised"))


def test_mobility_is_mass_over_partition_function_and_mass_without_denominator():
    assert np.abs(observe.partition(TOKENS, field=SA) - Z).max() < 1e-14
    assert np.abs(observe.mobility(TOKENS, field=SA) - MASSES / Z).max() < 1e-14
    assert np.abs(observe.mobility(TOKENS, field=USA) - MASSES).max() < 1e-14


@pytest.mark.parametrize("field", [SA, USA], ids=["sa", "usa"])
def test_the_slope_is_the_speed_along_a_gradient_flow_and_its_square_the_rate_of_the_energy(field):
    v = np.asarray(field(TOKENS.points, TOKENS))
    square = MASSES @ ((Z if field is SA else 1.0) * (v * v).sum(axis=1))
    assert abs(float(observe.metric_speed(TOKENS, field=field)) ** 2 - square) < 1e-14
    assert abs(float(observe.metric_slope(TOKENS, field=field)) ** 2 - square) < 1e-14
    assert abs(float(observe.raw_dissipation(TOKENS, field=field)) + square) < 1e-14


def test_other_values_change_the_energy_by_at_most_slope_times_speed():
    field = mf.SelfAttention(beta=1.0, query=FORM, value=np.diag([1.0, -1.0, 2.0]))
    x, v = np.asarray(TOKENS.points), np.asarray(field(TOKENS.points, TOKENS))
    rate = MASSES @ ((np.exp(x @ FORM @ x.T) * MASSES) @ x @ FORM * v).sum(axis=1)
    bound = float(observe.metric_slope(TOKENS, field=field) * observe.metric_speed(TOKENS, field=field))
    assert abs(rate) < bound
    assert bound < 20 * abs(rate)  # the draw is no case in which the bound says nothing


def test_recorded_along_a_path_they_are_those_of_its_states():
    path = mf.flow(TOKENS, SA, until=1.0, save=4, record=("metric_slope", "metric_speed", "mobility", "raw_energy"))
    assert np.abs(path.recorded["metric_slope"] - observe.metric_slope(path)).max() < 1e-14
    assert np.abs(path.recorded["metric_speed"] - path.recorded["metric_slope"]).max() < 1e-13
    assert path.recorded["mobility"].shape == (4, 5)
    assert np.abs(path.recorded["raw_energy"] - observe.raw_energy(path, field=SA)).max() < 1e-14


def test_the_books_of_the_energy_balance_at_order_four():
    solver = mf.Adaptive(rtol=1e-12, atol=1e-13, coarsen=False)
    residuals = []
    for steps in (20, 40):
        path = mf.flow(TOKENS, SA, until=2.0, save=np.linspace(0.0, 2.0, steps + 1), solver=solver)
        books = observe.energy_balance(path)
        residuals.append(abs(float(books.residual[-1])))
        assert float(books.energy[-1]) < float(books.energy[0])
    assert residuals[1] < 1e-7
    assert 12 < residuals[0] / residuals[1] < 20


def test_jacobians_are_symmetric_in_the_right_metric_only():
    assert float(observe.asymmetry(TOKENS, field=USA)) < 1e-14
    assert float(observe.asymmetry(TOKENS, field=SA, metric="partition")) < 1e-14
    assert float(observe.asymmetry(TOKENS, field=SA)) > 0.01
    assert float(observe.asymmetry(TOKENS, field=USA, metric="partition")) > 0.01
    other = mf.SelfAttention(beta=1.0, query=FORM, value=np.diag([1.0, -1.0, 2.0]))
    assert float(observe.asymmetry(TOKENS, field=other, metric="partition")) > 0.01


def test_bad_input_is_refused():
    causal = mf.SelfAttention(beta=1.0, mask="causal")
    for observable in (observe.partition, observe.mobility, observe.metric_speed, observe.metric_slope):
        with pytest.raises(mf.BadInput, match="without a mask"):
            observable(TOKENS, field=causal)
    with pytest.raises(mf.BadInput, match="not symmetric"):
        observe.metric_slope(TOKENS, field=mf.SelfAttention(beta=1.0, query=[[1.0, 1.0, 0.0], [0.0] * 3, [0.0] * 3]))
    with pytest.raises(mf.BadInput, match="metric is 'Z'"):
        observe.asymmetry(TOKENS, field=SA, metric="Z")
    with pytest.raises(mf.BadInput, match="three kept states"):
        observe.energy_balance(TOKENS, field=SA)
    with pytest.raises(mf.BadInput, match=r"one of beta= .* and field="):
        observe.raw_energy(TOKENS, 1.0, field=SA)

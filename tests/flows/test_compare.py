from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow import theory

TOKENS = mf.Tokens(mf.Euclidean(2), 0.4 * np.random.default_rng(0).normal(size=(5, 2)))
FIELD = mf.SelfAttention(beta=1.0)


def path(depth: int, method: str = "euler", until: float = 1.0) -> mf.Path:
    return mf.layers(TOKENS, FIELD, depth=depth, step=until / depth, method=method)


@pytest.fixture(scope="module")
def flow() -> mf.Path:
    solver = mf.Adaptive(rtol=1e-11, atol=1e-13, coarsen=False)
    return mf.flow(TOKENS, FIELD, until=1.0, save=np.linspace(0, 1, 33), solver=solver)


@pytest.mark.parametrize(("method", "order"), [("euler", 1.0), ("heun", 2.0)])
def test_errors_have_the_order_of_the_method_and_stay_below_the_bound(flow, method, order):
    found = mf.compare([path(16, method), path(32, method)], flow)
    assert found.order == pytest.approx(order, abs=0.1)
    assert (found.ratio < 1).all()
    assert (found.ratio > 0.05).all()
    assert found.depths.tolist() == [16, 32]
    assert found.errors[0] == 0
    assert found.errors.max() == found.worst[-1] >= found.end[-1] == found.errors[-1]
    assert f"order {found.order:.2f}" in str(found)


def test_constants_and_bound_are_those_of_the_theory(flow):
    found = mf.compare(path(32), flow)
    stated = theory.error_of_euler_layers(lipschitz=found.lipschitz, bend=found.bend, step=1 / 32)
    assert found.bound[0] == pytest.approx(stated, rel=1e-12)
    speeds = [np.sqrt((np.asarray(FIELD(x, TOKENS.replace(points=x))) ** 2).sum(-1).mean()) for x in flow.points]
    assert found.speed == pytest.approx(max(speeds), rel=0.02)
    points, h = np.asarray(flow.points), 1 / 32
    bends = np.sqrt((((points[2:] - 2 * points[1:-1] + points[:-2]) / h**2) ** 2).sum(-1).mean(-1))
    assert found.bend == pytest.approx(bends.max(), rel=0.1)
    assert np.isnan(found.order)


def test_weights_that_jump_between_layers_make_the_bound_one_of_order_one():
    rng, depth = np.random.default_rng(1), 8
    fields = [mf.SelfAttention(1.0, value=rng.choice([-1.0, 1.0]) * np.eye(2)) for _ in range(depth + 1)]
    field = mf.fields.Interpolated(fields, (np.arange(depth + 1) / depth).tolist())
    found = mf.compare(mf.layers(TOKENS, field, depth=depth, step=1 / depth))
    assert found.bend > 0.8 * depth * found.speed  # the output changes its sign within a layer
    assert found.bend > 5 * found.lipschitz * found.speed  # which is all that a field without depth has
    assert found.worst[0] < 0.5 * found.speed < found.bound[0]


def test_on_the_sphere_errors_are_shown_without_a_bound():
    tokens = mf.uniform(mf.Sphere(3), n=4, seed=0)
    found = mf.compare(mf.layers(tokens, FIELD, depth=8, step=0.1))
    assert 0 < found.worst[0] < 0.2
    assert "no bound is known" in str(found)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda flow: mf.compare(flow), "paths of mf.layers of one field"),
        (lambda flow: mf.compare([]), "layers is empty"),
        (lambda flow: mf.compare(mf.layers(TOKENS, [FIELD] * 2, step=0.1)), "sub-layers in turn have no flow"),
        (lambda flow: mf.compare([path(16), path(32, until=2.0)], flow), "their depth T"),
        (lambda flow: mf.compare([path(16), path(32, "heun")], flow), "differ in their method"),
        (lambda flow: mf.compare([path(16), path(16)], flow), "as many layers"),
        (lambda flow: mf.compare(path(32, until=2.0), flow), "no state at t = 2"),
        (lambda flow: mf.compare(path(16), path(16)), "no path of mf.flow"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(flow, call, words):
    with pytest.raises(mf.BadInput, match=words):
        call(flow)

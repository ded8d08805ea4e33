from __future__ import annotations

import equinox as eqx
import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows import driver, log, segment

LOOP = jax.lax.while_loop
CIRCLE = mf.Sphere(2)
TOKENS = mf.uniform(CIRCLE, n=40, seed=0)
NEAR = mf.cap(CIRCLE, n=40, angle=1.0, seed=0)  # which come to rest within the time
FAST = mf.sums.Harmonic(degree=13)  # the same in all tests, as they cost what their programs cost


def flow(sum: mf.sums.Sum | None, tokens: mf.Tokens = TOKENS, **options) -> mf.Path:
    return mf.flow(tokens, mf.SelfAttention(beta=4.0, sum=sum), **{"until": 30.0, "save": 6, **options})


@pytest.fixture(scope="module")
def exact() -> mf.Path:
    return flow(mf.sums.Exact())


def test_fast_sums_are_left_before_the_speeds_are_below_what_they_resolve():
    path = flow(FAST, NEAR)
    assert path.stats["sums"].startswith("Harmonic(degree=13)")
    assert path.stats["sums"].endswith("Exact()")
    left = float(path.stats["sums"].partition("from t = ")[2].split()[0])
    assert 0 < left < 30.0
    fast = mf.SelfAttention(beta=4.0, sum=FAST)
    before = flow(FAST, NEAR, until=0.9 * left, save=2)[-1]
    speeds = np.linalg.norm(fast(before.points, before), axis=1)
    floor = float(fast.sum.floor(fast.kernel, before))
    assert speeds.max() > segment.RESOLVED * floor
    assert speeds.max() < 1e2 * segment.RESOLVED * floor  # and not long before
    assert path.clusters.tolist() == flow(mf.sums.Exact(), NEAR).clusters.tolist()


def test_flow_with_fast_sums_is_the_flow_with_exact_ones(exact):
    path = flow(FAST)
    np.testing.assert_allclose(path.points, exact.points, rtol=0, atol=2e-7)  # rtol 1e-8, times e^{O(1)}
    np.testing.assert_allclose(path.energy, exact.energy, rtol=0, atol=1e-6)


def test_a_sum_that_is_never_left_moves_tokens_by_noise(exact, monkeypatch):
    monkeypatch.setattr(segment, "RESOLVED", 0.0)
    monkeypatch.setattr(driver, "advance", eqx.filter_jit(lambda *arguments: segment.segment(*arguments, LOOP)))
    path = flow(mf.sums.Harmonic(degree=7))
    assert path.stats["sums"] == "Harmonic(degree=7)"
    assert np.abs(path.points - exact.points[: len(path.points)]).max() > 1e-5


def test_many_tokens_are_summed_by_harmonics_without_being_asked_to():
    tokens = mf.uniform(CIRCLE, n=1200, seed=1)
    path, exact = flow(None, tokens, until=0.5, save=2), flow(mf.sums.Exact(), tokens, until=0.5, save=2)
    assert "Harmonic" in path.stats["sums"]
    assert "sums" not in exact.stats
    gap = np.abs(np.asarray(path.points - exact.points)).max()
    assert 0 < gap < 1e-8
    assert "Harmonic" not in repr(path.recipe)  # a choice, not a part of what was asked for


def test_few_tokens_are_summed_exactly(exact):
    assert "sums" not in flow(None).stats


def test_run_with_fast_sums_that_was_stopped_ends_bit_by_bit_as_if_it_never_was(monkeypatch):
    monkeypatch.setattr(log, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(log, "COMMIT_PATIENCE", 0)
    whole = flow(FAST, NEAR)
    assert whole.stats["sums"].endswith("Exact()")
    stops = 0
    for moment in (1.0, 4.0, 9.0, 15.0, np.inf):

        def stop(now: float, end: float, moment: float = moment) -> None:
            if now > moment:
                raise KeyboardInterrupt

        path = flow(FAST, NEAR, store="run.zarr", progress=stop)
        stops += path.status == "stopped"
    assert stops >= 3
    np.testing.assert_array_equal(path.points, whole.points)
    assert {**path.stats, "seconds": 0} == {**whole.stats, "seconds": 0}

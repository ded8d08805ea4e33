"""Distances between measures: against POT, closed forms and what a distance must do."""

from __future__ import annotations

import sys
import warnings

import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow.measures import mmd, optimal_plan, sinkhorn_divergence, sliced_wasserstein, wasserstein
from measureflow.measures.transport import PROGRAMMED

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ot

CIRCLE = mf.Sphere(2)
RNG = np.random.default_rng(0)


def at(angles, weights=None) -> mf.Tokens:
    return mf.Tokens(CIRCLE, np.stack([np.cos(angles), np.sin(angles)], axis=1), weights)


def masses(n: int) -> np.ndarray:
    drawn = RNG.uniform(0.1, 1.0, n)
    return drawn / drawn.sum()


def cloud(n: int, d: int, weights=None, space=None) -> mf.Tokens:
    points = RNG.normal(size=(n, d))
    if space is None:
        space, points = mf.Sphere(d), points / np.linalg.norm(points, axis=1, keepdims=True)
    return mf.Tokens(space, points, weights)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_distance_on_the_circle_is_that_of_the_linear_program(p):
    for spread in (0.2, 4.0):
        x, y = np.pi + spread * RNG.normal(size=11), np.pi + spread * RNG.normal(size=7)  # across the cut
        a, b = masses(11), masses(7)
        costs = np.abs((x[:, None] - y[None, :] + np.pi) % (2 * np.pi) - np.pi) ** p
        assert float(wasserstein(at(x, a), at(y, b), p)) == pytest.approx(ot.emd2(a, b, costs) ** (1 / p), rel=1e-9)


def test_distance_on_the_line_and_elsewhere_is_that_of_the_linear_program():
    for space, d in ((mf.Euclidean(1), 1), (mf.Euclidean(3), 3), (None, 3)):
        a, b = masses(8), masses(6)
        mu, nu = cloud(8, d, a, space), cloud(6, d, b, space)
        costs = np.asarray(mu.space.distance(mu.points[:, None], nu.points[None])) ** 2
        assert float(wasserstein(mu, nu)) == pytest.approx(ot.emd2(a, b, costs) ** 0.5, rel=1e-9)
        plan = optimal_plan(mu, nu)
        np.testing.assert_allclose(np.bincount(plan.rows, plan.masses, 8), a, atol=1e-12)
        np.testing.assert_allclose(np.bincount(plan.columns, plan.masses, 6), b, atol=1e-12)


def test_equal_masses_are_assigned_and_massless_tokens_take_no_part():
    mu, nu = cloud(9, 3), cloud(9, 3)
    costs = np.asarray(mu.space.distance(mu.points[:, None], nu.points[None])) ** 2
    exact = ot.emd2(np.full(9, 1 / 9), np.full(9, 1 / 9), costs) ** 0.5
    assert float(wasserstein(mu, nu)) == pytest.approx(exact, rel=1e-12)
    beside = mf.Tokens(mu.space, np.concatenate([mu.points, nu.points[:1]]), np.append(np.full(9, 1 / 9), 0.0))
    assert float(wasserstein(beside, nu)) == pytest.approx(exact, rel=1e-12)


def test_distance_is_symmetric_and_keeps_the_triangle_inequality():
    for d in (2, 3):
        one, two, three = (cloud(7, d) for _ in range(3))
        assert float(wasserstein(one, two)) == pytest.approx(float(wasserstein(two, one)), rel=1e-12)
        assert float(wasserstein(one, three)) <= float(wasserstein(one, two) + wasserstein(two, three))
        assert float(wasserstein(one, one)) == 0.0


def test_duplicated_tokens_are_the_same_measure():
    mu, nu = cloud(5, 2), cloud(5, 2)
    twice = mf.Tokens(CIRCLE, np.repeat(np.asarray(mu.points), 2, axis=0))
    assert float(wasserstein(twice, nu)) == pytest.approx(float(wasserstein(mu, nu)), rel=1e-12)


def test_a_turn_of_the_circle_by_less_than_the_gaps_moves_all_by_the_angle():
    angles = 2 * np.pi * np.arange(6) / 6
    assert float(wasserstein(at(angles), at(angles + 0.3))) == pytest.approx(0.3, rel=1e-12)
    # by most of a gap it is nearer to turn back
    assert float(wasserstein(at(angles), at(angles + 0.9))) == pytest.approx(np.pi / 3 - 0.9, rel=1e-12)


def test_distance_between_densities_is_the_limit_of_their_quantiles():
    one = mf.Density.von_mises_fisher(CIRCLE, kappa=1.0)
    other = mf.Density.von_mises_fisher(CIRCLE, kappa=2.0, centre=[0.0, 1.0])
    exact = float(wasserstein(one, other))
    gaps = [abs(float(wasserstein(one.quantiles(n), other.quantiles(n))) - exact) for n in (50, 200)]
    assert gaps[1] < 1e-4
    assert gaps[1] < gaps[0] / 8  # of second order
    assert float(wasserstein(one.quantiles(200), other)) == pytest.approx(exact, abs=1e-4)
    assert float(wasserstein(one, other.quantiles(200))) == pytest.approx(exact, abs=1e-4)


def test_gaussians_have_the_bures_distance():
    mean, cov = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3, 3))
    cov = cov @ np.swapaxes(cov, 1, 2)
    one, other = (mf.Gaussian(m, c) for m, c in zip(mean, cov, strict=True))
    exact = float(ot.gaussian.bures_wasserstein_distance(*mean, *cov))
    assert float(wasserstein(one, other)) == pytest.approx(exact, rel=1e-10)
    assert float(jax.jit(wasserstein)(one, other)) == pytest.approx(exact, rel=1e-10)
    flat = mf.Gaussian(np.zeros(2), np.diag([1.0, 0.0]))
    assert float(wasserstein(flat, mf.Gaussian(np.zeros(2), np.diag([0.0, 1.0])))) == pytest.approx(np.sqrt(2.0))
    with pytest.raises(mf.BadInput, match="p = 2"):
        wasserstein(one, other, 1.0)


def test_distances_differentiate_by_the_points():
    mu, nu, direction = cloud(6, 3), cloud(6, 3), RNG.normal(size=(6, 3))
    for distance in (wasserstein, lambda one, other: sliced_wasserstein(one, other, projections=2)):

        def along(s, distance=distance):
            return distance(mu.replace(points=mu.points + s * direction), nu)

        slope = float(jax.jit(jax.grad(along))(0.0))
        assert slope == pytest.approx((float(along(1e-6)) - float(along(-1e-6))) / 2e-6, rel=1e-5)
    assert float(jax.jit(wasserstein)(mu, nu)) == pytest.approx(float(wasserstein(mu, nu)), rel=1e-12)


def test_slices_of_the_sphere_are_those_of_the_peer():
    mu, nu = cloud(12, 3), cloud(12, 3)
    frames = np.linalg.qr(np.asarray(jax.random.normal(jax.random.key(0), (10, 3, 2), dtype=float)))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = ot.sliced_wasserstein_sphere(
            np.asarray(mu.points), np.asarray(nu.points), n_projections=10, projections=frames, p=2
        )
    # the peer's circle has length 1
    assert float(sliced_wasserstein(mu, nu, projections=10)) == pytest.approx(2 * np.pi * float(peer), rel=1e-6)


def test_mmd_is_the_distance_of_mean_embeddings():
    mu, nu, beta = cloud(5, 3, masses(5)), cloud(4, 3), 2.0
    points = np.concatenate([mu.points, nu.points])
    signed = np.concatenate([mu.weights, -nu.weights])
    exact = np.sqrt(signed @ np.exp(beta * (points @ points.T - 1.0)) @ signed)
    assert float(mmd(mu, nu, beta)) == pytest.approx(exact, rel=1e-12)
    assert float(mmd(mu, mu, beta)) < 1e-7
    assert np.isfinite(jax.grad(lambda x: mmd(mu.replace(points=x), nu, beta))(mu.points)).all()


def test_sinkhorn_divergence_is_near_the_square_of_the_distance_and_zero_on_the_diagonal():
    angles = 2 * np.pi * np.arange(8) / 8
    mu, nu = at(angles), at(angles + 0.2)
    # the next tokens are at 0.6 in squared distance: their share is e^(-(0.6 - 0.2)/0.02)
    assert float(sinkhorn_divergence(mu, nu, 0.02)) == pytest.approx(0.2**2, rel=1e-4)
    assert abs(float(sinkhorn_divergence(mu, mu, 0.02))) < 1e-6


def test_sinkhorn_divergence_without_ott_names_the_extra(monkeypatch):
    from measureflow.measures import entropic

    entropic.parts.cache_clear()
    for name in [name for name in sys.modules if name == "ott" or name.startswith("ott.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ott", None)
    with pytest.raises(mf.BadInput, match=r"pip install 'measureflow\[ot\]'"):
        sinkhorn_divergence(at(np.zeros(2)), at(np.ones(2)), 0.1)
    entropic.parts.cache_clear()


def test_bad_input_is_refused():
    mu, big = cloud(3, 3), mf.Tokens(mf.Sphere(3), np.tile([0.0, 0.0, 1.0], (500, 1)), masses(500))
    assert PROGRAMMED < 500 * 500
    for call, message in (
        (lambda: wasserstein(mu, cloud(3, 2)), "bring them to one space"),
        (lambda: wasserstein(mu, mu, 0.5), "p is 0.5"),
        (lambda: wasserstein(mu, "nu"), "str is no measure"),
        (lambda: wasserstein(big, big), "draw fewer tokens"),
        (lambda: wasserstein(mf.Density.uniform(mf.Sphere(3)), mu), "is not the circle"),
        (lambda: sliced_wasserstein(mu, mu, projections=0), "projections is 0"),
        (lambda: mmd(mu, mu, 0.0), "beta is 0.0"),
        (lambda: sinkhorn_divergence(mu, mu, -1.0), "epsilon is -1.0"),
        (lambda: wasserstein(mf.Gaussian([0.0], 1.0), mf.Tokens(mf.Euclidean(1), [[0.0]])), "no exact way"),
    ):
        with pytest.raises(mf.BadInput, match=message):
            call()

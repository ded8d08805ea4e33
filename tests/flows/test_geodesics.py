"""Geodesics of the metric with non-local mobility: what was found is critical, between its bounds, and a distance."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow.flows.actions import Action, descended, tangent
from measureflow.measures import wasserstein

CIRCLE = mf.Sphere(2)
FORM = np.array([[1.5, 0.3], [0.3, -1.0]])
DENSITIES = (
    mf.Density.von_mises_fisher(CIRCLE, kappa=1.0, size=64),
    mf.Density.von_mises_fisher(CIRCLE, kappa=2.0, centre=[-1.0, 1.0], size=64),
)


def at(angles, weights=None) -> mf.Tokens:
    return mf.Tokens(CIRCLE, np.stack([np.cos(angles), np.sin(angles)], axis=1), weights)


def draw(seed: int, n: int = 8, d: int = 2, weights=None) -> mf.Tokens:
    points = np.random.default_rng(seed).normal(size=(n, d))
    return mf.Tokens(mf.Sphere(d), points / np.linalg.norm(points, axis=1, keepdims=True), weights)


@pytest.mark.parametrize(("d", "step"), [(2, None), (3, None), (4, 0.3)])
def test_slope_and_hessian_are_derivatives_of_the_functional(d, step):
    rng = np.random.default_rng(d)
    form = rng.normal(size=(d, d))
    masses = rng.uniform(0.5, 1.5, 4)
    action = Action(form + form.T, masses / masses.sum(), step)
    x = rng.normal(size=(4, d)) + 0.5 * rng.normal(size=(5, 4, d))
    x[1] = x[0] + 1e-3 * x[1]  # angles by their series too
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    slope, turned = action.slopes(x)
    v, w = (tangent(x, rng.normal(size=x.shape))[action.free] for _ in range(2))

    def moved(s):
        y = x.copy()
        y[action.free] += s * v
        return y / np.linalg.norm(y, axis=-1, keepdims=True)

    h = 1e-4
    first = (action.value(moved(h)) - action.value(moved(-h))) / (2 * h)
    assert first == pytest.approx((slope[action.free] * v).sum(), rel=1e-6)
    second = (action.value(moved(h)) - 2 * action.value(x) + action.value(moved(-h))) / h**2
    assert second == pytest.approx((v * turned(v)).sum(), rel=1e-5)
    assert (w * turned(v)).sum() == pytest.approx((v * turned(w)).sum(), rel=1e-10)
    assert (w * action.inertia(x)(v)).sum() == pytest.approx((v * action.inertia(x)(w)).sum(), rel=1e-10)


@pytest.mark.parametrize(
    ("one", "other", "form"),
    [
        (draw(0), draw(1), FORM),
        (draw(0, weights=np.arange(1, 9) / 36), draw(1, 5), FORM),
        (*DENSITIES, FORM),
        (draw(0), DENSITIES[1], FORM),
        (draw(0, d=3), draw(1, d=3), np.diag([1.0, 0.5, -1.0])),
        (draw(0, d=3, weights=np.arange(1, 9) / 36), draw(1, 4, d=3), np.diag([1.0, 0.5, -1.0])),
        (draw(0, d=5), draw(1, d=5), np.diag([1.0, 0.5, -1.0, 0.0, 2.0])),
    ],
)
def test_found_paths_are_critical_and_between_the_bounds(one, other, form):
    found = mf.wasserstein_m(one, other, form, times=9, quantiles=24)
    plain, norm = float(wasserstein(one, other)), np.abs(np.linalg.eigvalsh(form)).max()
    assert found.residual < 1e-8
    assert found.minimum
    least, most = plain * np.exp([-norm / 2, norm / 2])
    assert least * (1 - 1e-12) <= found.lower
    assert found.upper <= most * (1 + 1e-12)
    tokens_on_circle = isinstance(one, mf.Tokens) and isinstance(other, mf.Tokens) and one.d == 2
    assert (found.lower > 1.01 * least) == tokens_on_circle  # |Dx| is not constant there
    assert found.lower < found.distance < found.upper
    assert found.distance <= min(start.straight for start in found.starts) + 1e-3
    assert found.error < 0.01 * found.distance
    np.testing.assert_allclose(np.asarray(found.path.times)[[0, -1]], [0.0, 1.0])


def test_path_runs_from_one_measure_to_the_other_in_the_tokens_own_order():
    one, other = draw(0).replace(labels=tuple("abcdefgh")), draw(1)
    path = mf.wasserstein_m(one, other, FORM, times=9).path
    np.testing.assert_allclose(path.points[0], one.points, atol=1e-14)
    assert path.labels == one.labels
    assert float(wasserstein(path[-1], other)) < 1e-12
    assert path.status == "reached"
    assert mf.observe.energy(path, field=mf.SelfAttention(1.0, query=FORM, value=-FORM)).shape == (9,)
    weighted = mf.wasserstein_m(draw(0, weights=np.arange(1, 9) / 36), draw(1, 5), FORM, times=5).path
    assert float(wasserstein(weighted[0], draw(0, weights=np.arange(1, 9) / 36))) < 1e-12
    assert float(wasserstein(weighted[-1], draw(1, 5))) < 1e-12


@pytest.mark.parametrize("pair", [(draw(0), draw(1)), DENSITIES, (draw(0), DENSITIES[1]), (draw(0, d=3), draw(1, d=3))])
def test_without_a_form_the_distance_is_w2(pair):
    found = mf.wasserstein_m(*pair, 0.0, times=17, quantiles=48)
    # quantiles stand for a density, and cut tokens beside one; of arcs on S² points are interpolated
    kinds = {type(mu) for mu in pair}
    within = 0.02 if len(kinds) == 2 else 2e-4 if mf.Density in kinds else 1e-5 if pair[0].d == 3 else 1e-10
    assert found.distance == pytest.approx(float(wasserstein(*pair)), rel=within)


@pytest.mark.parametrize("pair", [(draw(0), draw(1)), DENSITIES, (draw(2, d=3), draw(3, d=3))])
def test_distance_is_symmetric(pair):
    there = mf.wasserstein_m(*pair, FORM if pair[0].d == 2 else np.diag([1.0, 0.5, -1.0]), times=17, quantiles=24)
    back = mf.wasserstein_m(*pair[::-1], FORM if pair[0].d == 2 else np.diag([1.0, 0.5, -1.0]), times=17, quantiles=24)
    # from the quantiles of one density the other is met between its own: 24 of them are right to half a percent
    assert there.distance == pytest.approx(back.distance, rel=1e-2 if isinstance(pair[0], mf.Density) else 1e-10)


def test_triangle_inequality_holds_and_equal_measures_are_at_no_distance():
    a, b, c = (draw(seed) for seed in range(3))
    ab, bc, ac = (mf.wasserstein_m(*pair, FORM, times=9).distance for pair in ((a, b), (b, c), (a, c)))
    assert ac <= ab + bc + 1e-5
    assert mf.wasserstein_m(a, a, FORM, times=5).distance < 1e-12


def test_distance_is_of_fourth_order_in_time_and_the_speed_constant_to_second():
    found = [mf.wasserstein_m(draw(0), draw(1), FORM, times=times) for times in (5, 9, 17, 65)]
    gaps = [abs(one.distance - found[-1].distance) for one in found[:-1]]
    assert gaps[1] < gaps[0] / 8
    assert gaps[2] < gaps[1] / 8
    assert [one.error for one in found] == sorted((one.error for one in found), reverse=True)
    spread = [np.ptp(one.speeds) / one.distance for one in found]
    assert spread[1] < spread[0] / 3
    assert spread[2] < spread[1] / 3
    assert spread[3] < 1e-4


def test_two_tokens_on_a_circle_move_as_the_reduced_metric_says():
    # with D = kappa Id, tokens at mean angle and half-gap g: Z = (e^kappa + e^(kappa cos 2g))/2, a metric of g alone
    from scipy.integrate import quad

    kappa, begin, end = 2.0, 0.4, 1.2
    exact = quad(lambda g: np.sqrt(0.5 * (np.exp(kappa) + np.exp(kappa * np.cos(2 * g)))), begin, end)[0]
    found = mf.wasserstein_m(at([-begin, begin]), at([-end, end]), kappa, times=65)
    assert found.distance == pytest.approx(exact, rel=1e-7)


def test_every_rotation_is_a_start_and_far_ones_are_longer():
    found = mf.wasserstein_m(draw(0), draw(1), FORM, times=9, refine=8)
    assert len(found.starts) == 8
    assert all(np.isfinite(start.distance) for start in found.starts)
    assert found.distance == min(start.distance for start in found.starts)
    assert all(start.residual < 1e-6 for start in found.starts)
    np.testing.assert_allclose(np.diff([start.offset for start in found.starts]), 1 / 8, atol=1e-9)


def test_distance_turns_with_the_form():
    turn = np.array([[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]])
    one, other = draw(0), draw(1)
    moved = [mu.replace(points=mu.points @ turn) for mu in (one, other)]
    plain, turned = mf.wasserstein_m(one, other, FORM, times=9), mf.wasserstein_m(*moved, turn.T @ FORM @ turn, times=9)
    assert turned.distance == pytest.approx(plain.distance, rel=1e-10)


def test_newton_ends_at_a_minimum_from_a_path_that_is_none():
    action = Action(FORM, np.full(4, 0.25))
    x = np.random.default_rng(0).normal(size=(9, 4, 2))
    x[1:-1] = x[1:-1] * 0.3 + x[0]
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    at = descended(action, x, tolerance=1e-9)
    assert at.residual < 1e-9
    assert at.minimum
    assert action.value(at.states) < action.value(x)


def test_bad_input_is_refused():
    one, other = draw(0), draw(1)
    for call, message in (
        (lambda: mf.wasserstein_m(one, other, [[0.0, 1.0], [0.0, 0.0]]), "differs from its transpose by 1"),
        (lambda: mf.wasserstein_m(one, other, np.eye(3)), "form has shape"),
        (lambda: mf.wasserstein_m(one, other, "D"), "form is 'D'"),
        (lambda: mf.wasserstein_m(one, other, 1e3), "overflows"),
        (lambda: mf.wasserstein_m(one, draw(0, d=3), 1.0), "give one space"),
        (lambda: mf.wasserstein_m(one, mf.Gaussian([0.0], 1.0), 1.0), "give tokens on a sphere"),
        (lambda: mf.wasserstein_m(mf.Density.uniform(mf.Sphere(3)), draw(0, d=3), 1.0), "densities on the circle"),
        (lambda: mf.wasserstein_m(one, other, 1.0, times=2), "times is 2"),
        (lambda: mf.wasserstein_m(*DENSITIES, 1.0, quantiles=5000), "5,000 masses at 33 times"),
        (lambda: mf.Density(CIRCLE, np.full(16, 2.0)), "the mass is 2"),
        (lambda: mf.Density(CIRCLE, 1.0 + 2.0 * np.cos(np.arange(16) * np.pi / 8)), "a density is >= 0"),
    ):
        with pytest.raises(mf.BadInput, match=message):
            call()


def test_opposite_points_and_met_tokens_have_a_geodesic():
    one, other = (mf.Tokens(mf.Sphere(3), sign * np.eye(3)[:2]) for sign in (1.0, -1.0))
    found = mf.wasserstein_m(one, other, np.diag([1.0, 0.5, -1.0]), times=9)
    assert found.residual < 1e-8
    assert found.lower < found.distance < found.upper
    pole = np.tile([1.0, 0.0, 0.0], (2, 1))
    alone = mf.wasserstein_m(mf.Tokens(mf.Sphere(3), pole), mf.Tokens(mf.Sphere(3), -pole), 2.0, times=9)
    assert alone.distance == pytest.approx(np.pi * np.e, rel=1e-4)  # Z = e^2 all the way
    met = mf.wasserstein_m(at([0.0, 0.0, 0.0]), at([1.0, 1.0, 1.0]), 2.0, times=5)
    assert met.distance == pytest.approx(np.e, rel=1e-9)


@pytest.mark.slow
def test_128_quantiles_at_64_times_are_solved():
    found = mf.wasserstein_m(*DENSITIES, FORM, quantiles=128, times=64)
    assert found.residual <= 1e-6
    assert found.minimum

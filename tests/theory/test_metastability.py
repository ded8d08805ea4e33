"""Metastability, separated tokens, staircases and critical points, against numbers of the theory and by other ways."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from measureflow import BadInput, theory


def test_the_instance_of_the_theory_has_its_numbers():
    overlap = theory.largest_overlap_of_caps(np.eye(3)[:2], 0.005)
    given = {"beta": 20.0, "epsilon": 0.005, "overlap": overlap}
    assert overlap == pytest.approx(0.2793134, abs=1e-7)
    assert theory.margin_of_separation(10, **given) == pytest.approx(0.1508549, abs=1e-7)
    np.testing.assert_allclose(theory.bounds_of_collapse(10, **given), (1.51, 0.4137), rtol=2e-3)
    np.testing.assert_allclose(theory.metastable_window(10, rate=0.3, **given), (216.18, 909.44), rtol=1e-4)


def test_one_cap_overlaps_with_none_and_equal_ones_with_all():
    assert theory.largest_overlap_of_caps([[1.0, 0.0]], 0.01) == 0.0
    assert theory.largest_overlap_of_caps([[1.0, 0.0], [1.0, 0.0]], 0.01) == 1.0


def centres_by_grid(clouds, beta, epsilon, count=73):
    """Whether centres on a fine grid separate the tokens of each cloud: an exhaustive search."""
    radius, n = np.arccos(1 - epsilon), clouds.shape[1]
    grid = 2 * np.pi * np.arange(count) / count
    points = np.stack([np.cos(grid), np.sin(grid)], axis=1)
    near = np.abs(np.angle(np.exp(1j * (grid[:, None, None] - clouds)))) <= radius  # (centre, cloud, token)
    overlaps = [theory.largest_overlap_of_caps(points[[0, k]], epsilon) for k in range(count)]
    found = np.zeros(len(clouds), bool)
    for k in range(1, n + 1):
        chosen = np.array(list(itertools.combinations(range(count), k)))
        if k == 1:
            overlap = np.full(count, theory.largest_overlap_of_caps(points[:1], epsilon))
        else:  # caps overlap most where two of them do
            overlap = np.max([np.take(overlaps, b - a) for a, b in itertools.combinations(chosen.T, 2)], axis=0)
        margins = {o: theory.margin_of_separation(n, beta=beta, epsilon=epsilon, overlap=o) for o in set(overlap)}
        apart = np.array([margins[o] > 0 for o in overlap])
        found |= near[chosen[apart]].any(axis=1).all(axis=2).any(axis=0)
    return found


def test_the_decision_on_the_circle_is_that_of_an_exhaustive_search():
    clouds = np.random.default_rng(1).uniform(0, 2 * np.pi, (60, 3))
    decided = np.array([theory.are_separated_on_circle(one, beta=60.0, epsilon=0.05) for one in clouds])
    searched = centres_by_grid(clouds, 60.0, 0.05)
    assert (decided | ~searched).all()  # a grid may miss centres that are there
    assert 10 < decided.sum() < 50
    assert (decided != searched).sum() <= 6


def test_hardly_any_uniform_tokens_are_separated():
    assert theory.chance_of_separation(1, beta=50.0, epsilon=0.01) == 1.0
    assert theory.chance_of_separation(100, beta=50.0, epsilon=0.01) < 1e-4
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, (4000, 5))
    found = theory.are_separated_on_circle(angles, beta=50.0, epsilon=0.01).mean()
    assert found <= theory.chance_of_separation(5, beta=50.0, epsilon=0.01) + 0.02


def test_step_lengths_have_the_numbers_of_the_theory():
    angles = [0.0, 0.3, 0.75, 1.4, 2.4]
    for beta, stated in ((1e3, [5.834, 4.753, 8.159, 3.686]), (1e9, [6.443, 4.583, 7.218, 3.028])):
        lengths = [5 * step.length for step in theory.staircase(angles, beta=beta)]
        np.testing.assert_allclose(lengths, stated, atol=6e-4)
    limits = [5 * step.limit for step in theory.staircase(angles, beta=1e3)]
    np.testing.assert_allclose(limits, [6.25, 4.1667, 6.25, 2.5], atol=1e-4)


def test_a_step_length_is_the_crossing_time_up_to_the_square_of_the_radius():
    for beta in (1e2, 1e4):
        exact = theory.crossing_time(0.4, beta=beta, start=0.7)
        near = theory.length_of_a_step(beta=beta, start=0.7, masses=(0.2, 0.2))
        assert near == pytest.approx(exact, rel=theory.collision_radius(beta) ** 2)


def test_the_rise_within_a_step_is_that_of_an_integrated_pair():
    beta, start, pair = 1e3, 1.0, (0.2, 0.3)
    times = np.linspace(0.0, theory.crossing_time(0.5, beta=beta, start=start), 30)
    way = solve_ivp(lambda s, u: -0.5 * np.log(beta) * np.sin(u), times[[0, -1]], [start], t_eval=times, rtol=1e-12,
                    atol=1e-14)  # fmt: skip
    integrated = 0.12 * np.exp(-2 * beta * np.sin(way.y[0] / 2) ** 2)
    found = theory.rise_within_a_step(times, beta=beta, start=start, masses=pair)
    np.testing.assert_allclose(0.5 + found, 0.5 + integrated, rtol=1e-6)
    assert found[-1] == pytest.approx(0.12, rel=0.5 / np.log(beta))


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_a_step_is_sharp_up_to_a_small_power_of_beta(share):
    for beta in (1e3, 1e6, 1e12):
        times = np.linspace(0.0, 2.0, 200_001)
        climbed = theory.rise_within_a_step(times, beta=beta, start=1.0, masses=(0.25, 0.25)) / 0.125
        half = times[np.argmax(climbed > 0.5)]
        outside = np.abs(times - half) > share
        far = np.abs(climbed - (times > half))[outside].max()
        assert far == pytest.approx(1 - 2 ** -(beta**-share), rel=1e-2)


def test_a_staircase_does_not_depend_on_where_the_circle_is_cut():
    angles, masses = np.array([0.1, 0.5, 1.4, 2.9]), np.array([0.1, 0.2, 0.3, 0.4])
    one = theory.staircase(angles, beta=80.0, masses=masses)
    two = theory.staircase(angles - 1.0, beta=80.0, masses=masses)
    np.testing.assert_allclose([s.length for s in one], [s.length for s in two])
    assert sum(s.jump for s in one) == pytest.approx(1 - (masses**2).sum())


def test_three_corners_are_found_and_change_their_signature_at_the_switch():
    def corners(beta):
        found = theory.critical_points_on_circle(3, beta=beta, starts=60)
        return [p for p in found if np.allclose(p.angles, [0, 2 * np.pi / 3, 4 * np.pi / 3], atol=1e-6)]

    (above,), (below,) = corners(-0.5), corners(-1.0)
    assert above.signature == (0, 1, 2)
    assert below.signature == (2, 1, 0)


@pytest.mark.parametrize("n", [3, 4, 5])
def test_critical_points_rest_and_are_found_once(n):
    found = theory.critical_points_on_circle(n, beta=1.0, starts=40)
    for one in found:
        apart = one.angles[None] - one.angles[:, None]
        assert np.abs((np.exp(np.cos(apart)) * np.sin(apart)).sum(axis=1)).max() < 1e-9
        assert sum(one.signature) == n
    energies = np.array([one.energy for one in found])
    assert len(np.unique(energies.round(6))) == len(found)
    assert found[0].energy == pytest.approx(1.0)  # one cluster is the stable one


def test_modes_on_the_sphere_are_counted_by_a_simulated_density():
    rng, beta = np.random.default_rng(3), 20.0
    z, turn = np.meshgrid(np.linspace(-0.97, 0.97, 60), np.linspace(0, 2 * np.pi, 120, endpoint=False), indexing="ij")
    r = np.sqrt(1 - z**2)
    grid = np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=-1).reshape(-1, 3)
    counts = []
    for _ in range(24):
        x = rng.normal(size=(1500, 3))
        x /= np.linalg.norm(x, axis=1)[:, None]
        density = np.exp(beta * (grid @ x.T - 1)).sum(axis=1).reshape(z.shape)
        inner = density[1:-1]
        rolled = [np.roll(np.roll(density, a, 0), b, 1)[1:-1] for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
        counts.append((inner > np.max(rolled, axis=0)).sum())
    error = np.std(counts) / np.sqrt(len(counts))
    # 1/beta of the curvature, and the two polar caps that the grid leaves out (3 % of the area)
    assert np.mean(counts) == pytest.approx(theory.expected_modes_on_sphere(beta) * 0.97, abs=4 * error + 0.08 * 11.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.margin_of_separation(0, beta=1.0, epsilon=0.1, overlap=0.0), "n is 0"),
        (lambda: theory.metastable_window(3, beta=1.0, epsilon=0.01, overlap=0.0, rate=1.0), "beta is 1.0"),
        (lambda: theory.largest_overlap_of_caps([[1.0, 1.0]], 0.1), "unit vectors"),
        (lambda: theory.staircase([0.0], beta=9.0), "at least two"),
        (lambda: theory.staircase([0.0, 0.0, 1.0], beta=9.0), "count as one"),
        (lambda: theory.critical_points_on_circle(1, beta=1.0), "n is 1"),
        (lambda: theory.critical_points_on_circle(3, beta=1.0, starts=0), "starts is 0"),
        (lambda: theory.critical_points_on_circle(3, beta=1.0, starts=-1), "starts is -1"),
        (lambda: theory.critical_points_on_circle(3, beta=1.0, starts=1.5), "starts is 1.5"),
        (lambda: theory.hessian_on_circle([0.0, 0.1], 800.0), "beta is 800"),
        (lambda: theory.escape_time(3, beta=9.0, noise=2.0), "noise is 2.0"),
        (lambda: theory.crossing_time(1.0, beta=9.0, start=0.01), "start is 0.01"),
    ],
)
def test_bad_arguments_are_refused(call, words):
    with pytest.raises(BadInput, match=words):
        call()


@pytest.mark.parametrize("beta", [4.0, 20.0, 100.0])
def test_all_three_kinds_of_points_of_three_tokens_are_found_at_any_temperature(beta):
    found = theory.critical_points_on_circle(3, beta=beta, starts=60)
    assert [one.signature for one in found] == [(2, 1, 0), (1, 1, 1), (0, 1, 2)]
    together, pair, corners = found
    assert together.largest == pytest.approx(-3 * np.exp(beta))
    assert pair.largest == pytest.approx(3 * np.exp(-beta))  # 1/(3 e^(2 beta)) of the largest: still told from 0
    assert corners.largest == pytest.approx((1.5 + 2.25 * beta) * np.exp(-beta / 2), rel=1e-8)


@pytest.mark.parametrize("beta", [-2.0, 1.0, 6.0])
def test_signatures_of_clusters_are_those_of_the_whole_hessian(beta):
    for one in theory.critical_points_on_circle(4, beta=beta, starts=40):
        values = np.linalg.eigvalsh(theory.hessian_on_circle(one.angles, beta))
        zero = np.abs(values).argmin()
        others = np.delete(values, zero)
        assert abs(values[zero]) < 1e-9 * np.abs(values).max()
        assert one.signature == ((others < 0).sum(), 1, (others > 0).sum())
        assert one.largest == pytest.approx(others.max(), rel=1e-6)


def test_critical_points_of_the_extreme_temperatures_do_not_overflow():
    for beta, stable in ((710.0, [0.0, 0.0, 0.0]), (-800.0, [0.0, 2 * np.pi / 3, 4 * np.pi / 3])):
        found = theory.critical_points_on_circle(3, beta=beta, starts=16)
        assert any(one.signature == (2, 1, 0) and np.allclose(one.angles, stable, atol=1e-6) for one in found)


def test_times_beyond_a_double_are_infinite():
    given = {"beta": 2000.0, "epsilon": 0.005, "overlap": 0.28}
    assert theory.metastable_window(10, rate=0.3, **given)[1] == np.inf
    assert theory.bounds_of_collapse(10, **given)[0] == np.inf
    assert theory.metastable_window(10, beta=2e4, epsilon=0.06, overlap=0.28, rate=0.3) == (np.inf, np.inf)


def test_steps_of_a_staircase_take_time_from_the_collision_radius_on():
    radius = theory.collision_radius(100.0)
    assert theory.staircase([0.0, 1.001 * radius, 1.3], beta=100.0)[0].length > 0
    with pytest.raises(BadInput, match=r"within r_beta = 0\.0465991.*join them"):
        theory.staircase([0.0, 1e-3, 1.3], beta=100.0)
    with pytest.raises(BadInput, match="start is"):
        theory.length_of_a_step(beta=100.0, start=0.9 * radius, masses=(0.5, 0.5))

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

import measureflow as mf
from measureflow.flows import segment as steps
from measureflow.flows.segment import Problem

S2 = mf.Sphere(3)
EPS = np.finfo(float).eps
FORM = np.diag([1.0, -0.5, 2.0])

MODELS = {
    "SA": {},
    "USA": {"weighting": "unnormalised"},
    "indefinite form": {"query": FORM, "value": FORM},
}


def largest_step_back(path) -> float:
    """Largest step of the energy against its direction, in units of eps E."""
    name = next(name for name in path.stats if name.startswith("largest_energy"))
    return path.stats[name] / (EPS * float(path.energy.max()))


@pytest.mark.parametrize("beta", [0.5, 9.0])
@pytest.mark.parametrize("model", MODELS)
def test_energy_never_decreases_at_any_accepted_step(model, beta):
    for seed in range(3):
        path = mf.flow(mf.uniform(S2, n=8, seed=seed), mf.SelfAttention(beta=beta, **MODELS[model]), until=40.0, save=3)
        assert largest_step_back(path) <= 8.0
        assert path.energy[-1] > path.energy[0]


@pytest.mark.parametrize("model", ["SA", "USA"])
def test_energy_never_increases_where_the_value_is_minus_the_form(model):
    for seed in range(3):
        field = mf.SelfAttention(beta=2.0, value=-1.0, **MODELS[model])
        path = mf.flow(mf.uniform(S2, n=8, seed=seed), field, until=100.0, save=3)
        assert "largest_energy_increase" in path.stats
        assert largest_step_back(path) <= 8.0
        assert path.energy[-1] < path.energy[0]


@pytest.mark.parametrize(("d", "coarsen"), [(3, True), (6, False)])
def test_energy_never_decreases_in_long_runs_at_the_stability_limit(d, coarsen):
    for beta in (1.0, 4.0):
        tokens, solver = mf.uniform(mf.Sphere(d), n=8, seed=1), mf.Adaptive(coarsen=coarsen)
        path = mf.flow(tokens, mf.SelfAttention(beta=beta), until=1e3, save=3, solver=solver)
        assert largest_step_back(path) <= 8.0
        assert path.stats["sphere_defect"] <= 8 * EPS
        if not coarsen:  # tokens that have met hold the step down
            assert path.stats["accepted"] > 250


class Backwards(mf.SelfAttention):
    """A sign error: the energy is that of the field, the motion is not."""

    def __call__(self, x, mu, positions=None):
        return -super().__call__(x, mu, positions)


def test_energy_statistic_catches_a_sign_error():
    path = mf.flow(mf.uniform(S2, n=8, seed=0), Backwards(beta=1.0), until=5.0, save=3)
    assert path.stats["largest_energy_decrease"] > 1e-3


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("model", MODELS)
def test_energy_is_what_the_dissipation_adds_up_to(model, sign):
    options = {**MODELS[model]}
    if sign < 0:
        options["value"] = -np.asarray(options.get("value", 1.0))
    nodes, weights = leggauss(20)
    end = 0.8
    times = np.concatenate([[0.0], 0.5 * end * (1 + nodes), [end]])
    tokens = mf.uniform(S2, n=8, seed=2)
    tokens = mf.Tokens(S2, tokens.points, np.arange(1, 9) / 36)
    path = mf.flow(
        tokens,
        mf.SelfAttention(beta=1.5, **options),
        until=end,
        save=times,
        record=("energy", "dissipation"),
        solver=mf.Adaptive(rtol=1e-11, atol=1e-13),
    )
    gained = float(path.recorded["energy"][-1] - path.recorded["energy"][0])
    assert gained == pytest.approx(0.5 * end * float(weights @ path.recorded["dissipation"][1:-1]), rel=1e-9)
    assert sign * gained > 0.01


def test_no_energy_is_claimed_where_none_is_proved():
    path = mf.flow(mf.uniform(S2, n=8, seed=0), mf.SelfAttention(beta=1.0, mask="causal"), until=1.0, save=3)
    assert not any(name.startswith("largest_energy") for name in path.stats)


def problem(beta: float) -> Problem:
    field = mf.SelfAttention(beta=beta)
    tokens = mf.equiangular(n=2, cosine=-0.5)
    return Problem(tokens, field, mf.Adaptive(coarsen=False), None, field.energy_sign)


@eqx.filter_jit
def begin(case: Problem, time: float) -> steps.State:
    return steps.begin(case, time)


@eqx.filter_jit
def to(case: Problem, state: steps.State, target) -> steps.State:
    return steps.segment(case, state, jnp.asarray(target, float), jnp.asarray(20_000), jax.lax.while_loop)


def test_collapse_of_duration_one_is_resolved_at_times_that_cannot_tell_it_from_nothing():
    case, late = problem(3.0), 1e20
    early = to(case, begin(case, 0.0), jnp.asarray(30.0))
    started = begin(case, late)
    after = to(case, started, jnp.asarray(np.nextafter(late, np.inf)))
    assert np.nextafter(late, np.inf) - late > 1e4  # the collapse takes 30: no float lies within it
    assert float(after.time) == np.nextafter(late, np.inf)
    gap = float(jnp.linalg.norm(after.x[0] - after.x[1]))
    assert gap < 1e-7
    assert int(after.accepted) > int(early.accepted) - 3  # no step jumped over it


def test_steps_far_shorter_than_the_time_so_far_are_not_rounded_away():
    state = begin(problem(1.0), 0.0)
    moved = eqx.tree_at(lambda s: (s.start, s.offset), state, (jnp.asarray(3.0), jnp.asarray(1e9)))
    start, offset = steps.advance_time(moved, jnp.asarray(1e-3), jnp.asarray(False), jnp.asarray(1e12))
    assert (float(start), float(offset)) == (3.0 + 1e9, 1e-3)  # a new phase
    again = eqx.tree_at(lambda s: (s.start, s.offset), state, (start, offset))
    start, offset = steps.advance_time(again, jnp.asarray(1e-3), jnp.asarray(False), jnp.asarray(1e12))
    assert float(offset) == 2e-3  # which the sum start + offset would have rounded


def test_collapse_after_a_wait_of_1e15_comes_at_its_time():
    # USA*: u' = (1 - u²) e^(beta (u - 1)), by quadrature in the log of the time
    from scipy.integrate import quad

    beta, start, end = 40.0, 0.1, 0.9

    def slowness(u):
        return np.exp(beta * (start - u)) / (1 - u * u)

    wait = np.exp(beta * (1 - start)) * quad(slowness, start, end, epsabs=0, epsrel=1e-13)[0]
    assert wait > 1e14
    field = mf.SelfAttention(beta=beta, weighting=mf.fields.Unnormalised(shifted=True))
    solver = mf.Adaptive(rtol=1e-11, atol=1e-13)
    path = mf.flow(mf.equiangular(n=2, cosine=start), field, until=mf.Overlap(0, 1, end), solver=solver)
    assert path.status == "reached"
    assert float(path.times[-1]) == pytest.approx(wait, rel=1e-9)


def test_collapsed_tokens_stand_still_up_to_any_time():
    points = np.tile([0.6, 0.0, 0.8], (8, 1))
    path = mf.flow(mf.Tokens(S2, points), mf.SelfAttention(beta=4.0), until=1e12, save=3)
    assert path.status == "stationary"
    assert path.stats["accepted"] <= 2
    near = mf.cap(S2, n=8, angle=1e-3, seed=0)
    path = mf.flow(near, mf.SelfAttention(beta=4.0), until=1e12, save=3)
    assert path.status in ("stationary", "reached")
    assert int(path.clusters[-1]) == 1
    assert path.stats["accepted"] < 500


@pytest.mark.parametrize("model", ["SA", "USA"])
@pytest.mark.parametrize("signs", [[1, -1] * 4, [1] * 7 + [-1], [1] * 8])
def test_tokens_on_an_axis_stand_still(model, signs):
    points = np.outer(signs, [0.0, 1.0, 0.0])
    path = mf.flow(mf.Tokens(S2, points), mf.SelfAttention(beta=3.0, **MODELS[model]), until=1e6, save=4)
    assert path.status == "stationary"
    assert (path.points == points).all()


def test_path_that_blows_up_ends_there_and_holds_no_nan():
    tokens = mf.Tokens(mf.Euclidean(2), [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])
    path = mf.flow(tokens, mf.SelfAttention(beta=1.0), until=1e3, record="order_parameter")
    assert path.status == "blow-up"
    assert 300 < float(path.times[-1]) < 800  # like e^t, up to the largest square
    assert len(path) == len(path.times) == len(path.recorded["order_parameter"])
    assert np.isfinite(path.points).all()
    assert np.abs(path.points[-1]).max() > 1e100


@pytest.mark.parametrize("coarsen", [True, False])
def test_blow_up_is_seen_where_squares_overflow_before_the_points_do(coarsen):
    # tokens in two opposite groups: with the square of the size infinite, every error once looked small
    tokens = mf.Tokens(mf.Euclidean(3), 2.0 * mf.uniform(S2, n=8, seed=0).points)
    solver = mf.Adaptive(max_steps=20_000, coarsen=coarsen)
    path = mf.flow(tokens, mf.SelfAttention(beta=1.0), until=1e3, solver=solver, save=20)
    assert path.status == "blow-up"
    assert np.isfinite(path.points).all()


class Square(mf.Field):
    """x' = x² in each coordinate: leaves every bound at t = 1/x."""

    def output(self, x, mu, positions=None):
        return x * x


def test_blow_up_in_finite_time_is_found_at_that_time():
    path = mf.flow(mf.Tokens(mf.Euclidean(2), [[2.0, 0.0], [0.0, -1.0]]), Square(), until=2.0, save=[0.25, 1.0])
    assert path.status == "blow-up"
    assert path.times[0] == 0.25
    assert float(path.times[-1]) == pytest.approx(0.5, abs=1e-6)
    assert float(path.points[0, 0, 0]) == pytest.approx(4.0, rel=1e-7)


class Cliff(mf.Field):
    """Not a number beyond a line."""

    def output(self, x, mu, positions=None):
        return jnp.where(x[:, :1] > 1.5, jnp.nan, 1.0) * jnp.ones_like(x)


def test_path_into_a_field_that_is_not_a_number_ends_before_it():
    path = mf.flow(mf.Tokens(mf.Euclidean(2), [[1.0, 0.0]]), Cliff(), until=2.0)
    assert path.status == "blow-up"
    assert float(path.times[-1]) == pytest.approx(0.5, abs=1e-6)
    assert np.isfinite(path.points).all()
    path = mf.flow(mf.Tokens(mf.Euclidean(2), [[1.6, 0.0]]), Cliff(), until=2.0)
    assert (path.status, path.times.tolist()) == ("blow-up", [0.0])


def test_run_that_may_not_try_longer_is_unresolved():
    path = mf.flow(
        mf.uniform(S2, n=8, seed=0), mf.SelfAttention(beta=1.0), until=50.0, save=3, solver=mf.Adaptive(max_steps=5)
    )
    assert path.status == "unresolved"
    assert 0 < float(path.times[-1]) < 50.0
    assert len(path) == len(path.times)


def test_start_near_an_unstable_rest_finds_its_own_time_scale():
    # rounding leaves a speed of 1e-17, from which a first step of 1e14 is guessed and rejected down to order one
    x = np.array([0.3, 0.5, -0.2]) / np.linalg.norm([0.3, 0.5, -0.2])
    tilted = mf.Tokens(S2, S2.project(jnp.asarray([x, -x + [1e-13, 0.0, 0.0]])))
    path = mf.flow(tilted, mf.SelfAttention(beta=1.0), until=500.0, save=[1.0, 500.0])
    assert path.status in ("reached", "stationary")
    assert float(jnp.linalg.norm(path.points[-1, 0] - path.points[-1, 1])) < 1e-6

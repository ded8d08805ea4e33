from __future__ import annotations

import itertools
import sys
from pathlib import Path as Folder

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import measureflow as mf

S2 = mf.Sphere(3)
SHARP = mf.Adaptive(rtol=1e-12, atol=1e-13)
TURN = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
KEY = np.random.default_rng(8).normal(size=(3, 3))


def cloud(n=8, seed=0, **options) -> mf.Tokens:
    tokens = mf.uniform(S2, n=n, seed=seed)
    return mf.Tokens(S2, tokens.points, **options) if options else tokens


def masses(n: int) -> np.ndarray:
    weights = np.random.default_rng(n).uniform(0.5, 1.5, size=n)
    return weights / weights.sum()


def solved(rate, start: float, times) -> np.ndarray:
    """A scalar equation, by another method at tighter tolerance."""
    found = solve_ivp(lambda _, u: [rate(u[0])], (0.0, times[-1]), [start], "DOP853", times, rtol=1e-13, atol=1e-15)
    return found.y[0]


def cosine(path, i=0, j=1) -> np.ndarray:
    return np.sum(np.asarray(path.points[:, i] * path.points[:, j]), axis=-1)


ANGLES = {
    "softmax": lambda beta: lambda a: -2.0 * np.sin(a) / (1.0 + np.exp(beta * (1.0 - np.cos(a)))),
    "unnormalised": lambda beta: lambda a: -np.exp(beta * np.cos(a)) * np.sin(a),
}


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("model", ANGLES)
def test_two_tokens_follow_their_angle(model, beta):
    start, times = 2.4, np.linspace(0.0, 6.0, 7)
    angle = solved(ANGLES[model](beta), start, times)
    tokens = mf.equiangular(n=2, cosine=np.cos(start))
    path = mf.flow(tokens, mf.SelfAttention(beta=beta, weighting=model), until=6.0, save=times, solver=SHARP)
    np.testing.assert_allclose(cosine(path), np.cos(angle), rtol=0, atol=1e-10)


@pytest.mark.parametrize("beta", [0.0, 1.0, 5.0])
def test_equiangular_tokens_follow_one_scalar_equation(beta):
    n, times = 8, np.linspace(0.0, 8.0, 9)

    def rate(r):
        return 2 * np.exp(beta * r) * (1 - r) * ((n - 1) * r + 1) / (np.exp(beta) + (n - 1) * np.exp(beta * r))

    solver = mf.Adaptive(rtol=1e-11, atol=1e-12)
    field = mf.SelfAttention(beta=beta)
    path = mf.flow(mf.equiangular(n=n, cosine=-0.1), field, until=8.0, save=times, record="cosine", solver=solver)
    np.testing.assert_allclose(path.recorded["cosine"], solved(rate, -0.1, times), rtol=0, atol=1e-9)


@pytest.mark.parametrize("first", [3, 6])
def test_two_clusters_of_different_mass_follow_their_equation(first):
    beta, start, times = 3.0, -0.4, np.linspace(0.0, 5.0, 6)
    a, b = first / 8, 1 - first / 8

    def rate(u):
        grown = np.exp(beta * (1 - u))
        return (1 - u * u) * (b / (a * grown + b) + a / (b * grown + a))

    ends = np.array([[1.0, 0.0, 0.0], [start, np.sqrt(1 - start**2), 0.0]])
    points = ends[[0] * first + [1] * (8 - first)] @ TURN.T
    path = mf.flow(mf.Tokens(S2, points), mf.SelfAttention(beta=beta), until=5.0, save=times, solver=SHARP)
    np.testing.assert_allclose(cosine(path, 0, 7), solved(rate, start, times), rtol=0, atol=1e-10)
    weighted = mf.Tokens(S2, points[[0, 7]], [a, b])
    alone = mf.flow(weighted, mf.SelfAttention(beta=beta), until=5.0, save=times, solver=SHARP)
    np.testing.assert_allclose(cosine(path, 0, 7), cosine(alone), rtol=0, atol=1e-11)


def test_cross_ratios_are_conserved_at_beta_zero():
    rtol = 1e-9
    path = mf.flow(cloud(), mf.SelfAttention(beta=0.0), until=2.0, save=9, solver=mf.Adaptive(rtol, 1e-13))
    x = np.asarray(path.points)
    gap = np.sum((x[:, :, None] - x[:, None]) ** 2, axis=-1)
    for i, j, k, l in itertools.combinations(range(8), 4):
        ratio = gap[:, i, j] * gap[:, k, l] / (gap[:, i, k] * gap[:, j, l])
        np.testing.assert_allclose(ratio, ratio[0], rtol=10 * rtol)
    assert gap[-1].mean() < 0.5 * gap[0].mean()  # and they did move


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_flow_commutes_with_rotations(seed):
    field = mf.SelfAttention(beta=2.0)
    tokens = cloud(weights=masses(8), seed=seed)
    turned = mf.Tokens(S2, tokens.points @ TURN.T, tokens.weights)
    one, other = (mf.flow(start, field, until=4.0, save=5) for start in (tokens, turned))
    np.testing.assert_allclose(one.points @ TURN.T, other.points, rtol=0, atol=1e-11)


@pytest.mark.parametrize("mask", [None, "causal"])
def test_flow_commutes_with_renaming_the_tokens(mask):
    order = np.random.default_rng(1).permutation(8)
    field = mf.SelfAttention(beta=2.0, key=KEY, mask=mask)
    tokens = cloud(weights=masses(8))
    renamed = mf.Tokens(S2, tokens.points[order], tokens.weights[order], positions=tokens.positions[order])
    one, other = (mf.flow(start, field, until=4.0, save=5) for start in (tokens, renamed))
    np.testing.assert_allclose(one.points[:, order], other.points, rtol=0, atol=1e-11)
    if mask:  # and the places in the text do matter
        moved = mf.flow(mf.Tokens(S2, tokens.points[order], tokens.weights[order]), field, until=4.0, save=5)
        assert np.abs(moved.points - other.points).max() > 1e-3


def test_flow_agrees_with_diffrax_on_heads_masks_and_perceptrons():
    import diffrax

    heads = mf.MultiHead([mf.SelfAttention(beta=2.0, key=KEY, value=TURN), mf.SelfAttention(beta=1.0, mask="causal")])
    field = heads + mf.Perceptron(KEY, 0.3 * KEY.T, bias=[0.1, 0.2, 0.3], activation="tanh")
    tokens, times = cloud(weights=masses(8)), jnp.linspace(0.0, 3.0, 7)
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, x, _: field(x / jnp.linalg.norm(x, axis=1, keepdims=True), tokens.replace(points=x))),
        diffrax.Dopri8(),
        0.0,
        3.0,
        0.01,
        tokens.points,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=1e-12, atol=1e-13),
    )
    for pair in ("dormand-prince", "dopri8"):
        path = mf.flow(tokens, field, until=3.0, save=times, solver=mf.Adaptive(1e-11, 1e-12, pair=pair))
        np.testing.assert_allclose(path.points, found.ys, rtol=0, atol=1e-9)


def test_error_follows_the_tolerance():
    exact = mf.flow(cloud(), mf.SelfAttention(beta=2.0), until=3.0, save=2, solver=SHARP).points[-1]
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        solver = mf.Adaptive(rtol=rtol, atol=rtol / 100)
        path = mf.flow(cloud(), mf.SelfAttention(beta=2.0), until=3.0, save=2, solver=solver)
        errors.append(float(jnp.abs(path.points[-1] - exact).max()))
        assert errors[-1] < 20 * rtol
    assert errors[0] > errors[1] > errors[2]


def test_saved_times_are_landed_on_exactly_and_do_not_steer_the_flow():
    field = mf.SelfAttention(beta=2.0)
    odd = np.array([0.1, 1 / 3, 0.7, np.nextafter(0.7, 1), 2.9999999, 3.0])
    path = mf.flow(cloud(), field, until=3.0, save=odd)
    assert path.times.tolist() == odd.tolist()
    for k, time in enumerate(odd):
        alone = mf.flow(cloud(), field, until=float(time), save=[float(time)])
        np.testing.assert_allclose(alone.points[-1], path.points[k], rtol=0, atol=1e-7)
    dense = mf.flow(cloud(), field, until=3.0, save=400)
    np.testing.assert_allclose(dense.points[-1], path.points[-1], rtol=0, atol=1e-7)
    assert dense.stats["accepted"] >= 399


def test_times_run_on_to_until_where_the_last_saved_one_is_earlier():
    path = mf.flow(cloud(), mf.SelfAttention(beta=2.0), until=3.0, save=[1.0, 2.0])
    assert path.times.tolist() == [1.0, 2.0]
    assert path.status == "reached"


def test_absent_tokens_never_move_and_never_pull():
    field = mf.SelfAttention(beta=2.0)
    present = np.array([True, True, False, True, True, False, True, True])
    points = cloud().points * np.where(present, 1.0, 1 + 1e-9)[:, None]  # off the sphere by what is taken for rounding
    path = mf.flow(mf.Tokens(S2, points, present=present), field, until=5.0, save=6)
    assert (path.points[:, ~present] == points[~present]).all()
    without = mf.flow(mf.Tokens(S2, cloud().points[present]), field, until=5.0, save=6)
    np.testing.assert_allclose(path.points[:, present], without.points, rtol=0, atol=1e-11)


def test_tokens_without_mass_follow_and_do_not_pull():
    field = mf.SelfAttention(beta=2.0)
    tokens = cloud()
    weights = np.where(np.arange(8) < 6, 1 / 6, 0.0)
    twin = tokens.points.at[6].set(tokens.points[0])  # one tracer begins on token 0, the other anywhere
    path = mf.flow(mf.Tokens(S2, twin, weights), field, until=60.0, save=6)
    without = mf.flow(mf.Tokens(S2, tokens.points[:6]), field, until=60.0, save=6)
    np.testing.assert_allclose(path.points[:, :6], without.points, rtol=0, atol=1e-7)
    np.testing.assert_allclose(path.points[:, 6], path.points[:, 0], rtol=0, atol=1e-10)
    assert np.abs(path.points[-1, 7] - path.points[-1, 0]).max() < 1e-6
    assert np.abs(path.points[0, 7] - path.points[0, 0]).max() > 0.1


def test_schedule_lands_on_its_jump_and_equals_two_flows_one_after_the_other():
    first, second = mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=9.0)
    schedule = mf.Schedule([first, second], times=[0.0, 0.3])
    path = mf.flow(cloud(), schedule, until=1.0, save=[0.2, 1.0])
    before = mf.flow(cloud(), first, until=0.3, save=[0.2, 0.3], solver=SHARP)
    after = mf.flow(before[-1], second, until=0.7, save=[0.7], solver=SHARP)
    np.testing.assert_allclose(path.points[0], before.points[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(path.points[1], after.points[-1], rtol=0, atol=1e-9)
    assert path.stats["rejected"] <= 1  # no step straddles the jump


class Ramp(mf.Field):
    """Attention that is switched on slowly: not autonomous, and at rest at depth 0."""

    field: mf.Field
    strength: jax.Array | float = 0.0

    def output(self, x, mu, positions=None):
        return self.strength * self.field.output(x, mu, positions)

    def at(self, t):
        return Ramp(self.field, t)


def test_field_that_changes_with_depth_is_followed_in_its_own_time():
    field = mf.SelfAttention(beta=2.0)
    path = mf.flow(cloud(), Ramp(field), until=2.0, save=[1.0, 2.0])
    plain = mf.flow(cloud(), field, until=2.0, save=[0.5, 2.0])
    np.testing.assert_allclose(path.points, plain.points, rtol=0, atol=1e-7)


def test_field_at_rest_until_a_jump_moves_after_it():
    field = mf.SelfAttention(beta=2.0)
    rest = mf.Schedule([mf.SelfAttention(beta=2.0, value=0.0), field], times=[0.0, 1.0])
    path = mf.flow(cloud(), rest, until=2.0, save=[0.5, 1.0, 2.0])
    np.testing.assert_allclose(path.points[1], cloud().points, rtol=0, atol=1e-15)
    np.testing.assert_allclose(path.points[2], mf.flow(cloud(), field, until=1.0, save=[1.0])[-1].points, atol=1e-8)
    assert path.status == "reached"


def test_float32_tokens_and_fields_of_another_dimension_are_refused():
    field = mf.SelfAttention(beta=1.0)
    tokens = cloud()
    with pytest.raises(mf.BadInput, match=r"float32; make them with points.astype\(float\)"):
        mf.flow(tokens.replace(points=tokens.points.astype(np.float32)), field, until=1.0)
    with pytest.raises(mf.BadInput, match=r"value has shape \(4, 4\) and the tokens are in R\^3"):
        mf.flow(tokens, mf.SelfAttention(beta=1.0, value=np.eye(4)), until=1.0)


class Flat(mf.Field):
    """A number for each token, where a vector is meant."""

    def output(self, x, mu, positions=None):
        return x[:, 0]

    def __call__(self, x, mu, positions=None):
        return x[:, 0]


class Mixed(mf.Field):
    """A field for another dimension."""

    def output(self, x, mu, positions=None):
        return x @ np.eye(4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"until": -1.0}, r"until is -1\.0"),
        ({"until": 0}, r"until is 0\.0"),
        ({"until": float("nan")}, "until is nan"),
        ({"until": float("inf")}, "until is inf"),
        ({"until": "5"}, "until is '5'"),
        ({"until": True}, "until is True"),
        ({"until": None}, "until is None"),
        ({"until": [1.0, 2.0]}, r"until is \[1\.0, 2\.0\]"),
        ({"until": mf.Overlap(0, 99, 0.5)}, "no token 99"),
        ({"save": [1.0, 0.5]}, "strictly increasing"),
        ({"save": [0.0, 2.0]}, "behind until = 1"),
        ({"save": 1}, "save is 1"),
        ({"keep": [12]}, "outside the 12"),
        ({"keep": "first"}, "keep is 'first'"),
        ({"record": "enrgy"}, "did you mean 'energy'"),
        ({"solver": 1e-8}, "solver is 1e-08"),
        ({"solver": mf.Splitting()}, r"give mf\.Adaptive"),
        ({"noise": -0.1, "seed": 0}, r"noise is -0\.1"),
        ({"noise": 0.1}, "noise needs a seed"),
        ({"noise": 0.1, "seed": 0, "solver": mf.Adaptive()}, r"with noise, mf\.Splitting"),
        ({"noise": 0.1, "seed": -3}, "seed is -3"),
        ({"normalisation": mf.fields.Free()}, r"use mf\.Euclidean\(d\) or PostLN"),
        ({"normalisation": "postln"}, "normalisation is 'postln'"),
        ({"tokens": cloud().points}, r"give mf\.Tokens\(space, points\)"),
        ({"field": lambda x, mu: x}, "give a field such as"),
        ({"field": mf.SelfAttention(beta=1.0, query=np.eye(4), key=np.eye(4))}, r"query has shape \(4, 4\)"),
        ({"field": mf.Perceptron(np.ones((5, 4)), np.ones((4, 5)))}, r"Perceptron.* tokens are in R\^3"),
        ({"field": Mixed()}, r"Mixed\(\) does not act on tokens in R\^3 \(.*shape"),
        ({"field": Flat()}, r"returns shape \(8,\) for tokens of shape \(8, 3\)"),
    ],
)
def test_flow_that_makes_no_sense_is_refused_before_any_step(arguments, words, monkeypatch):
    def started(*_):
        raise AssertionError("work was started")

    monkeypatch.setattr(sys.modules["measureflow.flows.flow"], "drive", started)
    with pytest.raises(mf.BadInput, match=words) as error:
        mf.flow(
            **{
                "tokens": cloud(),
                "field": mf.SelfAttention(beta=2.0),
                "until": 1.0,
                "save": 12,
                "store": "run.zarr",
                **arguments,
            }
        )
    assert "\n" not in str(error.value)
    assert not Folder("run.zarr").exists()

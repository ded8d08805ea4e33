"""Normalisations: the table of speed factors and radial laws, in NumPy; placements; what is refused."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.fields import LayerNorm, Normalised, motion_under, resolution, settled, sums_of
from measureflow.sums import Exact

SPHERE, FLAT = mf.Sphere(4), mf.Euclidean(4)
TOKENS = mf.uniform(SPHERE, n=6, seed=0)
RADII = np.linspace(0.7, 2.5, 6)
STATES = mf.Tokens(FLAT, RADII[:, None] * TOKENS.points, TOKENS.weights)
FIELD = mf.SelfAttention(beta=2.0)
SCHEMES = [mf.PostLN(), mf.PreLN(), mf.PeriLN(), mf.MixLN(3.0), mf.NGPT(0.7), mf.SqrtLN()]

velocity = eqx.filter_jit(lambda field, mu: field(mu.points, mu))


def radial(scheme) -> bool:
    return isinstance(scheme, (mf.PreLN, mf.PeriLN, mf.MixLN))


def by_the_table(scheme, points, t, field=None):
    """Velocity of the states from the table of arXiv:2510.22026, in NumPy."""
    r = np.linalg.norm(points, axis=1, keepdims=True)
    theta = points / r
    if field is None:
        raised = np.exp(2.0 * theta @ theta.T)
        output = raised @ theta / raised.sum(axis=1, keepdims=True)
    else:
        output = field(theta)
    size, along = np.linalg.norm(output, axis=1, keepdims=True), (theta * output).sum(axis=1, keepdims=True)
    rows = {
        "PostLN": (1.0, 0.0),
        "PreLN": (r, along),
        "PeriLN": (r * size, along / size),
        "MixLN": (1.0, 0.0) if t < 3.0 else (r, along),
        "NGPT": (size / 0.7, 0.0),
        "SqrtLN": (np.sqrt(t + 1), 0.0),
    }
    s, grows = rows[type(scheme).__name__]
    return r / s * (output - along * theta) + grows * theta


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("t", [0.0, 5.0])
def test_velocity_is_that_of_the_table(scheme, t):
    states = STATES if radial(scheme) else TOKENS
    moved = velocity(Normalised(FIELD, scheme, jnp.asarray(t)), states)
    np.testing.assert_allclose(moved, by_the_table(scheme, np.asarray(states.points), t), rtol=0, atol=1e-14)


def test_a_motion_at_a_depth_is_that_of_the_field_and_of_the_scheme_there():
    schedule = mf.Schedule([FIELD, mf.SelfAttention(beta=2.0, value=-1.0)], times=[0.0, 4.0])
    motion = Normalised(schedule, mf.MixLN(3.0))
    assert motion.breaks == (3.0, 4.0)
    assert not motion.autonomous
    late, early = (motion.at(t)(STATES.points, STATES) for t in (5.0, 3.5))
    np.testing.assert_allclose(late, -early, rtol=0, atol=1e-15)
    assert Normalised(FIELD, mf.PreLN()).at(5.0) is not None
    assert Normalised(FIELD, mf.PreLN()).autonomous
    assert Normalised(FIELD, mf.NGPT(jnp.sin)).autonomous is False


class Pull(mf.Field):
    """A field of one's own, with both methods."""

    def output(self, x, mu, positions=None):
        return jnp.broadcast_to(mu.weights @ mu.points, x.shape)

    def __call__(self, x, mu, positions=None):
        return mu.space.tangent(x, self.output(x, mu) - x)


@eqx.filter_jit
def both_and_each(field, mu):
    """Output and velocity from one sum, and each from its own."""
    return field.output_and_velocity(mu.points, mu), field.output(mu.points, mu), field(mu.points, mu)


TURN = np.random.default_rng(0).normal(size=(4, 4))


@pytest.mark.parametrize(
    "field",
    [
        FIELD,
        mf.SelfAttention(beta=1.0, query=TURN, value=TURN, mask="causal"),
        mf.SelfAttention(beta=1.0, value=-0.5, weighting="unnormalised"),
        mf.MultiHead([FIELD, mf.SelfAttention(beta=1.0, value=TURN)]),
        FIELD + mf.Perceptron(TURN, TURN),
        Pull(),
        mf.Schedule([FIELD], [0.0]),
    ],
    ids=lambda field: type(field).__name__,
)
@pytest.mark.parametrize("mu", [TOKENS, STATES], ids=["sphere", "flat"])
def test_output_and_velocity_from_one_sum_are_both(field, mu):
    (output, moved), alone, velocity = both_and_each(field, mu)
    np.testing.assert_allclose(output, alone, rtol=0, atol=2e-14)
    np.testing.assert_allclose(moved, velocity, rtol=0, atol=2e-14)


def test_close_tokens_keep_their_digits():
    angles = 1e-9 * np.arange(4)
    points = np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1)
    mu = mf.Tokens(SPHERE, points)
    plain = velocity(Normalised(FIELD, mf.PostLN()), mu)
    np.testing.assert_allclose(plain[:, 1], 1e-9 * (1.5 - np.arange(4)), rtol=1e-6)
    np.testing.assert_allclose(velocity(Normalised(FIELD, mf.NGPT(0.7)), mu), 0.7 * plain, rtol=1e-12)


@pytest.mark.parametrize("scheme", [mf.PeriLN(), mf.NGPT()], ids=repr)
def test_an_output_of_zero_moves_nothing_and_has_a_derivative(scheme):
    points = jnp.asarray([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]])
    mu = mf.Tokens(FLAT if radial(scheme) else SPHERE, points)
    motion = Normalised(mf.SelfAttention(beta=0.0), scheme)
    assert (velocity(motion, mu) == 0).all()
    assert (scheme.step(mu.space, points, jnp.zeros((2, 4)), jnp.asarray(0.5)) == points).all()
    slope = jax.jit(jax.grad(lambda x: jnp.sum(motion(x, mu.replace(points=x)) ** 2)))(points)
    assert bool(jnp.isfinite(slope).all())


def test_absent_tokens_may_stand_at_the_origin_and_present_ones_may_not():
    points = STATES.points.at[2].set(0.0)
    mu = mf.Tokens(FLAT, points, present=np.arange(6) != 2)
    mf.PreLN().ready(mu)
    moved = velocity(Normalised(FIELD, mf.PreLN()), mu)
    others = np.arange(6) != 2
    np.testing.assert_allclose(
        moved[others], velocity(Normalised(FIELD, mf.PreLN()), mf.Tokens(FLAT, points[others])), atol=1e-15
    )
    with pytest.raises(mf.BadInput, match="PreLN: token 2 is at the origin and has no direction"):
        mf.PreLN().ready(mf.Tokens(FLAT, points))


def test_layers_place_the_norm_where_the_scheme_says():
    x, h, t = np.asarray(STATES.points), 0.3, 5.0
    theta = x / RADII[:, None]
    output = np.asarray(FIELD.output(TOKENS.points, TOKENS))
    ahead = output / np.linalg.norm(output, axis=1, keepdims=True)

    def unit(v):
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    wanted = {
        "PostLN": unit(theta + h * output),
        "PreLN": x + h * output,
        "PeriLN": x + h * ahead,
        "NGPT": unit(theta + h * 0.7 * (ahead - theta)),
        "SqrtLN": unit(theta + h / np.sqrt(6.0) * output),
    }
    for scheme in SCHEMES:
        states = STATES if radial(scheme) else TOKENS
        seen = scheme.seen(states)
        said = FIELD.output(seen.points, seen)
        step = scheme.step(states.space, states.points, said, jnp.asarray(h), t)
        if isinstance(scheme, mf.MixLN):
            np.testing.assert_allclose(step, wanted["PreLN"], atol=1e-15)
            early = scheme.step(states.space, states.points, said, jnp.asarray(h), 2.9)
            np.testing.assert_allclose(early, RADII[:, None] * wanted["PostLN"], atol=1e-15)
        else:
            np.testing.assert_allclose(step, wanted[type(scheme).__name__], atol=1e-15)


def test_trained_norms_are_the_same_objects_with_parameters():
    norm = LayerNorm(jnp.asarray([1.0, 2.0, 0.5, 1.5]), jnp.asarray([0.1, 0.0, -0.2, 0.3]), 1e-5)
    x, output = STATES.points, FIELD.output(STATES.points, STATES)
    h = jnp.asarray(1.0)
    np.testing.assert_array_equal(mf.PostLN(norm).step(FLAT, x, output, h), norm(x + output))
    path = mf.layers(STATES, FIELD, depth=1, step=1.0, normalisation=mf.PreLN(norm))
    seen = STATES.replace(points=norm(x))
    np.testing.assert_allclose(path.points[1], x + FIELD.output(seen.points, seen), rtol=0, atol=1e-14)
    moved = velocity(Normalised(FIELD, mf.PreLN(norm)), STATES)
    np.testing.assert_allclose(moved, FIELD.output(seen.points, seen), rtol=0, atol=1e-14)
    with pytest.raises(mf.BadInput, match=r"a trained layer norm does not keep Sphere\(d=4\)"):
        mf.layers(TOKENS, FIELD, depth=1, step=1.0, normalisation=mf.PostLN(norm))
    with pytest.raises(mf.BadInput, match="PostLN with a trained norm is no small step and has no flow"):
        mf.flow(STATES, FIELD, until=1.0, normalisation=mf.PostLN(norm))


def test_what_is_proved_of_the_field_is_kept_by_a_scheme():
    motion = Normalised(FIELD, mf.PreLN())
    assert motion.energy_sign == 1
    assert float(motion.energy(STATES)) == pytest.approx(float(FIELD.energy(TOKENS)), rel=1e-14)
    assert motion.isotropic
    assert not motion.positional
    assert [Normalised(FIELD, scheme).joins for scheme in SCHEMES] == [True, False, False, False, True, True]
    assert not Normalised(FIELD, mf.NGPT(jnp.sin)).joins
    assert not Normalised(mf.SelfAttention(beta=1.0, mask="causal"), mf.SqrtLN()).joins


@pytest.mark.slow
def test_fast_sums_are_chosen_for_what_the_field_sees():
    many = mf.uniform(mf.Sphere(2), n=1500, seed=0)
    states = mf.Tokens(mf.Euclidean(2), 3.0 * many.points)
    fast = settled(Normalised(FIELD, mf.PeriLN()), states, 1e-9)
    assert not any(isinstance(sum, Exact) for sum in sums_of(fast))
    exact = Normalised(mf.SelfAttention(beta=2.0, sum=Exact()), mf.PeriLN())
    floor = float(eqx.filter_jit(resolution)(fast, states))
    assert 0 < floor < 1e-6
    assert float(jnp.abs(velocity(fast, states) - velocity(exact, states)).max()) < floor
    assert float(resolution(exact, states)) == 0.0
    # outputs of a scattered cloud are short, and what divides by them raises the error
    plain = float(eqx.filter_jit(resolution)(settled(FIELD, many, 1e-9), many))
    assert floor > 1.2 * plain


def test_schemes_without_parameters_of_the_default_are_the_field_itself():
    assert motion_under(FIELD, mf.PostLN()) is FIELD
    assert repr(motion_under(FIELD, mf.NGPT(0.5))) == "NGPT(alpha=0.5) of SelfAttention(beta=2)"
    assert repr(mf.NGPT(jnp.cos)) == "NGPT(alpha=cos)"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mf.NGPT(0.0), r"NGPT: alpha is 0\.0; it must be a number > 0 or a function of depth"),
        (lambda: mf.NGPT("fast"), "NGPT: alpha is 'fast'"),
        (lambda: mf.NGPT(np.nan), "NGPT: alpha is nan"),
        (lambda: mf.MixLN(-1.0), r"MixLN: switch is -1\.0; it must be a depth > 0"),
        (lambda: mf.MixLN(None), "MixLN: switch is None"),
        (
            lambda: mf.PreLN().check(SPHERE),
            r"PreLN lets the radii of tokens grow and they live in Sphere\(d=4\); use mf",
        ),
        (lambda: mf.NGPT().check(FLAT), r"NGPT acts on a sphere and the tokens live in Euclidean\(d=4\)"),
        (lambda: Normalised(FIELD, mf.PreLN())(TOKENS.points, TOKENS), "PreLN lets the radii of tokens grow"),
        (lambda: motion_under(Normalised(FIELD, mf.NGPT()), mf.NGPT()), "is normalised already; give the field itself"),
    ],
)
def test_what_does_not_fit_is_refused(call, says):
    with pytest.raises(mf.BadInput, match=says):
        call()

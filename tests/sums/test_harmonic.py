from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import measureflow as mf
from hasty import hasty_jit
from pair_sums import compare, fast, relative, true

SPACES = [2, 3]
KERNELS = {
    "softmax": {},
    "unnormalised": {"weighting": "unnormalised"},
    "shifted": {"weighting": mf.fields.Unnormalised(shifted=True), "query": -0.5, "key": 2.0},
}


def some_tokens(d: int, n: int = 301, seed: int = 1) -> mf.Tokens:
    """Tokens with masses, one of them without any, five absent; one at each pole."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, d))
    points[0], points[1], points[2] = np.eye(d)[-1], -np.eye(d)[-1], np.eye(d)[-1] + 1e-9 * np.eye(d)[0]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    masses, present = rng.uniform(size=n), np.ones(n, bool)
    masses[3], present[-5:] = 0.0, False
    masses[~present] = 0.0
    return mf.Tokens(mf.Sphere(d), points, masses / masses.sum(), present=present, positions=rng.integers(0, n // 3, n))


def harmonics(beta: float, degree: int | None = 44, **words: object) -> mf.SelfAttention:
    """A field with fast sums; one degree for many betas, so that they share a program."""
    return mf.SelfAttention(beta, sum=mf.sums.Harmonic(degree=degree), **words)


@pytest.mark.parametrize("d", SPACES)
@pytest.mark.parametrize("words", KERNELS.values(), ids=KERNELS.keys())
def test_harmonic_sums_agree_with_exact_ones_within_their_bound(d, words):
    tokens = some_tokens(d)
    for beta in (0.0, 1e-12, 1.0, 9.0, 20.0):
        error, bound = compare(tokens, beta, 44, **words)
        assert error <= bound < 1e-9


def test_the_sum_that_is_bounded_is_the_one_that_a_field_puts_out():
    tokens, field = some_tokens(3), harmonics(9.0, weighting="unnormalised")
    out, _ = fast(field, tokens.points, tokens)
    assert relative(np.asarray(field.output(tokens.points, tokens)), out) < 1e-14


@pytest.mark.parametrize("d", SPACES)
def test_velocity_is_precise_to_the_floor(d):
    tokens = some_tokens(d)
    program = eqx.filter_jit(lambda field, mu: (field(mu.points, mu), field.sum.floor(field.kernel, mu)))
    for beta in (1.0, 9.0):
        field = harmonics(beta)
        velocity, floor = program(field, tokens)
        output, x = true(field, tokens.points, tokens), np.asarray(tokens.points, np.longdouble)
        gap = np.abs(np.asarray(velocity) - (output - np.sum(x * output, axis=1, keepdims=True) * x)).max()
        assert gap <= float(floor) < 1e-10


@pytest.mark.parametrize("d", SPACES)
def test_bound_holds_where_the_degree_is_too_low(d):
    tokens = some_tokens(d)
    for beta in (70.0, 50.0):
        error, bound = compare(tokens, beta, 44)
        assert 1e-9 < error <= bound
    assert bound < 1e-2


@pytest.mark.parametrize("d", SPACES)
def test_bound_holds_against_thirty_digits(d):
    tokens = some_tokens(d)
    got, bound = fast(harmonics(9.0), tokens.points, tokens)
    with mpmath.workdps(30):
        points, masses = (np.asarray(a) for a in tokens.atoms())
        truth = []
        for x in np.asarray(tokens.points[:6]):
            weights = [
                mpmath.mpf(a)
                * mpmath.exp(9 * mpmath.fsum(mpmath.mpf(p) * mpmath.mpf(q) for p, q in zip(x, y, strict=True)))
                for a, y in zip(masses, points, strict=True)
            ]
            truth.append(
                [
                    float(
                        mpmath.fsum(w * mpmath.mpf(y[k]) for w, y in zip(weights, points, strict=True))
                        / mpmath.fsum(weights)
                    )
                    for k in range(d)
                ]
            )
    assert np.abs(got[:6] - np.array(truth)).max() <= bound * np.abs(got).max()
    assert np.abs(true(harmonics(9.0), tokens.points[:6], tokens) - np.array(truth)).max() < 1e-15


def test_bound_counts_points_off_the_sphere():
    tokens = some_tokens(2)
    off = tokens.replace(points=tokens.points * (1 + 1e-8))
    error, bound = compare(off, 9.0, 44)
    assert 1e-10 < error <= bound


@pytest.mark.parametrize(("d", "width"), [(2, 7), (3, 2)])
def test_values_may_have_any_width(d, width):
    tokens = some_tokens(d)
    values = jax.random.normal(jax.random.key(0), (tokens.n, width), float)
    queries = mf.uniform(mf.Sphere(d), n=13, seed=3).points
    got, bound = fast(harmonics(5.0), queries, tokens, values=values)
    assert relative(got, true(harmonics(5.0), queries, tokens, values=values)) <= bound < 1e-10


@pytest.mark.parametrize(("d", "n"), [(2, 1), (2, 8193), (3, 1025)])
def test_number_of_tokens_need_not_fill_a_block(d, n):
    tokens = mf.uniform(mf.Sphere(d), n=n, seed=2)
    queries, field = tokens.points[:11], harmonics(4.0, 20)
    assert relative(np.asarray(field.output(queries, tokens)), true(field, queries, tokens)) < 1e-11


def test_large_beta_needs_more_harmonics_as_its_root():
    degrees = []
    tokens, words = mf.uniform(mf.Sphere(2), n=64, seed=0), {"weighting": mf.fields.Unnormalised(shifted=True)}
    for beta in (1e2, 1e4):
        field = harmonics(beta, None, **words)
        degrees.append(field.sum.settled(field.kernel, tokens).degree)
    error, bound = compare(tokens, beta, None, **words)
    assert error <= bound < 1e-9
    assert degrees[1] < 12 * degrees[0]


def test_query_without_a_digit_gets_nan_not_noise():
    tokens = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [1.0, 0.0]])
    far = jnp.array([[-1.0, 0.0], [1.0, 0.0]])
    fast = mf.SelfAttention(50.0, sum=mf.sums.Harmonic())
    out = fast.output(far, tokens)
    assert jnp.isnan(out[0]).all()
    assert jnp.allclose(out[1], far[1])
    assert fast.sum.error_bound(fast.kernel, far, tokens) == jnp.inf


@pytest.mark.parametrize("d", SPACES)
def test_gradients_are_those_of_exact_sums(d):
    tokens = some_tokens(d, n=70)

    def gradients(sum: mf.sums.Sum, words: dict) -> Callable:
        def loss(points, weights, beta):
            mu = tokens.replace(points=points, weights=weights)
            out = mf.SelfAttention(beta, sum=sum, **words).output(points, mu)
            return jnp.sum(jnp.sin(out * jnp.arange(1, d + 1)))

        return hasty_jit(jax.grad(loss, argnums=(0, 1, 2)))

    # a softmax's denominator knows nothing of the sphere, nor a sign: one case on each shows all
    words = {} if d == 3 else {"weighting": "unnormalised", "query": -1.0}
    fast, exact = gradients(mf.sums.Harmonic(degree=12), words), gradients(mf.sums.Exact(), words)
    for beta in (0.0, 0.6):
        at = (tokens.points, tokens.weights, beta)
        for a, b in zip(fast(*at), exact(*at), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)


def test_second_derivatives_along_the_sphere_are_those_of_exact_sums():
    tokens = mf.uniform(mf.Sphere(2), n=6, seed=0)
    along = tokens.space.tangent(tokens.points, jax.random.normal(jax.random.key(1), (6, 2), float))

    def turned_gradient(sum: mf.sums.Sum) -> jax.Array:
        def loss(x: jax.Array) -> jax.Array:
            return jnp.sum(mf.SelfAttention(0.6, sum=sum).output(x, tokens.replace(points=x)) ** 2)

        return hasty_jit(lambda x, v: jax.jvp(jax.grad(loss), (x,), (v,))[1])(tokens.points, along)

    assert jnp.allclose(turned_gradient(mf.sums.Harmonic(degree=12)), turned_gradient(mf.sums.Exact()), atol=1e-11)


def test_a_batch_of_betas_is_one_program():
    tokens = mf.uniform(mf.Sphere(3), n=40, seed=0)
    betas = jnp.array([0.0, 1.0, 4.0])

    fast = jax.jit(jax.vmap(lambda beta: harmonics(beta, 26).output(tokens.points, tokens)))(betas)
    for beta, batch in zip(betas, np.asarray(fast), strict=True):
        assert relative(batch, true(mf.SelfAttention(beta), tokens.points, tokens)) < 1e-12


def test_traced_beta_needs_a_degree():
    tokens = mf.uniform(mf.Sphere(2), n=5, seed=0)
    with pytest.raises(mf.BadInput, match=r"degree=.*settled"):
        jax.jit(lambda beta: mf.SelfAttention(beta, sum=mf.sums.Harmonic()).output(tokens.points, tokens))(1.0)


@pytest.mark.parametrize(
    ("d", "words"),
    [(7, {}), (2, {"score": "l2"}), (3, {"score": "l2", "mask": "causal"})],
)
def test_what_has_no_expansion_is_refused_with_the_cure(d, words):
    tokens = mf.uniform(mf.Sphere(d), n=5, seed=0)
    field = mf.SelfAttention(1.0, sum=mf.sums.Harmonic(), **words)
    with pytest.raises(mf.BadInput, match=r"sum=mf\.sums\.Exact\(\)"):
        field.output(tokens.points, tokens)


@pytest.mark.parametrize("words", [{"degree": 0}, {"degree": 2.5}, {"tolerance": 0.0}, {"tolerance": 2.0}])
def test_bad_settings_are_refused(words):
    with pytest.raises(mf.BadInput, match="Harmonic"):
        mf.sums.Harmonic(**words)

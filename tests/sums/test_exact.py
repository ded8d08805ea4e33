from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

BLOCKS = (None, 1, 5, 23, 100)
N = 23  # a prime: a multiple of no block


def kernel(beta: float = 3.0, **options) -> mf.sums.Kernel:
    return mf.SelfAttention(beta, **options).kernel


@pytest.fixture
def tokens() -> mf.Tokens:
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 1.5, N)
    return mf.Tokens(
        mf.Sphere(4), mf.uniform(mf.Sphere(4), N, seed=1).points, weights / weights.sum(), positions=rng.permutation(N)
    )


@eqx.filter_jit
def attend(kernel, x, rank, mu, values, block):
    return mf.sums.Exact(block).attend(kernel, x, rank, mu, values)


@eqx.filter_jit
def pull(kernel, x, rank, mu, block):
    return mf.sums.Exact(block).pull(kernel, x, rank, mu)


@eqx.filter_jit
def attended_and_pulled(kernel, x, rank, mu, values, block):
    """Return both sums from one program."""
    exact = mf.sums.Exact(block)
    return exact.attend(kernel, x, rank, mu, values), *exact.pull(kernel, x, rank, mu)


@eqx.filter_jit
def dense(kernel, x, rank, mu):
    return kernel.weights(x, rank, mu)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("mask", [None, "causal"])
def test_blocks_are_the_dense_sum(tokens, block, mask):
    values = np.random.default_rng(2).normal(size=(N, 6))
    rank = None if mask is None else tokens.positions
    seeing = kernel(mask=mask)
    weights = np.asarray(dense(seeing, tokens.points, rank, tokens))
    attended, pulled, total = attended_and_pulled(seeing, tokens.points, rank, tokens, values, block)
    np.testing.assert_allclose(attended, weights @ values, atol=1e-15)
    gaps = np.asarray(tokens.points)[None] - np.asarray(tokens.points)[:, None]
    np.testing.assert_allclose(pulled, np.einsum("mn,mnd->md", weights, gaps), atol=2e-15)
    np.testing.assert_allclose(total, weights.sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("m", [1, 5, 40])
def test_queries_need_not_be_the_tokens(tokens, block, m):
    x = mf.uniform(mf.Sphere(4), m, seed=9).points
    weights = np.asarray(dense(kernel(), x, None, tokens))
    attended, pulled, _ = attended_and_pulled(kernel(), x, None, tokens, tokens.points, block)
    np.testing.assert_allclose(attended, weights @ np.asarray(tokens.points), atol=1e-15)
    gaps = np.asarray(tokens.points)[None] - np.asarray(x)[:, None]
    np.testing.assert_allclose(pulled, np.einsum("mn,mnd->md", weights, gaps), atol=2e-15)


def test_weights_of_softmax_sum_to_one_and_those_of_usa_do_not(tokens):
    np.testing.assert_allclose(pull(kernel(), tokens.points, None, tokens, 5)[1], 1.0, rtol=1e-15)
    _, total = pull(kernel(weighting="unnormalised"), tokens.points, None, tokens, 5)
    gram = np.asarray(tokens.points @ tokens.points.T)
    np.testing.assert_allclose(total, np.exp(3.0 * gram) @ np.asarray(tokens.weights), rtol=1e-14)


@pytest.mark.parametrize("gap", [1e-20, 1e-100, 1e-200, 1e-300])
@pytest.mark.parametrize("block", [None, 1])
def test_pull_keeps_its_digits_however_near_the_tokens(gap, block):
    points = np.zeros((3, 10))  # about the last axis, where so near a point can be told from another
    points[:, -1], points[1, 0], points[2, 1] = 1.0, gap, -3.0 * gap
    mu = mf.Tokens(mf.Sphere(10), points, [0.25, 0.25, 0.5])
    pulled = np.asarray(pull(kernel(), mu.points, None, mu, block)[0])
    mean = np.array([0.25, 0.5 * -3.0])
    np.testing.assert_allclose(pulled[:, :2], (mean - [[0, 0], [1, 0], [0, -3]]) * gap, rtol=4e-16)
    np.testing.assert_array_equal(pulled[:, 2:], 0.0)


@pytest.mark.parametrize("d", [3, 20])
def test_a_tokens_pull_on_itself_is_exactly_zero_where_its_place_is_computed_in_the_same_program(d):
    # compiled twice, once as query and once as atom, the place could differ from itself by rounding
    space, start = mf.Sphere(d), mf.uniform(mf.Sphere(d), 16, seed=2)
    alone = [start.replace(points=start.points[i : i + 1], weights=jnp.ones(1)) for i in range(4)]
    alone = [one.replace(positions=jnp.zeros(1, int), present=jnp.ones(1, bool)) for one in alone]

    @eqx.filter_jit
    def pulled(one):
        points = space.project(one.points * 1.7 + 0.1)
        return mf.sums.Exact().pull(kernel(), points, None, one.replace(points=points))[0]

    for one in alone:
        np.testing.assert_array_equal(pulled(one), 0.0)


@pytest.mark.parametrize("weighting", ["softmax", "unnormalised"])
@pytest.mark.parametrize("block", [None, 5])
def test_tokens_without_mass_and_absent_tokens_neither_pull_nor_count(tokens, weighting, block):
    seeing = kernel(weighting=weighting)
    here = np.arange(N) % 3 > 0
    mass = np.where(here, np.asarray(tokens.weights), 0.0)
    mass /= mass.sum()
    few = mf.Tokens(tokens.space, tokens.points[here], mass[here])
    massless = mf.Tokens(tokens.space, tokens.points, mass)
    padded = mf.Tokens(tokens.space, tokens.points, mass, present=here)
    lonely = attend(seeing, tokens.points, None, few, few.points, block)
    promised = [massless, padded]
    if weighting == "softmax":  # even where a mass was left on the absent, which `replace` does not look at
        promised.append(tokens.replace(present=here))
    for mu in promised:
        np.testing.assert_allclose(attend(seeing, tokens.points, None, mu, mu.points, block), lonely, atol=1e-14)
        for ours, alone in zip(
            pull(seeing, tokens.points, None, mu, block), pull(seeing, tokens.points, None, few, block), strict=True
        ):
            np.testing.assert_allclose(ours, alone, atol=1e-14)


def test_a_massless_token_at_the_query_does_not_drown_the_others():
    # its logit lies 1e6 above theirs: were it the one taken out, the others would underflow
    mu = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], [0.0, 1.0, 0.0])
    pulled, total = pull(kernel(1e6), mu.points, None, mu, None)
    np.testing.assert_allclose(total, 1.0)
    np.testing.assert_allclose(pulled[0], [-2.0, 0.0])


def test_causal_sum_follows_the_places_in_the_text_not_the_order_in_memory(tokens):
    causal = kernel(mask="causal")
    shuffled = attend(causal, tokens.points, tokens.positions, tokens, tokens.points, 5)
    order = np.argsort(np.asarray(tokens.positions))
    text = mf.Tokens(tokens.space, tokens.points[order], tokens.weights[order])
    np.testing.assert_allclose(
        shuffled[order], attend(causal, text.points, text.positions, text, text.points, 5), atol=1e-15
    )
    np.testing.assert_allclose(shuffled[order[0]], text.points[0], atol=1e-15)  # the first token sees itself


def test_gradients_are_those_of_the_dense_sum(tokens):
    def through(sum, points, weights, beta):
        mu = tokens.replace(points=points, weights=weights)
        pulled, total = sum(mf.SelfAttention(beta, weighting="unnormalised").kernel, points, None, mu)
        return jnp.sum(jnp.sin(3.0 * pulled)) + jnp.sum(total**2)

    def plainly(kernel, x, _, mu):
        weights = kernel.weights(x, None, mu)
        return weights @ mu.points - x * jnp.sum(weights, axis=1)[:, None], jnp.sum(weights, axis=1)

    arguments = tokens.points, tokens.weights, jnp.asarray(1.3)
    ours, exact = (
        jax.jit(jax.grad(lambda *a, sum=sum: through(sum, *a), argnums=(0, 1, 2)))(*arguments)
        for sum in (mf.sums.Exact(5).pull, plainly)
    )
    for a, b in zip(ours, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_gradients_are_those_of_finite_differences(tokens):
    @jax.jit
    def value(points):
        mu = tokens.replace(points=points)
        return jnp.sum(jnp.sin(3.0 * mf.sums.Exact(5).pull(kernel(mask="causal"), points, mu.positions, mu)[0]))

    slope = np.asarray(jax.jit(jax.grad(value))(tokens.points))
    direction, h = np.random.default_rng(4).normal(size=slope.shape), 1e-5
    points = np.asarray(tokens.points)
    difference = (value(points + h * direction) - value(points - h * direction)) / (2 * h)
    assert float(difference) == pytest.approx(np.vdot(slope, direction), rel=1e-8)


def test_batches_of_measures_are_summed_alike(tokens):
    stack = jnp.stack([tokens.points, tokens.points[::-1]])
    both = jax.jit(jax.vmap(lambda p: mf.sums.Exact(5).pull(kernel(), p, None, tokens.replace(points=p))[0]))(stack)
    for points, pulled in zip(stack, both, strict=True):
        alone = pull(kernel(), points, None, tokens.replace(points=points), 5)[0]
        np.testing.assert_allclose(pulled, alone, atol=1e-15)


def temporary(function, *arguments) -> int:
    """Bytes that the compiled program holds beside its arguments and results.

    Buffers are assigned before machine code is made, which nobody runs here: it need not be optimised.
    """
    program = jax.jit(function).lower(*arguments).compile({"xla_backend_optimization_level": 0})
    return program.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(("d", "score"), [(3, "dot"), (24, "dot"), (24, "l2")])
def test_memory_is_linear_in_the_number_of_tokens_forward_and_backward(d, score):
    field = mf.SelfAttention(4.0, score=score)
    sizes = []
    for n in (4096, 16384):
        mu = mf.Tokens(mf.Sphere(d), np.eye(d)[np.arange(n) % d])

        def velocity(points, mu=mu):
            return field(points, mu.replace(points=points))

        def loss(points, velocity=velocity):
            return jnp.sum(velocity(points) ** 2)

        sizes.append((temporary(velocity, mu.points), temporary(jax.grad(loss), mu.points)))
    # a few blocks or tiles of at most 4 MiB each and a few arrays of the size of the tokens: one dense matrix of
    # n = 16,384 is 2 GiB, and the differences of one block are d times its weights
    block, cloud = 2**22, 8 * d
    for n, (forward, backward) in zip((4096, 16384), sizes, strict=True):
        assert forward < 6 * block + 4 * cloud * n
        assert backward < 20 * block + 8 * cloud * n
    for small, large in zip(*sizes, strict=True):
        assert large - small < 24 * cloud * (16384 - 4096)


@pytest.mark.parametrize("block", [0, -4, 2.0, "many", True])
def test_a_block_that_is_no_number_of_queries_is_refused(block):
    with pytest.raises(mf.BadInput, match=r"Exact: block is .*; it must be a number of queries, at least 1"):
        mf.sums.Exact(block)

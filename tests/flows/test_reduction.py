from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.flows import span_reduction

WIDE = mf.uniform(mf.Sphere(512), n=16, seed=0)
FIELD = mf.SelfAttention(beta=2.0)


def gram(path) -> np.ndarray:
    return np.asarray(path.points @ jnp.swapaxes(path.points, 1, 2))


def both(tokens: mf.Tokens) -> tuple[mf.Path, mf.Path]:
    """The run in the span, and the one in the whole space."""
    short, full = (mf.flow(tokens, FIELD, until=2.0, save=3, reduce=reduce) for reduce in (True, False))
    return short, full


def test_reduced_run_has_the_gram_matrices_of_the_unreduced_one():
    short, full = both(WIDE)
    assert short.stats["reduction"] == "span: d = 512 as 16"
    assert "reduction" not in full.stats
    assert short.points.shape == full.points.shape
    np.testing.assert_allclose(gram(short), gram(full), rtol=0, atol=1e-11)
    np.testing.assert_allclose(short.points, full.points, rtol=0, atol=1e-10)
    assert float(short.space.defect(short.points)) < 1e-14
    np.testing.assert_allclose(short.points[0], WIDE.points, rtol=0, atol=1e-14)
    assert short.space == WIDE.space


def test_tokens_that_span_less_than_their_number_are_reduced_all_the_same():
    pairs = np.arange(16) // 4
    short, full = both(mf.Tokens(mf.Sphere(512), WIDE.points[pairs] * (-1.0) ** (np.arange(16) % 2)[:, None]))
    np.testing.assert_allclose(gram(short), gram(full), rtol=0, atol=1e-11)


def test_flat_tokens_are_lowered_and_lifted_without_loss():
    tokens = mf.Tokens(mf.Euclidean(20), 3.0 * mf.uniform(mf.Sphere(20), n=4, seed=0).points)
    span = span_reduction(tokens, FIELD)
    low = span.lower(tokens)
    assert low.space == mf.Euclidean(4)
    np.testing.assert_allclose(low.points @ low.points.T, tokens.points @ tokens.points.T, rtol=0, atol=1e-13)
    np.testing.assert_allclose(span.lift(tokens, low.points).points, tokens.points, rtol=0, atol=1e-13)


def test_absent_tokens_come_back_bit_by_bit():
    present = np.arange(16) % 5 > 0
    path = mf.flow(mf.Tokens(mf.Sphere(512), WIDE.points, present=present), FIELD, until=2.0, save=3)
    assert "reduction" in path.stats
    assert (path.points[:, ~present] == WIDE.points[~present]).all()


@pytest.mark.parametrize(
    "field",
    [
        mf.SelfAttention(beta=1.0, value=np.eye(512)),
        mf.SelfAttention(beta=1.0, query=np.eye(512), key=np.eye(512)),
        mf.Perceptron(np.eye(512), np.eye(512)),
        mf.SelfAttention(beta=1.0) + mf.Perceptron(np.eye(512), np.eye(512)),
        mf.Schedule([mf.SelfAttention(beta=1.0), mf.Perceptron(np.eye(512), np.eye(512))], [0.0, 1.0]),
    ],
    ids=lambda field: type(field).__name__,
)
def test_field_with_directions_of_its_own_is_never_reduced(field):
    assert span_reduction(WIDE, field) is None


def test_reduction_is_taken_only_where_it_makes_the_run_smaller():
    field = mf.SelfAttention(beta=1.0, mask="causal")
    assert span_reduction(WIDE, field).basis.shape == (512, 16)
    assert span_reduction(mf.uniform(mf.Sphere(16), n=16, seed=0), field) is None
    assert span_reduction(mf.uniform(mf.Sphere(3), n=1, seed=0), field) is None

"""What attention refuses: each line names the value and the cure."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import measureflow as mf

SQUARE, WIDE = np.eye(4), np.ones((3, 4))
HOLED = np.where(np.eye(4) > 0, np.nan, 1.0)


@pytest.mark.parametrize("beta", [-1.0, -1e-300, np.nan, np.inf, -np.inf])
def test_a_beta_that_is_no_inverse_temperature_names_both_models_it_could_mean(beta):
    with pytest.raises(mf.BadInput, match=rf"^beta is {beta}; .* >= 0\. Repulsion is value=-1; .* query=-1\.$"):
        mf.SelfAttention(beta)


@pytest.mark.parametrize("beta", ["9", "hot", None, 1j, {}, True, object(), [[1], [1, 2]]])
def test_a_beta_that_is_no_number_is_refused(beta):
    with pytest.raises(mf.BadInput, match=r"^beta is .*; it must be a number >= 0\.$"):
        mf.SelfAttention(beta)


@pytest.mark.parametrize("beta", [[1.0], [1.0, 2.0], np.ones((2, 2))])
def test_several_betas_are_refused_with_the_way_to_have_them(beta):
    with pytest.raises(mf.BadInput, match=r"beta has shape .*; it is one number \(use jax\.vmap for several\)"):
        mf.SelfAttention(beta)


@pytest.mark.parametrize("beta", [700.1, 1e4, 1e300])
def test_usa_refuses_a_beta_that_overflows_and_names_the_cure(beta):
    with pytest.raises(mf.BadInput, match=r"e\^beta overflows above 700\. Use .*Unnormalised\(shifted=True\)"):
        mf.SelfAttention(beta, weighting="unnormalised")
    mf.SelfAttention(beta, weighting=mf.fields.Unnormalised(shifted=True))
    mf.SelfAttention(beta)


@pytest.mark.parametrize(
    ("beta", "parts", "shifted"),
    [
        (700.0, {"query": 2.0}, False),
        (300.0, {"query": -2.0, "key": 1.5}, False),
        (400.0, {"query": 2.0 * SQUARE, "key": SQUARE}, False),
        (1.0, {"query": 30.0 * WIDE, "key": 30.0 * WIDE}, False),
        (1e4, {"query": 2.0}, True),
    ],
)
def test_usa_refuses_matrices_that_make_it_overflow(beta, parts, shifted):
    weighting = mf.fields.Unnormalised(shifted=shifted)
    with pytest.raises(mf.BadInput, match=r"the unnormalised weights reach e\^.* and overflow above e\^700\. Use weig"):
        mf.SelfAttention(beta, weighting=weighting, **parts)
    mf.SelfAttention(beta, **parts)
    mf.SelfAttention(0.1, weighting=weighting, **{name: np.asarray(part) / 10 for name, part in parts.items()})


@pytest.mark.parametrize("name", ["query", "key", "value"])
@pytest.mark.parametrize("matrix", ["wide", "2", 1j, {}, [[1, 2], [3]], True, [["a"]]])
def test_a_matrix_that_is_none_is_refused(name, matrix):
    with pytest.raises(mf.BadInput, match=rf"^{name} is .*; it must be None, a number or a matrix\.$"):
        mf.SelfAttention(1.0, **{name: matrix})


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_a_matrix_with_a_hole_names_the_entry(name):
    with pytest.raises(mf.BadInput, match=rf"^{name}\[0, 0\] is nan; every entry must be finite\.$"):
        mf.SelfAttention(1.0, **{name: HOLED})
    with pytest.raises(mf.BadInput, match=rf"^{name} is inf; it must be finite\.$"):
        mf.SelfAttention(1.0, **{name: np.inf})


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"query": np.ones(4)}, r"query has shape \(4,\); it must be a number .* or a matrix"),
        ({"value": np.ones((2, 2, 2))}, r"value has shape \(2, 2, 2\)"),
        ({"query": WIDE}, r"one of query and key is \(3, 4\) and the other a number; give both as matrices \(k, d\)"),
        ({"key": WIDE, "query": 2.0}, r"one of query and key is \(3, 4\) and the other a number"),
        ({"query": WIDE, "key": SQUARE}, r"query has 3 rows and key 4; both map into the same R\^k"),
        ({"value": WIDE}, r"value has shape \(3, 4\); a velocity needs a square matrix \(d, d\)"),
        ({"score": "cosine"}, r"score is 'cosine'; it must be one of 'dot', 'l2'"),
        ({"score": None}, "score is None"),
        ({"weighting": "hard"}, r"weighting is 'hard'; it must be one of 'softmax', 'unnormalised'"),
        ({"weighting": ["softmax"]}, "weighting is"),
        (
            {"mask": "bidirectional"},
            r"mask is 'bidirectional'; it must be None, 'causal' or an mf\.fields\.Mask object",
        ),
        ({"mask": True}, "mask is True"),
        ({"sum": "fast"}, r"sum is 'fast'; it must be None or an object such as mf\.sums\.Exact\(\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, says):
    with pytest.raises(mf.BadInput, match=says) as error:
        mf.SelfAttention(1.0, **parts)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_matrices_of_another_dimension_are_refused_where_they_meet_the_tokens(name):
    mu = mf.uniform(mf.Sphere(3), 5)
    field = mf.SelfAttention(1.0, **{name: SQUARE})
    for ask in (field, field.output, field.weights):
        with pytest.raises(mf.BadInput, match=rf"{name} has shape \(4, 4\) and the tokens are in R\^3"):
            ask(mu.points, mu)


@pytest.mark.parametrize("x", [np.ones(3), np.ones((2, 4)), np.ones((1, 2, 3)), [[1.0, 0.0, 0.0]], 1.0])
def test_queries_of_another_shape_are_refused(x):
    mu = mf.uniform(mf.Sphere(3), 5)
    for field in (mf.SelfAttention(1.0), mf.Perceptron(np.eye(3), np.eye(3)), mf.SelfAttention(1.0, mask="causal")):
        for ask in (field, field.output):
            with pytest.raises(mf.BadInput, match=r"queries (have shape|are a) .*; give an array of shape \(m, 3\)"):
                ask(x, mu)


def test_a_masked_field_asked_off_its_tokens_needs_places():
    mu, field = mf.uniform(mf.Sphere(3), 5), mf.SelfAttention(1.0, mask="causal")
    for whole in (field, mf.MultiHead([field]), mf.SelfAttention(1.0) + field):
        with pytest.raises(mf.BadInput, match=r"2 queries are not the 5 tokens .*Give positions=, the queries' places"):
            whole(mu.points[:2], mu)
    with pytest.raises(mf.BadInput, match=r"positions have shape \(3,\); give one integer for each of the 2 queries"):
        field(mu.points[:2], mu, positions=[0, 1, 2])
    np.testing.assert_array_equal(field.output(mu.points[:1], mu, positions=[0]).shape, (1, 3))


def test_traced_numbers_are_taken_as_they_are():
    mu = mf.uniform(mf.Sphere(3), 5)
    found = jax.jit(lambda beta: mf.SelfAttention(beta).output(mu.points, mu))(-2.0)  # its value cannot be seen
    opposite = mf.SelfAttention(2.0, query=-1).output(mu.points, mu)
    np.testing.assert_allclose(found, opposite, atol=1e-15)
    with pytest.raises(mf.BadInput, match="beta has shape"):
        jax.jit(lambda beta: mf.SelfAttention(beta))(np.ones(2))

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

PLANE = mf.Euclidean(2)
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def test_masses_are_equal_unless_given():
    np.testing.assert_array_equal(mf.Tokens(PLANE, CORNERS).weights, np.full(3, 1 / 3))
    np.testing.assert_array_equal(mf.Tokens(PLANE, CORNERS, [0.5, 0.25, 0.25]).weights, [0.5, 0.25, 0.25])


def test_masses_are_spread_over_the_tokens_present():
    tokens = mf.Tokens(PLANE, CORNERS, present=[True, False, True])
    np.testing.assert_array_equal(tokens.weights, [0.5, 0.0, 0.5])
    assert tokens.n == 3
    assert tokens.d == 2
    assert repr(tokens) == "Tokens(n=3, Euclidean(d=2), 1 absent)"
    assert repr(mf.Tokens(PLANE, CORNERS)) == "Tokens(n=3, Euclidean(d=2))"


def test_masses_that_sum_to_one_up_to_rounding_are_made_to_sum_to_one():
    tokens = mf.Tokens(PLANE, CORNERS, np.array([0.3333333, 0.3333333, 0.3333333]) + 1e-8)
    assert float(tokens.weights.sum()) == pytest.approx(1.0, abs=2e-16)


def test_a_token_of_weight_zero_is_a_token():
    tokens = mf.Tokens(PLANE, CORNERS, [0.5, 0.5, 0.0])
    assert tokens.present.tolist() == [True, True, True]
    assert tokens.n == 3


def test_positions_are_the_order_unless_given():
    assert mf.Tokens(PLANE, CORNERS).positions.tolist() == [0, 1, 2]
    assert mf.Tokens(PLANE, CORNERS, positions=[7, 2, 2]).positions.tolist() == [7, 2, 2]


def test_labels_are_words():
    assert mf.Tokens(PLANE, CORNERS, labels=["a", "measure", 3]).labels == ("a", "measure", "3")
    assert mf.Tokens(PLANE, CORNERS).labels is None


def test_atoms_are_points_and_masses():
    points, weights = mf.Tokens(PLANE, CORNERS, [0.5, 0.25, 0.25]).atoms()
    np.testing.assert_array_equal(points, CORNERS)
    np.testing.assert_array_equal(weights, [0.5, 0.25, 0.25])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([[np.nan, 0.0], [1.0, 0.0]],), r"points\[0, 0\] is nan; every coordinate must be finite"),
        (([[0.0, np.inf]],), r"points\[0, 1\] is inf; every coordinate must be finite"),
        ((np.ones(2),), r"points have shape \(2,\); they must be \(n, d\)"),
        ((np.ones((2, 3, 2)),), r"points have shape \(2, 3, 2\); they must be \(n, d\)"),
        ((np.ones((0, 2)),), r"points have shape \(0, 2\); they must be \(n, d\) with n >= 1"),
        ((np.ones((2, 3)),), r"shape \(2, 3\); Euclidean\(d=2\) needs a last axis of length d = 2"),
        (("abc",), r"points are no array of real numbers .*; give an \(n, d\) array"),
        (([[1.0, 0.0], [1.0]],), r"points are no array of real numbers .*; give an \(n, d\) array"),
        (([[1j, 0.0]],), r"points are no array of real numbers \(dtype complex128\)"),
        ((CORNERS, [0.5, 0.5]), r"weights have shape \(2,\); they must be \(3,\), one mass per token"),
        ((CORNERS, [0.5, 0.75, -0.25]), r"a weight is -0\.25; masses must be finite and >= 0"),
        ((CORNERS, [0.5, 0.5, np.nan]), r"a weight is nan; masses must be finite"),
        ((CORNERS, [0.5, np.inf, 0.5]), r"a weight is inf; masses must be finite"),
        ((CORNERS, [0.5, 0.5, 0.5]), r"weights sum to 1\.5; masses must sum to 1\. Divide them by their sum"),
        ((CORNERS, [0.0, 0.0, 0.0]), r"weights sum to 0; masses must sum to 1"),
        ((CORNERS, "abc"), r"weights are no array of real numbers .*; give an \(n,\) array"),
        ((CORNERS, ["a", "b", "c"]), r"weights are no array of real numbers .*; give an \(n,\) array"),
    ],
)
def test_bad_points_and_weights_are_named_with_the_cure(arguments, says):
    with pytest.raises(mf.BadInput, match=says) as error:
        mf.Tokens(PLANE, *arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"positions": [0, 1]}, r"positions have shape \(2,\) .*; they must be 3 integers"),
        ({"positions": [0.0, 1.0, 2.0]}, r"positions .* dtype float64; they must be 3 integers"),
        ({"positions": ["a", "b", "c"]}, r"positions are \['a', 'b', 'c'\]; they must be \(3,\) integers"),
        ({"present": [True]}, r"present has shape \(1,\); it must be \(3,\), one boolean per token"),
        ({"present": [False, False, False]}, r"present is False everywhere; at least one token must be there"),
        ({"present": [1.0, np.nan, 0.0]}, r"present has dtype float64; it must be 3 booleans"),
        ({"present": "yes"}, r"present are 'yes'; they must be \(3,\) booleans"),
        ({"present": [True, True, False], "weights": [0.5, 0.25, 0.25]}, r"not present has a positive weight"),
        ({"labels": ["only", "two"]}, r"2 labels for 3 tokens; give one word per token"),
    ],
)
def test_bad_companions_of_the_points_are_named_with_the_cure(options, says):
    with pytest.raises(mf.BadInput, match=says) as error:
        mf.Tokens(PLANE, CORNERS, **options)
    assert "\n" not in str(error.value)


def test_points_off_the_sphere_are_refused_and_the_cure_works():
    space = mf.Sphere(2)
    with pytest.raises(mf.BadInput, match=r"lie up to 1 off Sphere\(d=2\).*Use space\.project"):
        mf.Tokens(space, [[2.0, 0.0]])
    assert mf.Tokens(space, space.project(jnp.array([[2.0, 0.0]]))).n == 1


@pytest.mark.parametrize("space", ["sphere", None, 3, mf.Sphere])
def test_a_space_that_is_none_is_refused(space):
    with pytest.raises(mf.BadInput, match="it must be a space such as"):
        mf.Tokens(space, CORNERS)


def test_single_precision_is_kept_and_everything_else_is_double():
    for kind, kept in ((np.float32, jnp.float32), (np.float64, jnp.float64), (np.float16, jnp.float64)):
        tokens = mf.Tokens(PLANE, CORNERS.astype(kind))
        assert tokens.points.dtype == kept
        assert tokens.weights.dtype == kept
    assert mf.Tokens(PLANE, [[0, 1], [1, 0]]).points.dtype == jnp.float64
    assert mf.Tokens(PLANE, CORNERS.astype(np.float32), [0.5, 0.25, 0.25]).weights.dtype == jnp.float32


def test_replace_puts_in_what_it_is_given_and_nothing_else():
    tokens = mf.Tokens(PLANE, CORNERS, [0.5, 0.25, 0.25], positions=[3, 4, 5], labels="abc")
    moved = tokens.replace(points=tokens.points + 1.0)
    np.testing.assert_array_equal(moved.points, CORNERS + 1.0)
    np.testing.assert_array_equal(tokens.points, CORNERS)
    assert (moved.labels, moved.positions.tolist()) == (("a", "b", "c"), [3, 4, 5])
    assert tokens.replace(weights=None).weights is None  # unchecked, as it says
    with pytest.raises(TypeError, match="no field named 'point'"):
        tokens.replace(point=CORNERS)


def test_tokens_are_frozen():
    with pytest.raises(AttributeError):
        mf.Tokens(PLANE, CORNERS).points = CORNERS


def test_tokens_pass_through_jit_vmap_and_grad():
    @jax.jit
    def mean(tokens):
        return tokens.weights @ tokens.points

    np.testing.assert_allclose(mean(mf.Tokens(PLANE, CORNERS)), [1 / 3, 1 / 3])

    @jax.jit
    @jax.vmap
    def batched(points, weights):
        return mf.Tokens(PLANE, points, weights)

    stack = batched(jnp.stack([CORNERS, 2 * CORNERS]), jnp.full((2, 3), 1 / 3))
    assert repr(stack) == "Tokens(batch (2,), n=3, Euclidean(d=2))"
    assert (stack.n, stack.d) == (3, 2)
    slope = jax.jit(jax.grad(lambda points: jnp.sum(mf.Tokens(PLANE, points).points[1] ** 2)))(CORNERS)
    np.testing.assert_array_equal(slope, [[0, 0], [2, 0], [0, 0]])


def test_shapes_are_still_checked_under_tracing():
    with pytest.raises(mf.BadInput, match="weights have shape"):
        jax.jit(lambda points: mf.Tokens(PLANE, points, points[:2, 0]))(CORNERS)
    weights = jax.jit(lambda w: mf.Tokens(PLANE, CORNERS, w, present=[True, False, True]).weights)(jnp.ones(3) / 2)
    np.testing.assert_array_equal(weights, [0.5, 0.0, 0.5])  # an absent token has no mass, seen or unseen


def test_labels_and_spaces_do_not_enter_a_compiled_program_as_data():
    leaves = jax.tree.leaves(mf.Tokens(PLANE, CORNERS, labels="abc"))
    assert [leaf.shape for leaf in leaves] == [(3, 2), (3,), (3,), (3,)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_tokens_in_half_precision_are_taken_with_the_rounding_they_have(dtype):
    space = mf.Sphere(8)
    wide = mf.uniform(space, n=300, seed=0).points
    mu = mf.Tokens(space, wide.astype(dtype))
    assert mu.points.dtype == mu.weights.dtype == dtype
    np.testing.assert_allclose(np.asarray(mu.weights, float), 1 / 300, rtol=8e-3)
    masses = np.arange(1.0, 301) / np.sum(np.arange(1.0, 301))
    np.testing.assert_allclose(np.asarray(mf.Tokens(space, mu.points, masses).weights, float), masses, rtol=1.2e-2)
    with pytest.raises(mf.BadInput, match=r"lie up to 0.05\d* off Sphere\(d=8\)"):
        mf.Tokens(space, (1.05 * wide).astype(dtype))

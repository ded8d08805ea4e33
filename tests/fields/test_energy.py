from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf

RNG = np.random.default_rng(12)
QUERY = 0.6 * RNG.normal(size=(3, 4))
FORM = QUERY.T @ QUERY
ODD = 0.5 * RNG.normal(size=(4, 4))
SYMMETRIC = ODD + ODD.T
SKEW = ODD - ODD.T

# how B = Q^T K and V lie to each other, and the sign s with V = s B
PROVED = {
    "nothing": ({}, 1),
    "repulsion": ({"value": -1.0}, -1),
    "the opposite": ({"query": -1.0}, -1),
    "repulsion from the opposite": ({"query": -1.0, "value": -1.0}, 1),
    "numbers": ({"query": 0.5, "key": 3.0, "value": 1.5}, 1),
    "minus numbers": ({"query": 0.5, "key": 3.0, "value": -1.5}, -1),
    "identity matrices": ({"query": np.eye(4), "value": np.eye(4)}, 1),
    "matrix and number": ({"query": 2.0 * np.eye(4), "key": 0.5, "value": 1.0}, 1),
    "number and matrix": ({"key": 2.0, "value": -2.0 * np.eye(4)}, -1),
    "Q^T Q": ({"query": QUERY, "key": QUERY, "value": FORM}, 1),
    "minus Q^T Q": ({"query": QUERY, "key": QUERY, "value": -FORM}, -1),
    "indefinite": ({"key": SYMMETRIC, "value": SYMMETRIC}, 1),
    "minus indefinite": ({"query": SYMMETRIC, "value": -SYMMETRIC}, -1),
}
UNPROVED = {
    "V is another multiple": {"value": 0.5},
    "no value": {"value": 0.0},
    "form without value": {"query": QUERY, "key": QUERY},
    "value without form": {"value": SYMMETRIC},
    "form not symmetric": {"key": ODD, "value": ODD},
    "skew form": {"key": SKEW, "value": SKEW},
    "transposed value": {"key": ODD, "value": ODD.T},
    "nearly": {"value": 1.0 + 1e-9},
    "masked": {"mask": "causal"},
    "another score": {"score": "l2"},
}
WEIGHTINGS = {"SA": "softmax", "USA": "unnormalised", "USA*": mf.fields.Unnormalised(shifted=True)}


@pytest.mark.parametrize(("parts", "sign"), PROVED.values(), ids=PROVED.keys())
def test_sign_of_the_energy_is_found_where_it_is_proved(parts, sign, tokens):
    for weighting in WEIGHTINGS.values():
        field = mf.SelfAttention(1.0, weighting=weighting, **parts)
        assert field.energy_sign == sign
        form, found = field.form
        assert found == sign
        assert np.allclose(np.asarray(form) * np.eye(4) if np.ndim(form) == 0 else form, b_of(parts))
        field.energy(tokens)


@pytest.mark.parametrize("parts", UNPROVED.values(), ids=UNPROVED.keys())
def test_no_energy_is_claimed_where_none_is_proved(parts, tokens):
    field = mf.SelfAttention(1.0, **parts)
    assert field.energy_sign == 0
    assert field.form is None
    with pytest.raises(mf.BadInput, match=r"SelfAttention has no proved energy .*Use mf\.observe\.energy\(path, beta="):
        field.energy(tokens)


def b_of(parts: dict) -> np.ndarray:
    """The form Q^T K as a matrix."""
    query, key = (np.asarray(parts.get(name, 1.0)) for name in ("query", "key"))
    query, key = (m * np.eye(4) if m.ndim == 0 else m for m in (query, key))
    return query.T @ key


@pytest.mark.parametrize(("parts", "sign"), PROVED.values(), ids=PROVED.keys())
def test_energy_is_the_double_sum_of_its_form(parts, sign, tokens):
    points, masses = np.asarray(tokens.points), np.asarray(tokens.weights)
    for beta in (0.0, 1.0, 6.0):
        expected = masses @ np.exp(beta * (points @ b_of(parts) @ points.T - 1.0)) @ masses
        assert float(energy(mf.SelfAttention(beta, **parts), tokens)) == pytest.approx(expected, rel=1e-13)


energy = eqx.filter_jit(lambda field, mu: field.energy(mu))
slope = eqx.filter_jit(lambda field, mu: jax.grad(lambda points: field.energy(mu.replace(points=points)))(mu.points))


@pytest.mark.parametrize("weighting", WEIGHTINGS.values(), ids=WEIGHTINGS.keys())
@pytest.mark.parametrize(("parts", "sign"), PROVED.values(), ids=PROVED.keys())
def test_velocity_is_the_gradient_of_the_energy_in_the_metric_of_the_masses(parts, sign, weighting, tokens, velocity):
    # dynamics 1.3, weighted: grad_i E_beta = s a_i z_i v_i, with z_i the mean partition sum for SA and 1 for USA;
    # the reporting energy is 2 beta e^-beta E_beta
    beta, masses = 1.7, np.asarray(tokens.weights)
    field = mf.SelfAttention(beta, weighting=weighting, **parts)
    ascent = np.asarray(tokens.space.tangent(tokens.points, slope(field, tokens)))
    points = np.asarray(tokens.points)
    partition = np.exp(beta * points @ b_of(parts) @ points.T) @ masses
    z = {"softmax": partition, "unnormalised": np.ones(7)}.get(weighting, np.full(7, np.exp(beta)))
    expected = 2 * beta * np.exp(-beta) * sign * (masses * z)[:, None] * velocity(field, points, tokens)
    np.testing.assert_allclose(ascent, expected, atol=1e-13)


@pytest.mark.parametrize(("parts", "sign"), PROVED.values(), ids=PROVED.keys())
def test_dissipation_is_the_speed_in_the_metric_of_the_masses(parts, sign, tokens, velocity):
    # dE_beta/dt = s sum_i a_i z_i |v_i|^2, the derivative taken along the flow itself
    beta, masses = 1.7, np.asarray(tokens.weights)
    field = mf.SelfAttention(beta, **parts)
    points = np.asarray(tokens.points)
    speeds = np.sum(velocity(field, points, tokens) ** 2, axis=1)
    rate = np.sum(np.asarray(slope(field, tokens)) * velocity(field, points, tokens))
    partition = np.exp(beta * points @ b_of(parts) @ points.T) @ masses
    assert rate == pytest.approx(2 * beta * np.exp(-beta) * sign * np.sum(masses * partition * speeds), rel=1e-12)
    assert sign * rate > 0


@pytest.mark.parametrize("beta", [700.0, 1e4, 1e6])
def test_energy_at_large_beta_counts_the_masses_that_stand_together(beta):
    axes = np.eye(3)[[0, 0, 1, 2]]
    mu = mf.Tokens(mf.Sphere(3), axes, [0.1, 0.2, 0.3, 0.4])
    for parts in ({}, {"value": -1.0}, {"query": np.eye(3), "value": np.eye(3)}):
        assert float(energy(mf.SelfAttention(beta, **parts), mu)) == pytest.approx(0.09 + 0.09 + 0.16, rel=1e-15)


def test_energy_of_a_dirac_is_one_and_of_beta_0_too(tokens):
    point = mf.Tokens(mf.Sphere(4), tokens.points[:1])
    for beta in (0.0, 1.0, 1e6):
        assert float(energy(mf.SelfAttention(beta), point)) == 1.0
    assert float(energy(mf.SelfAttention(0.0), tokens)) == pytest.approx(1.0, rel=1e-15)


def test_energy_does_not_see_absent_tokens(tokens):
    here = np.arange(7) > 1
    masses = np.where(here, np.asarray(tokens.weights), 0.0)
    padded = mf.Tokens(tokens.space, tokens.points, masses / masses.sum(), present=here)
    few = mf.Tokens(tokens.space, tokens.points[2:], (masses / masses.sum())[2:])
    assert float(energy(mf.SelfAttention(3.0), padded)) == pytest.approx(
        float(energy(mf.SelfAttention(3.0), few)), rel=1e-15
    )


def test_energy_lives_on_the_sphere(flat):
    with pytest.raises(mf.BadInput, match=r"energy on a sphere and the tokens live in Euclidean\(d=4\)"):
        mf.SelfAttention(1.0).energy(flat)


def test_energy_works_where_the_matrices_are_traced(tokens):
    matrix = jnp.asarray(FORM)
    found = jax.jit(lambda b: mf.SelfAttention(1.0, key=b, value=b).energy(tokens))(matrix)
    assert float(found) == pytest.approx(float(mf.SelfAttention(1.0, key=FORM, value=FORM).energy(tokens)), rel=1e-14)


@pytest.mark.parametrize("field", [mf.MultiHead([mf.SelfAttention(1.0)]), mf.Perceptron(np.eye(4), np.eye(4))])
def test_other_fields_have_no_energy_and_say_so(field, tokens):
    with pytest.raises(mf.BadInput, match=f"{type(field).__name__} has no proved energy"):
        field.energy(tokens)
    assert field.energy_sign == 0

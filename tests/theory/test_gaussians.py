from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from measureflow import BadInput, theory

DRAW = np.random.default_rng(0)
FORM, ROOT = DRAW.normal(size=(2, 3, 3))
COV = ROOT @ ROOT.T


@pytest.mark.parametrize("cov", [COV, ROOT[:, :2] @ ROOT[:, :2].T])
def test_covariance_solves_its_equation(cov):
    end = theory.blow_up_time_of_gaussian(cov, FORM)
    times = np.array([0.0, 0.3, 0.7]) * end

    def rate(_, flat):
        here = flat.reshape(3, 3)
        return (here @ (FORM + FORM.T) @ here).ravel()

    solved = solve_ivp(rate, (0.0, times[-1]), cov.ravel(), t_eval=times, rtol=1e-11, atol=1e-12, method="DOP853")
    np.testing.assert_allclose(theory.covariance_of_gaussian(times, cov, FORM).reshape(3, 9), solved.y.T, rtol=1e-8)


def test_blow_up_is_where_the_inverse_loses_definiteness():
    end = theory.blow_up_time_of_gaussian(COV, FORM)
    for factor, definite in ((0.999, True), (1.001, False)):
        left = np.linalg.inv(COV) - factor * end * (FORM + FORM.T)
        assert (np.linalg.eigvalsh(left)[0] > 0) == definite
    assert theory.blow_up_time_of_gaussian(COV, -np.eye(3)) == np.inf


def test_limit_is_where_the_covariance_ends():
    query = DRAW.normal(size=(1, 3))
    limit = theory.limit_of_gaussian(COV, -query.T @ query)
    late = theory.covariance_of_gaussian(1e6, COV, -query.T @ query)
    np.testing.assert_allclose(limit, late, rtol=0, atol=1e-5)  # approached like 1/t
    assert np.linalg.matrix_rank(limit, tol=1e-9) == 2


def test_what_has_no_prediction_is_refused():
    end = theory.blow_up_time_of_gaussian(COV, FORM)
    with pytest.raises(BadInput, match="the covariance explodes at"):
        theory.covariance_of_gaussian(end, COV, FORM)
    with pytest.raises(BadInput, match="the covariance explodes"):
        theory.limit_of_gaussian(COV, np.eye(3))
    with pytest.raises(BadInput, match=r"give two \(d, d\) matrices"):
        theory.covariance_of_gaussian(0.0, COV, np.eye(2))
    with pytest.raises(BadInput, match="not symmetric and positive"):
        theory.covariance_of_gaussian(0.0, -COV, FORM)


def test_profile_is_what_is_left_at_the_blow_up():
    end, along = theory.blow_up_time_of_gaussian(COV, FORM), theory.blow_up_profile_of_gaussian(COV, FORM)
    for part in (1e-6, 1e-7):
        late = part * end * theory.covariance_of_gaussian(end * (1 - part), COV, FORM)
        np.testing.assert_allclose(late, np.outer(along, along), rtol=0, atol=20 * part * np.abs(along).max() ** 2)
    with pytest.raises(BadInput, match="nothing explodes"):
        theory.blow_up_profile_of_gaussian(COV, -np.eye(3))


def test_decay_forgets_the_start():
    form = -FORM @ FORM.T - 0.3 * np.eye(3) + (FORM - FORM.T)
    late = 1e8 * theory.covariance_of_gaussian(1e8, COV, form)
    np.testing.assert_allclose(late, theory.decay_of_gaussian(form), rtol=1e-6)
    with pytest.raises(BadInput, match="not negative definite"):
        theory.decay_of_gaussian(FORM)


def test_tokens_under_linear_attention_solve_their_equation():
    points, form = DRAW.normal(size=(4, 3)), FORM + FORM.T
    t, h = 0.4 * theory.blow_up_time_of_gaussian(points.T @ points / 4, form), 1e-5
    before, now, after = theory.tokens_under_linear_attention([t - h, t, t + h], points, form)
    np.testing.assert_allclose((after - before) / (2 * h), now @ form @ (now.T @ now / 4), rtol=0, atol=1e-6)
    with pytest.raises(BadInput, match="second moment explodes"):
        theory.tokens_under_linear_attention(3 * t, points, form)
    with pytest.raises(BadInput, match="not symmetric"):
        theory.tokens_under_linear_attention(0.0, points, FORM)


RATES = {
    "softmax": lambda s, v, a, k: 2 * v * a * s**2,
    "l2": lambda s, v, a, k: 4 * v * a * s**2 / (1 + 2 * k * s),
    "sinkhorn": lambda s, v, a, k: 2 * v * s * theory.sinkhorn_gamma(a * s),
}


@pytest.mark.parametrize("attention", RATES)
@pytest.mark.parametrize("form", [0.7, -0.7])
def test_variance_on_the_line_solves_its_law(attention, form):
    times = np.array([0.0, 0.3, 0.6, 8.0])[: 3 if attention == "softmax" else 4]
    rate = RATES[attention]
    options = {"t_eval": times, "rtol": 1e-12, "atol": 1e-15, "method": "DOP853"}
    solved = solve_ivp(lambda _, s: rate(s, 1.3, form, 0.4), (0, times[-1]), [0.6], **options)
    stated = theory.variance_of_gaussian(times, start=0.6, form=form, value=1.3, attention=attention, keys=0.4)
    np.testing.assert_allclose(stated, solved.y[0], rtol=1e-10)


def test_variances_that_have_no_law_are_refused():
    with pytest.raises(BadInput, match="the variance explodes at 2"):
        theory.variance_of_gaussian(2.0, start=0.25, form=1.0)
    with pytest.raises(BadInput, match="start is"):
        theory.variance_of_gaussian(2.0, start=0.0, form=1.0)
    with pytest.raises(BadInput, match="beta k"):
        theory.variance_of_gaussian(2.0, start=1.0, form=1.0, attention="l2", keys=0.0)
    assert theory.variance_of_gaussian([3.0], start=0.5, form=0.0, attention="sinkhorn").tolist() == [0.5]


def test_coupling_solves_its_equation_and_stays_inside():
    coupling = theory.sinkhorn_coupling_of_gaussian(COV, FORM)
    left = FORM.T @ (COV - coupling.T @ np.linalg.solve(COV, coupling))
    np.testing.assert_allclose(np.linalg.solve(COV, coupling), left, rtol=0, atol=1e-12)
    assert np.linalg.norm(coupling, 2) < np.linalg.norm(COV, 2)
    flat = ROOT[:, :1] @ ROOT[:, :1].T
    phi = float(ROOT[:, 0] @ FORM @ ROOT[:, 0])
    np.testing.assert_allclose(
        theory.sinkhorn_coupling_of_gaussian(flat, FORM), theory.sinkhorn_gamma(phi) * flat, atol=1e-12
    )
    with pytest.raises(BadInput, match="positive semi-definite"):
        theory.sinkhorn_coupling_of_gaussian(-COV, FORM)


def test_growth_bounds_are_not_passed():
    bound = theory.growth_bound_of_gaussian(value=ROOT, attention="l2", query=FORM, key=ROOT)
    for scale in (1e-3, 1.0, 1e6):
        slope = 2 * ROOT @ np.linalg.solve(np.eye(3) + 2 * scale * COV @ ROOT.T @ ROOT, scale * COV @ ROOT.T @ FORM)
        assert 2 * np.linalg.norm(slope, 2) <= bound * (1 + 1e-6)
    with pytest.raises(BadInput, match="not an invertible"):
        theory.growth_bound_of_gaussian(value=ROOT, attention="l2", query=FORM, key=ROOT[:2])

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

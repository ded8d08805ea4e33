from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

import measureflow as mf
from measureflow.measures.laws import cap_angles, fisher_angles

DRAWS = 2000
UNLIKELY = 1e-3  # the draws are fixed by their seeds; a wrong law has a p-value far below


def an_axis(d: int) -> np.ndarray:
    axis = np.arange(1.0, d + 1) * (-1.0) ** np.arange(d)
    return axis / np.linalg.norm(axis)


def angles_to(axis: np.ndarray, tokens: mf.Tokens) -> np.ndarray:
    points = np.asarray(tokens.points)
    return 2 * np.arctan2(np.linalg.norm(points - axis, axis=1), np.linalg.norm(points + axis, axis=1))


def assert_turned_about(axis: np.ndarray, tokens: mf.Tokens) -> None:
    """The direction around the axis is uniform on the sphere orthogonal to it."""
    points = np.asarray(tokens.points)
    side = points - (points @ axis)[:, None] * axis
    side /= np.linalg.norm(side, axis=1)[:, None]
    basis = np.linalg.svd(axis[None])[2][1:]
    d = len(axis)
    if d == 2:
        assert abs((side @ basis[0]).mean()) < 4 / np.sqrt(DRAWS)
    else:
        half = (d - 2) / 2
        assert stats.kstest((1 + side @ basis[0]) / 2, stats.beta(half, half).cdf).pvalue > UNLIKELY


def test_uniform_law_is_the_spaces_own():
    for space in (mf.Sphere(3), mf.Euclidean(2)):
        drawn = mf.uniform(space, n=5, seed=3)
        np.testing.assert_allclose(drawn.points, space.uniform(jax.random.key(3), 5), atol=1e-15)
        np.testing.assert_array_equal(drawn.weights, np.full(5, 0.2))
        assert drawn.space == space


@pytest.mark.parametrize("angle", [1e-6, 0.3, 2.0, np.pi])
@pytest.mark.parametrize("d", [2, 3, 4, 20])
def test_cap_is_uniform_by_area_and_all_inside(d, angle):
    axis = an_axis(d)
    tokens = mf.cap(mf.Sphere(d), DRAWS, centre=3.0 * axis, angle=angle, seed=d)
    polar = angles_to(axis, tokens)
    assert polar.max() <= angle * (1 + 1e-12) + 3e-16
    half = (d - 1) / 2

    def share(t: np.ndarray) -> np.ndarray:
        return special.betainc(half, half, np.sin(t / 2) ** 2) / special.betainc(half, half, np.sin(angle / 2) ** 2)

    assert stats.kstest(polar, share).pvalue > UNLIKELY
    assert_turned_about(axis, tokens)


@pytest.mark.parametrize("d", [2, 3, 4, 20])
def test_cap_angles_invert_the_share_of_the_area_to_rounding(d):
    u = np.array([0.0, 1e-9, 0.1, 0.5, 0.9, 1 - 1e-12])
    half = (d - 1) / 2
    for angle in (0.01, 1.5, 3.0):
        polar = np.asarray(cap_angles(jnp.asarray(u), d, jnp.asarray(angle)))
        found = special.betainc(half, half, np.sin(polar / 2) ** 2)
        np.testing.assert_allclose(
            found, u * special.betainc(half, half, np.sin(angle / 2) ** 2), rtol=2e-12, atol=1e-40
        )


def test_cap_has_the_last_axis_as_centre_unless_told():
    assert float(mf.cap(mf.Sphere(3), 50, angle=0.2).points[:, 2].min()) >= np.cos(0.2)


@pytest.mark.parametrize("angle", [0.0, -0.1, 3.15, np.nan, np.inf, "wide", [0.1], None])
def test_cap_refuses_an_angle_that_is_none(angle):
    with pytest.raises(mf.BadInput, match=r"cap: angle is "):
        mf.cap(mf.Sphere(3), 5, angle=angle)


@pytest.mark.parametrize("centre", [[0.0, 0.0, 0.0], [1.0, 0.0], [np.nan, 0.0, 1.0], "north", 1.0])
@pytest.mark.parametrize("law", [mf.cap, mf.von_mises_fisher])
def test_a_centre_that_is_no_direction_is_refused(law, centre):
    options = {"angle": 0.1} if law is mf.cap else {"kappa": 1.0}
    with pytest.raises(mf.BadInput, match=rf"{law.__name__}: centre is "):
        law(mf.Sphere(3), 5, centre=centre, **options)


@pytest.mark.parametrize("n", [0, -3, 2.0, "5", True, None])
def test_a_law_needs_at_least_one_token(n):
    for law in (
        lambda: mf.uniform(mf.Sphere(3), n),
        lambda: mf.cap(mf.Sphere(3), n, angle=0.1),
        lambda: mf.von_mises_fisher(mf.Sphere(3), n, kappa=1.0),
        lambda: mf.equiangular(n=n, cosine=0.0),
        lambda: mf.gaussian(mf.Euclidean(3), n),
    ):
        with pytest.raises(mf.BadInput, match=r"n is .*; the number of tokens must be an integer of at least 1"):
            law()


def test_laws_refuse_a_space_they_do_not_live_on():
    for law in (
        lambda: mf.cap(mf.Euclidean(3), 5, angle=0.1),
        lambda: mf.von_mises_fisher(mf.Euclidean(3), 5, kappa=1.0),
        lambda: mf.equiangular(mf.Euclidean(3), 2, cosine=0.0),
    ):
        with pytest.raises(mf.BadInput, match=r"space is Euclidean\(d=3\); this law lives on a sphere"):
            law()
    with pytest.raises(mf.BadInput, match=r"gaussian: space is Sphere\(d=3\)"):
        mf.gaussian(mf.Sphere(3), 5)
    with pytest.raises(mf.BadInput, match="uniform: space is 3; it must be a space such as"):
        mf.uniform(3, 5)


@pytest.mark.parametrize("kappa", [0.0, 1e-6, 0.7, 50.0, 61.0, 1e4, 1e6])
@pytest.mark.parametrize("d", [2, 3, 8])
def test_von_mises_fisher_has_the_exact_marginal_and_mean_resultant(d, kappa):
    axis = an_axis(d)
    tokens = mf.von_mises_fisher(mf.Sphere(d), DRAWS, centre=axis, kappa=kappa, seed=4)
    polar = angles_to(axis, tokens)

    # the law of w = kappa (1 - cos): density ~ e^-w (w (2 kappa - w))^((d-3)/2), whose weight quadrature takes exactly
    def density(t):
        return np.sin(t) ** (d - 2) * np.exp(-2 * kappa * np.sin(t / 2) ** 2)

    grid = np.linspace(0.0, min(np.pi, 12 * np.sqrt((d + 1) / max(kappa, 1.0))), 20_001)
    law = integrate.cumulative_simpson(density(grid), x=grid, initial=0.0)
    assert stats.kstest(polar, lambda t: np.interp(t, grid, law / law[-1])).pvalue > UNLIKELY
    assert_turned_about(axis, tokens)
    # 1 - <cos> against 1 - A_d(kappa), A_d = I_{d/2} / I_{d/2-1}: its own digits count where kappa is large
    exact = 1.0 - (special.ive(d / 2, kappa) / special.ive(d / 2 - 1, kappa) if kappa else 0.0)
    one_minus_cosine = 2 * np.sin(polar / 2) ** 2
    assert abs(one_minus_cosine.mean() - exact) < 4 * one_minus_cosine.std() / np.sqrt(DRAWS)


@pytest.mark.parametrize("kappa", [1e-3, 10.0, 59.0, 61.0, 1e6])
def test_fisher_angles_invert_the_distribution_to_rounding(kappa):
    # on the sphere of R^3 the inverse is elementary: 1 - cos t = -log(1 - u (1 - e^{-2 kappa})) / kappa
    u = np.concatenate([np.logspace(-9, -3, 50), np.linspace(1e-3, 0.999999, 1000)])
    height = -np.log1p(u * np.expm1(-2 * kappa)) / kappa
    exact = 2 * np.arcsin(np.sqrt(height / 2))
    # relative to each angle: the smallest too, where interpolation of a square root goes wrong. 1e-16 of mass counts
    np.testing.assert_allclose(fisher_angles(u, 3, kappa), exact, rtol=1e-10)


@pytest.mark.parametrize("d", [2, 3, 50, 1000])
@pytest.mark.parametrize("kappa", [0.0, 30.0, 1e6])
def test_fisher_angles_rise_with_u_and_stay_on_the_sphere(d, kappa):
    u = np.concatenate([[0.0, 1e-300, 1e-16], np.linspace(1e-6, 1 - 1e-6, 500), [1 - 2**-53]])
    polar = fisher_angles(u, d, kappa)
    assert np.isfinite(polar).all()
    assert (np.diff(polar) >= 0).all()
    assert polar[0] >= 0
    assert polar[-1] <= np.pi


@pytest.mark.parametrize("kappa", [-1.0, np.nan, np.inf, "tight", None])
def test_von_mises_fisher_refuses_a_concentration_that_is_none(kappa):
    with pytest.raises(mf.BadInput, match="von_mises_fisher: kappa is "):
        mf.von_mises_fisher(mf.Sphere(3), 5, kappa=kappa)


@pytest.mark.parametrize("n", [2, 3, 8, 50, 500])
@pytest.mark.parametrize("place", ["simplex", "orthogonal", "between", "near one", "one"])
def test_equiangular_tokens_share_one_overlap_to_1e_14(n, place):
    least = -1 / (n - 1)
    cosine = {"simplex": least, "orthogonal": 0.0, "between": 0.3, "near one": 1 - 1e-9, "one": 1.0}[place]
    tokens = mf.equiangular(n=n, cosine=cosine)
    gram = np.asarray(tokens.points) @ np.asarray(tokens.points).T
    assert tokens.space == mf.Sphere(n)
    assert np.abs(gram[~np.eye(n, dtype=bool)] - cosine).max() < 1e-14
    assert np.abs(np.diag(gram) - 1).max() < 1e-14


@pytest.mark.parametrize("n", [3, 4, 20, 500])
def test_regular_simplex_fits_in_one_dimension_less(n):
    tokens = mf.equiangular(mf.Sphere(n - 1), n, cosine=-1 / (n - 1))
    gram = np.asarray(tokens.points) @ np.asarray(tokens.points).T
    assert tokens.points.shape == (n, n - 1)
    assert np.abs(gram[~np.eye(n, dtype=bool)] + 1 / (n - 1)).max() < 1e-14


def test_equiangular_tokens_fit_in_more_dimensions():
    tokens = mf.equiangular(mf.Sphere(10), 4, cosine=0.25)
    gram = np.asarray(tokens.points) @ np.asarray(tokens.points).T
    np.testing.assert_allclose(gram, 0.75 * np.eye(4) + 0.25, atol=1e-15)


@pytest.mark.parametrize("cosine", [-0.51, 1.0001, np.nan, "half", None])
def test_equiangular_refuses_an_overlap_that_cannot_be_shared(cosine):
    with pytest.raises(mf.BadInput, match="equiangular: cosine is "):
        mf.equiangular(n=3, cosine=cosine)


def test_equiangular_says_how_many_dimensions_it_needs():
    with pytest.raises(mf.BadInput, match=r"5 tokens .* span 5 dimensions, Sphere\(d=3\) has 3\. Use mf\."):
        mf.equiangular(mf.Sphere(3), 5, cosine=0.1)
    with pytest.raises(mf.BadInput, match=r"span 4 dimensions.*Use mf\.Sphere\(4\) or larger"):
        mf.equiangular(mf.Sphere(3), 5, cosine=-0.25)
    with pytest.raises(mf.BadInput, match="an overlap needs at least 2 tokens"):
        mf.equiangular(n=1, cosine=0.0)


def test_mixture_gives_each_part_its_mass():
    parts = [mf.cap(mf.Sphere(3), n, centre=c, angle=0.1, seed=n) for n, c in ((2, [1, 0, 0]), (6, [0, 1, 0]))]
    np.testing.assert_allclose(mf.mixture(parts).weights, np.full(8, 1 / 8), rtol=1e-15)  # each token alike
    weighed = mf.mixture(parts, weights=[0.7, 0.3])
    np.testing.assert_allclose(weighed.weights, [0.35] * 2 + [0.05] * 6, rtol=1e-15)
    np.testing.assert_array_equal(weighed.points, np.concatenate([part.points for part in parts]))


def test_mixture_keeps_masses_words_and_absence_within_a_part():
    plane = mf.Euclidean(1)
    first = mf.Tokens(plane, [[0.0], [1.0]], [0.25, 0.75], labels=["a", "b"])
    second = mf.Tokens(plane, [[2.0], [3.0]], present=[True, False])
    joined = mf.mixture([first, second], weights=[0.5, 0.5])
    np.testing.assert_allclose(joined.weights, [0.125, 0.375, 0.5, 0.0])
    assert joined.present.tolist() == [True, True, True, False]
    assert joined.labels == ("a", "b", "", "")
    assert joined.positions.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("weights", [[0.5], [0.5, 0.6], [1.5, -0.5], [np.nan, 1.0], "ab", [[0.5, 0.5]]])
def test_mixture_refuses_masses_that_are_none(weights):
    parts = [mf.uniform(mf.Sphere(3), 2), mf.uniform(mf.Sphere(3), 2)]
    with pytest.raises(mf.BadInput, match="mixture: weights"):
        mf.mixture(parts, weights=weights)


@pytest.mark.parametrize("parts", [[], None, "ab", [1, 2], mf.equiangular(n=2, cosine=0.0)])
def test_mixture_refuses_parts_that_are_none(parts):
    with pytest.raises(mf.BadInput, match="mixture: give a non-empty list of Tokens"):
        mf.mixture(parts)


def test_mixture_refuses_two_spaces():
    with pytest.raises(mf.BadInput, match=r"live in \['Sphere\(d=3\)', 'Sphere\(d=4\)'\]; they must share one space"):
        mf.mixture([mf.uniform(mf.Sphere(3), 2), mf.uniform(mf.Sphere(4), 2)])


def test_gaussian_has_its_mean_and_covariance():
    mean, covariance = np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    points = np.asarray(mf.gaussian(mf.Euclidean(3), DRAWS, mean=mean, covariance=covariance, seed=1).points)
    whitened = (points - mean) @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    for axis in whitened.T:
        assert stats.kstest(axis, stats.norm.cdf).pvalue > UNLIKELY
    # entries of the sample covariance of white noise: standard error 1/sqrt(N), sqrt(2/N) on the diagonal
    assert np.abs(whitened.T @ whitened / DRAWS - np.eye(3)).max() < 4 * np.sqrt(2 / DRAWS)


def test_gaussian_takes_a_number_and_a_degenerate_covariance():
    unit = mf.gaussian(mf.Euclidean(2), 5, seed=2).points
    np.testing.assert_allclose(mf.gaussian(mf.Euclidean(2), 5, covariance=0.25, seed=2).points, 0.5 * unit, rtol=1e-15)
    line = np.asarray(mf.gaussian(mf.Euclidean(2), 50, covariance=[[1.0, 1.0], [1.0, 1.0]]).points)
    np.testing.assert_allclose(line[:, 0], line[:, 1], atol=1e-14)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"covariance": -1.0}, r"eigenvalue -1; it must be positive semi-definite"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, r"eigenvalue -1; it must be positive semi-definite"),
        ({"covariance": [[1.0, 0.5], [0.0, 1.0]]}, r"not symmetric\. Use \(C \+ C\.T\) / 2"),
        ({"covariance": np.eye(3)}, r"covariance \(3, 3\) do not fit Euclidean\(d=2\)"),
        ({"covariance": np.nan}, r"gaussian: covariance is nan; every number must be finite"),
        ({"mean": [0.0]}, r"mean \(1,\) .* do not fit Euclidean\(d=2\)"),
        ({"mean": [0.0, np.inf]}, r"gaussian: mean is \[0\.0, inf\]; every number must be finite"),
        ({"mean": "middle"}, r"gaussian: mean is 'middle'; it must be made of real numbers"),
    ],
)
def test_gaussian_refuses_what_is_no_mean_or_covariance(options, says):
    with pytest.raises(mf.BadInput, match=says):
        mf.gaussian(mf.Euclidean(2), 5, **options)


def test_laws_live_inside_jit_where_their_numbers_are_known():
    drawn = jax.jit(lambda key: mf.cap(mf.Sphere(3), 5, angle=0.3, seed=key).points)(jax.random.key(0))
    np.testing.assert_allclose(drawn, mf.cap(mf.Sphere(3), 5, angle=0.3).points, atol=1e-15)
    wide = jax.jit(lambda angle: mf.cap(mf.Sphere(3), 5, angle=angle).points)(0.3)
    np.testing.assert_allclose(wide, drawn, atol=1e-15)

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow import observe
from measureflow.fields.currents import current_of
from measureflow.flows import continuity

S1, S2 = mf.Sphere(2), mf.Sphere(3)
# a number as value: none at all, 0, is the same program
SA, USA = mf.SelfAttention(2.0, value=1.0), mf.SelfAttention(2.0, weighting="unnormalised")
SHARP = mf.Adaptive(rtol=1e-10, atol=1e-12)


def lopsided(x):
    return 1.0 + 0.3 * x[:, 0] + 0.2 * x[:, 0] * x[:, 1]


def circle(size: int = 48) -> mf.Density:
    return mf.Density.of(S1, lopsided, size=size)


ROUND = mf.Density.of(S2, lambda x: 1.0 + 0.4 * x[:, 2] - 0.3 * x[:, 2] ** 2, size=20, axis=[0.0, 0.0, 1.0])
WHOLE = mf.Density.of(S2, lopsided, size=12)


def run(density, field=SA, until=0.4, noise=0.0, **options) -> mf.Path:
    return mf.flow(density, field, until=until, noise=noise, save=[0.0, until], **{"solver": SHARP, **options})


@pytest.mark.parametrize("density", [circle(), ROUND, WHOLE], ids=["circle", "meridian", "sphere"])
def test_mass_is_kept_and_positivity_reported(density):
    path = run(density, noise=0.05, solver=mf.Adaptive(rtol=1e-6, atol=1e-8))
    assert path.status == "reached"
    assert path.stats["mass_drift"] < 1e-13
    assert path[-1].mass == pytest.approx(1.0, abs=1e-13)
    assert 0 < path.stats["smallest_value"] <= float(path.values.min())
    assert path.stats["aliasing"] < 1e-6
    assert (np.diff(path.energy) > 0).all()


def test_heat_alone_is_solved_exactly_whatever_the_step():
    still = mf.SelfAttention(2.0, value=0.0)
    for density in (circle(), ROUND):
        path = run(density, still, noise=0.3)
        decay = np.exp(-0.3 * 0.4 * density.grid.degrees * (density.grid.degrees + density.d - 2))
        np.testing.assert_allclose(path[-1].modes, decay * np.asarray(path[0].modes), atol=1e-14)
        assert path.stats["accepted"] < 20


def test_density_is_found_with_spectral_accuracy():
    reference = run(circle(96), until=0.8)[-1]
    errors = []
    for size in (16, 24, 36):
        modes = continuity_to(circle(size), 0.8, 64)
        errors.append(float(jnp.abs(modes - reference.grid.fitted(reference.modes, modes.shape[0] - 1)).max()))
    assert errors[1] < errors[0] / 20
    assert errors[2] < errors[1] / 50
    assert errors[2] < 1e-8


@eqx.filter_jit
def stepped(problem, count, h):
    """The modes after `count` steps of length h, and the problem's rate."""
    problem = problem.ready()

    def one(_, state):
        new, rate, _ = continuity.step(problem, state, h)
        return eqx.tree_at(lambda s: (s.modes, s.rate), state, (new, rate))

    return jax.lax.fori_loop(0, count, one, continuity.begin(problem)).modes


def continuity_to(density, until, count, noise=0.0):
    problem = continuity.Problem(density, SA, SHARP, jnp.asarray(noise), jnp.zeros(()))
    return stepped(problem, count, until / count)


def test_steps_have_the_order_of_their_pair_with_noise_and_without():
    for noise in (0.0, 0.2):
        ends = [continuity_to(circle(), 1.6, count, noise) for count in (4, 8, 16, 64)]
        errors = [float(jnp.abs(end - ends[-1]).max()) for end in ends[:-1]]
        orders = np.log2(np.divide(errors[:-1], errors[1:]))
        assert (orders > 4.5).all(), orders


def test_turning_the_density_turns_the_flow():
    turned = mf.Density(S1, jnp.roll(circle().values, 7))
    np.testing.assert_allclose(run(turned)[-1].values, jnp.roll(run(circle())[-1].values, 7), atol=1e-12)
    about = WHOLE.replace(values=jnp.roll(WHOLE.values, 5, axis=1))
    np.testing.assert_allclose(run(about)[-1].values, jnp.roll(run(WHOLE)[-1].values, 5, axis=1), atol=1e-12)


def test_density_on_a_meridian_is_the_one_on_the_sphere():
    whole = run(ROUND.resampled(12).whole)[-1]
    np.testing.assert_allclose(whole.values, run(ROUND.resampled(12))[-1].whole.values, atol=1e-9)


@eqx.filter_jit
def by_modes_and_by_atoms(field, density):
    """The field's velocity on a grid twice as fine, from the density's modes and over that grid's atoms."""
    fine, modes = density.grid.finer(2 * density.grid.shape[0]), density.modes
    mu = density.replace(values=fine.synthesise(modes), grid=fine)
    kernel = field.kernel
    same = mf.SelfAttention(kernel.beta, query=kernel.query, value=np.eye(density.d), weighting=kernel.weighting)
    return tuple(current_of(one, density.d, density.grid.degree)(mu, modes) for one in (field, same))


@pytest.mark.parametrize("density", [circle(), ROUND, WHOLE], ids=["circle", "meridian", "sphere"])
def test_sum_over_atoms_and_sum_over_modes_are_the_same_field(density):
    # the first and the last are one program
    for field in (mf.SelfAttention(2.0, query=1.0), USA, mf.SelfAttention(3.0, query=-1.0)):
        by_modes, by_atoms = by_modes_and_by_atoms(field, density)
        np.testing.assert_allclose(by_modes, by_atoms, atol=1e-12 * np.abs(by_atoms).max() + 1e-13)


def test_noisy_density_comes_to_rest_at_its_gibbs_law():
    beta, kappa = 1.0, 2.5  # above kappa_# = 1.769: uniform is unstable
    field = mf.SelfAttention(beta, weighting="unnormalised")
    path = mf.flow(circle(96), field, until=mf.Stationary(1e-7, cap=300.0), noise=1 / kappa, save=5, solver=SHARP)
    assert path.status == "stationary"
    assert float(observe.order_parameter(path[-1])) > 0.5
    points, weights = path[-1].atoms()
    mean_kernel = jnp.exp(beta * points @ points.T) @ weights
    free = np.log(path[-1].values) - kappa / beta * np.asarray(mean_kernel)
    assert np.ptp(free) < 1e-4
    again = mf.flow(path[-1], field, until=5.0, noise=1 / kappa, save=[0.0, 5.0], solver=SHARP)
    np.testing.assert_allclose(again.values[-1], again.values[0], atol=1e-5)


def test_uniform_density_rests_exactly():
    for density in (mf.Density.uniform(S1, size=48), mf.Density.uniform(S2, size=20)):
        path = run(density)
        assert path.status == "stationary"
        assert path.times.tolist() == [0.0]


def test_tokens_at_the_quantiles_follow_the_density():
    density, pairs = circle(), mf.SelfAttention(2.0, sum=mf.sums.Exact())
    tokens = mf.flow(density.quantiles(1000), pairs, until=1.0, save=[0.0, 1.0], solver=SHARP)
    moved = run(density.resampled(96), until=1.0)
    points, weights = moved[-1].atoms()
    second = np.asarray((weights[:, None] * points).T @ points)
    ends = np.asarray(tokens.points[-1])
    np.testing.assert_allclose(ends.T @ ends / 1000, second, atol=1e-5)
    np.testing.assert_allclose(ends.mean(0), weights @ points, atol=1e-5)


def test_attraction_ends_unresolved_and_never_in_nan():
    path = mf.flow(circle(), SA, until=1e3, save=30)
    assert path.status == "unresolved"
    assert path.times[-1] < 20
    assert np.isfinite(path.values).all()
    assert path.stats["tail"] > 1e-8
    assert (np.diff(path.energy) >= 0).all()
    assert float(path[-1].tail) == pytest.approx(path.stats["tail"], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"field": mf.SelfAttention(1.0, mask="causal")}, "looks at positions"),
        ({"field": 3}, "field is 3"),
        ({"seed": 1}, "without chance"),
        ({"noise": -1.0}, "noise is -1"),
        ({"solver": mf.Splitting(step=0.1)}, r"takes mf\.Adaptive"),
        ({"solver": mf.Adaptive(pair="dopri8"), "noise": 0.1}, "go back in time"),
        ({"until": mf.Consensus(1e-3)}, "condition on tokens"),
        ({"until": -1.0}, "finite time > 0"),
        ({"record": "clusters"}, "one of Tokens"),
        ({"density": mf.Density.von_mises_fisher(S1, kappa=300.0, size=32)}, "upper third"),
        ({"density": ROUND, "field": mf.SelfAttention(1.0, value=jnp.diag(jnp.arange(3.0)))}, "commute with rotations"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(options, said):
    arguments = {"density": circle(), "field": SA, "until": 1.0, **options}
    with pytest.raises(mf.BadInput, match=said):
        mf.flow(arguments.pop("density"), arguments.pop("field"), **arguments)

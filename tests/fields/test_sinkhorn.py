"""Doubly stochastic attention: both marginals, its invariances, its derivatives, its half steps, what it refuses."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.fields import Sinkhorn
from measureflow.fields.balancing import DIRECT, balanced, by_conjugate_gradients, directly
from measureflow.fields.summing import settled

weights_of = eqx.filter_jit(lambda field, x, mu: field.weights(x, mu))


def weights(field, x, mu):
    return np.asarray(weights_of(field, x, mu))


def by_hand(field, mu, half_steps):
    """Densities of the weights by Sinkhorn's own matrix scaling, a half step at a time: rows first."""
    q, k = (field.kernel.query, field.kernel.key)
    x = np.asarray(mu.points)
    logits = float(field.beta) * (x @ np.asarray(q).T) @ (x @ np.asarray(k).T).T
    density, a = np.exp(logits), np.asarray(mu.weights)
    for step in range(half_steps):
        density = density / (a @ density) if step % 2 else density / (density @ a)[:, None]
    return density * a


@pytest.fixture(scope="module")
def general(matrices):
    return mf.SelfAttention(1.5, weighting="sinkhorn", **matrices)


@pytest.fixture(scope="module")
def sparse(flat):
    """One token without mass, and one that is absent and holds NaN."""
    masses = np.asarray(flat.weights) * (np.arange(7) != 4) * (np.arange(7) != 6)
    points = np.where(np.arange(7)[:, None] == 6, 0.0, flat.points)
    mu = mf.Tokens(flat.space, points, masses / masses.sum(), present=np.arange(7) != 6)
    return mu.replace(points=mu.points.at[6].set(jnp.nan))


def test_rows_are_exact_and_columns_to_tolerance(flat, general, queries):
    found, a = weights(general, flat.points, flat), np.asarray(flat.weights)
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-15)
    np.testing.assert_allclose(a @ found, a, rtol=1e-12)
    np.testing.assert_allclose(found, by_hand(general, flat, 400), rtol=1e-11)
    np.testing.assert_allclose(weights(general, queries, flat).sum(1), 1.0, atol=1e-15)
    # a query that stands where a token stands attends as that token does
    np.testing.assert_allclose(weights(general, flat.points[2:5], flat), found[2:5], rtol=1e-13)


@pytest.mark.parametrize("form", [None, np.diag([1.0, 0.5, 2.0, 1.5]), -np.eye(4)])
def test_symmetric_scores_have_one_potential(flat, form):
    field = mf.SelfAttention(1.5, query=form, weighting="sinkhorn")
    f, g = field.potentials(flat)
    np.testing.assert_allclose(f, g, atol=2e-12)
    density = weights(field, flat.points, flat) / np.asarray(flat.weights)
    np.testing.assert_allclose(density, density.T, rtol=1e-11)
    np.testing.assert_allclose(np.asarray(flat.weights) @ density, 1.0, rtol=1e-12)


def test_tokens_without_mass_attend_and_absent_ones_are_nothing(sparse, general):
    found = weights(general, sparse.points, sparse)[:6]
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-15)
    assert found[:, [4, 6]].max() == 0.0
    masses = np.asarray(sparse.weights)
    np.testing.assert_allclose((masses[:6] @ found)[:4], masses[:4], rtol=1e-12)
    both = mf.Tokens(sparse.space, sparse.points[jnp.array([0, 1, 2, 3, 5])], masses[[0, 1, 2, 3, 5]])
    kept = weights(general, both.points, both)
    np.testing.assert_allclose(found[np.ix_([0, 1, 2, 3, 5], [0, 1, 2, 3, 5])], kept, rtol=1e-11)


@pytest.fixture(scope="module")
def sharp(flat, matrices):
    """Queries and keys of their own, unequal masses, and logits that spread over hundreds."""
    masses = np.random.default_rng(5).dirichlet(np.ones(7))
    mu = mf.Tokens(flat.space, flat.points, masses)
    logits = np.asarray(mf.SelfAttention(1.0, **matrices).kernel.logits(mu.points, mu.points))

    def spread_over(size, **options):
        return mf.SelfAttention(size / np.ptp(logits), weighting=Sinkhorn(**options), **matrices)

    return mu, spread_over


@pytest.mark.parametrize("size", [50.0, 150.0, 500.0])
@pytest.mark.parametrize("equal", [False, True])
def test_marginals_hold_where_logits_spread_over_hundreds(sharp, size, equal):
    mu, spread_over = sharp
    mu = mu.replace(weights=jnp.full(7, 1 / 7)) if equal else mu
    kernel = spread_over(size).kernel
    logits, a = kernel.between(mu)
    f, g = spread_over(size).potentials(mu)
    density = np.exp(np.asarray(logits) + np.asarray(f)[:, None] + np.asarray(g))
    np.testing.assert_allclose(density @ np.asarray(a), 1.0, atol=1e-11)
    np.testing.assert_allclose(np.asarray(a) @ density, 1.0, atol=1e-11)


def test_logits_of_hundreds_are_too_much_for_the_iteration_and_newtons_method_is_there_in_time(sharp):
    """Ten thousand steps are not enough here; a flow chooses at its start, and a program of one's own is told to."""
    mu, spread_over = sharp
    mu, field = mu.replace(weights=jnp.full(7, 1 / 7)), spread_over(500.0)
    (logits, a), allowed = field.kernel.between(mu), 1e-12
    assert float(balanced(1e-12, 10_000, logits, a)[1]) > 1e3 * allowed
    assert float(balanced(1e-12, 10_000, logits, a, newton=True)[1]) <= allowed
    assert np.isnan(weights(field, mu.points, mu)).all()
    chosen = settled(field, mu, None)
    assert chosen.kernel.weighting.newton
    found = weights(chosen, mu.points, mu)
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-11)
    np.testing.assert_array_equal(found, weights(spread_over(500.0, newton=True), mu.points, mu))
    assert settled(spread_over(5.0), mu, None).kernel.weighting == Sinkhorn()  # the iteration does


def test_functions_of_one_variable_do_not_count(flat):
    """-|x - y|^2 and 2<x, y> differ by a function of x and one of y."""
    squared = mf.SelfAttention(0.8, score="l2", weighting="sinkhorn")
    plain = mf.SelfAttention(1.6, weighting="sinkhorn")
    a, b = weights(squared, flat.points, flat), weights(plain, flat.points, flat)
    np.testing.assert_allclose(a, b, rtol=1e-11)


def objective(points, masses, field, mu):
    return jnp.sum(jnp.sin(field.output(points, mu.replace(points=points, weights=masses))))


gradient = eqx.filter_jit(jax.value_and_grad(objective, argnums=(0, 1)))


def test_implicit_derivatives_are_those_of_differences_and_of_many_half_steps(flat, matrices):
    rng = np.random.default_rng(3)
    along, change = rng.normal(size=flat.points.shape), rng.normal(size=7)
    change -= change.mean()
    field = mf.SelfAttention(1.5, weighting="sinkhorn", **matrices)
    _, (by_point, by_mass) = gradient(flat.points, flat.weights, field, flat)
    h = 1e-5
    ahead, behind = (
        gradient(flat.points + s * h * along, flat.weights + s * h * change, field, flat)[0] for s in (1, -1)
    )
    reverse = float(jnp.sum(by_point * along) + by_mass @ change)
    assert reverse == pytest.approx(float(ahead - behind) / (2 * h), rel=1e-7)
    unrolled = mf.SelfAttention(1.5, weighting=Sinkhorn(iterations=201), **matrices)
    _, (other, masses) = gradient(flat.points, flat.weights, unrolled, flat)
    np.testing.assert_allclose(by_point, other, atol=1e-10)
    np.testing.assert_allclose(by_mass @ change, masses @ change, rtol=1e-9)
    moved = jax.jit(lambda p, m: jax.jvp(lambda q, n: objective(q, n, field, flat), (p, m), (along, change))[1])
    assert float(moved(flat.points, flat.weights)) == pytest.approx(reverse, rel=1e-11)


def test_it_maps_over_a_batch(flat, general, output):
    batch = jnp.stack([flat.points, 0.5 * flat.points[::-1]])
    mapped = jax.jit(jax.vmap(lambda p: general.output(p, flat.replace(points=p))))(batch)
    for points, found in zip(batch, mapped, strict=True):
        np.testing.assert_allclose(found, output(general, points, flat.replace(points=points)), rtol=1e-10)


def test_half_steps_lead_from_softmax_to_both_marginals(flat, matrices):
    """The published models count half steps: 1 is softmax, and an odd number ends with exact rows."""
    softmax = mf.SelfAttention(1.5, **matrices)
    off = []
    for count in (1, 3, 5, 21):
        field = mf.SelfAttention(1.5, weighting=Sinkhorn(iterations=count), **matrices)
        found = weights(field, flat.points, flat)
        np.testing.assert_allclose(found, by_hand(field, flat, count), rtol=1e-12)
        np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-15)
        off.append(float(mf.observe.marginal_error(flat, field=field)))
    np.testing.assert_array_equal(
        weights(mf.SelfAttention(1.5, weighting=Sinkhorn(iterations=1), **matrices), flat.points, flat),
        weights(softmax, flat.points, flat),
    )
    assert off[0] > off[1] > off[2] > off[3] > 0
    assert off[1] > 1e-3  # "five iterations" are not doubly stochastic


def test_no_potential_is_detached(flat, matrices):
    """A peer's gradients ignore the column potential; ours agree with differences after a few half steps too."""
    field = mf.SelfAttention(1.5, weighting=Sinkhorn(iterations=3), **matrices)
    along, h = np.random.default_rng(4).normal(size=flat.points.shape), 1e-5
    _, (by_point, _) = gradient(flat.points, flat.weights, field, flat)
    ahead, behind = (gradient(flat.points + s * h * along, flat.weights, field, flat)[0] for s in (1, -1))
    assert float(jnp.sum(by_point * along)) == pytest.approx(float(ahead - behind) / (2 * h), rel=1e-7)
    frozen = jax.lax.stop_gradient(field.kernel.on(flat).potential)
    detached = eqx.tree_at(lambda f: f.kernel.potential, field, frozen, is_leaf=lambda leaf: leaf is None)
    _, (wrong, _) = gradient(flat.points, flat.weights, detached, flat)
    assert float(jnp.abs(wrong - by_point).max()) > 1e-2 * float(jnp.abs(by_point).max())


@pytest.mark.parametrize("form", [None, -1.0, np.array([[1.0, 2.0, 0.0, 0.0], [0.0, 1.0, -1.0, 0.5]])])
def test_a_coarse_tolerance_holds_for_rows_and_columns(flat, form):
    """A peer looks at one potential only."""
    key = None if np.ndim(form) < 2 else np.roll(form, 1, axis=1)
    for tolerance in (1e-2, 1e-5):
        field = mf.SelfAttention(1.5, query=form, key=key, weighting=Sinkhorn(tolerance=tolerance))
        assert float(mf.observe.marginal_error(flat, field=field)) <= tolerance


def test_no_convergence_is_an_error_that_says_how_far_off_it_is(flat, matrices):
    field = mf.SelfAttention(4.0, weighting=Sinkhorn(most=3), **matrices)
    with pytest.raises(mf.BadInput, match=r"^Sinkhorn: after 3 steps a row or column sums to 1 up to \d.*Raise most="):
        field.output(flat.points, flat)
    with pytest.raises(mf.BadInput, match="after 3 steps"):
        mf.flow(flat, field, until=1.0)
    assert np.isnan(weights(field, flat.points, flat)).all()  # inside jit nothing can be raised
    fixed = mf.SelfAttention(4.0, weighting=Sinkhorn(iterations=7), **matrices)
    assert float(mf.observe.marginal_error(flat, field=fixed)) > 1e-3


def test_what_has_no_doubly_stochastic_weights_is_refused(flat):
    with pytest.raises(mf.BadInput, match="only if it is the identity"):
        mf.SelfAttention(1.0, weighting="sinkhorn", mask="causal")
    with pytest.raises(mf.BadInput, match="must be 'softmax' or 'hardmax'"):
        mf.RescaledAttention(weighting="sinkhorn")
    with pytest.raises(mf.BadInput, match=r"an even number of half steps .* Take 3 or 5\.$"):
        Sinkhorn(iterations=4)
    for wrong in ({"tolerance": 0.0}, {"tolerance": "1"}, {"most": 0}, {"iterations": 0}, {"iterations": 3.0}):
        with pytest.raises(mf.BadInput, match=r"^Sinkhorn: "):
            Sinkhorn(**wrong)
    with pytest.raises(mf.BadInput, match="has no potentials"):
        mf.SelfAttention(1.0).potentials(flat)
    # of one half step there is nothing to balance: softmax may have its mask
    assert mf.SelfAttention(1.0, weighting=Sinkhorn(iterations=1), mask="causal").positional


def test_slow_motion_keeps_its_digits(velocity):
    """At consensus every weight is the mass: x' = mean - x, however near the tokens are."""
    side = np.array([[1.0, 0.0], [-2.0, 1.0], [0.5, 0.3]])
    mu = mf.Tokens(mf.Sphere(3), np.column_stack([np.ones(3), 1e-150 * side]))
    found = velocity(mf.SelfAttention(9.0, weighting="sinkhorn"), mu.points, mu)
    np.testing.assert_allclose(found[:, 1:] * 1e150, side.mean(0) - side, rtol=1e-13)


def test_tiles_change_nothing(flat, matrices, output):
    whole = mf.SelfAttention(1.5, weighting="sinkhorn", **matrices)
    tiled = mf.SelfAttention(1.5, weighting="sinkhorn", sum=mf.sums.Exact(block=3), **matrices)
    np.testing.assert_allclose(output(tiled, flat.points, flat), output(whole, flat.points, flat), rtol=1e-13)


def test_many_tokens_are_balanced_by_the_faster_pass(compilations):
    """From 512 tokens on a step uses the potentials of the one before, unless they moved too far."""
    rng = np.random.default_rng(5)
    masses = rng.uniform(0.5, 1.5, 520) * (np.arange(520) > 3)
    masses /= masses.sum()
    x, y = rng.normal(size=(2, 520, 2))
    for logits in (x @ y.T, 2000.0 * x @ x.T):  # of a few units, and of thousands
        g, residual = balanced(1e-9, 2000, jnp.asarray(logits), jnp.asarray(masses))
        rows = logits + np.asarray(g)
        rows = masses * np.exp(rows - rows.max(1, keepdims=True))
        columns = masses @ (rows / rows.sum(1, keepdims=True))
        assert float(residual) <= 1e-9
        np.testing.assert_allclose(columns[masses > 0] / masses[masses > 0], 1.0, atol=1e-9)
    assert len([name for name in compilations if "balanced" in name]) <= 1


def test_beyond_1024_atoms_the_iteration_stays_and_says_where_it_is_too_slow(monkeypatch):
    """There Newton's method is not compiled in, whatever is asked for: its systems would be too large."""
    for module in ("balancing", "weightings"):  # so that few steps are many
        monkeypatch.setattr(f"measureflow.fields.{module}.PATIENT", 20)
    rng = np.random.default_rng(8)
    n, most = 1030, 40
    assert n > DIRECT
    masses = jnp.asarray(rng.dirichlet(np.full(n, 4.0)))
    x, y = rng.uniform(-1.0, 1.0, (2, n))
    gentle, sharp = jnp.asarray(np.outer(x, y)), jnp.asarray(1e4 * np.outer(x, y))  # of a reach of 0.01 on the line
    with pytest.raises(mf.BadInput, match=r"^Sinkhorn: after 40 steps .* Raise most= or tolerance="):
        Sinkhorn(tolerance=1e-9, most=most).potential(sharp, masses)
    g, residual = balanced(1e-9, most, gentle, masses, newton=True)
    density = np.exp(np.asarray(gentle + g))
    density /= (density @ np.asarray(masses))[:, None]
    assert float(residual) <= 1e-9
    np.testing.assert_allclose(np.asarray(masses) @ density, 1.0, atol=1e-9)


def test_both_ways_to_the_derivative_agree():
    rng = np.random.default_rng(6)
    masses = np.append(rng.uniform(0.5, 1.5, 6), 0.0)
    masses /= masses.sum()
    density = rng.uniform(0.2, 1.0, (7, 7))
    for _ in range(500):
        density = density / (density @ masses)[:, None]
        density = density / (masses @ density)[None, :]
    rows, columns = jnp.asarray(density * masses), jnp.asarray(density.T * masses)
    right = rng.normal(size=7)
    right -= masses @ right
    a, b = (solve(rows, columns, jnp.asarray(masses), right) for solve in (directly, by_conjugate_gradients))
    np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(a - columns @ (rows @ a), right, atol=1e-12)


def test_groups_that_do_not_see_each_other_have_finite_derivatives():
    points = np.array([[0.0, 0.0], [0.1, 0.0], [50.0, 0.0], [50.0, 0.2]])
    mu = mf.Tokens(mf.Euclidean(2), points)
    field = mf.SelfAttention(1.0, weighting="sinkhorn")
    jacobian = np.asarray(mf.observe.jacobian(mu, field=field))
    assert np.isfinite(jacobian).all()
    np.testing.assert_allclose(jacobian, jacobian.T, atol=1e-9)


def test_single_precision_stays_single(flat):
    mu = mf.Tokens(flat.space, np.asarray(flat.points, np.float32), np.asarray(flat.weights, np.float32))
    field = mf.SelfAttention(1.0, weighting="sinkhorn")
    found = field.weights(mu.points, mu)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(mu.weights) @ found, mu.weights, rtol=2e-5)


@eqx.filter_jit
def energetics(field, mu):
    """The energy, minus the mean potential, and the derivative of the energy along the velocity."""
    velocity = field(mu.points, mu)
    energy, rate = jax.jvp(lambda p: field.energy(mu.replace(points=p)), (mu.points,), (velocity,))
    return energy, -(mu.weights @ field.potentials(mu)[0]), rate


def test_energy_is_minus_the_mean_potential_and_its_speed_is_the_dissipation(flat, tokens):
    for mu in (flat, tokens):
        for value in (1.0, -1.0):
            field = mf.SelfAttention(1.5, weighting="sinkhorn", value=value)
            assert field.energy_on(mu.space)
            energy, minus, rate = energetics(field, mu)
            assert float(energy) == pytest.approx(float(minus), rel=1e-12)
            assert float(mf.observe.dissipation(mu, field=field)) == pytest.approx(float(rate), rel=1e-10)
            assert float(rate) * value > 0


def test_the_energy_falls_along_a_repulsive_flow_in_space(flat):
    field = mf.SelfAttention(1.5, weighting="sinkhorn", value=-1.0)
    path = mf.flow(flat, field, until=1.0, save=9, solver=mf.Adaptive(coarsen=False))
    assert (np.diff(path.energy) < 0).all()
    assert path.stats["largest_energy_increase"] <= 1e-13
    for verb in (mf.observe.participation, mf.observe.raw_dissipation):
        with pytest.raises(mf.BadInput, match="Sinkhorn"):
            verb(flat, field=field)
    again = path.recipe.part("field")
    assert again.kernel.weighting == Sinkhorn()
    with pytest.raises(mf.BadInput, match="no proved energy"):
        mf.SelfAttention(1.5, weighting=Sinkhorn(iterations=3), value=-1.0).energy(flat)


def test_heads_and_layers_take_it(flat):
    head = mf.SelfAttention(1.0, weighting="sinkhorn", value=0.5)
    mean = np.asarray(flat.weights @ flat.points)
    path = mf.layers(flat, mf.MultiHead([head, head]), depth=3, step=0.1)
    # whatever the tokens, the mean obeys m' = V m with V = 1/2 + 1/2
    np.testing.assert_allclose(path.measure.weights[-1] @ path.points[-1], 1.1**3 * mean, rtol=1e-12)

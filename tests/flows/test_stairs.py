"""The staircase: every merge is reached for large beta, at the times and heights that are predicted."""

from __future__ import annotations

import numpy as np
import pytest

import measureflow as mf
from measureflow import BadInput, theory
from measureflow.fields import Unnormalised

ANGLES = np.array([0.0, 0.3, 0.75, 1.4, 2.4])  # the example of the theory
APART = np.array([0.0, 0.3, 1.1, 1.6, 2.9])  # each pair meets long before the next


def on_circle(angles):
    return mf.Tokens(mf.Sphere(2), np.stack([np.cos(angles), np.sin(angles)], axis=1))


@pytest.fixture(scope="module")
def run():
    return mf.flows.stairs(on_circle(ANGLES), 200.0, save=6)


@pytest.mark.parametrize(("beta", "within"), [(50.0, 1e-2), (100.0, 2e-3), (200.0, 1e-3)])
def test_all_merges_are_done_with_the_predicted_step_lengths(beta, within):
    found = mf.flows.stairs(on_circle(ANGLES), beta, save=2)
    assert found.status == "reached"
    steps = theory.staircase(ANGLES, beta=beta)
    np.testing.assert_allclose(found.lengths, [step.length for step in steps], rtol=within)


@pytest.mark.parametrize("beta", [50.0, 100.0, 200.0])
def test_the_plain_flow_reaches_consensus_when_its_last_two_clusters_are_due(beta):
    field = mf.SelfAttention(beta, weighting=Unnormalised(shifted=True))
    path = mf.flow(on_circle(APART), field, until=mf.Consensus(1e-3, cap=1e150), save=2)
    assert path.status == "reached"
    assert len(path.merges) >= 3
    # under USA* all but 2.9 end in their centre of mass 0.75; e^beta is the clock's factor
    due = theory.merge_time(beta=beta, start=float(np.cos(2.15)), end=1.0 - 1e-3, model="unnormalised") * np.exp(beta)
    # an angle that is 1e-4 off after the first merges counts e^(200 sin(2.15) 1e-4) fold
    assert float(path.times[-1]) == pytest.approx(due, rel=0.05)


def test_energy_rises_along_the_stairs_by_the_products_of_masses(run):
    assert (np.diff(run.energy) > -1e-12).all()
    np.testing.assert_allclose(run.jumps[1:], [0.16, 0.08, 0.48], rtol=1e-4)
    assert run.energy[-1] == pytest.approx(1.0)


def test_glued_tokens_go_with_their_leader(run):
    assert run.pairs.tolist() == [[0, 1], [0, 2], [3, 4], [0, 3]]
    assert run.points.shape == (len(run.times), 5, 2)
    np.testing.assert_array_equal(run.points[-1], np.broadcast_to(run.points[-1, 0], (5, 2)))
    np.testing.assert_allclose(run.weights.sum(axis=1), 1.0)


def test_a_longer_radius_ends_a_step_earlier():
    near, far = (mf.flows.stairs(on_circle(ANGLES), 200.0, save=2, radius=r).lengths[0] for r in (0.02, 0.06))
    assert near > far


def test_stairs_need_tokens_on_a_sphere_and_beta_above_one():
    with pytest.raises(BadInput, match="at least two"):
        mf.flows.stairs(on_circle(ANGLES[:1]), 50.0)
    with pytest.raises(BadInput, match="beta > 1"):
        mf.flows.stairs(on_circle(ANGLES), 0.5)


def test_meeting_ends_a_flow_where_the_nearest_two_are_at_the_distance():
    path = mf.flow(on_circle(ANGLES), mf.SelfAttention(9.0), until=mf.flows.Meeting(0.1), save=2)
    points = np.asarray(path.points[-1])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + 9 * np.eye(5)
    assert gaps.min() == pytest.approx(0.1, abs=1e-9)
    with pytest.raises(BadInput, match="distance is 0"):
        mf.flows.Meeting(0.0)

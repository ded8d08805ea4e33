"""Plateaus: how long each number of clusters lasts, on a path and over an ensemble of them."""

import dataclasses
import math

import numpy as np
import pytest

import measureflow as mf
from measureflow import BadInput
from measureflow.observables.plateaus import Plateaus, lifetimes, median, median_interval, plateaus


@pytest.fixture(scope="module")
def path():
    return mf.flow(mf.uniform(mf.Sphere(2), n=12, seed=0), mf.SelfAttention(beta=9.0), until=1e8, save=60)


def test_plateaus_fill_the_path_without_gaps(path):
    plateaus = path.plateaus
    assert plateaus.start[0] == path.times[0]
    assert plateaus.end[-1] == path.times[-1]
    np.testing.assert_array_equal(plateaus.start[1:], plateaus.end[:-1])
    assert (np.diff(plateaus.counts) < 0).all()


def test_plateaus_are_those_of_the_run_whatever_was_saved(path):
    whole = path.plateaus
    for first, last in ((30, 40), (0, 20)):  # of a run that saved these times only
        part = plateaus(few(path, first, last))
        assert (part.dwell >= 0).all()
        np.testing.assert_array_equal(part.counts, whole.counts)
        np.testing.assert_array_equal(part.start, whole.start)


def few(path, first, last):
    """A path with fewer saved times: of what plateaus look at, its times and measures."""
    return dataclasses.replace(path, times=path.times[first:last])


def test_plateaus_of_a_coarsened_run_agree_with_the_clusters_at_the_saved_times(path):
    plateaus, counts = path.plateaus, np.asarray(path.clusters)
    long = [k for k in range(len(plateaus)) if plateaus.end[k] > 3 * plateaus.start[k] > 0]
    assert long, "the run has no metastable stretch"
    for k in long:
        middle = np.sqrt(plateaus.start[k] * plateaus.end[k])
        assert counts[np.argmin(np.abs(np.log(np.asarray(path.times)[1:] / middle))) + 1] == plateaus.counts[k]


def test_plateaus_without_merges_come_from_the_clusters():
    solver = mf.Adaptive(coarsen=False)
    path = mf.flow(
        mf.uniform(mf.Sphere(3), n=6, seed=1), mf.SelfAttention(beta=1.0), until=20.0, save=40, solver=solver
    )
    assert path.plateaus.counts.tolist()[0] == int(path.clusters[0])
    assert path.plateaus.counts.tolist()[-1] == int(path.clusters[-1]) == 1


def test_the_last_plateau_of_a_path_is_censored(path):
    assert path.plateaus.censored.tolist() == [False] * (len(path.plateaus) - 1) + [True]


def test_lasting_plateaus_are_long_on_a_logarithmic_axis(path):
    lasting = mf.observe.plateaus(path, ratio=10.0)
    assert 0 < len(lasting) < len(path.plateaus)
    assert (lasting.end >= 10 * np.where(lasting.start > 0, lasting.start, 1)).all()


def test_a_threshold_counts_near_tokens_as_one_before_they_merge(path):
    near, met = mf.observe.plateaus(path, delta=1e-2), path.plateaus
    assert near.counts[-1] == met.counts[-1]
    assert near.counts[0] < met.counts[0] == 12


def test_median_of_complete_dwells_is_the_sample_median():
    dwell = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    assert median(dwell, np.zeros(5, bool)) == 3.0


def test_censored_dwells_move_the_median_to_the_right_of_the_naive_one():
    dwell, censored = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([True, False, True, False, False])
    assert median(dwell, censored) == 4.0  # survival 3/4 from 2 on, 3/8 from 4 on
    assert median(dwell, np.ones(5, bool)) == math.inf


def test_intervals_have_the_coverage_of_binomial_tables():
    dwell = np.arange(1.0, 11.0)  # ten values: the second and the ninth cover the median with 97.9 %
    assert median_interval(dwell, np.zeros(10, bool), 0.95) == (2.0, 9.0)
    assert median_interval(dwell[:5], np.zeros(5, bool), 0.95) == (0.0, math.inf)


def test_intervals_hold_whatever_the_censoring():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        dwell = rng.exponential(size=25)
        lost = dwell > rng.choice([0.5, 3.0])  # the long ones are cut: not blind to their length
        low, high = median_interval(np.where(lost, 0.9 * dwell, dwell), lost, 0.9)
        inside += low <= math.log(2.0) <= high
    assert inside >= 0.87 * 400  # 0.9 less two standard errors


def test_an_ensemble_counts_who_was_seen_and_who_left():
    one = Plateaus(np.array([3, 2]), np.array([0.0, 1.0]), np.array([1.0, 9.0]))
    two = Plateaus(np.array([3, 1]), np.array([0.0, 2.0]), np.array([2.0, 9.0]))
    found = lifetimes([one, two], 1.0, 0.95)
    assert found.counts.tolist() == [3, 2, 1]
    assert found.seen.tolist() == [2, 1, 1]
    assert found.ended.tolist() == [2, 0, 0]
    assert found.median.tolist() == [1.0, math.inf, math.inf]
    assert "2 paths" in repr(found)


def test_an_ensemble_of_paths_of_a_flow_agrees_with_its_paths(path):
    found = mf.observe.plateaus([path, path])
    assert found.counts.tolist() == path.plateaus.counts.tolist()
    assert (found.seen == 2).all()
    np.testing.assert_array_equal(found.median[:-1], path.plateaus.dwell[:-1])


@pytest.mark.parametrize(
    ("subject", "options", "words"),
    [
        ([], {}, "empty"),
        (3, {}, "int is no path"),
        ([], {"level": 1.0}, "level is 1.0"),
        ([], {"ratio": 0.5}, "ratio is 0.5"),
    ],
)
def test_bad_ensembles_are_refused(subject, options, words):
    with pytest.raises(BadInput, match=words):
        mf.observe.plateaus(subject, **options)

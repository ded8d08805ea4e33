"""Plateaus and certificates: how long each cluster count lasts, and what stands when the run is done more exactly."""

import dataclasses

import numpy as np
import pytest

import measureflow as mf
from measureflow.paths.certificate import compare


@pytest.fixture(scope="module")
def path():
    return mf.flow(mf.uniform(mf.Sphere(2), n=12, seed=0), mf.SelfAttention(beta=9.0), until=1e8, save=60)


def test_plateaus_fill_the_path_without_gaps(path):
    plateaus = path.plateaus
    assert plateaus.start[0] == path.times[0]
    assert plateaus.end[-1] == path.times[-1]
    np.testing.assert_array_equal(plateaus.start[1:], plateaus.end[:-1])
    assert (np.diff(plateaus.counts) < 0).all()


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


def test_a_certificate_holds_for_a_sound_run(path):
    certificate = path.certify()
    assert all(certificate.holds.values())
    assert certificate.error.max() < 1e-4


def test_a_certificate_names_the_time_at_which_a_spoilt_run_parts(path):
    spoilt = dataclasses.replace(path, measure=path.measure.replace(points=path.points.at[30:, 0].multiply(-1.0)))
    certificate = compare(spoilt, path, 0.1)
    assert not certificate.holds["clusters"]
    assert certificate.holds_until == path.times[29]


def test_a_loaded_path_says_how_to_be_certified(path, tmp_path):
    path.save(tmp_path / "run.zarr")
    with pytest.raises(mf.BadInput, match="call flow"):
        mf.Path.load(tmp_path / "run.zarr").certify()

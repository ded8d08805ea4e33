"""Certificates: what stands when the run is done more exactly."""

import dataclasses

import pytest

import measureflow as mf
from measureflow.paths.certificate import compare


@pytest.fixture(scope="module")
def path():
    return mf.flow(mf.uniform(mf.Sphere(2), n=12, seed=0), mf.SelfAttention(beta=9.0), until=1e8, save=60)


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

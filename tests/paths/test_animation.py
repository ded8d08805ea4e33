"""Moving pictures: a GIF of every kind of path, at equal steps of depth or of its logarithm, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

import measureflow as mf
from measureflow.paths.animation import frames_of, scene
from measureflow.paths.style import house

FIELD = mf.SelfAttention(beta=4.0)
#: how the graphic control block before each frame begins
CONTROL = b"\x21\xf9\x04"


def walk(space, n=6):
    return mf.layers(mf.uniform(space, n=n, seed=1), FIELD, depth=5, step=0.3)


@pytest.fixture(scope="module")
def long() -> mf.Path:
    return mf.flow(mf.uniform(mf.Sphere(2), n=6, seed=0), FIELD, until=1e4, save=40)


def frames_in(file: Path) -> int:
    return file.read_bytes().count(CONTROL)


@pytest.mark.parametrize("space", [mf.Sphere(2), mf.Sphere(3), mf.Euclidean(3)], ids=repr)
def test_every_space_moves(space):
    told = []
    file = walk(space).animate("run.gif", frames=4, dpi=30, progress=lambda done, total: told.append((done, total)))
    assert file.read_bytes().startswith(b"GIF89a")
    assert 3 <= frames_in(file) <= 5  # equal frames are joined
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert image.imread(file).shape[:2] == (228, 192)
    assert list(Path.cwd().iterdir()) == [Path.cwd() / "run.gif"]


@pytest.mark.parametrize("seconds", [1.0, 30.0])
def test_it_lasts_as_long_as_it_should(seconds):
    file = walk(mf.Sphere(2)).animate("run.gif", frames=4, dpi=30, seconds=seconds)
    blocks = file.read_bytes().split(CONTROL)[1:]
    lasted = sum(int.from_bytes(block[1:3], "little") for block in blocks) / 100  # after a byte of flags
    assert lasted == pytest.approx(seconds, abs=5 * 0.005 + 1e-9)


@pytest.mark.parametrize(("d", "axis"), [(2, True), (3, False)])
def test_a_density_moves(d, axis):
    about = {"axis": np.eye(d)[0]} if axis else {}
    start = mf.Density.of(mf.Sphere(d), lambda x: np.e ** (2.0 * x[:, 0]), **about)
    path = mf.flow(start, mf.SelfAttention(1.0), until=0.3, save=3)
    assert frames_in(path.animate("run.gif", dpi=30)) >= 3


def test_frames_are_equal_steps_of_the_logarithm_from_the_beginning_to_the_end(long):
    chosen = frames_of(long, 12)
    times = np.asarray(long.times)[chosen]
    assert times[0] == 0
    assert times[-1] == long.times[-1]
    steps = np.diff(np.log(times[1:]))
    assert steps.max() < 2 * steps.min()
    even = walk(mf.Sphere(2))
    np.testing.assert_array_equal(frames_of(even, 2), [0, 5])


def test_the_hand_shows_the_time_and_the_dots_the_tokens(long):
    chosen = frames_of(long, 6)
    with house():
        drawing, show, movers = scene(long, chosen)
        show(int(chosen[3]))
    _, dots, hand, title = movers
    np.testing.assert_array_equal(dots.get_offsets(), long.points[int(chosen[3])])
    assert hand.get_xdata()[0] == float(long.times[int(chosen[3])])
    assert title.get_text().startswith("$t = ")
    assert drawing.axes[1].get_xscale() == "log"


def test_what_cannot_be_animated_is_refused_in_one_line(long):
    lone = mf.layers(mf.uniform(mf.Sphere(2), 4), FIELD, depth=2, step=0.1, keep="last")
    spread = mf.flow(mf.Gaussian(np.zeros(2), np.eye(2)), mf.SelfAttention(0.1, value=-1.0), until=0.1, save=3)
    for path, file, options, says in (
        (long, "run.png", {}, r"animation 'run\.png': the ending must be \.gif\."),
        (long, "nowhere/run.gif", {}, "the folder 'nowhere' does not exist; make it first"),
        (long, "run.gif", {"frames": 1}, "frames is 1; it must be an integer of at least 2"),
        (long, "run.gif", {"seconds": 0}, "seconds is 0; it must be a time > 0"),
        (long, "run.gif", {"seconds": 0.5}, r"0\.5 seconds are too few for 26 pictures; .* Take seconds=1, or fewer"),
        (long, "run.gif", {"dpi": 4000}, "dpi is 4000; it must be an integer from 20 to 400"),
        (lone, "run.gif", {}, "one kept state, and nothing moves in it"),
        (spread, "run.gif", {}, r"no moving picture of a Gaussian; path\.plot\(\) draws"),
    ):
        with pytest.raises(mf.BadInput, match=says) as error:
            path.animate(file, **options)
        assert "\n" not in str(error.value)
    assert not list(Path.cwd().iterdir())


def test_an_interrupted_animation_leaves_nothing_behind():
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walk(mf.Sphere(2)).animate("run.gif", dpi=30, progress=stop)
    assert not list(Path.cwd().iterdir())

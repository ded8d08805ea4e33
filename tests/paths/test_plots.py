from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.paths.depths import cosines_by_depth, ranks_by_depth, words_by_depth
from measureflow.paths.plots import snapshots
from measureflow.paths.style import number, write
from measureflow.paths.timelines import strata

FIELD = mf.SelfAttention(beta=4.0)


@pytest.fixture(scope="module")
def globes() -> mf.Path:
    return mf.flow(mf.uniform(mf.Sphere(3), n=8, seed=0), FIELD, until=20.0, save=12)


@pytest.fixture(scope="module")
def text() -> mf.Path:
    states = np.random.default_rng(0).normal(size=(4, 7, 5))
    words = [f"word{k}" for k in range(7)]
    tokens = mf.Tokens(mf.Euclidean(5), states[0], labels=words, present=np.arange(7) < 6)
    path = mf.layers(tokens, FIELD, depth=3, step=1.0)
    assert path.labels == tuple(words)
    return path


@pytest.mark.parametrize("space", [mf.Sphere(2), mf.Sphere(5), mf.Euclidean(1), mf.Euclidean(2)])
def test_every_space_has_its_picture(space):
    tokens = mf.uniform(space, n=6, seed=1)
    path = mf.layers(tokens, FIELD, depth=4, step=0.3)
    assert path.plot("run.png").axes
    assert Path("run.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_carries_its_recipe(globes):
    drawing = globes.plot("run.svg")
    written = Path("run.svg").read_text("utf-8")
    described = re.search(r"<dc:description>(.*?)</dc:description>", written, re.DOTALL)
    assert described is not None
    assert '"beta": 4.0' in described[1].replace("&quot;", '"')
    assert globes.recipe.hash[:12] in drawing.get_supxlabel().replace("\n", " ")
    assert "SelfAttention(beta=4)" in drawing.get_supxlabel().replace("\n", " ")
    assert list(Path.cwd().iterdir()) == [Path.cwd() / "run.svg"]


def test_the_same_path_gives_the_same_file(globes):
    globes.plot("one.svg")
    globes.plot("two.svg")
    one, two = (Path(name).read_text("utf-8") for name in ("one.svg", "two.svg"))
    assert one == two


@pytest.mark.parametrize(
    ("name", "cure"), [("run.jpeg", "must be .svg, .png or .pdf"), ("no/run.svg", "make it first")]
)
def test_bad_picture_names_say_what_to_do(globes, name, cure):
    with pytest.raises(mf.BadInput, match=cure):
        globes.plot(name)


def test_a_picture_that_fails_leaves_the_old_one():
    Path("run.svg").write_text("old")

    class Broken:
        def savefig(self, file, **options):
            Path(file).write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write(Broken(), "run.svg", "{}")
    assert Path("run.svg").read_text() == "old"
    assert len(list(Path.cwd().iterdir())) == 1


def test_plotting_opens_no_window_and_keeps_no_state(globes):
    program = (
        "import matplotlib, sys, measureflow as mf\n"
        "before = dict(matplotlib.rcParams)\n"
        "mf.layers(mf.uniform(mf.Sphere(3), 4), mf.SelfAttention(1.0), depth=2, step=0.1).plot('run.svg')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert dict(matplotlib.rcParams) == before\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_importing_the_library_does_not_import_matplotlib():
    subprocess.run(
        [sys.executable, "-c", "import measureflow, sys; assert 'matplotlib' not in sys.modules"], check=True
    )


def test_a_batch_is_not_drawn(globes):
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), globes)
    with pytest.raises(mf.BadInput, match="one path"):
        batch.plot()


def test_snapshots_begin_and_end_with_the_path(globes):
    chosen = snapshots(globes, 5)
    assert chosen[0] == 0
    assert chosen[-1] == len(globes) - 1
    assert (np.diff(chosen) > 0).all()


def test_strata_stand_on_one_axis_and_name_the_theory(globes):
    drawing = strata(globes, "strata.svg")
    top, middle, bottom = drawing.axes
    assert top.get_shared_x_axes().joined(top, bottom)
    assert bottom.get_xscale() == "log"
    assert any("tight clusters" in line.get_label() and line.get_linestyle() == "--" for line in top.lines)
    assert "clusters" in middle.get_ylabel()


def test_strata_need_an_energy(text):
    with pytest.raises(mf.BadInput, match="no energy is proved"):
        strata(mf.layers(mf.uniform(mf.Sphere(3), 4), mf.SelfAttention(1.0, mask="causal"), depth=2, step=0.1))


def test_a_trace_is_drawn_with_its_words(text):
    drawing = words_by_depth(text, "words.svg")
    said = {note.get_text() for axes in drawing.axes for note in axes.texts}
    assert {f"word{k}" for k in range(6)} <= said
    assert "word6" not in said  # not present


def test_cosines_and_ranks_are_drawn_raw_and_centred(text):
    titles = {axes.get_title() for axes in cosines_by_depth(text, "cosines.png").axes}
    assert {"raw", "centred: the mean vector taken away"} <= titles
    left, right = ranks_by_depth(text, "ranks.svg").axes
    assert {line.get_label() for line in left.lines} == {"raw", "centred"}
    assert len(right.lines) == 4


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (1.32, "1.32"), (1000.0, "1000"), (1e8, "10^{8}"), (2.5e-7, r"2.5\cdot10^{-7}")]
)
def test_numbers_are_written_as_in_a_paper(value, said):
    assert number(value) == said

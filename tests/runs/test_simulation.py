from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import measureflow as mf
from measureflow.runs import Simulation, papers_of, read_recipe


def written(text: str, name: str = "recipe.toml") -> str:
    Path(name).write_text(text, "utf-8")
    return name


def test_a_recipe_file_says_the_same_as_python():
    file = written('n = 6\ndim = 4\nbeta = 2\nuntil = 3.0\nseed = 5\nsave = 4\nrecord = ["cosine"]\n')
    path = Simulation.read(file).run()
    own = mf.flow(
        mf.uniform(mf.Sphere(4), 6, seed=5), mf.SelfAttention(2.0), until=3.0, save=4, record=["cosine"]
    )  # fmt: skip
    np.testing.assert_array_equal(path.points, own.points)
    assert path.recipe.hash == own.recipe.hash
    assert list(path.recorded) == ["cosine"]


def test_json_is_read_like_toml():
    table = {"n": 7, "beta": 1.5, "law": "cap", "angle": 0.3}
    assert Simulation.read(written(json.dumps(table), "recipe.json")) == Simulation.of(table)


def test_a_simulation_written_and_read_is_the_same():
    simulation = Simulation(
        n=3, beta=1e300, until=1e8, query=[[1.0, 0.0], [0.5, 2.0]], dim=2, record=("energy", "cosine")
    )
    assert Simulation.read(written(simulation.to_toml())) == simulation


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bta = 3\n", r"recipe.toml: unknown key 'bta'; did you mean 'beta'\?"),
        ("zzzzzz = 3\n", "known are n, dim, beta"),
        ('beta = "3"\n', "beta is '3'; it must be a number"),
        ("n = 2.5\n", "n is 2.5; it must be an integer"),
        ("n = true\n", "n is True; it must be an integer"),
        ("record = [1]\n", "it must be a list of names"),
        ("n = \n", "not well-formed: .*line 1"),
        ("[flow]\nn = 3\n", "unknown key 'flow'"),
    ],
)
def test_a_bad_recipe_is_named_with_its_cure(text, said):
    with pytest.raises(mf.BadInput, match=said):
        Simulation.read(written(text))


def test_what_is_no_recipe_file_is_refused():
    with pytest.raises(mf.BadInput, match=r"ending must be .toml or .json"):
        read_recipe("recipe.yaml")
    with pytest.raises(mf.BadInput, match="No such file"):
        read_recipe("recipe.toml")
    with pytest.raises(mf.BadInput, match="holds a list"):
        read_recipe(written("[1, 2]", "recipe.json"))
    with pytest.raises(mf.BadInput, match="bytes; a recipe has at most"):
        read_recipe(written("#" * (1 << 21)))
    Path("recipe.toml").write_bytes(b"\xff\xfe n = 3")
    with pytest.raises(mf.BadInput, match="no text in UTF-8"):
        read_recipe("recipe.toml")
    with pytest.raises(mf.BadInput, match="not well-formed"):
        read_recipe(written("[" * 100_000, "recipe.json"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"law": "cap"}, "the law 'cap' needs angle"),
        ({"angle": 0.2}, "the law 'uniform' has none"),
        ({"law": "normal"}, "law is 'normal'; it must be one of"),
        ({"space": "torus"}, "space is 'torus'"),
        ({"dim": 1}, "dimension"),
        ({"beta": -1.0}, "beta is -1.0"),
        ({"weighting": "hard"}, "weighting is 'hard'"),
        ({"seed": -1}, "seed is -1"),
        ({"n": 0}, "n is 0"),
        ({"normalisation": "layer"}, "normalisation is 'layer'; it must be one of 'post', 'pre'"),
        ({"normalisation": "mix"}, "'mix' needs switch"),
        ({"normalisation": "pre", "alpha": 0.5}, "alpha is 0.5, and normalisation is 'pre'"),
        ({"normalisation": "post", "space": "euclidean", "law": "gaussian"}, "PostLN"),
        ({"normalisation": "ngpt", "noise": 0.1}, "no meaning under NGPT"),
        ({"noise": -1.0}, "noise is -1.0"),
        ({"step": 0.1}, "there is no noise"),
    ],
)
def test_bad_values_are_said_before_anything_is_made(values, said):
    with pytest.raises(mf.BadInput, match=said):
        Simulation(**values).check()


@pytest.mark.parametrize(
    "values",
    [
        {"law": "equiangular", "cosine": 0.3, "n": 4, "dim": 4},
        {"law": "von_mises_fisher", "kappa": 5.0, "n": 4},
        {"law": "gaussian", "space": "euclidean", "n": 4, "covariance": 0.5},
        {"weighting": "shifted", "beta": 900.0, "n": 4},
        {"normalisation": "mix", "switch": 2.0, "mask": "none", "n": 4},
        {"normalisation": "post", "noise": 0.1, "step": 0.02, "n": 4},
    ],
)
def test_every_law_and_weighting_is_made(values):
    simulation = Simulation(**values)
    simulation.check()
    assert simulation.tokens().n == 4


def test_a_run_has_the_norm_and_the_noise_of_its_recipe():
    values = {"n": 4, "dim": 4, "beta": 1.0, "save": 2, "until": 0.1, "seed": 2}
    tokens, options = Simulation(**values).tokens(), {"until": 0.1, "save": 2}
    moved = Simulation(**values, noise=0.2, step=0.05).run()
    key, solver = jax.random.fold_in(jax.random.key(2), 1), mf.Splitting(0.05)
    path = mf.flow(tokens, mf.SelfAttention(1.0), noise=0.2, seed=key, solver=solver, **options)
    np.testing.assert_array_equal(moved.points, path.points)
    moved = Simulation(**values, normalisation="peri").run()
    radial = mf.Tokens(mf.Euclidean(4), tokens.points)
    path = mf.flow(radial, mf.SelfAttention(1.0), normalisation=mf.PeriLN(), **options)
    np.testing.assert_array_equal(moved.points, path.points)


def test_a_run_cites_what_it_rests_on():
    def cited(field, **options):
        path = mf.layers(mf.equiangular(n=2, cosine=0.0), field, depth=1, step=0.1, **options)
        return papers_of(path.recipe.data)

    assert {"2312.10794", "vaswani2017attention", "bradbury2018jax"} <= {*cited(mf.SelfAttention(1.0))}
    assert "2411.04990" in cited(mf.SelfAttention(1.0, mask="causal"))
    assert "2411.04990" not in cited(mf.SelfAttention(1.0))
    assert "2410.06833" in cited(mf.SelfAttention(1.0, weighting=mf.fields.Unnormalised(shifted=True)))
    assert "roy2007effective" in cited(mf.SelfAttention(1.0), record=["effective_rank"])


def test_everything_that_can_be_cited_is_in_the_bibliography():
    from measureflow.claims import bibliography
    from measureflow.runs import citations

    named = [*citations.ALWAYS, *(one for names in citations.FIELDS.values() for one in names)]
    named += [one for names in citations.FAMILIES.values() for one in names]
    named += ["2410.06833", "prince1981high", "wang2020minilm", "reimers2019sentence", "roy2007effective"]
    for name in named:
        assert bibliography.entry(name).startswith("@")

from __future__ import annotations

import functools
import inspect
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import measureflow as mf
from measureflow.fields import L2, Causal, Dot, Free, Hardmax, Linear, Softmax, Unnormalised
from measureflow.paths import Recipe, describe, rebuild
from measureflow.paths.recipe import REGISTERED
from measureflow.sums import Exact

TURN = np.array([[0.0, -1.0], [1.0, 0.0]])

#: one or more of every noun that a recipe can hold
NOUNS = [
    mf.Sphere(3),
    mf.Euclidean(2),
    Exact(),
    Exact(block=7),
    mf.sums.Harmonic(degree=5),
    mf.sums.Neighbours(tolerance=1e-9),
    mf.sums.Automatic(tolerance=1e-7),
    mf.measures.Circle(size=12, degree=5),
    mf.measures.Meridian(size=12, degree=11),
    mf.measures.Sphere2(size=12, around=24, degree=11),
    Dot(),
    L2(),
    Softmax(),
    Unnormalised(),
    Unnormalised(shifted=True),
    Hardmax(tie=1e-9),
    Linear(),
    Causal(),
    mf.PostLN(),
    mf.MixLN(switch=3.0),
    mf.NGPT(alpha=0.3),
    mf.fields.Normalised(mf.SelfAttention(beta=2.0), mf.PreLN()),
    Free(),
    mf.fields.NearestPair(20.0),
    mf.fields.SpeedOfEnergy(20.0),
    mf.fields.Paced(mf.SelfAttention(beta=20.0), mf.fields.NearestPair(20.0, radius=0.1)),
    mf.SelfAttention(beta=0.1),
    mf.SelfAttention(beta=1 / 3, query=TURN, key=2.0, value=-1.0, score="l2", weighting="unnormalised", mask="causal"),
    mf.SelfAttention(weighting="hardmax", value=-1.0),
    mf.SelfAttention(0.3, weighting="linear", key=TURN),
    mf.RescaledAttention(0.7, value=TURN, query=TURN, weighting="softmax", depth=2.5),
    mf.RescaledAttention(weighting="hardmax"),
    mf.MultiHead([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=2.0, value=TURN)]),
    mf.Perceptron(TURN, 0.1 * TURN, bias=[1e-300, 0.3], activation="gelu"),
    mf.SelfAttention(beta=1.0) + mf.Perceptron(TURN, TURN),
    mf.Schedule([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=9.0)], times=[0.0, 0.1]),
    mf.fields.Interpolated([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=9.0)], times=[0.0, 0.1]),
    mf.Adaptive(rtol=1e-7, atol=1e-12, pair="dopri8", max_steps=12),
    mf.Adaptive(coarsen=False),
    mf.Splitting(step=0.02),
    mf.Stationary(1e-9, cap=1e3),
    mf.Consensus(1e-2),
    mf.flows.Meeting(0.1),
    mf.Spread(2.0, rising=False),
    mf.Overlap(0, 3, 0.1, rising=False, cap=5.0),
]


def equal(one, other) -> bool:
    same = jax.tree.structure(one) == jax.tree.structure(other)
    return same and all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_noun_written_as_json_is_rebuilt_bit_by_bit(noun):
    again = rebuild(json.loads(json.dumps(describe(noun))))
    assert type(again) is type(noun)
    assert equal(again, noun)


def test_every_noun_that_can_be_made_is_rebuilt():
    listed = {type(noun) for noun in NOUNS}
    for name, noun in REGISTERED.items():
        if inspect.isabstract(noun) or noun in listed:
            continue
        defaults = [parameter.default for parameter in inspect.signature(noun).parameters.values()]
        assert inspect.Parameter.empty not in defaults, f"put an example of {name} into the list above"
        assert equal(rebuild(json.loads(json.dumps(describe(noun())))), noun())


class Planned(Exception):
    """Raised in place of the run, with its recipe."""


@pytest.fixture
def recipe_of(monkeypatch):
    """The recipe that `flow` writes, without the run."""

    def drive(plan, progress):
        raise Planned(plan.recipe)

    def of(**changed) -> Recipe:
        made = {
            "tokens": mf.uniform(mf.Sphere(3), n=4, seed=0),
            "field": mf.SelfAttention(beta=1.0),
            "until": 1.0,
            "record": "energy",
            "solver": mf.Adaptive(rtol=1e-6),
        }
        with pytest.raises(Planned) as planned:
            mf.flow(**{**made, "save": 3, **changed})
        return planned.value.args[0]

    monkeypatch.setattr(sys.modules["measureflow.flows.flow"], "drive", drive)
    return of


def test_equal_runs_have_equal_hashes_and_any_change_another(recipe_of):
    mean = {"mean": lambda mu: mu.points.mean(0)}
    changes = [
        {},
        {"tokens": mf.uniform(mf.Sphere(3), n=4, seed=1)},
        {"tokens": mf.uniform(mf.Sphere(3), n=4, seed=0).replace(labels=("a", "b", "c", "d"))},
        {"tokens": mf.uniform(mf.Sphere(3), n=4, seed=0).replace(weights=jnp.array([0.1, 0.2, 0.3, 0.4]))},
        {"field": mf.SelfAttention(beta=np.nextafter(1.0, 2.0))},
        {"field": mf.SelfAttention(beta=1.0, weighting="unnormalised")},
        {"field": mf.SelfAttention(beta=1.0, value=1.0)},
        {"until": 2.0},
        {"until": mf.Stationary(1e-2, cap=1.0)},
        {"until": mf.Stationary(1e-3, cap=1.0)},
        {"solver": mf.Adaptive(rtol=1e-7)},
        {"solver": mf.Adaptive(rtol=1e-6, atol=1e-9)},
        {"solver": mf.Adaptive(rtol=1e-6, pair="dopri8")},
        {"solver": mf.Adaptive(rtol=1e-6, coarsen=False)},
        {"record": ()},
        {"record": ("energy", "clusters")},
        {"record": mean},
        {"record": {"mean": lambda mu: mu.points.mean(1)}},
        {"record": {"energy": lambda mu: mu.weights[0]}},
        {"keep": "last"},
        {"keep": [0]},
        {"save": 4},
        {"save": [0.0, 1.0]},
        {"reduce": False},
    ]
    hashes = [recipe_of(**changed).hash for changed in changes]
    assert len(set(hashes)) == len(changes)
    assert recipe_of().hash == hashes[0]
    assert recipe_of(record=mean).hash == recipe_of(record={"mean": lambda mu: mu.points.mean(0)}).hash


def test_options_that_change_no_number_are_no_part_of_a_recipe(recipe_of):
    assert recipe_of(store="a.zarr").hash == recipe_of(store="b.zarr", progress=lambda *_: None).hash


class Decay(mf.Field):
    """A field of one's own."""

    rate: float

    def output(self, x, mu, positions=None):
        return -self.rate * x


class Growth(mf.Field):
    """Another one with the same leaves."""

    rate: float

    def output(self, x, mu, positions=None):
        return self.rate * x


def test_field_of_ones_own_is_named_by_its_hash_and_not_rebuildable():
    recipe = Recipe.of("flow", field=Decay(1.0))
    assert not recipe.rebuildable
    assert Recipe.of("flow", field=mf.SelfAttention(beta=1.0)).rebuildable
    assert recipe.hash == Recipe.of("flow", field=Decay(1.0)).hash
    assert recipe.hash != Recipe.of("flow", field=Decay(2.0)).hash
    assert recipe.hash != Recipe.of("flow", field=Growth(1.0)).hash
    with pytest.raises(mf.BadInput, match="cannot be rebuilt"):
        recipe.part("field")
    assert recipe.part("field", otherwise=lambda: "nothing") == "nothing"


def test_functions_are_told_apart_by_what_they_do_and_not_by_their_names():
    def power(k):
        return lambda mu: mu.points**k

    def code(function):
        return describe(function)["code"]

    assert code(power(2)) == code(power(2))
    assert code(power(2)) == code(jax.jit(power(2)))
    assert len({code(power(2)), code(power(3)), code(functools.partial(power, 2)), code(lambda mu: mu)}) == 4


def test_hashes_are_the_same_in_another_process():
    text = inspect.cleandoc("""
        import measureflow as mf
        class Decay(mf.Field):
            rate: float
            def output(self, x, mu, positions=None):
                return -self.rate * x
        def moment(k):
            return lambda mu: (mu.points ** k).sum()
        tokens = mf.equiangular(n=3, cosine=0.0)
        print(mf.paths.Recipe.of("flow", field=Decay(1.0), tokens=tokens, record=[moment(2)]).hash)
    """)
    hashes = [
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert len(hashes[0]) > 60
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    "data",
    [
        {"noun": "os.system", "command": "true"},
        {"noun": "builtins.eval", "source": "1"},
        {"noun": ["Sphere"], "d": 3},
        {"noun": None},
        {"noun": {}},
        {"d": 3},
        {"function": "energy", "rebuildable": False},
        {"noun": "Sphere", "d": 3, "__class__": "x"},
        {"noun": "Sphere", "d": 3, "e": 4},
        {"noun": "Sphere"},
        {"noun": "Sphere", "d": "3"},
        {"noun": "Sphere", "d": {"noun": "Sphere", "d": 3}},
        {"noun": "Field"},
        {"noun": "Space", "d": 3},
        {"noun": "AttentionKernel"},
        {"noun": "Tokens", "n": 3, "space": {"noun": "Sphere", "d": 3}, "sha256": "0"},
        {"noun": "SelfAttention", "beta": -1.0},
        {"noun": "SelfAttention", "beta": "nan"},
        {"noun": "SelfAttention", "beta": [1.0, 2.0]},
        {"noun": "SelfAttention", "beta": 1.0, "weighting": "pickle"},
        {"noun": "SelfAttention", "beta": 1.0, "value": [[1.0, 2.0], [3.0]]},
        {"noun": "MultiHead", "heads": 3},
        {"noun": "MultiHead", "heads": ["SelfAttention"]},
        {"noun": "Schedule", "fields": [], "times": []},
        {"noun": "Schedule", "fields": {"noun": "Sphere", "d": 2}, "times": None},
        {"noun": "Perceptron", "inner": "x", "outer": None},
        {"noun": "Adaptive", "rtol": "1e-8", "atol": None},
        {"noun": "Overlap", "i": 0, "j": 1, "value": None, "cap": "soon"},
    ],
    ids=lambda data: json.dumps(data)[:60],
)
def test_hostile_recipe_gets_one_line_and_imports_nothing(data):
    before = set(sys.modules)
    with pytest.raises(mf.BadInput) as error:
        rebuild(data)
    assert "\n" not in str(error.value)
    assert set(sys.modules) == before


def test_nested_recipe_is_refused_and_does_not_overflow_the_stack():
    text = '{"field": ' + '{"noun": "MultiHead", "heads": [' * 50_000 + "]}" * 50_000 + "}"
    with pytest.raises(mf.BadInput):
        Recipe(text).part("field")
    deep = functools.reduce(lambda inner, _: {"noun": "MultiHead", "heads": [inner]}, range(5_000), {"noun": "Causal"})
    with pytest.raises(mf.BadInput, match="nested too deeply"):
        rebuild(deep)


@pytest.mark.parametrize("text", ["", "nonsense", "[1, 2]", "3", '"text"', "{"])
def test_text_that_is_no_recipe_is_said_to_be_none(text):
    with pytest.raises(mf.BadInput, match="this is no recipe"):
        _ = Recipe(text).data


def test_large_arrays_are_named_by_hash_and_small_ones_spelled_out():
    small, large = np.eye(64), np.eye(65)
    assert describe(small) == small.tolist()
    assert set(describe(large)) == {"array", "sha256", "rebuildable"}
    other = large.copy()
    other[3, 4] = 1e-300
    assert describe(large) != describe(other)
    assert not Recipe.of("flow", field=mf.SelfAttention(beta=1.0, value=large)).rebuildable


def test_recipe_prints_as_its_text_and_knows_its_verb():
    recipe = Recipe.of("layers", step=0.1)
    assert str(recipe) == recipe.text
    assert recipe.data == {"verb": "layers", "step": 0.1}

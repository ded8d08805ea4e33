"""Every prediction answers a number that it cannot use with `BadInput`: no other error, no warning, no silent NaN."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import inspect
import numbers
import pkgutil

import numpy as np
import pytest

from measureflow import BadInput, theory

PUBLIC = {name: one for name in theory.__all__ if inspect.isfunction(one := getattr(theory, name))}
WRONG = (float("nan"), float("inf"), "x", -1, 0, None, 1.5)


class Called(Exception):
    """An example has come to the call that was waited for; its arguments follow."""


def call_of_example(name, example):
    """The first call of a function in its example, with all arguments by name."""
    function = PUBLIC[name]
    signature = inspect.signature(function)

    def recorder(*given, **named):
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        raise Called(bound.arguments)

    names = {"np": np, "theory": theory}
    setattr(theory, name, recorder)
    try:
        for line in example.examples:
            exec(compile(line.source, name, "exec"), names)
    except Called as call:
        return call.args[0]
    finally:
        setattr(theory, name, function)
    return None


def calls():
    """A valid call of each function of the room, from its docstring."""
    modules = [importlib.import_module(m.name) for m in pkgutil.iter_modules(theory.__path__, "measureflow.theory.")]
    examples = {one.name.rsplit(".", 1)[1]: one for m in modules for one in doctest.DocTestFinder().find(m)}
    return {name: call_of_example(name, examples[name]) for name in PUBLIC}


CALLS = calls()
CALLS["train_linear_net"]["most"] = 100  # with a tolerance of 0 it would go on to the last step


def changed(name):
    """The call with one number or array changed at a time, and how to say it."""
    for key, value in CALLS[name].items():
        says = str(inspect.signature(PUBLIC[name]).parameters[key].annotation)
        optional = value is None
        if isinstance(value, bool | str) or (optional and not any(word in says for word in ("int", "float", "Any"))):
            continue
        if optional or isinstance(value, numbers.Real):
            changes = {repr(wrong): wrong for wrong in WRONG if not (optional and wrong is None)}
        elif isinstance(value, list | tuple | np.ndarray) and key != "measure":
            broken = [np.array(value, float) for _ in range(2)]
            broken[0].flat[:1], broken[1].flat[:1] = np.nan, np.inf
            changes = {"'x'": "x", "None": None, "1.5": 1.5, "[]": [], "nan in it": broken[0], "inf in it": broken[1]}
        else:
            continue
        for how, wrong in changes.items():
            yield {**CALLS[name], key: wrong}, f"{key}={how}"


def has_nan(result):
    if dataclasses.is_dataclass(result):
        return any(has_nan(getattr(result, field.name)) for field in dataclasses.fields(result))
    if isinstance(result, tuple | list):
        return any(has_nan(one) for one in result)
    if isinstance(result, numbers.Number | np.ndarray) and np.asarray(result).dtype.kind in "fc":
        return bool(np.isnan(result).any())
    return False


def test_every_function_of_the_room_shows_a_call():
    assert [name for name, call in CALLS.items() if call is None] == []


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_number_that_cannot_be_used_is_named(name):
    wrong = []
    for arguments, says in changed(name):
        try:
            result = PUBLIC[name](**arguments)
        except BadInput:
            continue
        except Exception as error:
            wrong.append(f"{says}: {error!r}")
        else:
            wrong.extend([f"{says}: NaN"] if has_nan(result) else [])
    assert wrong == []

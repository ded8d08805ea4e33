"""Every prediction answers a number that it cannot use with `BadInput`: no other error, no warning and no silent NaN."""

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
    """The call with one number changed at a time, and how to say it."""
    for key, value in CALLS[name].items():
        says = str(inspect.signature(PUBLIC[name]).parameters[key].annotation)
        optional = value is None and "None" in says
        if isinstance(value, bool) or not (
            isinstance(value, numbers.Real) or (optional and ("int" in says or "float" in says))
        ):
            continue
        for wrong in WRONG:
            if not (wrong is None and optional):
                yield {**CALLS[name], key: wrong}, f"{key}={wrong!r}"


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

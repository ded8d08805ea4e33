"""What of a claim can be changed: the numbers that its check draws, chooses or fixes, by name, read from its source."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import fnmatch
import functools
import inspect
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from measureflow.claims.defaults import name_of, told, tree_of
from measureflow.errors import BadInput

__all__ = ["BadParameter", "Parameter", "as_given", "as_number", "as_option", "check_names", "has", "parameters_of"]

#: the methods of a case by which a check takes what a user may set
WAYS = ("draw", "choose", "given")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A number or word of a claim that a user may set.

    Main attributes:
        name: what it is called; `*` stands for a part that the check fills in, as in `beta of *`.
        unless_set: where it comes from otherwise: a range, some options, or a value, as the check has it.
    """

    name: str
    unless_set: str

    def __str__(self) -> str:
        return f"{self.name} ({self.unless_set})"


class BadParameter(BadInput):
    """Raised where a value that a user gave cannot stand for a parameter."""


def as_number(about: str, value: Any, *, whole: bool) -> int | float:
    """Return what a user gave for a number that is drawn."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise BadParameter(f"{about} is {value!r}; it is a number.")
    number = float(value)
    if number != number or abs(number) == float("inf"):
        raise BadParameter(f"{about} is {value!r}; it must be finite.")
    if whole and number != int(number):
        raise BadParameter(f"{about} is {value!r}; it is a whole number.")
    return int(number) if whole else number


def as_option(about: str, value: Any, options: Sequence[Any]) -> Any:
    """Return the option that a user gave: one of them by its value or name, or any number where all are numbers."""
    if all(is_number(one) for one in options) and is_number(value):
        return as_number(about, value, whole=all(isinstance(one, numbers.Integral) for one in options))
    for one in options:
        if bare(one) == bare(value) or name_of(one) == str(value):
            return one
    raise BadParameter(f"{about} is {value!r}; it is one of {', '.join(name_of(one) for one in options)}.")


def as_given(about: str, value: Any, default: Any) -> Any:
    """Return what a user gave in place of a fixed value, of the same kind."""
    if is_number(default):
        return as_number(about, value, whole=isinstance(default, numbers.Integral))
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)) and default:
        kinds = [default[0]] * len(value) if len(value) != len(default) else default
        return type(default)(as_given(about, one, kind) for one, kind in zip(value, kinds, strict=True))
    if type(value) is not type(default):
        raise BadParameter(f"{about} is {value!r}; it is of the kind of {default!r}.")
    return value


def is_number(value: Any) -> bool:
    """Tell whether something is a real number (a bool is none)."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def bare(value: Any) -> Any:
    """Return a value with tuples as lists, as a recipe has them."""
    return [bare(one) for one in value] if isinstance(value, (list, tuple)) else value


def has(one: Any, name: str) -> bool:
    """Tell whether a claim, a study or a figure has a parameter of a name."""
    return any(fnmatch.fnmatchcase(name, known.name) for known in one.parameters)


def check_names(verb: str, asked: Sequence[Any], parameters: Mapping[str, Any]) -> None:
    """Raise `BadInput` where nothing that is asked for has a parameter of a name: before any work starts."""
    known = {parameter.name: parameter for one in asked for parameter in one.parameters} if parameters else {}
    for name in parameters:
        if any(has(one, name) for one in asked):
            continue
        if len(asked) == 1:
            listed = "; ".join(map(str, known.values())) or "none"
            raise BadInput(f"{verb}: {asked[0].id} has no parameter {name!r}; known: {listed}.")
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise BadInput(f"{verb}: none of these {len(asked)} has a parameter {name!r}; the nearest: {', '.join(near)}.")


@functools.cache
def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Return what a check, and the functions that it hands its case to, take from the case by name."""
    found: dict[str, Parameter] = {}
    for one in reached(function):
        calls = [node for node in ast.walk(tree_of(one)) if isinstance(node, ast.Call) and node.args]
        for node in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
            if not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in WAYS and (name := name_in(node.args[0])):
                found.setdefault(name, Parameter(name, told(node, one)))
    return tuple(found.values())


def reached(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Give a function, and those that it names and that take a case, each once, in order."""
    seen, waiting = set(), [function]
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        yield one
        for node in ast.walk(tree_of(one)):
            named = look_up(node, one.__globals__) if isinstance(node, (ast.Name, ast.Attribute)) else None
            if inspect.isfunction(named) and takes_case(named):
                waiting.append(named)


def look_up(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return what a name, or a name in a module, stands for."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and inspect.ismodule(module := look_up(node.value, names)):
        return getattr(module, node.attr, None)
    return None


def takes_case(function: Callable[..., Any]) -> bool:
    """Tell whether a function has an argument that is a case."""
    found = inspect.signature(function).parameters.values()
    return any(one.name == "case" or getattr(one.annotation, "__name__", one.annotation) == "Case" for one in found)


def name_in(node: ast.expr) -> str:
    """Return a name as written, with `*` for what is filled in; empty where it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    return ""

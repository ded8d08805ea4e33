"""Where a parameter comes from unless it is set, in words: read from the source of a check, without running it."""

from __future__ import annotations

import ast
import functools
import inspect
import operator
import textwrap
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

__all__ = ["name_of", "told", "tree_of"]


@functools.cache
def tree_of(function: Callable[..., Any]) -> ast.AST:
    """Return the syntax of a function; an empty one where its source is not to be had (typed at a prompt)."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return ast.Module([], [])


def told(call: ast.Call, function: Callable[..., Any]) -> str:
    """Say where a parameter comes from unless it is set, in values where they stand in the source."""
    said = [worth(node, function) for node in call.args[1:]]
    if not isinstance(call.func, ast.Attribute) or not said:
        return "drawn"
    if call.func.attr == "given":
        return said[0]
    if call.func.attr == "choose":
        return f"one of {said[0].removeprefix('[').removesuffix(']')}"
    return f"{said[0]} to {said[1]}" if len(said) > 1 else "drawn"


def worth(node: ast.expr, function: Callable[..., Any]) -> str:
    """Return the value of an expression as text, for each tier where it depends on it.

    Where only the check knows it, the expression stands for it, or `its own` for a bare name.
    """
    try:
        values = [value_of(node, names_at(tier, function)) for tier in ("smoke", "standard", "full")]
    except Exception:  # arithmetic that fails is as unknown as a name
        return "its own" if isinstance(node, ast.Name) else ast.unparse(node)
    return " / ".join(dict.fromkeys(map(shown, values)))


def names_at(tier: str, function: Callable[..., Any]) -> dict[str, Any]:
    """Return the names that a function sees at a tier: those of its module, and its own where they are plain values."""
    names = {**function.__globals__, "case": SimpleNamespace(tier=tier)}
    for name, value in assignments(function):
        try:
            names[name] = value_of(value, names)
        except Exception:  # known only where the check runs, and not what a global of this name is
            names.pop(name, None)
    return names


@functools.cache
def assignments(function: Callable[..., Any]) -> list[tuple[str, ast.expr]]:
    """Return the names that a function gives to values, with these, in order; of `case.given`, the usual value."""
    found = []
    lines = [line for line in ast.walk(tree_of(function)) if isinstance(line, ast.Assign)]
    for line in sorted(lines, key=lambda line: line.lineno):
        for target in line.targets:
            if isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple):
                pairs = list(zip(target.elts, line.value.elts, strict=False))
            else:
                pairs = [(target, line.value)]
            found += [(name.id, usual(value)) for name, value in pairs if isinstance(name, ast.Name)]
    return found


def usual(node: ast.expr) -> ast.expr:
    """Return the default of a call of `case.given`, or the expression as it is."""
    given = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "given" and len(node.args) == 2
    return node.args[1] if isinstance(node, ast.Call) and given else node


class Unknown(Exception):
    """Raised where the value of an expression is known only where the check runs."""


#: what may be called to show a default: nothing that takes time
CHEAP: dict[str, Callable[..., Any]] = {
    one.__name__: one for one in (tuple, list, int, float, len, range, max, min, sorted, sum, round)
}
METHODS = {"get", "tolist", "keys", "values", "sqrt", "log", "exp"}
OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.USub: operator.neg,
    ast.UAdd: operator.pos, ast.Not: operator.not_, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt,
    ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}  # fmt: skip


def value_of(node: ast.AST | None, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression of constants and of names that are known, without running code.

    Raises:
        Unknown: a name is not known, or the expression does more than arithmetic.
    """
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(id) if id in names and names[id] is not None:
            return names[id]
        case ast.Tuple(elts) | ast.List(elts):
            found = [part for one in elts for part in spread(one, names)]
            return tuple(found) if isinstance(node, ast.Tuple) else found
        case ast.Dict(keys, values):
            return {value_of(k, names): value_of(v, names) for k, v in zip(keys, values, strict=True)}
        case ast.UnaryOp(op, operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](value_of(operand, names))
        case ast.BinOp(left, op, right) | ast.Compare(left, [op], [right]) if type(op) in OPERATORS:
            return OPERATORS[type(op)](value_of(left, names), value_of(right, names))
        case ast.IfExp(test, body, orelse):
            return value_of(body if value_of(test, names) else orelse, names)
        case ast.Subscript(value, index):
            return value_of(value, names)[value_of(index, names)]
        case ast.Attribute(value, attr):
            return attribute(value_of(value, names), attr)
        case ast.Call(ast.Name(id), args, []) if id in CHEAP and id not in names:
            return CHEAP[id](*(value_of(one, names) for one in args))
        case ast.Call(ast.Attribute(value, attr), args, []) if attr in METHODS:
            return getattr(value_of(value, names), attr)(*(value_of(one, names) for one in args))
    raise Unknown


def spread(node: ast.expr, names: Mapping[str, Any]) -> list[Any]:
    """Return the values of an entry of a list, several where it is starred."""
    return list(value_of(node.value, names)) if isinstance(node, ast.Starred) else [value_of(node, names)]


def attribute(owner: Any, name: str) -> Any:
    """Return an attribute of a module, or the tier of a case."""
    if inspect.ismodule(owner) or isinstance(owner, SimpleNamespace):
        return getattr(owner, name)
    raise Unknown


def shown(value: Any) -> str:
    """Return a value as a reader would write it."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple, range, dict)):
        return f"[{', '.join(map(shown, value))}]"
    return name_of(value)


def name_of(option: Any) -> str:
    """Return the word by which an option can be asked for."""
    return str(getattr(option, "__name__", option))

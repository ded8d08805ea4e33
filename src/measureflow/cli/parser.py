"""Arguments of the commands: an `argparse` whose errors are one plain line."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from typing import Any, NoReturn

__all__ = ["Parser", "add_out", "add_set", "whole"]


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line, with the nearest command or flag, and ends with 2."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        sys.stderr.write(f"{self.prog}: {' '.join(message.split())}{self.hint(message)}\n")
        raise SystemExit(2)

    def hint(self, message: str) -> str:
        """Return what was perhaps meant, and where the help is."""
        flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        for word in message.split():
            near = difflib.get_close_matches(word.split("=")[0], flags, n=1) if word.startswith("--") else []
            if near and "unrecognized" in message:
                return f"; did you mean {near[0]}?"
        return f". See {self.prog} --help."


def whole(text: str) -> int:
    """Return an integer, written as one or as 2e3."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text!r} is no integer")
    return int(text) if text.lstrip("+-").isdigit() else int(number)


def add_out(parser: argparse.ArgumentParser, default: str | None, what: str) -> None:
    """Add `--out` and `--force`."""
    said = f" (default {default})" if default else ""
    parser.add_argument("--out", metavar="DIR", default=default, help=f"folder for {what}{said}; must not exist")
    parser.add_argument("--force", action="store_true", help="replace DIR if measureflow made everything in it")


def add_set(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--set`, which collects values by name."""
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], type=named_value, help=f"{what}; as often as needed"
    )


def named_value(text: str) -> tuple[str, Any]:
    """Return a name and a value: a number, true or false, a list as in JSON, else the word as it is."""
    name, equals, value = text.rpartition("=")  # a name may say where it stands: "beta, d = 2"
    if not equals or not name.strip() or not value.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value.strip()

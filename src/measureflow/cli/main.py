"""The entry point: one command is run, and whatever goes wrong is one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from measureflow.cli.parser import Parser
from measureflow.errors import BadInput
from measureflow.version import __version__

__all__ = ["main"]

#: commands in the order of the help, each a module of this room
COMMANDS = {
    "report": "run the executable seminar and write a page with its pictures, numbers and verdicts",
    "flow": "run one simulation, to a picture, a store and a page",
    "trace": "follow the tokens of a text through a trained model",
    "check": "check published claims numerically",
    "explore": "study open questions numerically, without a verdict",
    "figure": "draw a published figure again",
    "sweep": "compute a phase diagram or any grid of simulations, each cell once",
    "cite": "print the BibTeX entries of what a run used",
}

#: exit codes: a claim is violated; the input is bad; stopped by Ctrl-C
VIOLATED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 1 (a claim is violated), 2 (bad input), 130 (stopped by Ctrl-C).

    Example:
        >>> from measureflow.cli import main
        >>> main(["cite", "2312.10794"])  # doctest: +ELLIPSIS
        @article{geshkovski2025perspective,
        ...
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = "measureflow"
    try:
        parser, chosen, own = parser_for(words)
        command = chosen or "measureflow"
        options, others = parser.parse_known_args(words)
        if others:
            own.error(f"unrecognized arguments: {' '.join(others)}")
        if chosen is None:
            parser.print_help()
            return BAD_INPUT if words else 0
        return int(options.run(options))
    except SystemExit as ended:  # argparse has said what is to be said
        return int(ended.code or 0)
    except BadInput as bad:
        return complain(command, str(bad), BAD_INPUT)
    except KeyboardInterrupt as stop:
        return complain(command, str(stop) or "stopped by Ctrl-C.", INTERRUPTED)
    except BrokenPipeError:  # the reader (head, a pager) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return complain(command, f"{place}{error.strerror or error}.", BAD_INPUT)
    except MemoryError:
        return complain(command, "not enough memory; lower the number of tokens, dimensions or saved times.", BAD_INPUT)


def parser_for(words: list[str]) -> tuple[Parser, str | None, Parser]:
    """Return the parser, the chosen command and its parser; the other commands are named, not imported."""
    parser = Parser(prog="measureflow", description="A transformer moves a measure: simulate, trace, check, report.")
    parser.add_argument("--version", action="version", version=f"measureflow {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    first = next((word for word in words if not word.startswith("-")), None)
    chosen, own = (first if first in COMMANDS else None), parser
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if name == chosen:
            own = command
            importlib.import_module(f"measureflow.cli.{name}").configure(own)
    return parser, chosen, own


def complain(command: str, message: str, code: int) -> int:
    """Print one line on standard error and return the code."""
    line = " ".join(message.split())
    for said in (f"measureflow {command}: ", f"{command}: "):
        line = line.removeprefix(said)
    who = command if command == "measureflow" else f"measureflow {command}"
    print(f"{who}: {line}", file=sys.stderr)
    return code

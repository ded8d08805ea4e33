"""The command line: `measureflow report | flow | trace | check | cite`."""

from measureflow.cli.main import main

__all__ = ["main"]

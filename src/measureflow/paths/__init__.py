"""What comes out of a run: a measure at each depth, on disk, as a picture and as a table. Knows nothing of solvers."""

from measureflow.paths.certificate import Certificate
from measureflow.paths.path import STATUSES, Merges, Path
from measureflow.paths.recipe import Recipe, describe, fingerprint, rebuild, register
from measureflow.paths.store import PathStore, load, save

__all__ = [
    "STATUSES",
    "Certificate",
    "Merges",
    "Path",
    "PathStore",
    "Recipe",
    "describe",
    "fingerprint",
    "load",
    "rebuild",
    "register",
    "save",
]

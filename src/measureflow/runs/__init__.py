"""Runs: from a recipe file to a folder of results, whole or not at all, grids of runs, and what to cite for them."""

from measureflow.runs.checking import verdicts
from measureflow.runs.citations import papers_of
from measureflow.runs.diagrams import Diagram
from measureflow.runs.events import Event
from measureflow.runs.executors import dask_executor
from measureflow.runs.files import read_recipe
from measureflow.runs.folders import MANIFEST, OutputFolder, manifest_of
from measureflow.runs.grids import Cell, Sweep
from measureflow.runs.simulation import Simulation
from measureflow.runs.sweeping import sweep

__all__ = [
    "MANIFEST",
    "Cell",
    "Diagram",
    "Event",
    "OutputFolder",
    "Simulation",
    "Sweep",
    "dask_executor",
    "manifest_of",
    "papers_of",
    "read_recipe",
    "sweep",
    "verdicts",
]

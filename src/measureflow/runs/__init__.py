"""Runs: from a recipe file to a folder of results, whole or not at all, and what to cite for it."""

from measureflow.runs.citations import papers_of
from measureflow.runs.files import read_recipe
from measureflow.runs.folders import MANIFEST, OutputFolder, manifest_of
from measureflow.runs.simulation import Simulation

__all__ = ["MANIFEST", "OutputFolder", "Simulation", "manifest_of", "papers_of", "read_recipe"]

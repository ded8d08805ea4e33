"""How pair sums are computed, with an error for each way. Knows measures, and of a field only its kernel of weights."""

from measureflow.sums.exact import Exact
from measureflow.sums.exponential import Exponential
from measureflow.sums.gaps import squared_distances, weighted_gaps
from measureflow.sums.harmonic import Harmonic
from measureflow.sums.neighbours import Neighbours
from measureflow.sums.planner import Automatic, Plan, plan
from measureflow.sums.products import Products
from measureflow.sums.sum import Kernel, Sum
from measureflow.sums.tilted import Logits, Tilted

__all__ = [
    "Automatic",
    "Exact",
    "Exponential",
    "Harmonic",
    "Kernel",
    "Logits",
    "Neighbours",
    "Plan",
    "Products",
    "Sum",
    "Tilted",
    "plan",
    "squared_distances",
    "weighted_gaps",
]

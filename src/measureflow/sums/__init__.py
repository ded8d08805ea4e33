"""How pair sums are computed, with an error for each way. Knows measures, and of a field only its kernel of weights."""

from measureflow.sums.exact import Exact
from measureflow.sums.sum import Kernel, Sum

__all__ = ["Exact", "Kernel", "Sum"]

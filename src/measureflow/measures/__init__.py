"""What is moved: measures on a space, and the laws from which their tokens are drawn. Knows nothing of fields."""

from measureflow.measures.laws import cap, equiangular, gaussian, mixture, uniform, von_mises_fisher
from measureflow.measures.seeds import as_key
from measureflow.measures.tokens import Tokens

__all__ = [
    "Tokens",
    "as_key",
    "cap",
    "equiangular",
    "gaussian",
    "mixture",
    "uniform",
    "von_mises_fisher",
]

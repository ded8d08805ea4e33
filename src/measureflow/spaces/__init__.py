"""Where tokens live: spaces with tangent projection, geodesics and a uniform law. Knows nothing of measures."""

from measureflow.spaces.euclidean import Euclidean
from measureflow.spaces.space import Space, is_traced
from measureflow.spaces.sphere import Sphere

__all__ = ["Euclidean", "Space", "Sphere", "is_traced"]

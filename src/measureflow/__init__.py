"""measureflow: a transformer moves a measure. Watch it, prove it wrong, and train it.

Importing the package switches JAX to float64 (set `MEASUREFLOW_X64=0` before the import to keep float32).
"""

from __future__ import annotations

import os as _os
from typing import Any as _Any

import jax as _jax

if _os.environ.get("MEASUREFLOW_X64", "1") != "0":
    _jax.config.update("jax_enable_x64", True)

from measureflow.errors import BadInput
from measureflow.measures import Tokens, cap, equiangular, gaussian, mixture, uniform, von_mises_fisher
from measureflow.spaces import Euclidean, Space, Sphere

__version__ = "0.1.0"
from measureflow import sums
from measureflow import fields
from measureflow.fields import Field, MultiHead, Perceptron, PostLN, Schedule, SelfAttention

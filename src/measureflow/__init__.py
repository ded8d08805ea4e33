"""measureflow: a transformer moves a measure. Watch it, prove it wrong, and train it.

Importing the package switches JAX to float64 (set `MEASUREFLOW_X64=0` before the import to keep float32), and its
matrix products to the precision of their factors, which an accelerator would otherwise round to half as many digits
(set `jax_default_matmul_precision` or its environment variable before the import to choose otherwise).
"""

from __future__ import annotations

import importlib as _importlib
import os as _os
from typing import TYPE_CHECKING
from typing import Any as _Any

import jax as _jax

if _os.environ.get("MEASUREFLOW_X64", "1") != "0":
    _jax.config.update("jax_enable_x64", True)
if _jax.config.values["jax_default_matmul_precision"] is None:
    _jax.config.update("jax_default_matmul_precision", "highest")

from measureflow import fields, flows, measures, paths, spaces, sums
from measureflow import observables as observe
from measureflow.errors import BadInput
from measureflow.fields import (
    NGPT,
    Field,
    MixLN,
    MultiHead,
    Perceptron,
    PeriLN,
    PostLN,
    PreLN,
    RescaledAttention,
    Schedule,
    SelfAttention,
    SqrtLN,
    gradient_attention,
)
from measureflow.flows import (
    Adaptive,
    Consensus,
    Geodesic,
    Overlap,
    Splitting,
    Spread,
    Stationary,
    compare,
    flow,
    layers,
    log_times,
    minimising_movements,
    stationary,
    wasserstein_m,
)
from measureflow.measures import (
    Density,
    Gaussian,
    Tokens,
    cap,
    equiangular,
    gaussian,
    mixture,
    uniform,
    von_mises_fisher,
)
from measureflow.paths import Path
from measureflow.spaces import Euclidean, Space, Sphere
from measureflow.version import __version__

if TYPE_CHECKING:
    from measureflow import claims, language, runs, theory
    from measureflow.claims import check, claim, explore
    from measureflow.language import load, trace
    from measureflow.runs import sweep

#: names that are imported when they are first asked for: where each lives
_LATER = {
    "claims": ("measureflow.claims", None),
    "language": ("measureflow.language", None),
    "runs": ("measureflow.runs", None),
    "theory": ("measureflow.theory", None),
    "check": ("measureflow.claims", "check"),
    "claim": ("measureflow.claims", "claim"),
    "explore": ("measureflow.claims", "explore"),
    "load": ("measureflow.language", "load"),
    "sweep": ("measureflow.runs", "sweep"),
    "trace": ("measureflow.language", "trace"),
}

__all__ = [
    "NGPT",
    "Adaptive",
    "BadInput",
    "Consensus",
    "Density",
    "Euclidean",
    "Field",
    "Gaussian",
    "Geodesic",
    "MixLN",
    "MultiHead",
    "Overlap",
    "Path",
    "Perceptron",
    "PeriLN",
    "PostLN",
    "PreLN",
    "RescaledAttention",
    "Schedule",
    "SelfAttention",
    "Space",
    "Sphere",
    "Splitting",
    "Spread",
    "SqrtLN",
    "Stationary",
    "Tokens",
    "__version__",
    "cap",
    "check",
    "claim",
    "claims",
    "compare",
    "equiangular",
    "explore",
    "fields",
    "flow",
    "flows",
    "gaussian",
    "gradient_attention",
    "language",
    "layers",
    "load",
    "log_times",
    "measures",
    "minimising_movements",
    "mixture",
    "observe",
    "paths",
    "runs",
    "spaces",
    "stationary",
    "sums",
    "sweep",
    "theory",
    "trace",
    "uniform",
    "von_mises_fisher",
    "wasserstein_m",
]


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise AttributeError(f"module 'measureflow' has no attribute {name!r}")
    module, attribute = _LATER[name]
    found = _importlib.import_module(module)
    return found if attribute is None else getattr(found, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)

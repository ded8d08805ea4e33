"""How tests compile a derivative that they take a few times: without optimising its machine code, a quarter sooner.

The program is the same, and so are XLA's own passes over it; LLVM's are left out, which nobody here waits for.
"""

from __future__ import annotations

from functools import partial

import jax

hasty_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

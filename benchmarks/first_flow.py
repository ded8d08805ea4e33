"""The first flow of a new process: seconds of import, of compilation and of the run itself, and what was compiled.

Nothing is read from JAX's cache of programs, as on a new machine. Bar: 8 s in all on two cores. Run:

    python benchmarks/first_flow.py
"""

from __future__ import annotations

import os
import time

for name in list(os.environ):
    if name.startswith(("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")):
        del os.environ[name]

begun, cpu_begun = time.perf_counter(), time.process_time()

import jax  # noqa: E402  (what is timed begins above)

import measureflow as mf  # noqa: E402  (the import is timed too)

N, BETA, UNTIL = 200, 9.0, 1e3
COMPILING = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


def main() -> None:
    """Print the table."""
    imported = time.perf_counter() - begun
    compiled: list[tuple[float, str]] = []

    def note(event: str, seconds: float, **details: object) -> None:
        if event in COMPILING:
            compiled.append((seconds, str(details.get("fun_name", ""))))

    jax.monitoring.register_event_duration_secs_listener(note)
    start = time.perf_counter()
    tokens, field = mf.uniform(mf.Sphere(3), n=N, seed=0), mf.SelfAttention(beta=BETA)
    made = time.perf_counter() - start
    path = mf.flow(tokens, field, until=UNTIL)
    first = time.perf_counter() - start - made
    total, cpu = time.perf_counter() - begun, time.process_time() - cpu_begun
    spent, programs = sum(seconds for seconds, _ in compiled), {name for _, name in compiled}
    start = time.perf_counter()
    mf.flow(tokens, field, until=UNTIL)
    again = time.perf_counter() - start
    print(f"{N} tokens on S^2, beta {BETA:g}, until {UNTIL:g}: {path.status}, {path.stats['accepted']} steps")
    print(f"import          {imported:7.2f} s")
    print(f"tokens, field   {made:7.2f} s")
    print(f"first flow      {first:7.2f} s")
    print(
        f"  of both: tracing and compiling {spent:.2f} s in {len(programs)} programs; a second flow takes {again:.2f} s"
    )
    print(f"in all          {total:7.2f} s ({cpu:.2f} s of processor time)")
    for seconds, name in sorted(compiled, reverse=True)[:8]:
        print(f"  {seconds:6.2f} s  {name}")


main()

"""The host's part of a flow: it starts segments, saves between them, and hears Ctrl-C. Steps are not its."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from measureflow.flows import segment as steps
from measureflow.flows.hosts import agreed
from measureflow.flows.log import Log
from measureflow.flows.plan import Plan
from measureflow.flows.progress import Progress
from measureflow.flows.segment import Problem, State
from measureflow.paths import Path

__all__ = ["drive"]

#: a compiled segment runs about this long, so that Ctrl-C is heard and progress moves
SEGMENT_SECONDS = 0.3

#: how a run ends by the code of its last segment
ENDS = {
    steps.CROSSED: "reached",
    steps.STATIONARY: "stationary",
    steps.BLOW_UP: "blow-up",
    steps.UNRESOLVED: "unresolved",
}

locate = eqx.filter_jit(steps.locate)


@eqx.filter_jit
def advance(problem: Problem, state: State, target: Any, budget: Any) -> State:
    """Run one segment on the device."""
    return steps.segment(problem, state, target, budget, jax.lax.while_loop)


def drive(plan: Plan, progress: Any) -> Path:
    """Run from the start or from the store's last commit, and return the path."""
    log = Log(plan)
    if log.finished is not None:
        return log.finished
    began = time.perf_counter()
    with Progress(progress, plan.end) as bar, CtrlC() as ctrl_c:
        try:
            status = follow(log, bar, ctrl_c)
        except KeyboardInterrupt:
            status = None
        return log.path(status, time.perf_counter() - began)


class CtrlC:
    """Ctrl-C while a flow runs: a flag that is looked at between segments, so that it cuts no save in two.

    A second Ctrl-C interrupts at once. Off the main thread, and where the program has a handler of its own, nothing is
    changed.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> CtrlC:
        main = threading.current_thread() is threading.main_thread()
        self.ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self.ours:
            signal.signal(signal.SIGINT, self.ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self.ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def ask(self, *_: object) -> None:
        """Note the first; let the second through."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def check(self) -> None:
        """Raise `KeyboardInterrupt` where one was asked for."""
        if self.asked:
            raise KeyboardInterrupt


def follow(log: Log, bar: Progress, ctrl_c: CtrlC) -> str:
    """Step from saved time to saved time; return the status with which the run ends."""
    plan = log.plan
    if log.saved == 0 and plan.times[0] == 0.0:
        log.save(0.0)
    for target in sorted({*plan.times[log.saved :].tolist(), *plan.breaks, plan.end}):
        if target < float(log.state.time):  # equal: reached, and then interrupted before it was saved
            continue
        code = reach(log, target, bar, ctrl_c)
        if code == steps.RUNNING:
            if log.saved < len(plan.times) and target == plan.times[log.saved]:
                log.save(target)
            continue
        if code == steps.CROSSED:
            log.state = locate(log.problem, log.state)
        if not log.is_saved(float(log.state.time)):
            log.save(float(log.state.time), extra=True)
        return ENDS[code]
    return "reached" if plan.problem.condition is None else "stopped"


def reach(log: Log, target: float, bar: Progress, ctrl_c: CtrlC) -> int:
    """Run segments until `target` or until something happens; return the code."""
    attempts = 0
    while True:
        if log.shared:
            log.budget, asked = agreed(log.budget, ctrl_c.asked)
            ctrl_c.asked = bool(asked)
        ctrl_c.check()
        before, tick = log.attempts, time.perf_counter()
        log.look_at_sums()
        budget = log.sums.budget(log.problem, before, log.budget)
        log.state = advance(log.problem, log.state, jnp.asarray(target, float), jnp.asarray(budget, int))
        code = int(log.state.code)  # waits for the device
        seconds, made = time.perf_counter() - tick, log.attempts - before
        attempts += made
        bar.show(float(log.state.time))
        if made:
            log.budget = int(np.clip(SEGMENT_SECONDS * made / max(seconds, 1e-6), 1, 8 * log.budget))
        if code in (steps.SHRUNK, steps.TOO_COARSE):
            log.go_on(code)
            code = steps.RUNNING
        if code != steps.RUNNING:
            return code
        if float(log.state.time) >= target:
            # land exactly: the sum start + offset may have been rounded
            landed = (jnp.asarray(target, float), jnp.zeros((), float))
            log.state = eqx.tree_at(lambda s: (s.start, s.offset), log.state, landed)
            return code
        if attempts >= log.plan.problem.solver.max_steps:
            return steps.UNRESOLVED
        log.commit_if_due()

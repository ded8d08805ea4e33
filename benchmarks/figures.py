"""Draw every published figure at a tier, and note what each costs: processor seconds, peak memory, status.

Each is drawn by a process of its own. Seconds are those of drawing, compilation included, without the start of Python;
they go to `docs/figures.json`, from which the site's table has them. What is noted there already is not drawn again;
where nothing was measured, `why` may stand there instead, and a reader is told that.

    python benchmarks/figures.py --out pictures                         # all of them, at the published sizes
    python benchmarks/figures.py --out pictures --again 2312.10794/fig-3
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NOTES = Path(__file__).resolve().parent.parent / "docs" / "figures.json"


def drawn(name: str, tier: str, out: Path, limit: float) -> dict[str, Any]:
    """Draw one figure in this process; return what it cost."""
    from measureflow.claims import draw_figure

    def stop(*_: Any) -> None:
        raise TimeoutError(f"{limit:g} processor seconds were not enough")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    wall, cpu = time.perf_counter(), spent()
    draw_figure(name, out / f"{name.replace('/', '_')}.png", tier=tier)
    return {"seconds": round(spent() - cpu), "wall": round(time.perf_counter() - wall), "megabytes": peak()}


def spent() -> float:
    """Return the processor seconds of this process and of those it waited for."""
    return sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak() -> int:
    """Return the largest memory of this process so far, in megabytes (Linux counts in kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def noted() -> dict[str, dict[str, Any] | None]:
    """Return what is noted so far."""
    return json.loads(NOTES.read_text("utf-8"))


def main() -> None:
    """Draw what is asked for, one figure after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("ids", nargs="*", help="figures; default: all")
    parser.add_argument("--tier", default="full")
    parser.add_argument("--out", default="pictures")
    parser.add_argument("--limit", type=float, default=2400.0, help="processor seconds of one figure")
    parser.add_argument("--again", action="store_true", help="draw also what is noted already")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = Path(options.out)
    if options.one:
        print(json.dumps(drawn(options.ids[0], options.tier, out, options.limit)))
        return
    from measureflow.claims import figures

    out.mkdir(parents=True, exist_ok=True)
    for name in options.ids or [one.id for one in figures()]:
        if "seconds" in (noted().get(name) or {}) and options.tier == "full" and not options.again:
            continue
        command = [sys.executable, __file__, name, "--one", "--tier", options.tier, "--out", str(out)]
        command += ["--limit", str(options.limit)]
        found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "Agg"})
        if found.returncode:
            print(f"{name}: {found.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        cost = json.loads(found.stdout.splitlines()[-1])
        print(f"{name}: {cost['seconds']} s ({cost['wall']} s on the wall), {cost['megabytes']} MB", flush=True)
        if options.tier == "full":
            # read again: another process may have written while this figure was drawn
            notes = noted() | {name: {"seconds": cost["seconds"], "megabytes": cost["megabytes"]}}
            NOTES.write_text(json.dumps(dict(sorted(notes.items())), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

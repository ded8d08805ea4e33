"""What every test shares: compiled programs kept on disk, pictures without a screen, no network."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Set before JAX is imported, and in the environment so that the commands which tests start share them.
COMPILED = Path(
    os.environ.get("MEASUREFLOW_TEST_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "measureflow" / "tests"
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # where a line of a program comes from: 4 % of the time
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "measureflow-matplotlib"))
os.environ["HF_HUB_OFFLINE"] = "1"

import jax
import pytest
from hypothesis import HealthCheck, settings

import measureflow  # noqa: F401  (switches JAX to float64, as it does for every user)

# A worker comes to hold millions of objects that JAX keeps; to look through them all again and again was a tenth of
# its time. What tests leave behind goes with the programs, below.
gc.set_threshold(50_000, 50, 1_000)
gc.freeze()

# Deadlines would measure compilation; draws are the same in every run, so that a failure can be repeated.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
settings.load_profile("tests")

# A shell that starts the tests in the background has Ctrl-C ignored, and children inherit that: the tests of Ctrl-C
# need it heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: the files whose tests compile little: something of every room, in under two minutes on two cores, nothing cached
FAST = {
    "claims": ("bibliography", "case", "checking", "registry"),
    "fields": ("composition", "own_field", "perceptron", "refusals"),
    "flows": ("conditions", "memory", "pairs"),
    "language": ("config", "folders", "tables", "tensors", "tokenisers"),
    "measures": ("seeds", "tokens"),
    "observables": ("ranks",),
    "paths": ("recipe",),
    "runs": ("events", "folders", "grids", "simulation"),
    "spaces": ("euclidean", "space"),
    "sums": ("gaps",),
    "theory": (),  # all of it: NumPy alone
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the files above as fast, unless they are marked slow."""
    for item in items:
        room, name = item.path.parent.name, item.path.stem.removeprefix("test_")
        if room in FAST and name in (FAST[room] or (name,)) and not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.fast)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in a folder of its own: no test leaves a file in the project."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_are_let_go() -> Iterator[None]:
    """Let a worker go through thousands of tests without running out of mapped memory regions."""
    yield
    from measureflow.claims.programs import let_go  # the claims are not imported before a test asks for them

    let_go()


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Names of the programs compiled since the test began; those read from the disk cache count as well."""
    names: list[str] = []

    def note(event: str, duration: float, **details: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(str(details.get("fun_name", "")))

    jax.monitoring.register_event_duration_secs_listener(note)
    yield names
    jax.monitoring.unregister_event_duration_listener(note)


@pytest.fixture
def cold() -> dict[str, str]:
    """An environment for a command that must compile everything itself, as a first run does."""
    cached = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")
    return {name: value for name, value in os.environ.items() if not name.startswith(cached)}

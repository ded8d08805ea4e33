"""The project itself: one version, the house as it stands, no pickle, no machine's paths, a light import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jax.numpy as jnp
import pytest

import measureflow as mf

HOUSE = "spaces measures sums fields observables paths flows theory language incontext claims runs report cli"
HEAVY = "distributed matplotlib zarr xarray pandas tokenizers safetensors diffrax rich scipy.optimize huggingface_hub"
HEAVY += " optax sklearn"


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    """pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[Path]:
    """Every file that is part of the project, as git knows it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := root / name).is_file()]


def sources(root: Path, folder: str = "src/measureflow") -> list[Path]:
    return sorted((root / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_version_is_one_number(project, root):
    version = project["project"]["version"]
    assert mf.__version__ == version
    assert f"\nversion: {version}\n" in (root / "CITATION.cff").read_text("utf-8")


def test_import_switches_jax_to_float64():
    assert jnp.zeros(()).dtype == "float64"


def test_layers_of_the_import_contract_are_the_house_upside_down(project):
    (contract,) = project["tool"]["importlinter"]["contracts"]
    rooms = re.findall(r"\w+", " ".join(contract["layers"]))
    pair = {"language", "incontext"}
    assert contract["type"] == "layers"
    assert [r for r in rooms if r not in pair] == [r for r in reversed(HOUSE.split()) if r not in pair]
    assert "(language) | (incontext)" in contract["layers"]
    assert contract["exhaustive"]


def test_every_room_is_in_the_house(root):
    found = {path.name for path in (root / "src" / "measureflow").iterdir() if (path / "__init__.py").exists()}
    assert found <= set(HOUSE.split())


def test_rooms_below_the_claims_do_not_go_through_the_public_door(root):
    below = HOUSE.split()[: HOUSE.split().index("claims")]
    rooms = {*HOUSE.split(), "errors", "version"}
    through = [
        f"{path.relative_to(root).as_posix()}: {name}"
        for room in below
        for path in sources(root, f"src/measureflow/{room}")
        for name in imported(path)
        if name == "measureflow" or (name.startswith("measureflow.") and name.split(".")[1] not in rooms)
    ]
    assert through == []


def test_every_room_and_module_says_what_it_is_for(root):
    silent = [
        path.relative_to(root).as_posix()
        for path in sources(root)
        if "chapters" not in path.parts and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_no_source_file_is_longer_than_a_sitting(root):
    long = {path.name: lines for path in sources(root) if (lines := len(path.read_text("utf-8").splitlines())) > 450}
    assert long == {}


def test_every_import_is_declared(project, root):
    def names(requirements: list[str]) -> set[str]:
        found = {re.match(r"[\w-]+", one)[0].lower().replace("-", "_") for one in requirements}
        within = {  # by the name of its distribution
            "markdown_it_py": "markdown_it",
            "matplotlib": "mpl_toolkits",
            "ott_jax": "ott",
            "pot": "ot",
            "scikit_learn": "sklearn",
        }
        return found | {module for distribution, module in within.items() if distribution in found}

    def used(paths: list[Path]) -> set[str]:
        found = {name.split(".")[0] for path in paths for name in imported(path)}
        return found - sys.stdlib_module_names - {"measureflow"}

    extras = project["project"]["optional-dependencies"]
    declared = names(project["project"]["dependencies"])
    optional = set().union(*(names(extras[extra]) for extra in ("hub", "cluster", "ot", "tasks")))
    assert used(sources(root)) <= declared | optional
    own = {path.stem for path in (root / "tests").rglob("*.py")}
    reference = {"torch", "transformers"}  # they write the golden files and run in no test
    tested = [path for path in (root / "tests").rglob("*.py") if not path.name.startswith("make_")]
    wanted = names(extras["test"]) | names(extras["ot"]) | names(extras["tasks"])  # the tests ask for both extras
    assert "measureflow[ot,tasks]" in extras["test"]
    assert used(tested) - own <= declared | wanted
    assert not (declared | names(extras["test"])) & reference


def test_nothing_can_unpickle_or_run_code_from_a_file(root):
    forbidden = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal", "torch"}
    for path in sources(root):
        assert not {name.split(".")[0] for name in imported(path)} & forbidden, path
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if "report" not in path.parts:  # the report runs its own chapters
            assert not calls & {"eval", "exec", "__import__"}, path


def test_numpy_never_loads_objects(root):
    for path in sources(root):
        assert "allow_pickle=True" not in path.read_text("utf-8"), path


def test_no_file_knows_the_machine_it_was_written_on(tracked):
    # written in pieces, so that this file passes its own test
    machine = re.compile("|".join([r"/" + r"work/(main|shared)", r"/" + r"tmp/\w", r"/" + r"root/", r"/" + r"home/\w"]))
    named = [
        f"{path.name}: {found[0]}"
        for path in tracked
        if path.suffix not in {".png", ".npz", ".safetensors", ".ttf", ".zip", ".gif"}
        and (found := machine.search(path.read_text("utf-8", errors="replace")))
    ]
    assert named == []


def test_no_tracked_file_is_heavy(tracked):
    heavy = {path.name: size for path in tracked if (size := path.stat().st_size) > 4_000_000}
    assert heavy == {}


def test_import_stays_light():
    code = f"import sys, measureflow; print([m for m in {HEAVY.split()!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_import_is_silent():
    quiet = subprocess.run([sys.executable, "-W", "error", "-c", "import measureflow"], capture_output=True, text=True)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_float32_can_be_kept():
    code = "import measureflow, jax.numpy as jnp; print(jnp.zeros(()).dtype)"
    kept = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"MEASUREFLOW_X64": "0"}, check=True
    )
    assert kept.stdout.strip() == "float32"


def test_continuous_integration_runs_what_the_readme_says(root):
    script = (root / ".ci" / "run").read_text("utf-8")
    assert "readme 1" in script
    assert "readme 2" in script
    assert "pytest" not in script, "the test command lives in the README alone"

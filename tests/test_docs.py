"""What the texts show works: the code of the README and of the pages, and the examples of the docstrings."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import measureflow as mf
from measureflow.claims import checking, mutants

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(mf.__path__, "measureflow.")
    if ".chapters" not in found.name and not found.name.endswith("__main__")
)


def blocks(page: Path) -> str:
    """The page's code as one script, each statement on the line where the page has it."""
    text = page.read_text("utf-8")
    lines = [""] * len(text.splitlines())
    for block in BLOCK.finditer(text):
        first = text[: block.start(1)].count("\n")
        code = block[1].splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines)


def needs_a_model(statements: list[ast.stmt]) -> list[bool]:
    """Which statements call `mf.load`, or use what such a statement made."""
    made: set[str] = set()
    verdicts = []
    for statement in statements:
        names = {node.id: isinstance(node.ctx, ast.Store) for node in ast.walk(statement) if isinstance(node, ast.Name)}
        loads = any(isinstance(node, ast.Attribute) and node.attr == "load" for node in ast.walk(statement))
        verdicts.append(loads or bool(made & names.keys()))
        if verdicts[-1]:
            made |= {name for name, stored in names.items() if stored}
    return verdicts


def run(page: Path, with_model: bool) -> None:
    script = ast.parse(blocks(page), filename=str(page))
    chosen = [s for s, model in zip(script.body, needs_a_model(script.body), strict=True) if with_model or not model]
    code = compile(ast.Module(chosen, []), str(page), "exec", dont_inherit=True)
    exec(code, {"__name__": "__main__"})


CHOSEN = checking.chosen
PAGES_WITH_CODE = [page for page in PAGES if blocks(page).strip()]
PAGES_WITH_MODELS = [page for page in PAGES_WITH_CODE if any(needs_a_model(ast.parse(blocks(page)).body))]


def quick_ones(wanted, tier):
    claims = CHOSEN(wanted, tier)
    return [claim for claim in claims if claim.id in mutants.SHORT] or claims[:1]


def absent_models(page: Path) -> list[str]:
    """The models of a page that are not on this machine."""
    absent = []
    for name in re.findall(r'mf\.load\("([^"]+)"\)', blocks(page)):
        try:
            mf.load(name)
        except mf.BadInput:
            absent.append(name)
    return absent


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=lambda page: page.stem)
def test_code_of_the_page_runs(page, monkeypatch):
    # the claims of the library have tests of their own, with all draws: of a paper that a page checks, the quick ones
    monkeypatch.setitem(checking.DRAWS, "smoke", 1)
    monkeypatch.setattr(checking, "chosen", quick_ones)
    run(page, with_model=not absent_models(page))


@pytest.mark.parametrize("page", PAGES_WITH_MODELS, ids=lambda page: page.stem)
def test_code_of_the_page_ran_on_a_real_model(page):
    if absent := absent_models(page):
        pytest.skip(f"not on this machine, so that the code that needs them was left out: {', '.join(absent)}")


def test_readme_shows_the_first_example():
    assert "README" in {page.stem for page in PAGES_WITH_MODELS}


def test_reference_names_what_hides_behind_a_module_of_its_name():
    """`flows.flow` is a function and a module; the reference would show neither."""
    for page in sorted((ROOT / "docs" / "reference").glob("[!i]*.md")):
        room = importlib.import_module(f"measureflow.{page.stem}")
        modules = {path.stem for path in Path(str(room.__file__)).parent.glob("*.py")}
        hidden = {name for name in room.__all__ if name in modules and callable(getattr(room, name))} - {"main"}
        named = set(re.findall(rf"^::: measureflow\.{page.stem}\.(\w+)\.\1$", page.read_text("utf-8"), re.MULTILINE))
        assert hidden == named, page.name


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings_are_true(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert failed == 0, "the lines above say what was expected"

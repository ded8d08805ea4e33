"""The bibliography: complete entries, found by arXiv id, DOI and key, and one for every paper cited in the code."""

from __future__ import annotations

import re

import pytest

from measureflow import BadInput
from measureflow.claims import bibliography


def test_entries_are_found_by_id_version_doi_and_key():
    text = bibliography.entry("2312.10794")
    assert text == bibliography.entry("arXiv:2312.10794v4") == bibliography.entry(bibliography.key("2312.10794"))
    assert "A mathematical perspective" in text
    with_doi = re.search(r"doi = \{(.+?)\}", "\n".join(bibliography.entries().values()))
    assert with_doi
    assert with_doi[1] in bibliography.entry(with_doi[1])


@pytest.mark.parametrize("key", bibliography.entries())
def test_an_entry_has_authors_title_and_year(key):
    text = bibliography.entry(key)
    assert text.count("{") == text.count("}")
    for field in ("author", "title", "year"):
        assert re.search(rf"^\s*{field} = \{{.+\}},$", text, flags=re.MULTILINE), f"{key} has no {field}"


def test_every_arxiv_id_of_the_source_has_its_entry(root):
    cited = {
        found
        for file in (root / "src").rglob("*.py")
        for found in re.findall(r"arxiv\.org/abs/(\d{4}\.\d{4,5})", file.read_text("utf-8"))
    }
    assert "2312.10794" in cited
    for paper in sorted(cited):
        assert bibliography.entry(paper)


def test_an_unknown_paper_gets_the_nearest():
    with pytest.raises(BadInput, match=r"2312\.10794"):
        bibliography.entry("2312.10795")

"""Links of the pages as they lie in the repository, where nothing was built: each leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docsite import reference
from docsite.build import DOCS, for_site, on_site
from recloop.settings import PROJECT
from tests.documentation.blocks import FENCE

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md"]
PAGES += sorted(DOCS.rglob("*.md"))


def links(page: Path) -> list[str]:
    """Where a page links to, within the repository."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    found = re.findall(r"\]\(([^()\s]+)\)", text)
    return [link for link in found if not re.match(r"\w+:", link)]


def leads(link: str, page: Path) -> bool:
    """Whether there is such a file, and such a heading in it."""
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    if not heading:
        return target.exists()
    titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    return heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_leads_somewhere_without_the_site() -> None:
    found = [(page, link) for page in PAGES for link in links(page)]
    assert len(found) > 100
    assert not [f"{page.name}: {link}" for page, link in found if not leads(link, page)]


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page, or two\n[a](gone.md) [b](https://x.y) `[c](d)`\n")
    assert links(page) == ["gone.md"]
    assert not leads("gone.md", page)
    assert leads("#a-page-or-two", page)
    assert not leads("#a-page", page)


def test_what_reference_pages_are_made_from_is_there_and_each_page_is_named() -> None:
    assert all((PROJECT / path).exists() for path in reference.MADE_FROM)
    named = {page.partition(".md")[0] for page in reference.MADE_FROM.values()}
    assert named == set(reference.PAGES)


@pytest.mark.parametrize(
    ("page", "link", "moved"),
    [
        ("docs/howto/airflow.md", "../../dags", "../reference/dags.md"),
        ("docs/explanation/gate.md", "../../config/gate.toml", "../reference/rule_files.md#gate"),
        ("docs/howto/upgrade.md", "../../CHANGELOG.md", "../changelog.md"),
        ("docs/index.md", "adr/", "adr/index.md"),
        ("CONTRIBUTING.md", "docs/house.md#the-newcomers-test", "house.md#the-newcomers-test"),
        ("docs/adr/0030-x.md", "0021-y.md", "0021-y.md"),
        ("docs/howto/http.md", "https://a.b/c", "https://a.b/c"),
        ("docs/howto/http.md", "#settings", "#settings"),
    ],
)
def test_the_site_has_its_own_page_in_a_files_place(page: str, link: str, moved: str) -> None:
    assert for_site(f"[x]({link})", PROJECT / page) == f"[x]({moved})"


def test_a_page_of_docs_keeps_its_place() -> None:
    assert on_site(DOCS / "howto" / "airflow.md") == "howto/airflow.md"

"""The built site: every link and anchor leads somewhere, nothing is asked of another host."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from time import process_time
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from docsite import reference
from docsite.build import DOCS, NAV, build, title_of
from docsite.fields import comments

pytestmark = pytest.mark.slow

LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
"""Attributes of elements by which a browser fetches something without being asked."""
ELSEWHERE = ("keepachangelog.com", "semver.org", "zensical.org")
"""Hosts that a page may link to."""


class Page(HTMLParser):
    """A page's anchors, its links, and what a browser loads for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in LOADED and given.get(LOADED[tag]) and given.get("rel") != "canonical":
            self.loaded.append(given[LOADED[tag]])


@pytest.fixture(scope="module")
def seconds_and_site(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, Path]:
    begun = cpu_seconds()
    site = build(tmp_path_factory.mktemp("documentation") / "site")
    return cpu_seconds() - begun, site


def cpu_seconds() -> float:
    """Of this process and its children: what it takes, whoever else is at work on the machine."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


@pytest.fixture(scope="module")
def site(seconds_and_site: tuple[float, Path]) -> Path:
    return seconds_and_site[1]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def test_it_is_built_within_half_a_minute(seconds_and_site: tuple[float, Path]) -> None:
    assert seconds_and_site[0] < 30


def test_every_page_is_there_and_in_the_navigation(pages: dict[Path, Page], site: Path) -> None:
    named = [
        name for group in NAV.values() for name in ([group] if isinstance(group, str) else group)
    ]
    built = {str(path.relative_to(site).with_suffix(".md")) for path in pages}
    assert set(named) <= built
    prose = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert {name for name in prose if not name.startswith("adr/")} <= set(named)
    assert {name for name in prose if name.startswith("adr/")} <= built


def test_every_link_and_anchor_leads_somewhere(pages: dict[Path, Page], site: Path) -> None:
    broken = [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        if path.name != "404.html"  # whose links begin at the host's root
        for link in page.links
        if not leads(link, path, pages)
    ]
    assert not broken


def leads(link: str, path: Path, pages: dict[Path, Page]) -> bool:
    """Whether what a link names is there."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return parts.netloc in ELSEWHERE
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not parts.fragment or target not in pages:
        return target.is_file()
    return unquote(parts.fragment) in pages[target].anchors | {"__top"}


def test_no_page_asks_another_host(pages: dict[Path, Page], site: Path) -> None:
    strange = [
        f"{path.relative_to(site)}: {one}"
        for path, page in pages.items()
        for one in page.loaded
        if re.match(r"(https?:)?//", one)
    ]
    assert not strange
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text()), style


def test_every_page_is_there_as_markdown_and_listed(site: Path) -> None:
    listed = dict(re.findall(r"^- \[.*?\]\((.+?)\)()$", (site / "llms.txt").read_text(), re.M))
    assert {str(path.relative_to(site)) for path in site.rglob("*.md")} == set(listed)
    for name in listed:
        assert title_of((site / name).read_text()), name


def words() -> Iterator[tuple[str, str]]:
    """What each reference page has to name, from where a person would look it up."""
    from recloop.settings import VARIABLES

    yield from (("settings", f"RECLOOP_{name}") for name in VARIABLES)
    yield from (("dataset_file", key) for key in ("learn_from", "late_days", "closed_weekdays"))
    yield from (("plan_file", key) for key in ("champion_decay", "minimum_events", "shard_wait"))
    yield from (
        ("rule_files", key) for key in ("wrongly_promoted", "longest_wait", "confirm_after")
    )
    yield from (("tables", name) for name in ("lineage.release", "behavior.event", "ledger.part"))
    yield from (("dags", name) for name in ("rollback_release", "keep_releases", "Shards"))
    yield from (("command_line", name) for name in ("recloop silo merge", "--through", "5   of"))
    yield from (("families", name) for name in ("click_through", "sessions"))
    yield ("recommender_file", "[event]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    reference.write(folder)
    return folder


@pytest.mark.parametrize(("page", "word"), list(words()))
def test_the_reference_names_it(made: Path, page: str, word: str) -> None:
    assert word in (made / f"{page}.md").read_text()


@pytest.mark.parametrize(
    "page", ["settings", "dataset_file", "recommender_file", "rule_files", "plan_file"]
)
def test_every_field_has_a_meaning(made: Path, page: str) -> None:
    rows = [line for line in (made / f"{page}.md").read_text().splitlines() if line[:3] == "| `"]
    assert rows
    assert not [row for row in rows if row.split(" | ")[-1].strip(" |") == ""]


def test_tables_and_columns_are_those_of_a_database(made: Path, cursor: Any) -> None:
    cursor.execute(
        "select table_schema || '.' || table_name, column_name from information_schema.columns "
        "join information_schema.tables using (table_schema, table_name) where table_schema not in "
        "('pg_catalog', 'information_schema', 'public') and table_type = 'BASE TABLE'"
    )
    there: dict[str, set[str]] = {}
    for name, column in cursor.fetchall():
        there.setdefault(name, set()).add(column)
    told: dict[str, set[str]] = {}
    for part in (made / "tables.md").read_text().split("\n## ")[1:]:
        name = part.split("`")[1]
        told[name] = set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE))
    assert told == there


def test_a_comment_behind_a_line_is_the_meaning_of_its_key() -> None:
    text = "[a.b]\nc = 1  # one\n       # and more\n# of the file\nd = 2\n[e]\nc = '#' # x | y\n"
    assert comments(text) == {"a.b.c": "one and more", "a.b.d": "", "e.c": r"x \| y"}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    there = tmp_path / "there.html"
    there.write_text('<a href="gone.html">x</a><h1 id="here">y</h1>')
    pages = {there: Page(there.read_text())}
    assert not leads("gone.html", there, pages)
    assert not leads("#nowhere", there, pages)
    assert not leads("https://example.com/", there, pages)
    assert leads("there.html#here", there, pages)

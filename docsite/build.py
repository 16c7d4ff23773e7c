"""The build: prose, reference and records gathered in one folder, then made into HTML by Zensical.

Nothing is fetched: fonts are the reader's own, and search is part of the site. Beside each page lies its
Markdown, and `llms.txt` lists all of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from docsite import reference
from recloop.settings import PROJECT

DOCS = PROJECT / "docs"
OUT = PROJECT / "var" / "site"
NAV = {
    "recloop": "index.md",
    "Tutorial": "tutorial.md",
    "How to": (
        "howto/your_data.md",
        "howto/airflow.md",
        "howto/page.md",
        "howto/several_recommenders.md",
        "howto/changing_it.md",
        "howto/own_family.md",
        "howto/gpu_worker.md",
        "howto/serving.md",
        "howto/http.md",
        "howto/object_storage.md",
        "howto/silos.md",
        "howto/upgrade.md",
        "howto/backup.md",
    ),
    "Reference": tuple(f"reference/{name}.md" for name in reference.PAGES),
    "Explanation": (
        "explanation/architecture.md",
        "explanation/ledger.md",
        "explanation/windows.md",
        "explanation/learning.md",
        "explanation/waiting.md",
        "explanation/gate.md",
        "explanation/guarantees.md",
    ),
    "Decisions": "adr/index.md",
    "Glossary": "glossary.md",
    "Working on recloop": ("contributing.md", "house.md", "changelog.md"),
}
CONFIG = """\
[project]
site_name = "recloop"
site_description = "Keeps a recommender fresh"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = {nav}

[project.theme]
font = false
features = [
    "navigation.sections", "navigation.path", "navigation.top", "navigation.footer",
    "search.highlight", "content.code.copy",
]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"

[project.extra]
generator = false

[project.markdown_extensions]
admonition = {{}}
attr_list = {{}}
toc.permalink = true
tables = {{}}
pymdownx.highlight.pygments_lang_class = true
pymdownx.superfences = {{}}
"""


ON_SITE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/adr": "adr/index.md",
    **{path: f"reference/{page}" for path, page in reference.MADE_FROM.items()},
}
"""Where the site has what lies elsewhere in the repository than in `docs/`."""
LINK = re.compile(r"(?<=\]\()[^()\s:#]+(?=[)#])")
"""The path of a link to a file."""


def gather(folder: Path) -> None:
    """Every page of the site, as Markdown."""
    shutil.copytree(DOCS, folder, dirs_exist_ok=True)
    reference.write(folder / "reference")
    (folder / "adr" / "index.md").write_text(_decisions(), encoding="utf-8")
    pages = [PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md", *DOCS.rglob("*.md")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        (folder / on_site(page)).write_text(for_site(text, page), encoding="utf-8")


def on_site(path: Path) -> str:
    """Where the site has a file or folder of the repository."""
    name = path.relative_to(PROJECT).as_posix()
    return ON_SITE.get(name, name.removeprefix("docs/"))


def for_site(text: str, page: Path) -> str:
    """A page whose links lead through the repository, with links that lead through the site."""
    here = (Path("/") / on_site(page)).parent

    def moved(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(page.parent / link[0]))
        return os.path.relpath(Path("/") / on_site(target), here)

    return LINK.sub(moved, text)


def title_of(text: str) -> str:
    """A page's first heading."""
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def _decisions() -> str:
    told = [
        f"- [{title_of(path.read_text(encoding='utf-8'))}]({path.name})"
        for path in sorted((DOCS / "adr").glob("0*.md"))
    ]
    head = "# Decisions\nWhat a newcomer would question, and why it is so; each with what was rejected.\n\n"
    return head + "\n".join(told) + "\n"


def _nav() -> str:
    parts = []
    for title, pages in NAV.items():
        listed = f'"{pages}"' if isinstance(pages, str) else str(list(pages)).replace("'", '"')
        parts.append(f'{{ "{title}" = {listed} }}')
    return f"[{', '.join(parts)}]"


def build(out: Path = OUT) -> Path:
    """Make the site; returns its folder.

    Raises:
        SystemExit: Zensical found a broken link, or failed.
    """
    work = out.parent / f"{out.name}-work"
    shutil.rmtree(work, ignore_errors=True)
    gather(work / "pages")
    (work / "zensical.toml").write_text(CONFIG.format(nav=_nav()), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean"],
        cwd=work, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"the site could not be built: {done.stdout}{done.stderr}")
    _add_markdown(work / "pages", work / "site")
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(work / "site", out)
    shutil.rmtree(work)
    return out


def _add_markdown(pages: Path, site: Path) -> None:
    """The Markdown of each page beside it, and `llms.txt`, which lists them."""
    lines = ["# recloop", "", "> Keeps a recommender fresh. Each page is here as Markdown.", ""]
    for path in sorted(pages.rglob("*.md")):
        name = path.relative_to(pages)
        shutil.copy(path, site / name)
        lines.append(f"- [{title_of(path.read_text(encoding='utf-8'))}]({name})")
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

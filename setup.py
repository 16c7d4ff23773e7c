"""What `pyproject.toml` cannot say: the wheel carries dags/, plugins/, feature_repo/ and config/.

They lie at the root of the repository, where engineers edit them; in a wheel they lie under
`recloop/project/files`, from which `recloop init` lays them out.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FOLDERS = ("dags", "plugins", "feature_repo", "config")


class BuildWithProject(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        files = Path(self.build_lib) / "recloop" / "project" / "files"
        shutil.rmtree(files, ignore_errors=True)
        for name in FOLDERS:
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, files / name, ignore=ignored)


setup(cmdclass={"build_py": BuildWithProject})

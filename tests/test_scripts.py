"""The scripts that install, show and check: what they do before anything is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BASH = shutil.which("bash") or ""

pytestmark = pytest.mark.skipif(not BASH, reason="the scripts are for bash")


def run(folder: Path, lines: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run lines of bash in a copy of the scripts, after their common part was sourced."""
    return subprocess.run(
        [BASH, "-c", f"set -euo pipefail; source scripts/environment.sh; {lines}"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    (folder / "scripts").mkdir(parents=True)
    for name in ("scripts/environment.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return folder


@pytest.mark.parametrize(
    "script", ["scripts/quickstart", "scripts/test", "scripts/check", ".ci/run"]
)
def test_a_script_can_be_run_and_stops_at_the_first_failure(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")
    assert subprocess.run([BASH, "-n", str(path)], check=False).returncode == 0


def test_without_a_usable_python_the_script_says_what_to_install(project: Path) -> None:
    done = run(project, "find_python", PYTHON="/nowhere/python")
    assert done.returncode == 1
    assert "/nowhere/python" in done.stderr
    assert "3.11 or newer" in done.stderr
    assert "python3-venv" in done.stderr


def test_a_stamped_environment_is_complete_until_what_it_was_made_from_changes(
    project: Path,
) -> None:
    stamp = 'contents_hash "$environment/bin/python" dev > "$environment/.installed-dev"'
    asks = "is_usable && is_complete dev && echo complete"
    assert run(project, f"{stamp}; {asks}").stdout == "complete\n"
    assert run(project, "make_environment app").stdout == "Environment: .venv is complete\n"
    with (project / "constraints.txt").open("a", encoding="utf-8") as file:
        file.write("# newer\n")
    assert run(project, asks).stdout == ""


@pytest.mark.parametrize(
    ("name", "content"), [(".unfinished", ""), (".made-in", "/another/folder/.venv")]
)
def test_an_environment_that_was_interrupted_or_moved_is_made_again(
    project: Path, name: str, content: str
) -> None:
    assert run(project, "is_usable && echo usable").stdout == "usable\n"
    (project / ".venv" / name).write_text(content, encoding="utf-8")
    assert run(project, "is_usable && echo usable").stdout == ""


def test_every_constraint_is_exact_and_of_the_package_index() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert all("==" in pin and "@" not in pin and "+" not in pin for pin in pins)
    assert not [pin for pin in pins if pin.startswith(("nvidia", "rag-retriever"))]

"""What is shipped, and how a test runs it."""

import contextlib
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))
from waiting import eventually, free_port  # noqa: E402, F401 (for the tests beside this)

GRANTD = Path(os.environ.get("GRANTD", ROOT / "target/debug/grantd")).resolve()
UNITS = ROOT / "packaging/systemd"
OPERATIONS = ROOT / "docs/operations"
# The shell's own configuration must not stand in for what a test leaves out.
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("GRANTD_", "OTEL_"))}


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=PLAIN | (env or {}), input=text, capture_output=True, text=True)


def good(*command: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT, text: str | None = None) -> str:
    """The standard output of a command that must succeed."""
    done = run(*command, env=env, cwd=cwd, text=text)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a page in one language, those inside lists included."""
    found = re.findall(rf"(?ms)^( *)```{language}\n(.*?)^\1```$", page.read_text())
    return [re.sub(f"(?m)^{indent}", "", block) for indent, block in found]


def settings(unit: str, name: str) -> list[str]:
    """The values of a setting of a unit of packaging/systemd."""
    lines = (UNITS / unit).read_text().splitlines()
    return [line.removeprefix(f"{name}=") for line in lines if line.startswith(f"{name}=")]


def is_answered(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def running(*command: str | Path, env: dict[str, str], cwd: Path, ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """A process, once it is ready; its output goes into a file of its folder."""
    log = cwd / f"{Path(command[0]).name}-{free_port()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=PLAIN | env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:

        def is_ready() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"{command} ended with {process.returncode}: {log.read_text()}")
            return ready()

        eventually(f"a ready {command}", is_ready)
        yield process
    finally:
        process.terminate()
        process.wait()

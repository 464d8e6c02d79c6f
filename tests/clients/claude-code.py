"""Drives the real Claude Code through a pseudo-terminal: adds the server, logs in, and asks it for the connection.

    python claude-code.py --url URL --user U --password P [--state DIR] [--package NAME] [--expire-access] [--processes N]

With a fresh HOME (or an empty --state DIR) it runs `claude mcp add`, then `claude mcp login --no-browser`, opens the
URL that this prints as a person would, and then `claude mcp list` must say Connected. With a --state DIR that has
been logged in before, it lists, and logs in again only if that says that the server needs authentication.
--expire-access first spoils the stored access token and puts its `expiresAt` into the past. --processes N lists N
times at once, with the one stored credential. --package is the installed one to run, for another version. Prints
  {version, connected, authorizations, refreshes, client_id, output}
where `authorizations` counts how often this run sent the person to authorize, `refreshes` is 1 if the stored access
token changed without that, and `output` is what `claude mcp list` said. It needs no account and calls no model.
"""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from argparse import ArgumentParser, Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from person import Person

MODULES = Path(__file__).resolve().parent / "node_modules"
NAME = "t"
SPOILT = "no-longer-valid"
COMMAND_SECONDS = 90
# Wide enough that no URL is wrapped.
ROWS, COLUMNS = 50, 2000
# The mark before the word tells it from "Not connected" and "Failed to connect".
CONNECTED = re.compile(rf"^{NAME}: .* - \S Connected", re.MULTILINE)
NEEDS_LOGIN = re.compile(rf"^{NAME}: .* - \S Needs authentication", re.MULTILINE)
ESCAPES = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_=>]")


class Claude:
    """One installed version, with a home of its own: nothing of the machine's own Claude Code reaches it."""

    def __init__(self, package: str, home: Path) -> None:
        self.version = json.loads((MODULES / package / "package.json").read_text())["version"]
        self.home = home
        self._program = str(MODULES / package / "bin" / "claude.exe")
        self._environment = {
            "HOME": str(home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }

    def run(self, *arguments: str) -> str:
        """Runs one command that asks for nothing; returns what it said."""
        done = subprocess.run(
            [self._program, *arguments],
            cwd=self.home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            text=True,
            check=False,
        )
        said = ESCAPES.sub("", done.stdout)
        if done.returncode != 0:
            raise RuntimeError(f"claude {' '.join(arguments)} exited {done.returncode}: {said.strip()[-500:]}")
        return said

    def start_login(self) -> tuple[int, int]:
        """`claude mcp login` in a terminal: its process, and the terminal's other side."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.home)
            arguments = [self._program, "mcp", "login", NAME, "--no-browser"]
            os.execve(self._program, arguments, self._environment)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        return child, terminal


def login(claude: Claude, person: Person) -> None:
    """Logs in, with the person opening the URL that Claude Code prints."""
    child, terminal = claude.start_login()
    said = ""
    opened = False
    deadline = time.monotonic() + COMMAND_SECONDS
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([terminal], [], [], 0.5)
            if not ready:
                continue
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # the terminal's other side is closed
                chunk = b""
            if not chunk:
                break
            said += chunk.decode("utf-8", "replace")
            # The space after it tells that the URL has been printed to its end.
            url = re.search(r"(https?://\S*[?&]code_challenge=\S*)\s", ESCAPES.sub("", said))
            if url and not opened:
                opened = True
                answer = person.request(person.authorize(url.group(1)))
                if answer.status >= 400:
                    raise RuntimeError(f"Claude Code's callback answered {answer.status}")
        else:
            raise RuntimeError(f"claude mcp login did not end: {ESCAPES.sub('', said).strip()[-500:]}")
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != 0 or not opened:
        raise RuntimeError(f"claude mcp login failed: {ESCAPES.sub('', said).strip()[-500:]}")


def stored(home: Path) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """The credentials' file, all of it, and the part that belongs to our server."""
    path = home / ".claude" / ".credentials.json"
    everything = json.loads(path.read_text()) if path.exists() else {}
    return path, everything, next(iter(everything.get("mcpOAuth", {}).values()), {})


def expire(home: Path) -> None:
    """Spoils the access token, and puts its expiry into the past."""
    path, everything, ours = stored(home)
    if not ours.get("refreshToken"):
        raise RuntimeError("there is no stored refresh token to force the use of")
    ours["accessToken"] = SPOILT
    ours["expiresAt"] = int((time.time() - 60) * 1000)
    path.write_text(json.dumps(everything))


def drive(options: Namespace, home: Path) -> dict[str, Any]:
    """The whole session; returns what is to be printed."""
    person = Person(options.user, options.password)
    claude = Claude(options.package, home)
    authorizations = 0
    if not stored(home)[2].get("accessToken"):
        claude.run("mcp", "add", "--transport", "http", "-s", "user", NAME, options.url)
        login(claude, person)
        authorizations += 1
    if options.expire_access:
        expire(home)
    before = stored(home)[2].get("accessToken")

    def listings() -> list[str]:
        with ThreadPoolExecutor(options.processes) as together:
            return list(together.map(lambda _: claude.run("mcp", "list"), range(options.processes)))

    said = listings()
    if authorizations == 0 and any(NEEDS_LOGIN.search(one) for one in said):
        login(claude, person)
        authorizations += 1
        said = listings()
    ours = stored(home)[2]
    return {
        "version": claude.version,
        "connected": all(CONNECTED.search(one) for one in said),
        "authorizations": authorizations,
        "refreshes": int(authorizations == 0 and ours.get("accessToken") != before),
        "client_id": ours.get("clientId"),
        "output": "\n".join(said).strip(),
    }


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--state")
    parser.add_argument("--package", default="@anthropic-ai/claude-code")
    parser.add_argument("--expire-access", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    home = Path(options.state or tempfile.mkdtemp(prefix="grantd-claude-"))
    home.mkdir(parents=True, exist_ok=True)
    try:
        output = drive(options, home)
    except Exception as error:
        output = {"connected": False, "error": str(error), "kind": type(error).__name__}
    finally:
        if options.state is None:
            shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(output))
    sys.exit(0 if output["connected"] else 1)


if __name__ == "__main__":
    main()

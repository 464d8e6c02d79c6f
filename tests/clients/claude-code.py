"""Drives the real Claude Code through a pseudo-terminal: adds the server, logs in, and asks it for the connection.

    python claude-code.py --url URL --user U --password P [--home DIR] [--force-refresh] [--processes N]

With a fresh HOME (or an empty --home DIR) it runs `claude mcp add`, then `claude mcp login --no-browser`, opens the
URL that this prints as a person would, and then `claude mcp list` must say Connected. With a --home DIR that has
been logged in before, it only lists. --force-refresh first puts the stored `expiresAt` into the past, so that Claude
Code must refresh its token before it can connect. --processes N lists N times at once, with the one stored credential.
Prints
  {connected, logged_in, refreshed, client_id, output}
where `logged_in` tells whether this run sent the person to authorize, `refreshed` whether the stored access token
changed while listing, and `output` is what `claude mcp list` said. It needs no account and calls no model.
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

HERE = Path(__file__).resolve().parent
BIN = HERE / "node_modules" / ".bin"
NAME = "t"
COMMAND_SECONDS = 90
# Wide enough that no URL is wrapped.
ROWS, COLUMNS = 50, 2000
ESCAPES = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_=>]")


def environment(home: Path) -> dict[str, str]:
    """A small environment of its own: nothing of the machine's own Claude Code reaches the one under test."""
    return {
        "HOME": str(home),
        # Node 22 comes from the packages, as the system's may be older.
        "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def claude(home: Path, *arguments: str) -> str:
    """Runs one command that asks for nothing; returns what it said."""
    done = subprocess.run(
        [str(BIN / "claude"), *arguments],
        cwd=home,
        env=environment(home),
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


def login(home: Path, person: Person) -> None:
    """`claude mcp login`, in a terminal, with the person opening the URL that it prints."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home)
        os.execve(str(BIN / "claude"), ["claude", "mcp", "login", NAME, "--no-browser"], environment(home))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
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
    """Puts the access token's expiry into the past."""
    path, everything, ours = stored(home)
    if not ours.get("refreshToken"):
        raise RuntimeError("there is no stored refresh token to force the use of")
    ours["expiresAt"] = int((time.time() - 60) * 1000)
    path.write_text(json.dumps(everything))


def drive(options: Namespace, home: Path) -> dict[str, Any]:
    """The whole session; returns what is to be printed."""
    person = Person(options.user, options.password)
    must_log_in = not stored(home)[2].get("accessToken")
    if must_log_in:
        claude(home, "mcp", "add", "--transport", "http", "-s", "user", NAME, options.url)
        login(home, person)
    if options.force_refresh:
        expire(home)
    before = stored(home)[2].get("accessToken")
    with ThreadPoolExecutor(options.processes) as together:
        all_said = list(together.map(lambda _: claude(home, "mcp", "list"), range(options.processes)))
    ours = stored(home)[2]
    said = "\n".join(all_said)
    # The mark before the word tells it from "Not connected" and "Failed to connect".
    connected = re.compile(rf"^{NAME}: .* - \S Connected", re.MULTILINE)
    return {
        "connected": all(connected.search(one) for one in all_said),
        "logged_in": must_log_in,
        "refreshed": ours.get("accessToken") != before,
        "client_id": ours.get("clientId"),
        "output": said.strip(),
    }


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--home")
    parser.add_argument("--force-refresh", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    home = Path(options.home or tempfile.mkdtemp(prefix="grantd-claude-"))
    home.mkdir(parents=True, exist_ok=True)
    try:
        output = drive(options, home)
    except Exception as error:
        output = {"connected": False, "error": str(error), "kind": type(error).__name__}
    finally:
        if options.home is None:
            shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(output))
    sys.exit(0 if output["connected"] else 1)


if __name__ == "__main__":
    main()

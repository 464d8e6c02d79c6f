"""The container image, run as a cluster runs it: read-only, without capabilities, with a memory limit, as its own user.

    python3 -m unittest tests/image/test_image.py

Takes the image grantd:0.1.0 of `script/image` (or IMAGE) and runs it with podman, as root. PODMAN holds the options that
say where the images are, such as `--root DIR --runroot DIR --storage-driver vfs`. The clients and the upstream are those of
tests/clients and tests/upstreams, which `script/test install` installs; Redis is the machine's.
"""

import contextlib
import http.client
import io
import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.append(str(TESTS))
from waiting import PATIENCE, eventually, free_port  # noqa: E402

PYTHON = TESTS / "clients/.venv/bin/python"
IMAGE = os.environ.get("IMAGE", "localhost/grantd:0.1.0")
PODMAN = ["podman", *shlex.split(os.environ.get("PODMAN", ""))]
PASSWORD = "an owner's password of the image test"

# No writable place but the volume, not even /tmp.
CONFINED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=256m",
    "--pids-limit=100",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    # As sandboxes without systemd need it.
    "--runtime=runc",
    "--network=host",
)


def podman(*arguments: str) -> str:
    done = subprocess.run([*PODMAN, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"podman {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def status(port: int, path: str) -> int | None:
    """The status of a GET, or None where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None


class Container:
    """A running grantd."""

    def __init__(self, volume: str, upstream: str, port: int, **variables: str) -> None:
        self.port = port
        self.url = f"http://localhost:{port}/mcp"
        variables |= {"GRANTD_LISTEN": f"127.0.0.1:{port}", "GRANTD_UPSTREAM": upstream}
        variables["GRANTD_OWNER_PASSWORD"] = PASSWORD
        environment = [f"--env={name}={value}" for name, value in variables.items()]
        self.id = podman(
            "run", "--detach", *CONFINED, *environment, f"--volume={volume}:/var/lib/grantd", IMAGE, "serve"
        )
        eventually("a ready grantd", lambda: self.running() and status(port, "/readyz") == 200)

    def running(self) -> bool:
        if podman("inspect", "--format={{.State.Running}}", self.id) == "true":
            return True
        raise AssertionError(f"grantd has ended: {self.log()}")

    def log(self) -> str:
        done = subprocess.run([*PODMAN, "logs", self.id], capture_output=True, text=True)
        return done.stdout + done.stderr

    def signal(self, name: str) -> None:
        podman("kill", f"--signal={name}", self.id)

    def exit_code(self) -> int:
        return int(podman("wait", self.id))


class Scripted(ThreadingHTTPServer):
    """An upstream whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.arrived, self.release = threading.Event(), threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                server.arrived.set()
                server.release.wait(PATIENCE)
                self.send_response(200)
                self.send_header("content-length", "4")
                self.end_headers()
                self.wfile.write(b"done")

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def client(url: str, *arguments: str) -> dict[str, Any]:
    """A whole session of the official Python client; what it prints."""
    command = [PYTHON, TESTS / "clients/python.py", "--url", url, "--user", "owner", "--password", PASSWORD]
    done = subprocess.run(
        [*command, *arguments], cwd=TESTS / "clients", capture_output=True, text=True, timeout=PATIENCE
    )
    if done.returncode:
        raise AssertionError(f"{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def process(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.terminate()
        running.wait()
        if running.stdout:
            running.stdout.close()


class Contents(unittest.TestCase):
    def test_it_says_what_the_image_of_nix_says(self) -> None:
        config = json.loads(podman("image", "inspect", "--format={{json .Config}}", IMAGE))
        # What the builders add by themselves.
        config["Labels"].pop("io.buildah.version", None)
        config["Env"] = [variable for variable in config["Env"] if not variable.startswith("PATH=")]
        self.assertEqual(config, json.loads((TESTS / "image/config.json").read_text()))

    def test_it_holds_one_program_the_authorities_and_an_empty_data_directory(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "image.tar"
            podman("save", "--format=docker-archive", f"--output={archive}", IMAGE)
            found: dict[str, tarfile.TarInfo] = {}
            with tarfile.open(archive) as tar:
                for layer in json.load(tar.extractfile("manifest.json"))[0]["Layers"]:
                    with tarfile.open(fileobj=io.BytesIO(tar.extractfile(layer).read())) as files:
                        found |= {entry.name.strip("./"): entry for entry in files}
        # Nix keeps the files in its store, and links to them.
        files = {name for name, entry in found.items() if not entry.isdir() and not name.startswith("nix/store/")}
        files -= {"etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"}
        self.assertEqual(files, {"bin/grantd", "etc/ssl/certs/ca-bundle.crt"})
        data = found["var/lib/grantd"]
        self.assertEqual((data.uid, data.gid, data.mode & 0o7777), (65532, 65532, 0o700))


class Running(unittest.TestCase):
    def setUp(self) -> None:
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.volume = self.new_volume()
        server = self.stack.enter_context(process(PYTHON, TESTS / "upstreams/python_server.py"))
        self.upstream = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}/mcp"

    def new_volume(self) -> str:
        name = f"grantd-test-{secrets.token_hex(6)}"
        podman("volume", "create", name)
        self.addCleanup(podman, "volume", "rm", "--force", name)
        return name

    def start(self, volume: str, upstream: str, port: int, **variables: str) -> Container:
        container = Container(volume, upstream, port, **variables)
        self.addCleanup(podman, "rm", "--force", container.id)
        return container

    def session(self, container: Container, state: Path, *more: str) -> dict[str, Any]:
        said = client(container.url, "--tool", "whoami", "--state", str(state), *more)
        self.assertIn("owner", json.dumps(said["result"]))
        return said

    def the_flow(self, next_volume: str, **variables: str) -> None:
        """Discovery, registration, sign-in, consent, tokens and a call; and all of it is kept over a restart."""
        port = free_port()
        first = self.start(self.volume, self.upstream, port, **variables)
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state.json"
            said = self.session(first, state)
            self.assertEqual((said["registrations"], said["authorizations"], said["sign_ins"]), (1, 1, 1))
            first.signal("TERM")
            self.assertEqual(first.exit_code(), 0, first.log())

            second = self.start(next_volume, self.upstream, port, **variables)
            again = self.session(second, state, "--expire-midway")
            self.assertEqual((again["registrations"], again["authorizations"]), (0, 0))
            self.assertEqual(again["refreshes"], 1)
            self.assertEqual(again["client_id"], said["client_id"])

    def test_the_flow_on_the_embedded_store(self) -> None:
        self.the_flow(self.volume)

    def test_the_flow_on_redis(self) -> None:
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            redis = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", "")
            running = self.stack.enter_context(process(*redis, "--dir", folder))
            eventually("Redis", lambda: running.poll() is None and status_of_redis(port))
            # Nothing of the first one's volume is there: what is kept is in Redis.
            self.the_flow(self.new_volume(), GRANTD_STORE__URL=f"redis://127.0.0.1:{port}")

    def test_a_stop_finishes_what_is_in_flight(self) -> None:
        port, slow = free_port(), Scripted()
        self.addCleanup(slow.shutdown)
        with tempfile.TemporaryDirectory() as folder:
            container = self.start(self.volume, self.upstream, port)
            tokens = self.session(container, Path(folder) / "state.json")["tokens"]
            container.signal("TERM")
            self.assertEqual(container.exit_code(), 0, container.log())

        container = self.start(self.volume, f"http://127.0.0.1:{slow.server_port}/mcp", port)
        calling = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.addCleanup(calling.close)
        headers = {"Host": f"localhost:{port}", "Authorization": f"Bearer {tokens['access_token']}"}
        calling.request("POST", "/mcp", "{}", headers)
        self.assertTrue(slow.arrived.wait(PATIENCE), container.log())
        container.signal("TERM")
        eventually("a closed listener", lambda: status(port, "/readyz") is None)
        slow.release.set()
        answer = calling.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b"done"))
        self.assertEqual(container.exit_code(), 0, container.log())


def status_of_redis(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()

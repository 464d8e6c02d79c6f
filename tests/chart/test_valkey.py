"""The bundled Valkey's configuration, as the server itself reads it."""

import shutil
import socket
import subprocess
import time
from base64 import b64decode

import pytest

from shapes import SHAPES


@pytest.fixture
def server(helm, tmp_path):
    rendered = helm.install(SHAPES["distributed-valkey"])
    secret = rendered.one("Secret", "acme-grantd-valkey")["data"]
    (tmp_path / "auth.conf").write_bytes(b64decode(secret["auth.conf"]))
    text = rendered.one("ConfigMap", "acme-grantd-valkey")["data"]["valkey.conf"]
    for there, here in [("/data", str(tmp_path)), ("/etc/valkey/auth/auth.conf", str(tmp_path / "auth.conf"))]:
        assert text.count(there) == 1
        text = text.replace(there, here)
    config = tmp_path / "valkey.conf"
    config.write_text(text)
    path = tmp_path / "socket"
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    # A socket instead of a port: nobody else can have it.
    process = subprocess.Popen([program, config, "--port", "0", "--unixsocket", path], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists(), process.communicate(timeout=5)[0]
    url = b64decode(secret["url"]).decode()
    yield path, url.removeprefix("redis://:").split("@")[0]
    process.terminate()
    process.wait(10)


def ask(path, *commands):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        reader = connection.makefile("rb")
        answers = []
        for command in commands:
            connection.sendall((command + "\r\n").encode())
            line = reader.readline().decode().strip()
            if line.startswith("*"):
                lines = [reader.readline().decode().strip() for _ in range(2 * int(line[1:]))]
                line = " ".join(lines[1::2])
            answers.append(line)
        return answers


def test_it_wants_the_password_of_the_url_and_forgets_nothing(server):
    path, password = server
    refused, _, known, policy, log, save = ask(
        path, "PING", f"AUTH {password}", "PING", "CONFIG GET maxmemory-policy", "CONFIG GET appendonly", "CONFIG GET save"
    )
    assert refused.startswith("-NOAUTH") and known == "+PONG"
    # grantd refuses a store that evicts.
    assert (policy, log, save) == ("maxmemory-policy noeviction", "appendonly yes", "save ")

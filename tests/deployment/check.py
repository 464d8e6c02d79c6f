"""Runs what the deployment files describe, with podman, and sends real clients through it.

    python tests/deployment/check.py [compose] [chart] [--keep-images FOLDER]

`compose`: compose.yaml in both of its shapes. Containers, arguments, environment, mounts, users and limits are taken from the file.
`chart`: the chart in its shape `distributed` with the Valkey it brings, rendered by Helm: two facades, two token services, one Valkey.
An ingress (nginx) is in front of the facades that are ready. One of each is killed under load, and Valkey is away for a while.

Wants root, podman, runc, netavark, aardvark-dns and buildah, and the Redis of this machine.
"""

import contextlib
import ipaddress
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import yaml

import chart
import compose
from containers import Container, Deployment
from engine import Engine
from images import ROOT, Storage
from world import PASSWORD, TESTS, Client, Load, Upstream, free_port

# Recovery of a container that was killed takes a second or two. But podman gives a container one nameserver per network, and that of an
# internal network may be silent once a container of it was restarted: every lookup then takes up to fifteen seconds, and connecting
# to Redis takes two.
RECOVERY_SECONDS = 90


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def running(storage: Storage, deployment: Deployment) -> Iterator[Engine]:
    engine = Engine(storage, deployment)
    try:
        begun = time.monotonic()
        engine.up()
        say(f"   all well after {time.monotonic() - begun:.1f} s")
        yield engine
    except BaseException:
        for container in deployment.containers:
            say(f"---- {container.name} ----\n{engine.logs(container)}")
        raise
    finally:
        engine.down()


def confined(engine: Engine, container: Container) -> None:
    """What the kernel says of the process: no privilege, and nothing of the image can be written."""
    pid = engine.pid(container)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert set(status["CapBnd"] + status["CapEff"] + status["CapPrm"]) == {"0"}, status
    assert status["NoNewPrivs"] == "1", status
    user = container.user.split(":")[0]
    assert user not in ("", "0") and status["Uid"].split() == [user] * 4, status["Uid"]
    root = next(line for line in Path(f"/proc/{pid}/mounts").read_text().splitlines() if line.split()[1] == "/")
    assert "ro" in root.split()[3].split(","), root
    assert container.memory, f"{container.name} has no memory limit"


def real_client(issuer: str, state: Path, *more: str) -> dict:
    """The official TypeScript client, as tests/clients.rs drives it: notifications arrive while a call runs."""
    command = ["node", "typescript.mjs", "--url", f"{issuer}/mcp", "--user", "owner", "--password", PASSWORD]
    command += ["--tool", "countdown", "--args", '{"n": 3, "delay_ms": 50}', "--state", str(state), *more]
    done = subprocess.run(command, cwd=TESTS / "clients", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def secret(folder: Path, name: str, owner: int, text: str) -> None:
    """As the head of compose.yaml says: readable for the container's user alone."""
    path = folder / name
    path.write_text(text + "\n")
    os.chown(path, owner, owner)
    path.chmod(0o400)


def prepared(folder: Path, upstream: Upstream, with_valkey: bool) -> tuple[str, Deployment]:
    """The folder of an operator: compose.yaml, secrets, and the variables of .env."""
    file = folder / "compose.yaml"
    file.write_text((ROOT / "compose.yaml").read_text())
    folder.chmod(0o711)
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o711)
    secret(secrets, "owner-password", 65532, PASSWORD)
    if with_valkey:
        secret(secrets, "store-url", 65532, "redis://:a-pass_word-of-the-test@valkey:6379")
        secret(secrets, "valkey.conf", 999, "requirepass a-pass_word-of-the-test")
    else:
        secret(secrets, "store-url", 65532, "embedded:")
    subnet = ipaddress.ip_network(f"10.218.{random.randrange(256)}.0/24")
    port = free_port()
    issuer = f"http://localhost:{port}"
    variables = {
        "GRANTD_PUBLIC_URL": issuer,
        "GRANTD_UPSTREAM": f"http://host.docker.internal:{upstream.port}/mcp",
        "GRANTD_PORT": str(port),
        # Two tests at once cannot have one subnet.
        "GRANTD_SUBNET": f"{subnet}",
        "GRANTD_GATEWAY": f"{subnet[1]}",
    }
    deployment = compose.read(file, variables, ["valkey"] if with_valkey else [])
    upstream.listen_at(deployment.networks["front"].gateway)
    return issuer, deployment


def compose_embedded(storage: Storage) -> None:
    say("== compose.yaml, embedded")
    with tempfile.TemporaryDirectory() as name, contextlib.closing(Upstream()) as upstream:
        folder = Path(name)
        issuer, deployment = prepared(folder, upstream, with_valkey=False)
        assert [it.name for it in deployment.containers] == ["grantd"]
        [grantd] = deployment.containers
        with running(storage, deployment) as engine:
            confined(engine, grantd)
            first = real_client(issuer, folder / "state")
            assert first["authorizations"] == 1 and len(first["progress"]) == 3, first
            # The operator's commands reach the running process.
            people = engine.execute(grantd, "/bin/grantd", "user", "list")
            assert people.returncode == 0 and "owner" in people.stdout, people
            # What comes through the published port comes from the proxy, whose word about the client counts.
            Client(issuer, {"X-Forwarded-For": "203.0.113.7"})
            assert "203.0.113.7" in engine.logs(grantd)
            # SIGTERM ends it in order, and the next one goes on where it was.
            begun = time.monotonic()
            assert engine.stop(grantd) == 0, engine.logs(grantd)
            say(f"   stopped after {time.monotonic() - begun:.1f} s")
            engine.restart(grantd)
            engine.until_well(grantd)
            again = real_client(issuer, folder / "state", "--expire-access")
            assert again["authorizations"] == 0 and again["refreshes"] >= 1, again
            with Load(issuer) as load:
                load.until_all_work(RECOVERY_SECONDS)
                killed(engine, load, grantd)
            say(f"   {load.told()}")


def killed(engine: Engine, load: Load, container: Container) -> None:
    """It dies under load, comes back, and nobody is signed out."""
    engine.kill(container)
    engine.restart(container)
    engine.until_well(container)
    say(f"   {container.name} killed: everybody works again {load.until_all_work(RECOVERY_SECONDS):.1f} s after it is well")


def compose_with_valkey(storage: Storage) -> None:
    say("== compose.yaml, with Valkey")
    with tempfile.TemporaryDirectory() as name, contextlib.closing(Upstream()) as upstream:
        folder = Path(name)
        issuer, deployment = prepared(folder, upstream, with_valkey=True)
        [grantd], [valkey] = deployment.role("grantd"), deployment.role("valkey")
        storage.valkey(valkey.image)
        with running(storage, deployment) as engine:
            confined(engine, grantd)
            confined(engine, valkey)
            first = real_client(issuer, folder / "state")
            assert first["authorizations"] == 1 and len(first["progress"]) == 3, first
            with Load(issuer) as load:
                load.until_all_work(RECOVERY_SECONDS)
                killed(engine, load, grantd)
                killed(engine, load, valkey)
            say(f"   {load.told()}")
            again = real_client(issuer, folder / "state", "--expire-access")
            assert again["authorizations"] == 0, again
            assert "a-pass_word-of-the-test" not in engine.logs(grantd) + engine.logs(valkey)


def rendered(values: dict) -> list[dict]:
    """What Helm makes of the chart with these values; tests/chart has the engine, and its packages."""
    folder = TESTS / "chart"
    program = (
        "import json, sys; from engine import Helm\n"
        "helm = Helm(); print(helm.install(json.load(sys.stdin), release='acme').text); helm.close()"
    )
    done = subprocess.run(
        [str(folder / ".venv/bin/python"), "-c", program], cwd=folder, input=json.dumps(values), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


def until_listening(process: subprocess.Popen, port: int) -> None:
    while True:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port)).close()
        time.sleep(0.02)


class Ingress:
    """nginx in front of the replicas that are ready, which it learns as an ingress controller does."""

    def __init__(self, folder: Path, port: int) -> None:
        self._file = folder / "nginx.conf"
        self._folder, self._port = folder, port
        self._process: subprocess.Popen | None = None

    def to(self, addresses: list[str]) -> None:
        """Sends requests to these from now on; those under way go on where they are."""
        servers = " ".join(f"server {address}:8080 max_fails=0;" for address in addresses)
        folders = " ".join(f"{kind}_temp_path {self._folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self._file.write_text(
            f"user root; daemon off; pid {self._folder}/nginx.pid; error_log stderr crit; events {{}}\n"
            f"http {{ access_log off; {folders} upstream facades {{ {servers} }}\n"
            f"server {{ listen 127.0.0.1:{self._port}; location / {{ proxy_pass http://facades; proxy_buffering off;"
            # Only a connection that was never made is tried at the other one: nothing is sent twice.
            " proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host; proxy_connect_timeout 1s;"
            " proxy_set_header X-Forwarded-For $remote_addr; } } }\n"
        )
        if self._process:
            self._process.send_signal(signal.SIGHUP)
        else:
            self._process = subprocess.Popen(["nginx", "-e", "stderr", "-c", str(self._file)], stdin=subprocess.DEVNULL)
            until_listening(self._process, self._port)

    def close(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()


def chart_distributed(storage: Storage) -> None:
    say("== the chart, distributed with Valkey")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder, port = Path(name), free_port()
        folder.chmod(0o711)
        upstream = stack.enter_context(contextlib.closing(Upstream()))
        ingress = stack.enter_context(contextlib.closing(Ingress(folder, port)))
        issuer = f"http://localhost:{port}"
        objects = rendered({
            "mode": "distributed",
            "publicUrl": issuer,
            "upstream": f"http://mcp-server:{upstream.port}/mcp",
            "valkey": {"enabled": True},
            "tls": {"insecurePlaintext": True},
        })
        manifests = chart.Manifests(objects, folder / "files")
        (folder / "files").mkdir()
        deployment = manifests.deployment()
        roles = {role: deployment.role(f"acme-grantd-{role}") for role in ("facade", "token-service", "valkey")}
        assert [len(it) for it in roles.values()] == [2, 2, 1], [it.name for it in deployment.containers]
        [valkey] = roles["valkey"]
        # Another service of the cluster, by its name.
        for facade in roles["facade"]:
            facade.hosts = ["mcp-server:host-gateway"]
        # The person's password is the one that the chart made up.
        owner = manifests.data("Secret", "acme-grantd-owner")["owner-password"].decode()
        storage.valkey(valkey.image)
        with running(storage, deployment) as engine:
            upstream.listen_at(engine.gateway)
            for container in deployment.containers:
                confined(engine, container)
                assert container.live and engine.asks(container, container.live), f"{container.name} is not live"
            ingress.to([engine.address(facade) for facade in roles["facade"]])
            with Load(issuer, password=owner) as load:
                load.until_all_work(RECOVERY_SECONDS)
                first, second = roles["facade"]
                # Killed: the other one serves, and what has come back is used again.
                engine.kill(first)
                ingress.to([engine.address(second)])
                say(f"   a facade killed: everybody works again after {load.until_all_work(RECOVERY_SECONDS):.1f} s")
                engine.restart(first)
                engine.until_well(first)
                ingress.to([engine.address(first), engine.address(second)])
                first, second = roles["token-service"]
                engine.kill(first)
                say(f"   a token service killed: everybody works again after {load.until_all_work(RECOVERY_SECONDS):.1f} s")
                engine.restart(first)
                engine.until_well(first)
                # The other one goes, too: so the facades must have found the first again, under whatever address.
                engine.kill(second)
                say(f"   the other one killed: everybody works again after {load.until_all_work(RECOVERY_SECONDS):.1f} s")
                engine.restart(second)
                engine.until_well(second)
                killed(engine, load, valkey)
                store_away(engine, roles, load)
            say(f"   {load.told()}")
            # Told to stop, each ends in order, within its time.
            for container in roles["facade"] + roles["token-service"]:
                begun = time.monotonic()
                assert engine.stop(container) == 0, engine.logs(container)
                say(f"   {container.name} stopped after {time.monotonic() - begun:.1f} s of {container.stop_seconds}")


def store_away(engine: Engine, roles: dict[str, list[Container]], load: Load) -> None:
    """With no store every token service leaves, and no facade: those in the Service answer clients, and nothing in front of them does."""
    [valkey] = roles["valkey"]
    engine.kill(valkey)
    deadline = time.monotonic() + RECOVERY_SECONDS
    while any(engine.asks(container, container.ready) for container in roles["token-service"]):
        assert time.monotonic() < deadline, "a token service is ready without its store"
    # More often than the kubelet asks before it believes it.
    for _ in range(3):
        for facade in roles["facade"]:
            assert engine.asks(facade, facade.ready), f"{facade.name} left while the store is away"
        time.sleep(1.1)
    status, headers, body = load.clients[0].ask_for_tokens()
    assert status == 503 and "retry-after" in headers and headers["content-type"].startswith("application/json"), (status, headers, body)
    assert json.loads(body)["error"] == "temporarily_unavailable", body
    engine.restart(valkey)
    engine.until_well(valkey, *roles["token-service"], *roles["facade"])
    say(f"   Valkey away: every facade stayed, and everybody works again after {load.until_all_work(RECOVERY_SECONDS):.1f} s")


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("what", nargs="*", choices=["compose", "chart"], default=["compose"])
    parser.add_argument("--keep-images", type=Path, help="a folder for images, to be used again")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.keep_images or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        storage = Storage(folder)
        storage.grantd()
        for what in options.what:
            if what == "compose":
                compose_embedded(storage)
                compose_with_valkey(storage)
            else:
                chart_distributed(storage)
    say("== all passed")


if __name__ == "__main__":
    main()

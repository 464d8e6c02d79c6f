"""compose.yaml as containers.

podman-compose reads the file, puts the variables in, and leaves out the services of other profiles; what it does not know is an
error. Every key of a service that is not carried over here is refused, so that the test cannot skip what the file says.
"""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from containers import Container, Deployment, Mount, Network, Probe

CARRIED = {
    "image", "command", "environment", "ports", "networks", "extra_hosts", "volumes", "secrets", "depends_on", "healthcheck",
    "restart", "stop_grace_period", "user", "read_only", "cap_drop", "security_opt", "mem_limit", "pids_limit",
}  # fmt: skip
# What is no matter of running, or is told otherwise.
ELSEWHERE = {"build", "profiles"}


def read(file: Path, variables: dict[str, str], profiles: list[str]) -> Deployment:
    """Reads the file as an operator with these variables in .env would have it read."""
    command = [sys.executable, "-m", "podman_compose", "--file", str(file)]
    for profile in profiles:
        command += ["--profile", profile]
    # The shell's own variables would stand in for those that are missing.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | variables
    done = subprocess.run([*command, "config"], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    tree = yaml.safe_load(done.stdout)
    services = tree["services"]
    containers = [container(name, service, tree, file.parent, services) for name, service in services.items()]
    networks = {}
    for name, network in tree["networks"].items():
        network = network or {}
        config = ((network.get("ipam") or {}).get("config") or [{}])[0]
        networks[name] = Network(config.get("subnet", ""), config.get("gateway", ""), network.get("internal", False))
    return Deployment(containers, networks)


def container(name: str, service: dict, tree: dict, here: Path, services: dict) -> Container:
    unknown = set(service) - CARRIED - ELSEWHERE
    if unknown:
        raise ValueError(f"{name}: the test does not carry over {sorted(unknown)}")
    made = Container(name=name, role=name, image=service["image"], args=service.get("command"))
    made.env = {key: str(value) for key, value in (service.get("environment") or {}).items()}
    for port in service.get("ports", []):
        address, outside, inside = port.rsplit(":", 2)
        made.ports.append((address, int(outside), int(inside)))
    made.networks = {network: [name] for network in service["networks"]}
    made.hosts = service.get("extra_hosts", [])
    for volume in service.get("volumes", []):
        source, target, *options = volume.split(":")
        if source.startswith("."):
            file = here / source
            assert file.is_file(), f"{name}: {file} is no file beside {here}/compose.yaml"
            made.mounts.append(Mount(target, source=str(file), read_only="ro" in options))
            continue
        assert source in tree["volumes"], f"{name}: {source} is no volume of the file"
        made.mounts.append(Mount(target, volume=source, read_only="ro" in options))
    for secret in service.get("secrets", []):
        made.mounts.append(Mount(f"/run/secrets/{secret}", source=str(here / tree["secrets"][secret]["file"]), read_only=True))
    for other, how in (service.get("depends_on") or {}).items():
        if other in services:
            made.after.append(other)
        else:
            assert how.get("required") is False, f"{name} needs {other}, which no profile starts"
    test = (service.get("healthcheck") or {}).get("test")
    if test:
        assert test[0] == "CMD", f"{name}: the images have no shell: {test}"
        made.ready = Probe(command=test[1:])
    made.restarts = service.get("restart") in ("always", "unless-stopped")
    made.stop_seconds = int(service.get("stop_grace_period", "10s").removesuffix("s"))
    made.user = service.get("user", "")
    made.read_only = service.get("read_only", False)
    made.cap_drop = service.get("cap_drop", [])
    made.no_new_privileges = "no-new-privileges:true" in service.get("security_opt", [])
    made.memory = service.get("mem_limit", "")
    made.pids = service.get("pids_limit", 0)
    return made

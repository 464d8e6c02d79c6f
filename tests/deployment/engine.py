"""Runs containers with podman, and what an orchestrator does for them: starts them in order, asks whether they are well, and starts
again what has died.

The flags are those that work on a machine whose control groups belong to somebody else: runc, cgroupfs, and limits that do not
exceed the caller's. Everything else comes from the containers' own description.
"""

import http.client
import ipaddress
import json
import secrets
import socket
import subprocess
import time

from containers import Container, Deployment, Probe
from images import Storage

WELL_SECONDS = 60
# Far from what compose.yaml asks for, and from the usual defaults of engines.
SUBNETS = ipaddress.ip_network("10.217.0.0/16").subnets(new_prefix=24)


class Engine:
    """One deployment that runs, on networks and volumes of its own."""

    def __init__(self, storage: Storage, deployment: Deployment) -> None:
        self.deployment = deployment
        self._environment = storage.environment()
        self._prefix = f"grantd-{secrets.token_hex(3)}"
        self._volumes: set[str] = set()
        self.gateway = ""

    def podman(self, *args: str, check: bool = True) -> str:
        done = self._run(*args)
        if check and done.returncode:
            raise RuntimeError(f"podman {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _run(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = ["podman", "--cgroup-manager", "cgroupfs", *args]
        return subprocess.run(command, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def name(self, container: Container) -> str:
        return f"{self._prefix}-{container.name}"

    def up(self) -> None:
        """Starts everything, each after what it waits for is well."""
        for name, network in self.deployment.networks.items():
            flags = ["--internal"] if network.internal else []
            # Two tests at once cannot have one subnet: where the file has none, one of ours that is free.
            subnet = network.subnet or self._free_subnet()
            gateway = network.gateway or str(next(ipaddress.ip_network(subnet).hosts()))
            self.podman("network", "create", "--subnet", subnet, "--gateway", gateway, *flags, f"{self._prefix}-{name}")
            if not network.internal:
                self.gateway = gateway
        waiting = list(self.deployment.containers)
        started: set[str] = set()
        while waiting:
            able = [container for container in waiting if set(container.after) <= started]
            assert able, f"these wait for each other: {[container.name for container in waiting]}"
            for container in able:
                self.start(container)
            self.until_well(*able)
            for container in able:
                started.add(container.name)
                waiting.remove(container)

    def _free_subnet(self) -> str:
        taken = set()
        for network in json.loads(self.podman("network", "inspect", *self.podman("network", "ls", "-q").split())):
            taken |= {ipaddress.ip_network(subnet["subnet"]) for subnet in network.get("subnets") or []}
        return str(next(subnet for subnet in SUBNETS if not any(subnet.overlaps(other) for other in taken)))

    def start(self, container: Container) -> None:
        self.podman("run", *self.flags(container))

    def flags(self, container: Container) -> list[str]:
        flags = ["--detach", "--runtime", "runc", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
        flags += ["--log-driver", "k8s-file", "--name", self.name(container), "--pull", "never"]
        networks = [f"{self._prefix}-{name}:alias={',alias='.join(names)}" for name, names in container.networks.items()]
        for network in networks:
            flags += ["--network", network]
        for host in container.hosts:
            flags += ["--add-host", host.replace("host-gateway", self.gateway)]
        for address, outside, inside in container.ports:
            flags += ["--publish", f"{address}:{outside}:{inside}"]
        for name, value in container.env.items():
            flags += ["--env", f"{name}={value}"]
        flags += [flag for mount in container.mounts for flag in self._mount(container, mount)]
        if container.user:
            flags += ["--user", container.user]
        if container.read_only:
            # Podman would put writable folders of its own over /tmp and /run, which others do not.
            flags += ["--read-only", "--read-only-tmpfs=false"]
        flags += [f"--cap-drop={capability}" for capability in container.cap_drop]
        if container.no_new_privileges:
            flags += ["--security-opt", "no-new-privileges"]
        if container.memory:
            flags += ["--memory", container.memory]
        if container.pids:
            flags += ["--pids-limit", str(container.pids)]
        flags += ["--stop-timeout", str(container.stop_seconds)]
        entrypoint = list(container.entrypoint or [])
        if entrypoint:
            flags += ["--entrypoint", json.dumps(entrypoint)]
        return [*flags, container.image, *(container.args or [])]

    def _mount(self, container: Container, mount) -> list[str]:
        ending = ":ro" if mount.read_only else ""
        if mount.tmpfs:
            return ["--tmpfs", f"{mount.target}:mode=1777"]
        if mount.source:
            return ["--volume", f"{mount.source}:{mount.target}{ending}"]
        volume = f"{self._prefix}-{mount.volume}"
        if volume not in self._volumes:
            self._volumes.add(volume)
            self.podman("volume", "create", volume)
            if container.group:
                # What `fsGroup` does: the group of the pod may write.
                folder = self.podman("volume", "inspect", "--format", "{{.Mountpoint}}", volume)
                subprocess.run(["chown", f":{container.group}", folder], check=True)
                subprocess.run(["chmod", "2770", folder], check=True)
        return ["--volume", f"{volume}:{mount.target}{ending}"]

    def address(self, container: Container) -> str:
        networks = json.loads(self.podman("inspect", "--format", "{{json .NetworkSettings.Networks}}", self.name(container)))
        return next(network["IPAddress"] for network in networks.values() if network["IPAddress"])

    def runs(self, container: Container) -> bool:
        return self.podman("inspect", "--format", "{{.State.Running}}", self.name(container), check=False) == "true"

    def asks(self, container: Container, probe: Probe) -> bool:
        """Whether a probe answers well now."""
        if probe.command:
            return self.execute(container, *probe.command).returncode == 0
        try:
            if probe.tcp is not None:
                socket.create_connection((self.address(container), probe.tcp), 2).close()
                return True
            port, path = probe.http
            connection = http.client.HTTPConnection(self.address(container), port, timeout=3)
            connection.request("GET", path)
            return 200 <= connection.getresponse().status < 400
        except OSError:
            return False

    def execute(self, container: Container, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command inside."""
        return self._run("exec", self.name(container), *command)

    def pid(self, container: Container) -> int:
        return int(self.podman("inspect", "--format", "{{.State.Pid}}", self.name(container)))

    def until_well(self, *containers: Container) -> None:
        """Waits until all are. Those that end meanwhile are started again, where their description says so: one may need another."""
        deadline = time.monotonic() + WELL_SECONDS
        while ill := [container for container in containers if not self.is_well(container)]:
            for container in ill:
                runs = self.runs(container)
                if time.monotonic() > deadline or not (runs or container.restarts):
                    raise RuntimeError(f"{container.name} is not well:\n{self.logs(container)}")
                if not runs:
                    self.restart(container)
            time.sleep(0.5)

    def is_well(self, container: Container) -> bool:
        return self.runs(container) and (container.ready is None or self.asks(container, container.ready))

    def kill(self, container: Container) -> None:
        """As the kernel does when memory is short."""
        self.podman("kill", "--signal", "KILL", self.name(container))
        self.podman("wait", self.name(container))

    def restart(self, container: Container) -> None:
        """What the restart policy asks for; a container without one stays dead."""
        assert container.restarts, f"nobody starts {container.name} again"
        self.podman("start", self.name(container))

    def stop(self, container: Container) -> int:
        """SIGTERM, and SIGKILL when its time is over; gives the exit code."""
        self.podman("stop", self.name(container))
        return int(self.podman("inspect", "--format", "{{.State.ExitCode}}", self.name(container)))

    def logs(self, container: Container) -> str:
        done = self._run("logs", self.name(container))
        return done.stdout + done.stderr

    def down(self) -> None:
        for container in self.deployment.containers:
            self.podman("rm", "--force", "--time", "0", self.name(container), check=False)
        for volume in self._volumes:
            self.podman("volume", "rm", volume, check=False)
        for name in self.deployment.networks:
            self.podman("network", "rm", f"{self._prefix}-{name}", check=False)

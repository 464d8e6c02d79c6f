"""Containers as a deployment file describes them, in one neutral form: what `compose.py` and `chart.py` write and `engine.py` runs.

Nothing is filled in here that the file does not say: what it leaves open is left to the engine, as it would be elsewhere.
"""

import json
from dataclasses import asdict, dataclass, field


@dataclass
class Mount:
    """A host's file or folder, or a named volume, at a path of the container."""

    target: str
    source: str = ""
    volume: str = ""
    tmpfs: bool = False
    read_only: bool = False


@dataclass
class Probe:
    """One way to ask a container whether it is well. One of the three is set."""

    command: list[str] = field(default_factory=list)
    http: tuple[int, str] | None = None
    tcp: int | None = None


@dataclass
class Container:
    """One container; replicas are containers of their own."""

    name: str
    image: str
    # In the place of the image's entrypoint and command; None leaves the image's own.
    entrypoint: list[str] | None = None
    args: list[str] | None = None
    env: dict[str, str] = field(default_factory=dict)
    mounts: list[Mount] = field(default_factory=list)
    user: str = ""
    # The group that may use volumes (`fsGroup`).
    group: str = ""
    networks: dict[str, list[str]] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    # host address, host port, container port
    ports: list[tuple[str, int, int]] = field(default_factory=list)
    read_only: bool = False
    cap_drop: list[str] = field(default_factory=list)
    no_new_privileges: bool = False
    memory: str = ""
    pids: int = 0
    restarts: bool = False
    stop_seconds: int = 10
    ready: Probe | None = None
    live: Probe | None = None
    # Which service's name leads here, and to its siblings.
    role: str = ""
    after: list[str] = field(default_factory=list)


@dataclass
class Network:
    """A network that the containers share."""

    subnet: str = ""
    gateway: str = ""
    internal: bool = False


@dataclass
class Deployment:
    """Everything that runs together."""

    containers: list[Container]
    networks: dict[str, Network]

    def role(self, role: str) -> list[Container]:
        return [container for container in self.containers if container.role == role]

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2)

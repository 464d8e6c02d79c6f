"""Rendered Kubernetes manifests as containers: Deployments and StatefulSets with all their replicas, and the names of their Services.

What a kubelet takes from a pod is taken from it here: arguments, environment (also out of Secrets), mounts (ConfigMaps, Secrets, several
Secrets projected into one folder, empty folders, claims), users and groups, limits, probes, and how long it may take to stop. What the test cannot carry over is refused.
A Service is its name, with an address for each replica, as a headless one is; so its port must be that of the container.
"""

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from containers import Container, Deployment, Mount, Network, Probe

NAMESPACE = "tools"
ENTRIES = {
    "name", "image", "imagePullPolicy", "command", "args", "env", "envFrom", "ports", "resources", "securityContext", "volumeMounts",
    "livenessProbe", "readinessProbe", "startupProbe",
}  # fmt: skip
SIZES = {"Mi": "m", "Gi": "g"}


class Manifests:
    """The objects of a rendering, and a folder for the files that their pods see."""

    def __init__(self, objects: list[dict], folder: Path) -> None:
        self._objects = objects
        self._folder = folder

    def all(self, *kinds: str) -> list[dict]:
        return [thing for thing in self._objects if thing["kind"] in kinds]

    def data(self, kind: str, name: str) -> dict[str, bytes]:
        """What a ConfigMap or a Secret holds."""
        thing = next((it for it in self.all(kind) if it["metadata"]["name"] == name), None)
        assert thing, f"the manifests name {kind} {name}, and have none"
        held = {key: text.encode() for key, text in (thing.get("stringData") or {}).items()}
        for key, text in (thing.get("data") or {}).items():
            held[key] = base64.b64decode(text) if kind == "Secret" else text.encode()
        return held

    def deployment(self) -> Deployment:
        containers = []
        for workload in self.all("Deployment", "StatefulSet"):
            for replica in range(workload["spec"].get("replicas", 1)):
                containers.append(self._container(workload, replica))
        return Deployment(containers, {"pods": Network()})

    def _container(self, workload: dict, replica: int) -> Container:
        name = f"{workload['metadata']['name']}-{replica}"
        pod = workload["spec"]["template"]["spec"]
        [entry] = pod["containers"]
        unknown = set(entry) - ENTRIES
        assert not unknown and not pod.get("initContainers"), f"{name}: the test does not carry over {sorted(unknown)}"
        made = Container(name=name, role=workload["metadata"]["name"], image=entry["image"], args=entry.get("args"))
        made.entrypoint = entry.get("command")
        made.restarts = True
        made.stop_seconds = pod.get("terminationGracePeriodSeconds", 30)
        self._environment(made, entry, name)
        security = (pod.get("securityContext") or {}) | (entry.get("securityContext") or {})
        made.user = f"{security['runAsUser']}:{security['runAsGroup']}"
        made.group = str(security.get("fsGroup", ""))
        made.read_only = security.get("readOnlyRootFilesystem", False)
        made.no_new_privileges = security.get("allowPrivilegeEscalation") is False
        made.cap_drop = security.get("capabilities", {}).get("drop", [])
        number, unit = re.fullmatch(r"(\d+)(\D+)", entry["resources"]["limits"]["memory"]).groups()
        made.memory = number + SIZES[unit]
        claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for mount in entry.get("volumeMounts", []):
            made.mounts.append(self._mount(name, made.group, mount, volumes, claims))
        ports = {port["name"]: port["containerPort"] for port in entry.get("ports", [])}
        made.ready = probe(entry.get("readinessProbe"), ports)
        made.live = probe(entry.get("livenessProbe"), ports)
        made.networks = {"pods": self._names(workload["spec"]["template"]["metadata"]["labels"], ports) or [name]}
        return made

    def _environment(self, made: Container, entry: dict, name: str) -> None:
        for source in entry.get("envFrom", []):
            raise AssertionError(f"{name}: the test does not carry over envFrom: {source}")
        for variable in entry.get("env", []):
            if "value" in variable:
                text = variable["value"]
            elif secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                text = self.data("Secret", secret["name"])[secret["key"]].decode()
            else:
                field = variable["valueFrom"]["fieldRef"]["fieldPath"]
                assert field == "metadata.name", f"{name}: the test does not know {field}"
                text = name
            # Those before it are put in.
            made.env[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: made.env.get(found[1], found[0]), text)

    def _names(self, labels: dict[str, str], ports: dict[str, int]) -> list[str]:
        """By which Services a pod is reached."""
        names = []
        for service in self.all("Service"):
            spec = service["spec"]
            if not spec.get("selector") or any(labels.get(key) != value for key, value in spec["selector"].items()):
                continue
            short = service["metadata"]["name"]
            for port in spec["ports"]:
                target = port.get("targetPort", port["port"])
                assert ports.get(target, target) == port["port"] or spec.get("clusterIP") != "None", f"{short}: {port}"
            names += [short, f"{short}.{NAMESPACE}", f"{short}.{NAMESPACE}.svc", f"{short}.{NAMESPACE}.svc.cluster.local"]
        return names

    def _mount(self, pod: str, group: str, mount: dict, volumes: dict, claims: set[str]) -> Mount:
        volume = volumes.get(mount["name"], {})
        target, read_only = mount["mountPath"], mount.get("readOnly", False)
        if mount["name"] in claims or "persistentVolumeClaim" in volume:
            return Mount(target, volume=f"{pod}-{mount['name']}", read_only=read_only)
        if "emptyDir" in volume:
            return Mount(target, volume=f"{pod}-{mount['name']}", read_only=read_only)
        folder = self._folder / pod / mount["name"]
        folder.mkdir(parents=True, exist_ok=True)
        for path, content, mode in self._files(volume):
            file = folder / path
            assert not file.exists() or file.read_bytes() == content, f"{pod}: {path} is there twice"
            file.write_bytes(content)
            # With fsGroup the kubelet lets the group of the pod read.
            file.chmod(mode | 0o040 if group else mode)
            if group:
                subprocess.run(["chown", f"0:{group}", file], check=True)
        source = folder / mount["subPath"] if "subPath" in mount else folder
        return Mount(target, source=str(source), read_only=True)

    def _files(self, volume: dict) -> Iterator[tuple[str, bytes, int]]:
        """The files of a volume: path, content and mode."""
        if projected := volume.get("projected"):
            sources, mode = projected["sources"], projected.get("defaultMode", 0o644)
        else:
            [source] = [{kind: volume[kind]} for kind in ("configMap", "secret") if kind in volume]
            sources, mode = [source], next(iter(source.values())).get("defaultMode", 0o644)
        for source in sources:
            [(kind, chosen)] = source.items()
            # A projected Secret has a `name`, a volume of its own a `secretName`.
            held = self.data({"configMap": "ConfigMap", "secret": "Secret"}[kind], chosen.get("secretName") or chosen["name"])
            items = chosen.get("items") or [{"key": key, "path": key} for key in held]
            for item in items:
                yield item["path"], held[item["key"]], item.get("mode", mode)


def probe(written: dict | None, ports: dict[str, int]) -> Probe | None:
    if not written:
        return None
    if get := written.get("httpGet"):
        assert get.get("scheme", "HTTP") == "HTTP", get
        return Probe(http=(ports.get(get["port"], get["port"]), get["path"]))
    if tcp := written.get("tcpSocket"):
        return Probe(tcp=ports.get(tcp["port"], tcp["port"]))
    return Probe(command=written["exec"]["command"])

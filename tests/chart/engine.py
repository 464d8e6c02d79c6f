"""The real Helm engine, as a process of its own.

Helm reads its environment when its library is loaded, and keeps it. So the engine gets a process with the environment that it needs
(releases in memory, no file of the person's), and one line of JSON for each thing to do. `Helm` is the end that the tests use.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from cluster import Cluster

CHART = Path(__file__).resolve().parents[2] / "helm" / "grantd"
RELEASE, NAMESPACE = "acme", "tools"


class Refused(Exception):
    """Helm or the chart said no."""


class Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Refuses a key that is there twice, which YAML does and its parsers do not."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        assert not twice, f"{node.start_mark}: twice in a map: {twice}"
        return super().construct_mapping(node, deep)


class Rendered:
    """What a chart became: its objects, hooks among them, and what the person reads."""

    def __init__(self, answer):
        self.text = answer["manifest"]
        self.hooks = answer["hooks"]
        self.notes = answer["notes"]
        self.objects = [thing for text in [self.text, *self.hooks] for thing in yaml.load_all(text, Loader=Strict) if thing]

    def all(self, kind):
        return [thing for thing in self.objects if thing["kind"] == kind]

    def one(self, kind, name):
        found = [thing for thing in self.all(kind) if thing["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind} {name}: {[(thing['kind'], thing['metadata']['name']) for thing in self.objects]}"
        return found[0]

    def config(self, name):
        return self.one("ConfigMap", name)["data"]["grantd.toml"]

    def workloads(self):
        """Everything that has a pod template."""
        return [thing for thing in self.objects if thing["kind"] in ("Deployment", "StatefulSet")]

    def pods(self):
        """Every pod spec, by its object's kind and name."""
        templates = {f"{thing['kind']}/{thing['metadata']['name']}": thing["spec"]["template"]["spec"] for thing in self.workloads()}
        return templates | {f"Pod/{pod['metadata']['name']}": pod["spec"] for pod in self.all("Pod")}


class Helm:
    """The engine's process."""

    def __init__(self):
        self.home = tempfile.TemporaryDirectory()
        self.known = {}
        environment = {"HELM_DRIVER": "memory", "HOME": self.home.name, "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(
            [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.home.cleanup()

    def ask(self, **request):
        self.process.stdin.write(json.dumps({"chart": str(CHART), **request}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["done"]

    def install(self, values=None, **more):
        """Installs into an empty cluster; what was asked for before is not rendered again."""
        key = json.dumps([values, more], sort_keys=True)
        if key not in self.known:
            self.known[key] = self.releases([values or {}], **more)[0]
        return self.known[key]

    def releases(self, values, **more):
        """Installs the first, and upgrades to each of the others, in one cluster; `charts` names a chart for each."""
        return list(map(Rendered, self.ask(do="releases", values=values, **more)))

    def lint(self, **more):
        return self.ask(do="lint", **more)


def serve():
    import helm_sdkpy as helm

    cluster = Cluster()
    kubeconfig = Path(os.environ["HOME"]) / "kubeconfig"
    kubeconfig.write_text(json.dumps(cluster.kubeconfig()))

    def done(request):
        cluster.reset(request.get("version", "v1.37.0"))
        # Another one for each request: it holds the releases.
        configuration = helm.Configuration(namespace=NAMESPACE, kubeconfig=str(kubeconfig))
        if request["do"] == "lint":
            return asyncio.run(helm.Lint(configuration).run(request["chart"]))
        return list(map(rendered, releases(configuration, request)))

    def releases(configuration, request):
        for at, values in enumerate(request["values"]):
            action = helm.Upgrade(configuration) if at else helm.Install(configuration)
            # Applied by the server: so it sees whole objects, and can refuse a change.
            options = {"values": values, "wait": False, "server_side_apply": True}
            if at:
                options["reset_values"] = True
            chart = request["charts"][at] if "charts" in request else request["chart"]
            yield asyncio.run(action.run(request.get("release", RELEASE), chart, **options))

    def rendered(release):
        hooks = [hook["manifest"] for hook in release.get("hooks") or []]
        return {"manifest": release["manifest"], "hooks": hooks, "notes": release["info"].get("notes", "")}

    for line in sys.stdin:
        try:
            answer = {"done": done(json.loads(line))}
        except helm.HelmError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    cluster.close()


if __name__ == "__main__":
    serve()

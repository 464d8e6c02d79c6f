"""What Helm needs of a Kubernetes API server, on loopback.

1. It says its version, and lists the kinds of the chart (custom ones, too): so `.Capabilities` is as in a cluster.
2. It keeps what is created or applied, so that `lookup` and an upgrade find it.
3. It refuses a change of a field that a real API server lets nobody change, in the same way (422).

Nothing runs in it: whether objects are valid is judged elsewhere, by the schemas of real versions.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

# Group and version, then the plural and the kind of what is namespaced in it.
KINDS = {
    "v1": {
        "configmaps": "ConfigMap",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "pods": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "cert-manager.io/v1": {"certificates": "Certificate"},
    "gateway.networking.k8s.io/v1": {"httproutes": "HTTPRoute"},
    "monitoring.coreos.com/v1": {"servicemonitors": "ServiceMonitor"},
    "networking.k8s.io/v1": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}


def frozen(thing):
    """The fields of an object that can never be changed, by their paths."""
    spec = thing.get("spec", {})
    match thing["kind"]:
        case "Deployment":
            return {"spec.selector": spec.get("selector")}
        case "StatefulSet":
            # Everything but what the API server names in its refusal.
            free = {
                "minReadySeconds",
                "ordinals",
                "persistentVolumeClaimRetentionPolicy",
                "replicas",
                "revisionHistoryLimit",
                "template",
                "updateStrategy",
            }
            return {f"spec.{key}": value for key, value in spec.items() if key not in free}
        case "Service":
            return {"spec.clusterIP": spec.get("clusterIP")}
        case "PersistentVolumeClaim":
            # The size may grow.
            return {f"spec.{key}": value for key, value in spec.items() if key != "resources"}
        case "Secret":
            return {"type": thing.get("type")}
    return {}


class Cluster:
    """A server that runs until it is closed."""

    def __init__(self):
        self.reset("v1.37.0")
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # An answer is one packet: else each waits for the acknowledgement of its headers.
            wbufsize = -1

            def log_message(self, *_):
                pass

            def answer(self, status, body):
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def handle_any(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                # Both JSON and the YAML of a server-side apply.
                self.answer(*cluster.handle(self.command, self.path.split("?")[0], yaml.safe_load(body) if body else None))

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reset(self, version):
        """Forgets everything, and is of that version from now on."""
        self.version = version
        self.objects = {}

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self):
        url = f"http://127.0.0.1:{self.server.server_port}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {}}],
        }

    def handle(self, method, path, body):
        if method == "GET":
            if path == "/version":
                major, minor = self.version.removeprefix("v").split(".")[:2]
                return 200, {"major": major, "minor": minor, "gitVersion": self.version}
            if path == "/api":
                return 200, {"kind": "APIVersions", "versions": ["v1"]}
            if path == "/apis":
                return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(map(group, sorted(KINDS.keys() - {"v1"})))}
            known = path.removeprefix("/apis/").removeprefix("/api/")
            if known in KINDS:
                return 200, resources(known)
            return (200, self.objects[path]) if path in self.objects else refusal(404, "NotFound", path)
        if method == "DELETE":
            return (200, self.objects.pop(path)) if path in self.objects else refusal(404, "NotFound", path)
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
        old = self.objects.get(path)
        if old is not None:
            before, after = frozen(old), frozen(body)
            changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            if changed:
                return refusal(422, "Invalid", f"{old['kind']} {path.rsplit('/')[-1]}: field is immutable: {', '.join(changed)}")
        self.objects[path] = body
        return 200 if old else 201, body


def group(name):
    version = {"groupVersion": name, "version": name.split("/")[1]}
    return {"name": name.split("/")[0], "versions": [version], "preferredVersion": version}


def resources(version):
    verbs = ["create", "delete", "get", "list", "patch", "update"]
    found = [{"name": name, "kind": kind, "namespaced": True, "verbs": verbs, "singularName": ""} for name, kind in KINDS[version].items()]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}


def refusal(status, reason, message):
    return status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status}

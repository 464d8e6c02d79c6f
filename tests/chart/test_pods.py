"""Objects of the chart name each other rightly, and pods are as the `restricted` Pod Security Standard wants them."""

import pytest
import yaml

from engine import CHART
from pods import grantd_pods
from shapes import SHAPES, SWITCHES, merged, nested, with_switch

CASES = {**SHAPES, **{path: with_switch(path) for path in SWITCHES}}
# What the person brings, in the shapes and switches.
BROUGHT = {
    "Secret": {
        *("acme-redis", "redis-password", "redis-tls", "valkey-auth", "owner-of-mine", "key-of-mine", "callers-of-mine", "keys-of-callers"),
        *("given-tls", "another-tls", "facade-tls", "ca-of-mine", "registry", "a", "mcp-example-com"),
    },
    "ConfigMap": {"more"},
    "PersistentVolumeClaim": {"my-claim"},
    "ServiceAccount": {"default"},
}


def selects(selector, labels):
    return selector.items() <= labels.items()


def pod_templates(rendered):
    found = [(thing["metadata"]["name"], thing["spec"]["template"]) for thing in rendered.workloads()]
    return found + [(pod["metadata"]["name"], pod) for pod in rendered.all("Pod")]


def chosen(rendered, selector):
    return [template for _, template in pod_templates(rendered) if selects(selector, template["metadata"]["labels"])]


def port_names(template):
    return {port["name"]: port["containerPort"] for container in template["spec"]["containers"] for port in container.get("ports", [])}


@pytest.fixture(params=CASES)
def rendered(request, helm):
    return helm.install(CASES[request.param])


def test_wiring(rendered):
    exists(rendered)
    services(rendered)
    policies(rendered)
    scaling(rendered)
    routes(rendered)


def exists(rendered):
    """Every Secret, ConfigMap, claim and account that a pod names is made by the chart, or brought by the person."""
    made = {(thing["kind"], thing["metadata"]["name"]) for thing in rendered.objects}
    # cert-manager writes them.
    made |= {("Secret", thing["spec"]["secretName"]) for thing in rendered.all("Certificate")}

    def there(kind, name):
        assert (kind, name) in made or name in BROUGHT[kind], f"{kind} {name}"

    for _, template in pod_templates(rendered):
        pod = template["spec"]
        there("ServiceAccount", pod["serviceAccountName"])
        for volume in pod.get("volumes", []):
            sources = [volume, *volume.get("projected", {}).get("sources", [])]
            for source in sources:
                if "secret" in source:
                    there("Secret", source["secret"].get("secretName") or source["secret"]["name"])
                if "configMap" in source:
                    there("ConfigMap", source["configMap"]["name"])
                if "persistentVolumeClaim" in source:
                    there("PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"])
        names = [volume["name"] for volume in pod.get("volumes", [])]
        assert len(names) == len(set(names))
        for container in pod["containers"]:
            mounts = container.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} <= set(names)
            # And none is there for nothing, unless the person brought it.
            assert set(names) - {mount["name"] for mount in mounts} <= {"more"}
            paths = [mount["mountPath"] for mount in mounts]
            assert len(paths) == len(set(paths))
            variables = [entry["name"] for entry in container.get("env", [])]
            assert len(variables) == len(set(variables)), variables
            for entry in container.get("env", []):
                if "valueFrom" in entry:
                    ref = entry["valueFrom"]["secretKeyRef"]
                    there("Secret", ref["name"])
                    for secret in rendered.all("Secret"):
                        assert secret["metadata"]["name"] != ref["name"] or ref["key"] in secret["data"]


def services(rendered):
    """Each Service leads to pods, and to ports that they have; none to pods of another kind."""
    for service in rendered.all("Service"):
        found = chosen(rendered, service["spec"]["selector"])
        assert found, service["metadata"]["name"]
        for template in found:
            for port in service["spec"]["ports"]:
                assert port["targetPort"] in port_names(template), service["metadata"]["name"]
    for thing in rendered.workloads():
        template = thing["spec"]["template"]
        # The workload's own pods, and nobody else's.
        assert chosen(rendered, thing["spec"]["selector"]["matchLabels"]) == [template]
        if thing["kind"] == "StatefulSet":
            governing = rendered.one("Service", thing["spec"]["serviceName"])
            assert selects(governing["spec"]["selector"], template["metadata"]["labels"])
    grantd = grantd_pods(rendered)
    operations = [service for service in rendered.all("Service") if service["metadata"]["name"].endswith("-operations")]
    (selector,) = [service["spec"]["selector"] for service in operations]
    assert [template["spec"] for template in chosen(rendered, selector)] == list(grantd.values())
    for monitor in rendered.all("ServiceMonitor"):
        found = [service for service in rendered.all("Service") if selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])]
        assert found == operations
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in [port["name"] for port in operations[0]["spec"]["ports"]]


def policies(rendered):
    """Each NetworkPolicy is of pods, lets through what they need of each other, and names ports that are there."""
    policies = rendered.all("NetworkPolicy")
    if not policies:
        return
    covered = []
    for policy in policies:
        (template,) = chosen(rendered, policy["spec"]["podSelector"]["matchLabels"])
        covered.append(template["spec"])
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                assert port["port"] in port_names(template)
        for rule in [*policy["spec"].get("ingress", []), *(policy["spec"].get("egress") or [])]:
            for peer in [*rule.get("from", []), *rule.get("to", [])]:
                labels = peer.get("podSelector", {}).get("matchLabels")
                # The pod of `helm test` is there only with a public URL.
                assert not labels or chosen(rendered, labels) or labels["app.kubernetes.io/name"].endswith("-test"), labels
    assert sorted(map(str, covered)) == sorted(str(template["spec"]) for _, template in pod_templates(rendered) if template.get("kind") != "Pod")


def scaling(rendered):
    """An autoscaler has a target that leaves the number to it; a budget has pods, more than must stay."""
    scaled = set()
    for scaler in rendered.all("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert "replicas" not in rendered.one(target["kind"], target["name"])["spec"]
        scaled.add((target["kind"], target["name"]))
    for thing in rendered.workloads():
        assert ("replicas" in thing["spec"]) != ((thing["kind"], thing["metadata"]["name"]) in scaled)
    for budget in rendered.all("PodDisruptionBudget"):
        assert len(chosen(rendered, budget["spec"]["selector"]["matchLabels"])) == 1
        assert ("minAvailable" in budget["spec"]) != ("maxUnavailable" in budget["spec"])


def routes(rendered):
    """Routes from outside end at a Service and a port of it."""
    for ingress in rendered.all("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = rendered.one("Service", path["backend"]["service"]["name"])
                assert path["backend"]["service"]["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
    for route in rendered.all("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                assert backend["port"] in [port["port"] for port in rendered.one("Service", backend["name"])["spec"]["ports"]]


def test_restricted(rendered):
    """Every pod, Valkey's and that of `helm test` too: kubernetes.io/docs/concepts/security/pod-security-standards."""
    for pod in rendered.pods().values():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] > 0 and context["fsGroup"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
        for volume in pod.get("volumes", []):
            assert not volume.keys() - {"name", "configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False and own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]} and own.get("runAsUser", 1) > 0 and "privileged" not in own
            assert container["resources"]


def test_probes_and_the_end(rendered):
    for component, pod in grantd_pods(rendered).items():
        container = pod["containers"][0]
        # A facade stays while the store is away, and says so itself.
        ready = "/readyz?exclude=store" if component == "facade" else "/readyz"
        for probe, path in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", ready)]:
            assert container[probe]["httpGet"] == {"path": path, "port": "operations"}
        # There is no shell to run a hook with; the delay is the process's own.
        assert "lifecycle" not in container


@pytest.mark.parametrize(("values", "seconds"), [({}, 25), ({"shutdown": {"delaySeconds": 15, "deadlineSeconds": 60}}, 85), ({"terminationGracePeriodSeconds": 120}, 120)])
def test_the_kubelet_waits_longer_than_stopping_takes(helm, values, seconds):
    (pod,) = grantd_pods(helm.install(values)).values()
    assert pod["terminationGracePeriodSeconds"] == seconds


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pod_that_never_became_ready_is_replaced(helm, shape):
    rendered = helm.install(SHAPES[shape])
    for thing in rendered.all("StatefulSet"):
        # Two pods at once would be two processes on one volume: then the order would mean something.
        assert thing["spec"]["podManagementPolicy"] == "Parallel" and thing["spec"]["replicas"] == 1
    for thing in rendered.all("Deployment"):
        assert thing["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_all_old_pods_may_go_before_the_first_new_one(helm):
    rendered = helm.install(merged(SHAPES["distributed"], nested("tokenService.strategy.type", "Recreate")))
    assert rendered.one("Deployment", "acme-grantd-token-service")["spec"]["strategy"] == {"type": "Recreate"}
    assert rendered.one("Deployment", "acme-grantd-facade")["spec"]["strategy"]["type"] == "RollingUpdate"


COMMON = {"repository": "r/grantd", "tag": "2", "digest": ""}
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("common", "own", "image"),
    [
        ({}, {}, "r/grantd:2"),
        ({"tag": ""}, {"tag": "1"}, "r/grantd:1"),
        ({}, {"repository": "q/grantd"}, "q/grantd:2"),
        ({}, {"digest": DIGEST}, f"r/grantd@{DIGEST}"),
        # The half's own tag is no tag of the common digest.
        ({"digest": DIGEST}, {"tag": "1"}, "r/grantd:1"),
        ({"digest": DIGEST}, {"repository": "q/grantd"}, f"q/grantd@{DIGEST}"),
    ],
)
def test_a_half_may_be_of_another_version(helm, common, own, image):
    pods = grantd_pods(helm.install(merged(SHAPES["distributed"], {"image": {**COMMON, **common}}, {"facade": {"image": own}})))
    assert pods["facade"]["containers"][0]["image"] == image
    assert pods["token-service"]["containers"][0]["image"].startswith("r/grantd")


def test_the_embedded_store_has_one_process_and_a_volume_that_stays(helm):
    rendered = helm.install()
    assert rendered.one("StatefulSet", "acme-grantd")["spec"]["replicas"] == 1
    claim = rendered.one("PersistentVolumeClaim", "acme-grantd-data")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (data,) = [volume for volume in grantd_pods(rendered)["all-in-one"]["volumes"] if volume["name"] == "data"]
    assert data["persistentVolumeClaim"] == {"claimName": "acme-grantd-data"}


def test_the_token_service_is_balanced_by_its_callers(helm):
    service = helm.install(SHAPES["distributed"]).one("Service", "acme-grantd-token-service")
    # Headless, and only of pods that are ready: each address that a facade finds takes calls.
    assert service["spec"]["clusterIP"] == "None" and "publishNotReadyAddresses" not in service["spec"]


@pytest.mark.parametrize(("shape", "protocol"), [("distributed", "tls"), ("distributed-key", "tls"), ("distributed-valkey", "grpc")])
def test_a_mesh_is_told_what_it_sees(helm, shape, protocol):
    (port,) = helm.install(SHAPES[shape]).one("Service", "acme-grantd-token-service")["spec"]["ports"]
    assert port["appProtocol"] == protocol


@pytest.mark.parametrize(
    ("values", "facade", "service"),
    [
        ("distributed", {"tls.crt", "tls.key", "ca.crt"}, {"tls.crt", "tls.key", "ca.crt"}),
        # The service's key is nothing for the facade.
        ("distributed-key", {"ca.crt"}, {"tls.crt", "tls.key"}),
    ],
)
def test_each_end_has_only_its_own_part_of_tls(helm, values, facade, service):
    rendered = helm.install(SHAPES[values])
    for component, files in [("facade", facade), ("token-service", service)]:
        (volume,) = [volume for volume in grantd_pods(rendered)[component]["volumes"] if volume["name"] == "tls"]
        items = [item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]]
        assert sorted(items) == sorted(files)


def test_certificates_have_the_names_that_are_asked_for(helm):
    rendered = helm.install(SHAPES["distributed"])
    server, client = (rendered.one("Certificate", f"acme-grantd-{half}-tls")["spec"] for half in ("token-service", "facade"))
    assert "acme-grantd-token-service" in server["dnsNames"] and server["usages"][-1] == "server auth"
    assert client["dnsNames"] == ["acme-grantd-facade"] and client["usages"][-1] == "client auth"
    assert 'certificate = "acme-grantd-facade"' in rendered.config("acme-grantd-token-service")
    assert 'url = "https://acme-grantd-token-service:8081"' in rendered.config("acme-grantd-facade")


def test_paths_of_a_public_url_with_a_path(helm):
    values = merged(SHAPES["all-in-one"], {"publicUrl": "https://example.com/auth/", "httpRoute": {"enabled": True, "parentRefs": [{"name": "a"}]}})
    rendered = helm.install(values)
    wanted = ["/auth", "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"]
    (rule,) = rendered.one("Ingress", "acme-grantd")["spec"]["rules"]
    assert rule["host"] == "example.com" and [path["path"] for path in rule["http"]["paths"]] == wanted
    (rule,) = rendered.one("HTTPRoute", "acme-grantd")["spec"]["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == wanted


LONG = merged(SHAPES["distributed-valkey"], nested("nameOverride", "n" * 60))


@pytest.mark.parametrize(
    ("values", "release"),
    [
        (LONG, "r" * 53),
        (SHAPES["all-in-one"], "r" * 53),
        (merged(SHAPES["distributed-valkey"], nested("fullnameOverride", "f" * 63)), "acme"),
        # Cut at a dash.
        (merged(SHAPES["distributed-valkey"], nested("fullnameOverride", "f" * 37 + "-ff")), "acme"),
    ],
)
def test_names_fit(helm, values, release):
    rendered = helm.install(values, release=release)
    assert all(len(thing["metadata"]["name"]) <= 63 for thing in rendered.objects)
    for thing in rendered.objects:
        assert all(len(str(value)) <= 63 for value in thing["metadata"]["labels"].values())
        assert "--" not in thing["metadata"]["name"]
    # Controllers write it into a label of the pods with a dash and ten characters behind it.
    assert all(len(thing["metadata"]["name"]) + 11 <= 63 for thing in rendered.workloads())
    assert len({(thing["kind"], thing["metadata"]["name"]) for thing in rendered.objects}) == len(rendered.objects)


def test_the_image_is_of_this_version(helm):
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    cargo = (CHART.parents[1] / "Cargo.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in cargo
    (pod,) = grantd_pods(helm.install()).values()
    assert pod["containers"][0]["image"] == f"grantd:{chart['appVersion']}"


def test_two_releases_in_one_namespace_select_apart(helm):
    one, two = (helm.install(SHAPES["distributed-valkey"], release=release) for release in ("one", "two"))
    for thing in one.workloads():
        assert chosen(two, thing["spec"]["selector"]["matchLabels"]) == []
    for service in one.all("Service"):
        assert chosen(two, service["spec"]["selector"]) == []

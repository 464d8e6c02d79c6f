"""Values that cannot work are refused, and the message says what to do."""

import tomllib

import pytest

from engine import CHART as FOLDER
from engine import Refused
from shapes import GIVEN, REDIS, SHAPES, merged, nested

ONE, TWO, REPLICATED = SHAPES["all-in-one"], SHAPES["distributed-key"], SHAPES["all-in-one-redis"]
LOCAL_INGRESS = nested("ingress.enabled", True)
LOCKED = merged(TWO, {"networkPolicy": {"enabled": True, "egress": {"enabled": True}}})
ROUTE = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}}


def redis(url):
    return merged(nested("redis.url", url))


# What the values contradict: by values.schema.json, each by itself.
SCHEMA = {
    "a mode that does not exist": ({"mode": "cluster"}, "at '/mode': value must be one of 'all-in-one', 'distributed'"),
    "a value that does not exist": ({"replicaCount": 2}, "additional properties 'replicaCount' not allowed"),
    "a value in the wrong place": (nested("facade.publicUrl", "1"), "at '/facade': additional properties 'publicUrl' not allowed"),
    "an image of what has the common one": (nested("allInOne.image.tag", "1"), "at '/allInOne/image': false schema"),
    "a strategy that does not exist": (nested("facade.strategy.type", "BlueGreen"), "at '/facade/strategy/type': value must be one of"),
    "a map that was removed": ({"config": None}, "missing property 'config'"),
    "a text for a number": (nested("facade.replicas", "two"), "at '/facade/replicas': got string, want integer"),
    "no pods": (nested("facade.replicas", 0), "at '/facade/replicas': minimum: got 0, want 1"),
    "a number for a text": (nested("persistence.size", 5), "at '/persistence/size': got number, want string"),
    "half a digest": (nested("image.digest", "sha256:abc"), "at '/image/digest': 'sha256:abc' does not match pattern"),
    "a privileged port": (nested("ports.http", 80), "at '/ports/http': minimum: got 80, want 1,024"),
    "a probe's other handler": (nested("probes.liveness.exec", {}), "at '/probes/liveness': additional properties 'exec' not allowed"),
    "an environment that is a map": ({"extraEnv": {"A": "b"}}, "at '/extraEnv': got object, want array"),
    "a number in the environment": ({"extraEnv": [{"name": "A", "value": 1}]}, "at '/extraEnv/0/value': got number, want string"),
    "a host with a scheme": (nested("ingress.hosts", ["https://a.example"]), "at '/ingress/hosts/0': 'https://a.example' does not match"),
    "an address to listen on": ({"listenAddress": "127.0.0.1"}, "at '/listenAddress': value must be one of '0.0.0.0', '[::]'"),
}

# By the chart, between values.
CHART = {
    "two pods on the embedded store": (nested("allInOne.replicas", 2), "allInOne.replicas: the embedded store is one file"),
    "scaling the embedded store": (nested("allInOne.autoscaling.enabled", True), "allInOne.autoscaling.enabled: the embedded store"),
    "distributed without Redis": (merged(TWO, redis("")), "mode: distributed keeps its state in Redis: set redis.url"),
    "distributed in the clear": (merged(TWO, nested("tls.enabled", False)), "tls: keys and tokens would cross the network"),
    "distributed without a server": (merged(TWO, {"upstream": ""}), "upstream: where is your MCP server?"),
    "a public name without a server": (merged(ONE, {"upstream": ""}), "upstream: under a public name grantd protects"),
    "one upstream for several": (
        merged(ONE, {"config": {"resource": [{"paths": ["/a"]}, {"paths": ["/b"]}]}}),
        "upstream: there are several config.resource",
    ),
    "two stores": (merged(REPLICATED, nested("valkey.enabled", True)), "set one of them"),
    "a store of another kind": (redis("memcached://cache:11211"), "redis.url: write redis://HOST:PORT"),
    "a password in a URL": (redis("redis://:hunter2@redis:6379"), "redis.url: it holds a password"),
    "a user and a password in a URL": (redis("rediss://grantd:hunter2@redis:6379"), "redis.url: it holds a password"),
    "a password with a slash in a URL": (redis("redis://:hunter/2@redis:6379"), "redis.url: it holds a password"),
    "a Sentinel's password in a URL": (
        redis("redis-sentinel://s:26379?sentinelServiceName=a&sentinelPassword=hunter2"),
        "redis.url: it holds a password",
    ),
    "a password that comes from nowhere": (redis("redis://:$(REDIS_PASSWORD)@redis:6379"), "redis.url: $(REDIS_PASSWORD) stands for"),
    "a password without a place": (
        merged(redis("redis://redis:6379"), nested("redis.passwordSecret.name", "a")),
        "redis.passwordSecret.name: write $(REDIS_PASSWORD)",
    ),
    "a Sentinel without a service": (redis("redis-sentinel://sentinel:26379"), "?sentinelServiceName=NAME"),
    "certificates for a plain URL": (
        merged(redis("redis://redis:6379"), nested("redis.tls.existingSecret", "a")),
        "redis.tls.existingSecret: redis.url speaks no TLS",
    ),
    "a certificate from nowhere": (nested("redis.tls.clientCertificate", True), "redis.tls.clientCertificate: name the Secret"),
    "TLS and none": (merged(TWO, nested("tls.insecurePlaintext", True)), "tls.enabled, tls.insecurePlaintext: set one of them"),
    "TLS without a certificate": (
        merged(TWO, nested("tls.tokenService.existingSecret", "")),
        "tls.tokenService.existingSecret: name the Secret with the certificate of acme-grantd-token-service",
    ),
    "mutual TLS with one certificate": (merged(TWO, nested("tls.mutual", True)), "tls.facade.existingSecret: with tls.mutual"),
    "mutual TLS without TLS": (
        merged(TWO, {"tls": {"enabled": False, "insecurePlaintext": True, "mutual": True}}),
        "tls.mutual: it wants tls.enabled=true",
    ),
    "cert-manager without an issuer": (
        merged(SHAPES["distributed"], nested("tls.certManager.issuerRef.name", "")),
        "tls.certManager.issuerRef.name: name the Issuer",
    ),
    "certificates from two places": (
        merged(SHAPES["distributed"], GIVEN),
        "tls.certManager.enabled: the certificates come from cert-manager or from existing Secrets",
    ),
    "callers that replace the facade": (
        merged(SHAPES["distributed"], nested("callers.existingSecret.name", "a")),
        "callers.existingSecret.name: with tls.mutual the facade is a caller",
    ),
    "no public URL": ({"publicUrl": "mcp.example.com"}, "publicUrl: write what clients see"),
    "a public URL in the clear": ({"publicUrl": "http://mcp.example.com"}, "publicUrl: http://mcp.example.com sends tokens in the clear"),
    "a public URL with a query": (merged(ONE, {"publicUrl": "https://mcp.example.com/?a=b"}), "publicUrl: it has neither user nor query"),
    "an ingress to localhost": (LOCAL_INGRESS, "ingress.enabled: publicUrl is http://localhost:8080"),
    "an ingress of another host": (merged(ONE, nested("ingress.hosts", ["a.example.com"])), "ingress.hosts: mcp.example.com, the host of publicUrl"),
    "a route to localhost": (ROUTE, "httpRoute.enabled: publicUrl is http://localhost:8080"),
    "a route of another host": (merged(ONE, ROUTE, nested("httpRoute.hosts", ["a.example.com"])), "httpRoute.hosts: mcp.example.com"),
    "a route without a gateway": (merged(ONE, nested("httpRoute.enabled", True)), "httpRoute.parentRefs: name the gateway"),
    "a node port without one": (nested("service.nodePort", 30080), "service.nodePort: a Service of type ClusterIP has none"),
    "a policy without a balancer": (nested("service.externalTrafficPolicy", "Local"), "service.externalTrafficPolicy: a Service of type"),
    "a balancer's class without one": (
        nested("service", {"type": "NodePort", "loadBalancerClass": "a"}),
        "service.loadBalancerClass: a Service of type NodePort has none",
    ),
    "a time too short to stop in": (
        {"terminationGracePeriodSeconds": 19},
        "terminationGracePeriodSeconds: stopping takes shutdown.delaySeconds + shutdown.deadlineSeconds",
    ),
    "a time too short to stop slowly in": (
        {"terminationGracePeriodSeconds": 30, "shutdown": {"deadlineSeconds": 60}},
        "set at least 70",
    ),
    "two listeners on one port": (nested("ports.operations", 8080), "ports: each listener has its own port"),
    "fewer at most than at least": (
        merged(TWO, nested("facade.autoscaling", {"enabled": True, "minReplicas": 4, "maxReplicas": 3})),
        "facade.autoscaling: minReplicas is larger than maxReplicas",
    ),
    "scaling by nothing": (
        merged(TWO, nested("tokenService.autoscaling", {"enabled": True, "targetCPUUtilizationPercentage": 0})),
        "tokenService.autoscaling: there is nothing to aim at",
    ),
    "a node that can never be drained": (
        merged(TWO, nested("facade.podDisruptionBudget.minAvailable", 2)),
        "facade.podDisruptionBudget.minAvailable: of 2 pods 2 must stay",
    ),
    "a share that is everything": (
        merged(TWO, nested("facade.podDisruptionBudget.minAvailable", "100%")),
        "facade.podDisruptionBudget.minAvailable: of 2 pods 2 must stay",
    ),
    "a share that is everything when rounded up": (
        merged(TWO, nested("tokenService", {"replicas": 3, "podDisruptionBudget": {"minAvailable": "67%"}})),
        "tokenService.podDisruptionBudget.minAvailable: of 3 pods 3 must stay",
    ),
    "none that may be away": (
        merged(TWO, nested("facade.podDisruptionBudget.maxUnavailable", 0)),
        "facade.podDisruptionBudget.maxUnavailable: none may be away",
    ),
    "a share of none": (
        merged(REPLICATED, nested("allInOne.podDisruptionBudget.maxUnavailable", "0%")),
        "allInOne.podDisruptionBudget.maxUnavailable: none may be away",
    ),
    "scaling by a share of nothing": (
        merged(TWO, nested("facade", {"autoscaling": {"enabled": True}, "resources": {"requests": None}})),
        "facade.autoscaling: it aims at a share of the cpu that is requested",
    ),
    "scaling by a share of no memory": (
        merged(
            TWO,
            nested("facade.autoscaling", {"enabled": True, "targetMemoryUtilizationPercentage": 80}),
            nested("facade.resources", {"requests": {"memory": None}, "limits": None}),
        ),
        "facade.autoscaling: it aims at a share of the memory that is requested",
    ),
    "pods that can never be replaced": (
        merged(TWO, nested("tokenService.strategy.rollingUpdate.maxSurge", 0)),
        "tokenService.strategy.rollingUpdate: with neither a pod more (maxSurge) nor one less",
    ),
    "callers in two places": (
        merged(TWO, nested("callers.existingSecret.name", "a"), {"config": {"token_service": {"caller": [{"name": "b", "key_file": "/b"}]}}}),
        "callers.existingSecret.name: this Secret would replace config.token_service.caller",
    ),
    "scrapes that reach nobody": (
        merged(TWO, {"networkPolicy": {"enabled": True}, "serviceMonitor": {"enabled": True}}),
        "networkPolicy.operationsFrom: Prometheus could reach no pod",
    ),
    "a Redis that cannot be reached": (LOCKED, "networkPolicy.egress.store: the token service could not reach Redis"),
    "a Redis in a Secret that cannot be reached": (
        merged(LOCKED, {"redis": {"url": "", "existingSecret": {"name": "a"}}}),
        "networkPolicy.egress.store: the token service could not reach Redis",
    ),
    "documents that cannot be fetched": (
        {"networkPolicy": {"enabled": True, "egress": {"enabled": True}}, "config": {"client_metadata": {"enabled": True}}},
        "networkPolicy.egress.store: with config.client_metadata.enabled",
    ),
    "a server that cannot be reached": (LOCKED, "networkPolicy.egress.http: no call would reach your MCP server"),
    "a server of a resource that cannot be reached": (
        merged(LOCKED, {"upstream": "", "config": {"resource": [{"paths": ["/a"], "upstream": "http://a:3000"}]}}),
        "networkPolicy.egress.http: no call would reach your MCP server",
    ),
    "a section of the wrong form": (nested("config.store", "embedded:"), "config.store: it is a map"),
    "a text for the proxies": (nested("config.http", "10.0.0.0/8"), "config.http: it is a map"),
    "a map for the resources": (nested("config.resource", {"paths": ["/mcp"]}), "config.resource: it is a list"),
    "a text for a resource": (nested("config.resource", ["/mcp"]), "config.resource[0]: it is a map"),
    # grantd has no default for them either.
    "a resource without paths": (
        merged(ONE, {"upstream": "", "config": {"resource": [{"paths": ["/a"]}, {"upstream": "http://b"}]}}),
        "config.resource[1].paths: name at least one path, such as [/mcp]",
    ),
    "a text for paths": (merged(ONE, {"config": {"resource": [{"paths": "/mcp"}]}}), "config.resource[0].paths: name at least one path"),
    "a path that is none": (merged(ONE, {"config": {"resource": [{"paths": [7]}]}}), "config.resource[0].paths: a path begins with /"),
    "callers that are no list": (merged(TWO, nested("config.token_service.caller", "a")), "config.token_service.caller: it is a list of maps"),
    "a caller that is no map": (merged(TWO, nested("config.token_service.caller", ["a"])), "config.token_service.caller: it is a list of maps"),
    "a public URL that is none": ({"publicUrl": "https://mcp.example.com:port"}, "publicUrl: write what clients see"),
    "a public URL with half an escape": ({"publicUrl": "https://mcp.example.com/%f"}, "publicUrl: write what clients see"),
    "a caller's key in the open": (
        merged(TWO, {"config": {"token_service": {"caller": [{"name": "a", "key": "hunter2"}]}}}),
        "config.token_service.caller: a key is a secret",
    ),
    "a configuration that TOML cannot hold": (nested("config.scopes", [None]), "config: it cannot be written as TOML"),
}

# Keys that the chart sets, and the value that each error names.
MANAGED = {
    "public_url": "publicUrl",
    "listen": "listenAddress and ports.http",
    "upstream": "upstream (the value)",
    "data_dir": "persistence",
    "operations": "listenAddress and ports.operations",
    "shutdown": "shutdown.delaySeconds and shutdown.deadlineSeconds",
    "store.url": "redis.url or redis.existingSecret",
    "store.url_file": "redis.existingSecret",
    "store.ca_file": "redis.tls.existingSecret",
    "store.client_cert": "redis.tls.existingSecret and redis.tls.clientCertificate",
    "store.client_key": "redis.tls.existingSecret and redis.tls.clientCertificate",
    "token_service.listen": "listenAddress and ports.grpc",
    "token_service.url": "nothing: it is the token service of the release",
    "token_service.tls": "tls (the value)",
    "token_service.insecure_plaintext": "tls.insecurePlaintext",
    "token_service.key": "serviceKey.existingSecret",
    "token_service.key_file": "serviceKey.existingSecret",
}


def refusal(helm, values):
    with pytest.raises(Refused) as refused:
        helm.install(values)
    return str(refused.value)


@pytest.mark.parametrize("case", SCHEMA)
def test_schema(helm, case):
    values, message = SCHEMA[case]
    assert message in refusal(helm, values)


@pytest.mark.parametrize("case", CHART)
def test_chart(helm, case):
    values, message = CHART[case]
    assert message in refusal(helm, values)


@pytest.mark.parametrize("key", MANAGED)
def test_key_that_the_chart_sets(helm, key):
    assert f"config.{key}: the chart sets this key; use {MANAGED[key]}" in refusal(helm, nested(f"config.{key}", "x"))


SECTIONS = sorted(tomllib.loads((FOLDER.parents[1] / "config.default.toml").read_text()).keys() | {"resource", "scopes"})


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("shape", ["default", "all-in-one", "distributed"])
def test_a_form_that_nobody_expects_is_left_to_grantd_or_refused_with_a_message(helm, shape, section):
    for wrong in ["x", "", 7, 0, True, False, [], ["x"], [7], [None], [[]], [{}], [{"x": 1}], {}, {"x": None}, {"paths": ["/x"]}]:
        values = merged(SHAPES[shape], nested("config", {section: wrong}))
        try:
            helm.install(values)
        except Refused as refused:
            # Not an error of a template, which names a file of the chart and no value.
            assert "These values cannot work:\n  - " in str(refused) or "config: it cannot be written as TOML" in str(refused), (wrong, refused)


@pytest.mark.parametrize("url", ["", "http://", "https://[::1", "https://a b", "https://a:1:2", "https://a/\n", "://", "https://a%zz", "x", "//a"])
def test_a_public_url_that_cannot_be_read_is_refused_with_a_message(helm, url):
    said = refusal(helm, {"publicUrl": url})
    assert "publicUrl: write what clients see" in said or "at '/publicUrl'" in said


def test_everything_is_said_at_once(helm):
    said = refusal(helm, {"mode": "distributed", "config": {"listen": "x"}})
    assert said.count("\n  - ") == 4, said


def test_the_password_that_is_refused_is_not_repeated(helm):
    assert "hunter2" not in refusal(helm, redis("redis://:hunter2@redis:6379"))


def test_what_is_nearly_refused_is_taken(helm):
    helm.install({"terminationGracePeriodSeconds": 20})
    helm.install(merged(TWO, nested("facade.podDisruptionBudget.minAvailable", 1)))
    helm.install(merged(TWO, nested("facade.podDisruptionBudget.minAvailable", "50%")))
    # Then `maxUnavailable` is not used.
    helm.install(merged(TWO, nested("facade.podDisruptionBudget", {"minAvailable": 1, "maxUnavailable": 0})))
    # One pod has no budget, whatever it would be.
    helm.install(merged(TWO, nested("facade", {"replicas": 1, "podDisruptionBudget": {"minAvailable": 1}})))
    # Of a limit Kubernetes makes the request.
    helm.install(merged(TWO, nested("facade", {"autoscaling": {"enabled": True}, "resources": {"requests": None, "limits": {"cpu": "1"}}})))
    # Every old one goes first, so no number says how many.
    helm.install(merged(TWO, nested("facade.strategy", {"type": "Recreate", "rollingUpdate": {"maxSurge": 0}})))
    # The bundled Valkey and the demo's server need no rule.
    helm.install({"networkPolicy": {"enabled": True, "egress": {"enabled": True}}, "valkey": {"enabled": True}})
    helm.install({"networkPolicy": {"enabled": True, "operationsFrom": [{"podSelector": {}}]}, "serviceMonitor": {"enabled": True}})
    helm.install(merged(TWO, {"config": {"token_service": {"caller": [{"name": "b", "role": "verify", "key_file": "/etc/grantd/callers/b"}]}}}))
    for url in ["http://[::1]:8080", "http://127.0.0.1", "https://mcp.example.com/a/b%20c/"]:
        helm.install({"publicUrl": url, "upstream": "http://a:3000"})
    helm.install(merged(REDIS, nested("allInOne.replicas", 2)))
    helm.install(merged(ONE, nested("ingress.hosts", ["a.example.com", "mcp.example.com"])))
    # A user without a password, and an @ that is none of a password.
    helm.install(redis("redis://grantd@redis:6379"))
    helm.install(redis("redis-cluster://redis:6379?node=b:6379"))

"""The shapes of the chart that the tests render, and a use of every value.

`SHAPES` are what people install. `SWITCHES` has one entry for each value of values.yaml (a test compares the two): a shape in which the
value means something, and values that differ from it in this one. So every value is rendered, judged by the schemas, and seen to change
something.
"""

from copy import deepcopy

UPSTREAM = "http://my-server.tools:3000/mcp"
IMAGE = {"image": {"repository": "registry.example.com/grantd"}}
HTTPS = {"publicUrl": "https://mcp.example.com", **IMAGE}
REDIS = {"redis": {"existingSecret": {"name": "acme-redis"}}}
MUTUAL = {"tls": {"enabled": True, "mutual": True, "certManager": {"enabled": True, "issuerRef": {"name": "internal-ca"}}}}
GIVEN = {"tls": {"enabled": True, "tokenService": {"existingSecret": "given-tls"}}}
DISTRIBUTED = {"mode": "distributed", "upstream": UPSTREAM}


def merged(*layers):
    """Values as Helm merges them: maps key by key, everything else whole."""
    result = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            result[key] = merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else deepcopy(value)
    return result


def nested(path, value):
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def namespace(name):
    """Everything in a namespace, as a peer of a NetworkPolicy."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def to(name, port):
    """A port of everything in a namespace, as an egress rule."""
    return {"ports": [{"port": port, "protocol": "TCP"}], "to": [namespace(name)]}


SHAPES = {
    "default": {},
    "all-in-one": merged(
        HTTPS,
        {
            "upstream": UPSTREAM,
            "config": {"http": {"trusted_proxies": ["10.0.0.0/8"]}},
            "ingress": {"enabled": True, "className": "nginx", "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "3600"}},
        },
    ),
    "all-in-one-redis": merged(HTTPS, REDIS, {"upstream": UPSTREAM, "allInOne": {"replicas": 3}}),
    "distributed": merged(
        DISTRIBUTED,
        HTTPS,
        REDIS,
        MUTUAL,
        {
            "facade": {"autoscaling": {"enabled": True}},
            "httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]},
            "networkPolicy": {
                "enabled": True,
                "operationsFrom": [namespace("monitoring")],
                "egress": {"enabled": True, "http": [to("tools", 3000)], "store": [to("redis", 6379)]},
            },
            "serviceMonitor": {"enabled": True},
        },
    ),
    "distributed-key": merged(DISTRIBUTED, GIVEN, {"redis": {"url": "redis-cluster://redis:6379?node=redis-1:6379"}}),
    "distributed-valkey": merged(
        DISTRIBUTED, {"valkey": {"enabled": True}, "tls": {"insecurePlaintext": True}, "networkPolicy": {"enabled": True}}
    ),
}

PASSWORD_URL = {"redis": {"url": "redis://:$(REDIS_PASSWORD)@redis:6379"}}
CONSTRAINT = {"maxSkew": 2, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]
        }
    }
}
PEER = namespace("elsewhere")
RULE = {"ports": [{"port": 443, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}
TOLERATION = {"key": "dedicated", "operator": "Equal", "value": "grantd", "effect": "NoSchedule"}


def of_half(name):
    """The values of a component that may be of another version than the other."""
    return {
        f"{name}.image.repository": (TWO, "registry.example.com/grantd-canary"),
        f"{name}.image.tag": (TWO, "0.0.9"),
        f"{name}.image.digest": (TWO, "sha256:" + "2" * 64),
    }


def of_component(name, shape):
    """The values that every component has."""
    scaling = merged(shape, nested(f"{name}.autoscaling.enabled", True))
    cases = {
        "replicas": (merged(shape, nested(f"{name}.autoscaling.enabled", False)), 4),
        "resources": (shape, {"limits": {"cpu": "2"}}),
        "strategy.type": (shape, "Recreate"),
        "strategy.rollingUpdate.maxSurge": (shape, "50%"),
        "strategy.rollingUpdate.maxUnavailable": (shape, 1),
        "autoscaling.enabled": (merged(shape, nested(f"{name}.autoscaling.enabled", False)), True),
        "autoscaling.minReplicas": (scaling, 3),
        "autoscaling.maxReplicas": (scaling, 20),
        "autoscaling.targetCPUUtilizationPercentage": (scaling, 50),
        "autoscaling.targetMemoryUtilizationPercentage": (scaling, 80),
        "autoscaling.metrics": (
            scaling,
            [{"type": "Pods", "pods": {"metric": {"name": "streams"}, "target": {"type": "AverageValue", "averageValue": "500"}}}],
        ),
        "autoscaling.behavior": (scaling, {"scaleDown": {"stabilizationWindowSeconds": 600}}),
        "podDisruptionBudget.enabled": (shape, False),
        "podDisruptionBudget.maxUnavailable": (shape, "50%"),
        "podDisruptionBudget.minAvailable": (shape, 1),
        "podAnnotations": (shape, {"example.com/note": "7"}),
        "podLabels": (shape, {"team": "tools"}),
        "extraEnv": (shape, [{"name": "RUST_LOG", "value": "debug"}]),
        "nodeSelector": (shape, {"kubernetes.io/os": "linux"}),
        "tolerations": (shape, [TOLERATION]),
        "affinity": (shape, AFFINITY),
        "topologySpreadConstraints": (shape, [CONSTRAINT]),
        "priorityClassName": (shape, "important"),
    }
    return {f"{name}.{path}": case for path, case in cases.items()}


VALKEY, TLS, ONE, TWO = SHAPES["distributed-valkey"], SHAPES["distributed"], SHAPES["all-in-one"], SHAPES["distributed-key"]
ROUTE = merged(ONE, {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}})
BALANCER = merged(ONE, {"service": {"type": "LoadBalancer"}})

# The path of a value: the shape it is set in, and what it is set to.
SWITCHES = {
    "mode": (merged(REDIS, MUTUAL, {"upstream": UPSTREAM}), "distributed"),
    "publicUrl": (ONE, "https://mcp.example.com/auth"),
    "upstream": ({}, UPSTREAM),
    "config": (ONE, {"tokens": {"access_ttl": "30m"}}),
    "nameOverride": (TLS, "door"),
    "fullnameOverride": (TLS, "the-door"),
    "commonLabels": (TLS, {"team": "tools"}),
    "image.repository": ({}, "registry.example.com/grantd"),
    "image.tag": ({}, "0.1.0-rc.1"),
    "image.digest": ({}, "sha256:" + "0" * 64),
    "image.pullPolicy": ({}, "Always"),
    "imagePullSecrets": (VALKEY, [{"name": "registry"}]),
    "redis.url": ({}, "redis-sentinel://sentinel:26379?sentinelServiceName=grantd"),
    "redis.existingSecret.name": ({}, "acme-redis"),
    "redis.existingSecret.key": (SHAPES["all-in-one-redis"], "grantd-url"),
    "redis.passwordSecret.name": (PASSWORD_URL, "redis-password"),
    "redis.passwordSecret.key": (merged(PASSWORD_URL, nested("redis.passwordSecret.name", "redis-password")), "redis-password"),
    "redis.tls.existingSecret": ({"redis": {"url": "rediss://redis:6379"}}, "redis-tls"),
    "redis.tls.clientCertificate": ({"redis": {"url": "rediss://redis:6379", "tls": {"existingSecret": "redis-tls"}}}, True),
    "valkey.enabled": ({}, True),
    "valkey.image.repository": (VALKEY, "registry.example.com/valkey"),
    "valkey.image.tag": (VALKEY, "8.1.1"),
    "valkey.image.digest": (VALKEY, "sha256:" + "1" * 64),
    "valkey.image.pullPolicy": (VALKEY, "Always"),
    "valkey.existingSecret": (VALKEY, "valkey-auth"),
    "valkey.maxMemory": (VALKEY, "300mb"),
    "valkey.persistence.enabled": (VALKEY, False),
    "valkey.persistence.size": (VALKEY, "8Gi"),
    "valkey.persistence.storageClass": (VALKEY, "fast"),
    "valkey.resources": (VALKEY, {"limits": {"memory": "1Gi"}}),
    "valkey.nodeSelector": (VALKEY, {"kubernetes.io/os": "linux"}),
    "valkey.tolerations": (VALKEY, [TOLERATION]),
    "valkey.affinity": (VALKEY, AFFINITY),
    "persistence.enabled": ({}, False),
    "persistence.size": ({}, "5Gi"),
    "persistence.storageClass": ({}, "fast"),
    "persistence.accessModes": ({}, ["ReadWriteOncePod"]),
    "persistence.existingClaim": ({}, "my-claim"),
    "persistence.annotations": ({}, {"example.com/backup": "daily"}),
    "ownerPassword.existingSecret.name": ({}, "owner-of-mine"),
    "ownerPassword.existingSecret.key": ({}, "password"),
    "serviceKey.existingSecret.name": (TWO, "key-of-mine"),
    "serviceKey.existingSecret.key": (TWO, "key"),
    "callers.existingSecret.name": (TWO, "callers-of-mine"),
    "callers.existingSecret.key": (merged(TWO, nested("callers.existingSecret.name", "callers-of-mine")), "list"),
    "callers.keysSecret": (TWO, "keys-of-callers"),
    "tls.enabled": (merged(TWO, {"tls": {"enabled": False}}), True),
    "tls.insecurePlaintext": (merged(DISTRIBUTED, REDIS), True),
    "tls.mutual": (merged(TWO, nested("tls.facade.existingSecret", "facade-tls")), True),
    "tls.facadeName": (TLS, "facade.example.com"),
    "tls.tokenService.existingSecret": (TWO, "another-tls"),
    "tls.facade.existingSecret": (merged(TWO, {"tls": {"mutual": True, "facade": {"existingSecret": "a"}}}), "facade-tls"),
    "tls.ca.existingSecret": (TWO, "ca-of-mine"),
    "tls.ca.key": (merged(TWO, nested("tls.ca.existingSecret", "ca-of-mine")), "root.pem"),
    "tls.certManager.enabled": (merged(TLS, {"tls": {"certManager": {"enabled": False}}}), True),
    "tls.certManager.issuerRef.name": (TLS, "another-ca"),
    "tls.certManager.issuerRef.kind": (TLS, "ClusterIssuer"),
    "tls.certManager.issuerRef.group": (TLS, "issuers.example.com"),
    "tls.certManager.duration": (TLS, "24h"),
    "tls.certManager.renewBefore": (TLS, "360h"),
    "shutdown.delaySeconds": ({}, 15),
    "shutdown.deadlineSeconds": ({}, 60),
    "terminationGracePeriodSeconds": ({}, 120),
    "listenAddress": (TLS, "[::]"),
    "ports.http": (TWO, 8090),
    "ports.grpc": (TWO, 8091),
    "ports.operations": (TWO, 9091),
    **of_component("allInOne", SHAPES["all-in-one-redis"]),
    **of_component("facade", TWO),
    **of_component("tokenService", TWO),
    **of_half("facade"),
    **of_half("tokenService"),
    "extraEnv": (TWO, [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4317"}]),
    "extraEnvFrom": (TWO, [{"configMapRef": {"name": "more"}}]),
    "extraVolumes": (merged(TWO, HTTPS), [{"name": "more", "configMap": {"name": "more"}}]),
    "extraVolumeMounts": (merged(TWO, {"extraVolumes": [{"name": "more", "emptyDir": {}}]}), [{"name": "more", "mountPath": "/more"}]),
    "podSecurityContext": ({}, {"supplementalGroups": [1000]}),
    "securityContext": ({}, {"runAsUser": 1000}),
    "probes.startup": ({}, {"failureThreshold": 600}),
    "probes.liveness": ({}, {"periodSeconds": 30}),
    "probes.readiness": ({}, {"periodSeconds": 1}),
    "serviceAccount.create": ({}, False),
    "serviceAccount.name": ({}, "robot"),
    "serviceAccount.annotations": ({}, {"example.com/role": "none"}),
    "service.type": ({}, "NodePort"),
    "service.port": (ROUTE, 80),
    "service.nodePort": (BALANCER, 30080),
    "service.annotations": ({}, {"example.com/internal": "true"}),
    "service.externalTrafficPolicy": (BALANCER, "Local"),
    "service.loadBalancerSourceRanges": (BALANCER, ["192.0.2.0/24"]),
    "service.loadBalancerClass": (BALANCER, "example.com/internal"),
    "ingress.enabled": (merged(ONE, {"ingress": {"enabled": False}}), True),
    "ingress.className": (ONE, "traefik"),
    "ingress.annotations": (ONE, {"nginx.ingress.kubernetes.io/proxy-buffering": "off"}),
    "ingress.hosts": (ONE, ["mcp.example.com", "mcp.example.org"]),
    "ingress.tlsSecret": (ONE, "mcp-example-com"),
    "httpRoute.enabled": (merged(ROUTE, {"httpRoute": {"enabled": False}}), True),
    "httpRoute.annotations": (ROUTE, {"example.com/note": "7"}),
    "httpRoute.parentRefs": (ROUTE, [{"name": "public", "namespace": "gateways", "sectionName": "https"}]),
    "httpRoute.hosts": (ROUTE, ["mcp.example.com", "mcp.example.org"]),
    "httpRoute.timeouts": (ROUTE, {"backendRequest": "1h"}),
    "httpRoute.filters": (
        ROUTE,
        [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "X-Served-By", "value": "gateway"}]}}],
    ),
    "networkPolicy.enabled": (merged(TLS, {"networkPolicy": {"enabled": False}}), True),
    "networkPolicy.httpFrom": (TLS, [PEER]),
    "networkPolicy.operationsFrom": (TLS, [PEER]),
    "networkPolicy.grpcFrom": (TLS, [PEER]),
    "networkPolicy.egress.enabled": (merged(TLS, {"networkPolicy": {"egress": {"enabled": False}}}), True),
    "networkPolicy.egress.http": (TLS, [RULE]),
    "networkPolicy.egress.store": (TLS, [RULE]),
    "serviceMonitor.enabled": ({}, True),
    "serviceMonitor.labels": (TLS, {"release": "prometheus"}),
    "serviceMonitor.interval": (TLS, "15s"),
    "serviceMonitor.scrapeTimeout": (TLS, "5s"),
    "serviceMonitor.relabelings": (TLS, [{"action": "labeldrop", "regex": "pod"}]),
    "serviceMonitor.metricRelabelings": (TLS, [{"action": "drop", "sourceLabels": ["__name__"], "regex": "go_.*"}]),
    "tests.enabled": (ONE, False),
    "tests.extraArgs": (ONE, ["--ca-file", "/more/ca.crt"]),
}

# Those without which their shape is refused.
NEEDED = {"redis.passwordSecret.name", "tls.certManager.enabled", "tls.enabled", "tls.insecurePlaintext"}


def with_switch(path):
    """The values of a switch."""
    shape, value = SWITCHES[path]
    return merged(shape, nested(path, value))

"""What a rendered pod would run as: its environment with every reference followed."""

import re
from base64 import b64decode

# What is in Secrets that the person brings. No release knows them, so no text of it may hold them.
GIVEN = {
    "GRANTD_OWNER_PASSWORD": "owner-password-of-mine",
    "GRANTD_SERVICE_KEY": "service-key-of-mine-0123456789abcdef",
    "GRANTD_STORE__URL": "redis-sentinel://:redis-url-of-mine@sentinel:26379?sentinelServiceName=grantd",
    "GRANTD_TOKEN_SERVICE__CALLER": '[{name = "gate", role = "verify", key = "caller-key-of-mine-0123456789abcdef"}]',
    "REDIS_PASSWORD": "redis-password-of-mine",
}


def environment(rendered, container):
    """As the kubelet makes it: literal values, Secrets, and `$(NAME)` of what stands before."""
    made = {secret["metadata"]["name"]: secret["data"] for secret in rendered.all("Secret")}
    result = {}
    for entry in container.get("env", []):
        name = entry["name"]
        if "valueFrom" in entry:
            ref = entry["valueFrom"]["secretKeyRef"]
            result[name] = b64decode(made[ref["name"]][ref["key"]]).decode() if ref["name"] in made else GIVEN[name]
        else:
            result[name] = re.sub(r"\$\((\w+)\)", lambda found: result.get(found[1], found[0]), entry["value"])
    return result


def grantd_pods(rendered):
    """The pods that run grantd for good, by component."""
    templates = [thing["spec"]["template"] for thing in rendered.workloads()]
    component = "app.kubernetes.io/component"
    return {
        template["metadata"]["labels"][component]: template["spec"]
        for template in templates
        if component in template["metadata"]["labels"]
    }


def config_of(rendered, pod):
    """The configuration file that a pod has at /etc/grantd/grantd.toml."""
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["mountPath"] == "/etc/grantd/grantd.toml"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
    return rendered.one("ConfigMap", volume["configMap"]["name"])["data"][mount["subPath"]]

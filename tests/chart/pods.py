"""What a rendered pod would run as: its environment with every reference followed, and the secrets that it finds as files."""

import re
from base64 import b64decode

# What is in Secrets that the person brings. No release knows them, so no text of it may hold them.
GIVEN = {
    "owner-password": "owner-password-of-mine",
    "service-key": "service-key-of-mine-0123456789abcdef",
    "store-url": "redis-sentinel://:redis-url-of-mine@sentinel:26379?sentinelServiceName=grantd",
    "GRANTD_TOKEN_SERVICE__CALLER": '[{name = "gate", role = "verify", key = "caller-key-of-mine-0123456789abcdef"}]',
    "REDIS_PASSWORD": "redis-password-of-mine",
}
FOLDER = "/etc/grantd/secrets"


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


def secret_files(rendered, pod):
    """What is in the files below FOLDER, by their names, as the kubelet writes them."""
    mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["mountPath"] == FOLDER]
    if not mounts:
        return {}
    (mount,) = mounts
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
    made = {secret["metadata"]["name"]: secret["data"] for secret in rendered.all("Secret")}
    result = {}
    for source in volume["projected"]["sources"]:
        secret = source["secret"]
        for item in secret["items"]:
            path = item["path"]
            assert path not in result, f"{path} is there twice"
            result[path] = b64decode(made[secret["name"]][item["key"]]).decode() if secret["name"] in made else GIVEN[path]
    return result


def mounted(variables, files, folder):
    """The environment, with the files written into a folder of this machine, and the variables that name them led there."""
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: value.replace(FOLDER, str(folder)) for name, value in variables.items()}


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

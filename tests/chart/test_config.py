"""The rendered configuration, as grantd itself reads it.

1. `grantd config check` takes the file of every shape and every switch.
2. So does the command of each pod with the pod's environment: it goes on to listen, at an address that this machine does not have.
3. What stood in `config` is what is in the file, numbers and all.
"""

import subprocess
import tomllib

import pytest

from pods import FOLDER, config_of, environment, grantd_pods, mounted, secret_files
from shapes import SHAPES, SWITCHES, merged, with_switch

# An address of a documentation network (RFC 5737): nobody can listen there.
NOWHERE = "192.0.2.1:9"
CASES = {**SHAPES, **{path: with_switch(path) for path in SWITCHES}}
# What was judged already: most switches leave the configuration as it is.
TAKEN = set()


def run(grantd, args, variables, tmp_path):
    return subprocess.run([grantd, *args], env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("case", CASES)
def test_grantd_takes_it(helm, grantd, tmp_path, case):
    rendered = helm.install(CASES[case])
    pods = grantd_pods(rendered)
    assert pods
    for component, pod in pods.items():
        container = pod["containers"][0]
        text = config_of(rendered, pod)
        variables = {**environment(rendered, container), "GRANTD_DATA_DIR": str(tmp_path)}
        files = secret_files(rendered, pod)
        # Every file is read by somebody, and every one that is read is there.
        assert sorted(f"{FOLDER}/{name}" for name in files) == sorted(value for name, value in variables.items() if name.endswith("_FILE"))
        known = (text, tuple(container["args"]), tuple(sorted(variables.keys())))
        if known in TAKEN:
            continue
        file = tmp_path / f"{component}.toml"
        file.write_text(text)
        secrets = tmp_path / f"{component}.secrets"
        secrets.mkdir()
        variables = mounted(variables, files, secrets)
        checked = run(grantd, ["config", "check", "--config", str(file)], {}, tmp_path)
        assert checked.returncode == 0, f"{component}: {checked.stderr}\n{text}"

        assert variables["GRANTD_CONFIG"] == "/etc/grantd/grantd.toml"
        variables |= {"GRANTD_CONFIG": str(file), "GRANTD_LISTEN": NOWHERE, "GRANTD_TOKEN_SERVICE__LISTEN": NOWHERE}
        # The collector of a switch is not there, and nothing is exported.
        variables.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
        variables.pop("GRANTD_OPERATIONS__LISTEN", None)
        started = run(grantd, container["args"], variables, tmp_path)
        # 64 would be: the configuration must change.
        assert started.returncode == 1 and f"cannot listen on {NOWHERE}" in started.stderr, f"{component}: {started.returncode} {started.stderr}\n{text}"
        TAKEN.add(known)


def test_every_command_exists(helm, grantd, tmp_path):
    commands = {container["args"][0] for shape in SHAPES.values() for pod in helm.install(shape).pods().values() for container in pod["containers"] if "args" in container}
    assert commands == {"demo", "doctor", "facade", "serve", "token-service"}
    for command in commands:
        asked = run(grantd, [command, "--help"], {}, tmp_path)
        assert asked.returncode == 0, f"{command}: {asked.stderr}"


RICH = {
    "http": {"max_connections": 1048576, "trusted_proxies": ["10.0.0.0/8", "fd00::/8"]},
    "tokens": {"access_ttl": "30m", "endpoint_auth_methods": ["none"], "refresh_overlap": "0s"},
    "sign_in": {"argon2_parallel": 4},
    "store": {"wait_replicas": 1},
    "facade": {"iss_parameter": False, "max_body": 65536},
    "log": {"filter": 'warn,grantd[{event="serving"}]=info'},
    "resource": [
        {
            "paths": ["/articles", "/mcp"],
            "upstream": "http://articles:3000/mcp",
            "name": 'Articles "of" Zoë \\ Ünal',
            "scopes": ["read:articles", "write:articles"],
            "allow_groups": ["owner", "writers"],
            "trust_mcp_headers": True,
            "rule": [
                {"methods": ["tools/call"], "names": ["write_*"], "scopes": ["write:articles"]},
                {"names": ["!read_*"], "scopes": ["write:articles"]},
            ],
        },
        {"paths": ["/other"], "upstream": "https://other.example.com/mcp", "scopes": ["read:articles"]},
    ],
    "scopes": {
        "read:articles": "Read your articles",
        "write:articles": {"description": "Write\nand publish", "implies": ["read:articles"]},
    },
}


@pytest.mark.parametrize("shape", ["all-in-one-redis", "distributed", "distributed-key"])
def test_what_stands_in_config_is_what_is_in_the_file(helm, grantd, tmp_path, shape):
    values = merged(SHAPES[shape], {"upstream": "", "config": RICH})
    rendered = helm.install(values)
    for component, pod in grantd_pods(rendered).items():
        text = config_of(rendered, pod)
        read = tomllib.loads(text)
        for section, wanted in RICH.items():
            got = read[section]
            assert got == wanted or (section == "store" and wanted.items() <= got.items()), section
            assert type(got) is type(wanted)
        # 1048576 is 1.048576e+06 to Helm, and True == 1 to Python.
        assert "max_connections = 1048576\n" in text and "trust_mcp_headers = true\n" in text
        file = tmp_path / f"{component}.toml"
        file.write_text(text)
        checked = run(grantd, ["config", "check", "--config", str(file)], {}, tmp_path)
        assert checked.returncode == 0, checked.stderr


def test_a_key_that_does_not_exist_is_refused_by_grantd(helm, grantd, tmp_path):
    rendered = helm.install({"config": {"tokens": {"acces_ttl": "1h"}}})
    file = tmp_path / "grantd.toml"
    file.write_text(rendered.config("acme-grantd"))
    checked = run(grantd, ["config", "check", "--config", str(file)], {}, tmp_path)
    assert checked.returncode == 64 and "did you mean `tokens.access_ttl`?" in checked.stderr


def test_each_half_has_its_own_part(helm):
    rendered = helm.install(merged(SHAPES["distributed"], {"config": {"token_service": {"caller": [{"name": "gate", "certificate": "gate.example.com"}]}}}))
    facade, service = (tomllib.loads(rendered.config(f"acme-grantd-{half}")) for half in ("facade", "token-service"))
    assert facade["token_service"] == {
        "url": "https://acme-grantd-token-service:8081",
        "tls": {file: f"/etc/grantd/tls/{name}" for file, name in [("ca_file", "ca.crt"), ("cert_file", "tls.crt"), ("key_file", "tls.key")]},
    }
    assert "store" not in facade and "listen" not in service
    assert [(caller["name"], caller["certificate"]) for caller in service["token_service"]["caller"]] == [
        ("facade", "acme-grantd-facade"),
        ("gate", "gate.example.com"),
    ]


def test_a_change_rolls_the_pods_that_read_it_and_no_others(helm):
    def checksums(values):
        found = helm.install(values).workloads()
        return {thing["metadata"]["name"]: thing["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for thing in found}

    shape = SHAPES["distributed-valkey"]
    before = checksums(shape)
    assert len(set(before.values())) == 3

    def changed(more):
        after = checksums(merged(shape, more))
        return {name.removeprefix("acme-grantd-") for name in before if before[name] != after[name]}

    assert changed({"config": {"tokens": {"access_ttl": "30m"}}}) == {"facade", "token-service"}
    assert changed({"config": {"token_service": {"caller": [{"name": "a", "certificate": "a.example"}]}}}) == {"token-service"}
    assert changed({"valkey": {"maxMemory": "300mb"}}) == {"valkey"}
    assert changed({"facade": {"replicas": 5}}) == set()

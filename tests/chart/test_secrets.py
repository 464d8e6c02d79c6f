"""What is secret is in Secrets and nowhere else."""

import subprocess
from base64 import b64decode

import pytest

from pods import FOLDER, GIVEN, environment, grantd_pods, secret_files
from shapes import SHAPES, SWITCHES, merged, nested, with_switch

CASES = {**SHAPES, **{path: with_switch(path) for path in SWITCHES}}


@pytest.mark.parametrize("case", CASES)
def test_what_is_made_stands_in_secrets_alone(helm, case):
    rendered = helm.install(CASES[case])
    made = [b64decode(value).decode() for secret in rendered.all("Secret") for value in secret["data"].values()]
    # The URL and the line with a password: the password alone, too.
    made += [text.split(":")[2].split("@")[0] for text in made if text.startswith("redis://")]
    others = "\n".join(str(thing) for thing in rendered.objects if thing["kind"] != "Secret")
    for text in made:
        assert len(text) >= 24
        assert text.strip() not in others and text.strip() not in rendered.notes


def test_every_secret_comes_from_where_it_was_said_to_be(helm):
    brought = merged(
        SHAPES["distributed-key"],
        {
            "redis": {"url": "redis://:$(REDIS_PASSWORD)@redis:6379", "passwordSecret": {"name": "redis-password"}},
            "ownerPassword": {"existingSecret": {"name": "owner-of-mine", "key": "p"}},
            "serviceKey": {"existingSecret": {"name": "key-of-mine", "key": "k"}},
            "callers": {"existingSecret": {"name": "callers-of-mine", "key": "c"}},
        },
    )
    rendered = helm.install(brought)
    assert rendered.all("Secret") == []
    pods = grantd_pods(rendered)
    service = environment(rendered, pods["token-service"]["containers"][0])
    # What grantd cannot read from a file.
    told = {name: service[name] for name in ("GRANTD_TOKEN_SERVICE__CALLER", "REDIS_PASSWORD")}
    assert told == {name: GIVEN[name] for name in told}
    assert service["GRANTD_STORE__URL"] == f"redis://:{GIVEN['REDIS_PASSWORD']}@redis:6379"
    assert secret_files(rendered, pods["token-service"]) == {name: GIVEN[name] for name in ("owner-password", "service-key")}
    # The half that clients reach has the key of the other half, and nothing else.
    assert environment(rendered, pods["facade"]["containers"][0]) == {
        "GRANTD_CONFIG": "/etc/grantd/grantd.toml",
        "GRANTD_SERVICE_KEY_FILE": f"{FOLDER}/service-key",
    }
    assert secret_files(rendered, pods["facade"]) == {"service-key": GIVEN["service-key"]}


@pytest.mark.parametrize("case", CASES)
def test_no_secret_stands_in_an_environment(helm, case):
    for pod in helm.install(CASES[case]).pods().values():
        variables = {entry["name"] for container in pod["containers"] for entry in container.get("env", []) if "valueFrom" in entry}
        # Those two that README.md names, each where the person asks for it.
        asked = {"redis.passwordSecret": "REDIS_PASSWORD", "callers.existingSecret": "GRANTD_TOKEN_SERVICE__CALLER"}
        assert variables <= {variable for value, variable in asked.items() if case.startswith(value)}


@pytest.mark.parametrize("case", CASES)
def test_a_secret_is_for_the_group_of_the_pod_and_mounted_whole(helm, case):
    for pod in helm.install(CASES[case]).pods().values():
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
        volumes = [volume for volume in pod.get("volumes", []) if "secret" in volume or "projected" in volume]
        for volume in volumes:
            assert (volume.get("secret") or volume["projected"])["defaultMode"] == 0o440
        mounts = [mount for container in pod["containers"] for mount in container.get("volumeMounts", [])]
        secret = [mount for mount in mounts if mount["name"] in [volume["name"] for volume in volumes]]
        assert len(secret) == len(volumes) and all(mount["readOnly"] and "subPath" not in mount for mount in secret)


def test_keys_of_callers_are_files_beside_the_configuration(helm, grantd, tmp_path):
    caller = {"name": "gate-in-berlin", "role": "verify", "key_file": "/etc/grantd/callers/berlin"}
    rendered = helm.install(merged(SHAPES["distributed-key"], nested("callers.keysSecret", "k"), {"config": {"token_service": {"caller": [caller]}}}))
    pods = grantd_pods(rendered)
    (mount,) = [mount for mount in pods["token-service"]["containers"][0]["volumeMounts"] if mount["name"] == "caller-keys"]
    assert caller["key_file"].startswith(mount["mountPath"] + "/")
    assert [volume for volume in pods["facade"]["volumes"] if volume["name"] == "caller-keys"] == []
    (tmp_path / "berlin").write_text("caller-key-of-mine-0123456789abcdef\n")
    file = tmp_path / "grantd.toml"
    file.write_text(rendered.config("acme-grantd-token-service").replace(mount["mountPath"], str(tmp_path)))
    checked = subprocess.run([grantd, "config", "check", "--config", file], env={}, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0 and "gate-in-berlin" in checked.stdout, checked.stderr


def test_with_certificates_there_is_no_service_key(helm):
    rendered = helm.install(SHAPES["distributed"])
    for pod in grantd_pods(rendered).values():
        assert not any("SERVICE_KEY" in name for name in environment(rendered, pod["containers"][0]))
        assert "service-key" not in secret_files(rendered, pod)
    assert [secret["metadata"]["name"] for secret in rendered.all("Secret")] == ["acme-grantd-owner"]


def test_what_is_made_is_long_enough_and_new_each_time(helm):
    first, second = (helm.releases([SHAPES["distributed-key"]])[0] for _ in range(2))
    keys = [b64decode(release.one("Secret", "acme-grantd-service-key")["data"]["service-key"]) for release in (first, second)]
    assert keys[0] != keys[1] and all(len(key) == 48 and key.isalnum() for key in keys)


def test_a_url_without_a_password_may_be_seen(helm):
    rendered = helm.install(merged(SHAPES["distributed-key"], nested("redis.url", "redis://redis:6379/2")))
    assert 'url = "redis://redis:6379/2"' in rendered.config("acme-grantd-token-service")

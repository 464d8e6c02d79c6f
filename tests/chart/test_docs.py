"""What the chart says of itself is so."""

import re
import subprocess
import sys
import tomllib

import kubernetes_validate
import pytest
import yaml

from engine import CHART
from pods import grantd_pods
from shapes import HTTPS, IMAGE, SHAPES, merged, nested

ROOT = CHART.parents[1]
README = (CHART / "README.md").read_text()


def test_the_table_is_the_one_of_values_yaml():
    checked = subprocess.run([sys.executable, ROOT / "script/chart-readme", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
VALUES = [text for text in BLOCKS if not text.startswith("apiVersion:")]
COMMANDS = "".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL))


@pytest.mark.parametrize("text", VALUES)
def test_examples_are_installed(helm, text):
    rendered = helm.install(yaml.safe_load(text))
    # Nothing that an example could have said is left to be warned of, in those that are whole.
    if "image:" in text:
        assert set(re.findall("WARNING: (\\S+)", rendered.notes)) <= {"config.http.trusted_proxies"}


def test_an_ingress_has_the_annotations_of_the_example():
    (ingress,) = [values["ingress"] for values in map(yaml.safe_load, VALUES) if "ingress" in values]
    example = yaml.safe_load((ROOT / "examples/proxies/ingress-nginx.yaml").read_text())
    told = {key: value for key, value in ingress["annotations"].items() if key.startswith("nginx.")}
    assert told == example["metadata"]["annotations"] and len(told) == 5


def test_the_pod_that_restores_is_allowed_and_finds_the_volume(helm):
    (pod,) = [yaml.safe_load(text) for text in BLOCKS if text not in VALUES]
    rendered = helm.install(release="grantd")
    kubernetes_validate.validate(pod, "1.37", strict=True)
    (own,) = grantd_pods(rendered).values()
    (container,), (there,) = pod["spec"]["containers"], own["containers"]
    # As grantd's own, which test_pods.py judges: so it may write, and what it writes may be read.
    assert pod["spec"]["securityContext"] == own["securityContext"] and container["securityContext"] == there["securityContext"]
    (mount,) = container["volumeMounts"]
    assert mount in there["volumeMounts"]
    assert [volume for volume in own["volumes"] if volume["name"] == mount["name"]] == pod["spec"]["volumes"]
    folder = tomllib.loads(rendered.config("grantd"))["data_dir"]
    assert f" {folder}/grantd.redb\n" in COMMANDS and mount["mountPath"] == folder


def test_commands_name_what_is_there(helm):
    one = helm.install(release="grantd")
    two = helm.install(SHAPES["distributed-key"], release="grantd")
    several = helm.install(SHAPES["all-in-one-redis"], release="grantd")
    there = {f"{thing['kind']}/{thing['metadata']['name']}".lower() for rendered in (one, two, several) for thing in rendered.objects}
    named = set(re.findall(r"(?:deployment|statefulset)/[-a-z]+", README))
    assert named == {"deployment/grantd", "deployment/grantd-facade", "deployment/grantd-token-service", "statefulset/grantd"}
    assert named <= there


def test_the_old_and_the_new_service_key_overlap(grantd, tmp_path):
    """The Secret of *Secrets and their rotation* in each of its states, as a token service reads it."""
    (tmp_path / "old").write_text("o" * 43 + "=\n")
    (line,) = re.findall(r"^echo \"\[.* > callers$", README, re.MULTILINE)
    subprocess.run(["sh", "-ec", line], cwd=tmp_path, check=True)
    between = (tmp_path / "callers").read_text()
    assert "o" * 43 in between

    def start(key, callers):
        (tmp_path / "service-key").write_text(key + "\n")
        variables = {"GRANTD_SERVICE_KEY_FILE": str(tmp_path / "service-key"), "GRANTD_TOKEN_SERVICE__CALLER": callers}
        variables |= {"GRANTD_TOKEN_SERVICE__LISTEN": "192.0.2.1:9", "GRANTD_TOKEN_SERVICE__INSECURE_PLAINTEXT": "true", "GRANTD_DATA_DIR": str(tmp_path)}
        return subprocess.run([grantd, "token-service"], env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=30)

    for callers in (between, "[]\n"):
        started = start("n" * 43 + "=", callers)
        assert started.returncode == 1 and "cannot listen on 192.0.2.1:9" in started.stderr, started
    # Which is why the new key is never put into the list.
    started = start("o" * 43 + "=", between)
    assert started.returncode == 64 and "two callers have the same key" in started.stderr, started


def test_the_example_in_toml_is_the_one_in_yaml(helm):
    (toml,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (text,) = [text for text in VALUES if text.startswith("config:")]
    written = helm.install(yaml.safe_load(text)).config("acme-grantd")
    told = tomllib.loads(toml)
    assert {key: value for key, value in tomllib.loads(written).items() if key in told} == told


def notes(helm, *layers):
    return helm.install(merged(*layers)).notes


def test_notes_lead_to_a_first_sign_in(helm):
    text = notes(helm)
    assert "this is `grantd demo`" in text
    assert "kubectl -n tools port-forward service/acme-grantd 8080:8080" in text
    assert "claude mcp add --transport http acme-grantd http://localhost:8080/mcp" in text
    assert "get secret acme-grantd-owner -o jsonpath='{.data.owner-password}'" in text
    assert "exec -it statefulset/acme-grantd -- grantd user add" in text
    assert "helm -n tools test" not in text
    # Whoever names a registry is warned of nothing.
    assert "WARNING" not in notes(helm, IMAGE)
    for url, ports in [("http://localhost:9000", "9000:8080"), ("http://localhost", "80:8080"), ("http://[::1]/a", "80:8080"), ("http://[::1]:81", "81:8080")]:
        assert f"port-forward service/acme-grantd {ports}\n" in notes(helm, nested("publicUrl", url), {"upstream": "http://a:3000"})


def test_notes_name_what_is_there(helm):
    text = notes(helm, SHAPES["distributed"], {"config": {"resource": [{"paths": ["/a", "/b"]}, {"paths": ["/c"]}]}, "upstream": ""})
    assert "grantd demo" not in text and "port-forward" not in text
    assert [f"https://mcp.example.com/{path}\n" in text for path in "abc"] == [True] * 3
    assert "exec -it deployment/acme-grantd-token-service -- grantd" in text
    assert "rollout status deployment/acme-grantd-token-service\n" in text and "rollout status deployment/acme-grantd-facade\n" in text
    assert "your gateway in DNS" in text
    assert "helm -n tools test acme --logs" in text
    assert "Service acme-grantd, port 8080" in notes(helm, SHAPES["all-in-one"], nested("ingress.enabled", False))
    key = nested("ownerPassword.existingSecret", {"name": "mine", "key": "pass.word"})
    assert r"get secret mine -o jsonpath='{.data.pass\.word}'" in notes(helm, key)


@pytest.mark.parametrize(
    ("layers", "warning"),
    [
        ([SHAPES["distributed"]], "config.http.trusted_proxies is not set"),
        ([], "image.repository is `grantd`"),
        ([nested("image.digest", "sha256:" + "0" * 64)], "image.repository is `grantd`"),
        ([HTTPS, {"upstream": "http://a:3000", "ingress": {"enabled": True}}], "ingress.annotations raise no time limit"),
        (
            [HTTPS, {"upstream": "http://a:3000", "ingress": {"enabled": True, "annotations": {"example.com/note": "7"}}}],
            "ingress.annotations raise no time limit",
        ),
        ([nested("persistence.enabled", False)], "persistence.enabled is false"),
        ([SHAPES["distributed-valkey"], nested("valkey.persistence.enabled", False)], "valkey.persistence.enabled is false"),
        ([SHAPES["distributed-valkey"]], "the bundled Valkey is a single process"),
    ],
)
def test_notes_warn(helm, layers, warning):
    assert f"WARNING: {warning}" in notes(helm, *layers)


def test_notes_do_not_warn_without_reason(helm):
    assert "WARNING" not in notes(helm, SHAPES["all-in-one"])
    assert "WARNING" not in notes(helm, SHAPES["distributed"], {"config": {"http": {"trusted_proxies": ["10.0.0.0/8"]}}})


def test_the_test_plays_a_client_of_the_public_name(helm):
    pod = helm.install(SHAPES["all-in-one"]).one("Pod", "acme-grantd-test")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["containers"][0]["args"] == ["doctor", "https://mcp.example.com/mcp"]
    resources = {"config": {"resource": [{"paths": ["/articles"], "upstream": "http://a/mcp"}]}, "upstream": ""}
    pod = helm.install(merged(SHAPES["all-in-one"], resources, {"publicUrl": "https://example.com/auth/"})).one("Pod", "acme-grantd-test")
    assert pod["spec"]["containers"][0]["args"] == ["doctor", "https://example.com/auth/articles"]
    assert helm.install().all("Pod") == []

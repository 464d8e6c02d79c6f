"""What the chart says of itself is so."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from engine import CHART
from shapes import SHAPES, merged, nested

ROOT = CHART.parents[1]
README = (CHART / "README.md").read_text()


def test_the_table_is_the_one_of_values_yaml():
    checked = subprocess.run([sys.executable, ROOT / "script/chart-readme", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
def test_examples_are_installed(helm, text):
    helm.install(yaml.safe_load(text))


def test_the_example_in_toml_is_the_one_in_yaml(helm):
    (toml,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (text,) = [text for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if text.startswith("config:")]
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
    assert "helm -n tools test" not in text and "WARNING" not in text
    assert "9000:8080" in notes(helm, {"publicUrl": "http://localhost:9000"})


def test_notes_name_what_is_there(helm):
    text = notes(helm, SHAPES["distributed"], {"config": {"resource": [{"paths": ["/a", "/b"]}, {"paths": ["/c"]}]}, "upstream": ""})
    assert "grantd demo" not in text and "port-forward" not in text
    assert [f"https://mcp.example.com/{path}\n" in text for path in "abc"] == [True] * 3
    assert "exec -it deployment/acme-grantd-token-service -- grantd" in text
    assert "your gateway in DNS" in text
    assert "helm -n tools test acme --logs" in text
    assert "Service acme-grantd, port 8080" in notes(helm, SHAPES["all-in-one"], nested("ingress.enabled", False))
    key = nested("ownerPassword.existingSecret", {"name": "mine", "key": "pass.word"})
    assert r"get secret mine -o jsonpath='{.data.pass\.word}'" in notes(helm, key)


@pytest.mark.parametrize(
    ("layers", "warning"),
    [
        ([SHAPES["distributed"]], "config.http.trusted_proxies is not set"),
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

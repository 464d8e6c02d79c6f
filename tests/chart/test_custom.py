"""The custom resources of the chart, as the operators that read them know them."""

import json
import subprocess
from pathlib import Path

import pytest

from shapes import SHAPES, SWITCHES, with_switch

HERE = Path(__file__).parent
KINDS = {"Certificate", "HTTPRoute", "ServiceMonitor"}
# What the chart writes of them. The models take fields that do not exist, and so does an API server, which drops them: a slip of the pen
# would have no effect and no error.
FIELDS = {
    "Certificate": "secretName commonName dnsNames usages privateKey duration renewBefore issuerRef",
    "HTTPRoute": "parentRefs hostnames rules",
    "ServiceMonitor": "selector namespaceSelector podTargetLabels endpoints",
    "Certificate.privateKey": "algorithm size rotationPolicy",
    "Certificate.issuerRef": "name kind group",
    "HTTPRoute.rules": "matches filters timeouts backendRefs",
    "HTTPRoute.rules.timeouts": "request backendRequest",
    "HTTPRoute.rules.backendRefs": "name port",
    "ServiceMonitor.selector": "matchLabels",
    "ServiceMonitor.namespaceSelector": "matchNames",
    "ServiceMonitor.endpoints": "port path interval scrapeTimeout relabelings metricRelabelings",
}


def verdicts(things):
    judged = subprocess.run(
        ["node", HERE / "custom-resources.mjs"], input=json.dumps(things), capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(judged.stdout)


def unknown(node, path):
    if isinstance(node, list):
        return [found for item in node for found in unknown(item, path)]
    if not isinstance(node, dict) or path not in FIELDS:
        return []
    known = FIELDS[path].split()
    found = [f"{path}.{key}" for key in node if key not in known]
    return found + [deeper for key, value in node.items() for deeper in unknown(value, f"{path}.{key}")]


def test_every_one_is_as_its_operator_wants_it(helm):
    cases = [*SHAPES.values(), *map(with_switch, SWITCHES)]
    found = [thing for values in cases for thing in helm.install(values).objects if thing["kind"] in KINDS]
    assert {thing["kind"] for thing in found} == KINDS
    for thing, verdict in zip(found, verdicts(found), strict=True):
        assert verdict is None, (thing, verdict)
        assert unknown(thing["spec"], thing["kind"]) == []


@pytest.mark.parametrize(
    ("kind", "break_it", "said"),
    [
        ("Certificate", lambda spec: spec.update(usages=["server authentication"]), "usages/0 must be equal to one of"),
        ("Certificate", lambda spec: spec.pop("issuerRef"), "must have required property issuerRef"),
        ("HTTPRoute", lambda spec: spec["rules"][0]["backendRefs"][0].update(port="http"), "port must be integer"),
        ("ServiceMonitor", lambda spec: spec["endpoints"][0].update(interval="often"), "interval must match pattern"),
    ],
)
def test_what_is_wrong_is_said(helm, kind, break_it, said):
    thing = json.loads(json.dumps(helm.install(SHAPES["distributed"]).all(kind)[0]))
    break_it(thing["spec"])
    assert said in verdicts([thing])[0]

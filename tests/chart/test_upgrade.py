"""Upgrades: what nobody can change stays, what was made once stays, and what is new arrives.

The cluster (cluster.py) refuses a change of a field that is immutable; `test_the_cluster_would_notice` shows it.
"""

import re
import shutil
from base64 import b64decode

import pytest

from engine import CHART, Refused
from shapes import NEEDED, SHAPES, SWITCHES, merged, nested, with_switch

# Only what cannot be changed in any cluster, and says so in README.md or its comment.
FIXED = {
    # Other names are other objects, and other selectors.
    "nameOverride",
    # The API server lets a claim only grow.
    "persistence.storageClass",
    "persistence.accessModes",
    "valkey.persistence.storageClass",
}


@pytest.mark.parametrize("before", SHAPES)
@pytest.mark.parametrize("after", SHAPES)
def test_from_shape_to_shape_and_back(helm, before, after):
    helm.releases([SHAPES[before], SHAPES[after], SHAPES[before]])


@pytest.mark.parametrize("path", sorted(SWITCHES.keys() - FIXED - NEEDED))
def test_switch_is_turned(helm, path):
    shape, _ = SWITCHES[path]
    helm.releases([shape, with_switch(path)])


@pytest.mark.parametrize("path", sorted(FIXED))
def test_what_cannot_be_changed_is_refused_by_the_cluster(helm, path):
    shape, _ = SWITCHES[path]
    fixed = merged(shape, nested("fullnameOverride", "same"))
    with pytest.raises(Refused, match="field is immutable"):
        helm.releases([fixed, merged(fixed, with_switch(path))])


def secrets(rendered):
    return {thing["metadata"]["name"]: thing["data"] for thing in rendered.all("Secret")}


@pytest.mark.parametrize("shape", ["default", "distributed-key", "distributed-valkey"])
def test_what_was_made_once_is_kept(helm, shape):
    first, second, third = helm.releases([SHAPES[shape], merged(SHAPES[shape], nested("shutdown.delaySeconds", 7)), SHAPES[shape]])
    assert secrets(first) and secrets(first) == secrets(second) == secrets(third)
    # And elsewhere it is another.
    assert secrets(helm.releases([SHAPES[shape]])[0]) != secrets(first)


def test_valkey_and_its_url_agree(helm):
    data = secrets(helm.install(SHAPES["distributed-valkey"]))["acme-grantd-valkey"]
    password = b64decode(data["auth.conf"]).decode().removeprefix("requirepass ").strip()
    assert len(password) == 32
    assert b64decode(data["url"]).decode() == f"redis://:{password}@acme-grantd-valkey:6379"


def test_a_new_chart_restarts_nothing_that_it_does_not_change(helm, tmp_path):
    newer = tmp_path / "grantd"
    shutil.copytree(CHART, newer)
    text = (newer / "Chart.yaml").read_text()
    (newer / "Chart.yaml").write_text(text.replace("\nversion: 0.", "\nversion: 9."))
    for values in SHAPES.values():
        old, new = helm.install(values), helm.install(values, chart=str(newer))
        assert old.text != new.text
        assert templates(old) == templates(new)


def test_a_half_that_stays_behind_is_not_restarted(helm, tmp_path):
    newer = tmp_path / "grantd"
    shutil.copytree(CHART, newer)
    text = (newer / "Chart.yaml").read_text()
    version = re.search(r'^appVersion: "(.*)"$', text, re.MULTILINE)[1]
    (newer / "Chart.yaml").write_text(text.replace(f'appVersion: "{version}"', 'appVersion: "9.9.9"'))
    behind = merged(SHAPES["distributed"], nested("facade.image.tag", version))
    old, first, second = helm.releases([SHAPES["distributed"], behind, SHAPES["distributed"]], charts=[str(CHART), str(newer), str(newer)])
    names = ["acme-grantd-facade", "acme-grantd-token-service"]
    assert [templates(old)[name] == templates(first)[name] for name in names] == [True, False]
    assert [templates(first)[name] == templates(second)[name] for name in names] == [False, True]


def templates(rendered):
    return {thing["metadata"]["name"]: thing["spec"]["template"] for thing in rendered.workloads()}


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("all-in-one.yaml", "component: all-in-one", "component: serve", "spec.selector"),
        ("all-in-one.yaml", "-operations", "-headless", "spec.serviceName"),
        ("distributed.yaml", "component: {{ $component }}", "component: half-{{ $component }}", "spec.selector"),
        ("services.yaml", "clusterIP: None", "clusterIP: 10.0.0.7", "spec.clusterIP"),
        ("all-in-one.yaml", "accessModes:", "volumeName: x\n  accessModes:", "spec.volumeName"),
        ("valkey.yaml", "  replicas: 1", "  replicas: 1\n  volumeClaimTemplates: []", "spec.volumeClaimTemplates"),
    ],
)
def test_the_cluster_would_notice(helm, tmp_path, file, old, new, what):
    broken = tmp_path / "grantd"
    shutil.copytree(CHART, broken)
    template = broken / "templates" / file
    assert old in template.read_text()
    template.write_text(template.read_text().replace(old, new))
    values = SHAPES["distributed-valkey"] if file in ("distributed.yaml", "valkey.yaml") else {}
    with pytest.raises(Refused, match=rf"field is immutable: {what}"):
        helm.releases([values, values], charts=[str(CHART), str(broken)])

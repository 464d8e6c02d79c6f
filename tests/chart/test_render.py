"""Every shape and every value: rendered by Helm, and judged by the schemas of Kubernetes."""

import json

import kubernetes_validate
import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

from engine import CHART, Refused
from shapes import NEEDED, SHAPES, SWITCHES, with_switch

# The oldest that the chart takes (Chart.yaml), those between that people run, and the newest that there is.
VERSIONS = ["1.27", "1.31", "1.34", "1.36", "1.37"]
CUSTOM = {"Certificate", "HTTPRoute", "ServiceMonitor"}
LINT = YamlLintConfig("{extends: default, rules: {line-length: disable, document-start: disable, indentation: {indent-sequences: whatever}}}")
RENDERED = YamlLintConfig(
    "{extends: default, rules: {line-length: disable, document-start: disable, empty-lines: disable, trailing-spaces: disable,"
    " indentation: disable, octal-values: disable}}"
)


JUDGED = set()


def judge(rendered, version):
    """Refuses fields that do not exist, and values of the wrong form. Most objects are the same in many renderings."""
    for thing in rendered.objects:
        known = (version, json.dumps(thing, sort_keys=True))
        if thing["kind"] not in CUSTOM and known not in JUDGED:
            kubernetes_validate.validate(thing, version, strict=True)
            JUDGED.add(known)


def complaints(text, rules):
    # Duplicate keys are among them, which a parser takes in silence.
    return [f"{problem.line}: {problem.desc}" for problem in linter.run(text, rules)]


def leaves(values, prefix=""):
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and path not in SWITCHES:
            yield from leaves(value, path + ".")
        else:
            yield path


def test_the_newest_schemas_are_asked():
    bundled = kubernetes_validate.latest_version().removeprefix("v").rsplit(".", 1)[0]
    assert VERSIONS[-1] == bundled, "there is a newer Kubernetes to judge by"
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"


def test_every_value_is_among_the_switches():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert sorted(leaves(values)) == sorted(SWITCHES)


def test_lint(helm):
    found = helm.lint()
    assert found["TotalChartsLinted"] == 1 and not found["Errors"]
    # One is only informed that an icon is recommended.
    assert [message for message in found["Messages"] if message["Severity"] > 1] == []


@pytest.mark.parametrize("name", ["Chart.yaml", "values.yaml"])
def test_sources_are_tidy(name):
    assert complaints((CHART / name).read_text(), LINT) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_shape(helm, shape):
    rendered = helm.install(SHAPES[shape])
    assert complaints(rendered.text, RENDERED) == []
    for version in VERSIONS:
        judge(rendered, version)


@pytest.mark.parametrize("path", SWITCHES)
def test_switch(helm, path):
    shape, _ = SWITCHES[path]
    rendered = helm.install(with_switch(path))
    judge(rendered, VERSIONS[0])
    judge(rendered, VERSIONS[-1])
    if path in NEEDED:
        with pytest.raises(Refused):
            helm.install(shape)
    else:
        assert masked(helm.install(shape)) != masked(rendered), f"{path} changes nothing"


def masked(rendered):
    """Without what is random in every rendering."""
    return [thing if thing["kind"] != "Secret" else {**thing, "data": sorted(thing["data"])} for thing in rendered.objects]


def test_a_cluster_that_is_too_old_is_refused(helm):
    with pytest.raises(Refused, match="requires kubeVersion: >=1.27"):
        helm.install(version="v1.26.9")

"""The main shapes, word by word: a change of what is installed is seen in the review.

After a change that is meant, `GRANTD_TEST_RENEW=1 script/test chart` writes the files anew; read the difference.
"""

import os
from pathlib import Path

import pytest
import yaml

from shapes import SHAPES

GOLDEN = Path(__file__).parent / "golden"


class Written(yaml.SafeDumper):
    """Files within ConfigMaps stay readable."""


Written.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def written(rendered):
    """Every object in the order of its kind and name, and what the person reads. What is random is left out."""
    objects = []
    for thing in sorted(rendered.objects, key=lambda thing: (thing["kind"], thing["metadata"]["name"])):
        if thing["kind"] == "Secret":
            thing = {**thing, "data": {key: "(random)" for key in thing["data"]}}
        objects.append(thing)
    return yaml.dump_all(objects, Dumper=Written, width=200, allow_unicode=True) + "---\nnotes: |\n" + "".join(
        f"  {line}".rstrip() + "\n" for line in rendered.notes.splitlines()
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_as_it_was(helm, shape):
    text = written(helm.install(SHAPES[shape]))
    file = GOLDEN / f"{shape}.yaml"
    if os.environ.get("GRANTD_TEST_RENEW"):
        file.write_text(text)
    assert text == file.read_text(), f"{file.name}: GRANTD_TEST_RENEW=1 script/test chart writes it anew, if that is meant"


def test_no_file_is_left_over():
    assert sorted(file.stem for file in GOLDEN.glob("*")) == sorted(SHAPES)

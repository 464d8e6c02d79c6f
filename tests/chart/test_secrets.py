"""What is secret is in Secrets and nowhere else."""

from base64 import b64decode

import pytest

from pods import GIVEN, environment, grantd_pods
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
    assert {name: value for name, value in service.items() if name not in ("GRANTD_CONFIG", "GRANTD_STORE__URL")} == {
        name: value for name, value in GIVEN.items() if name != "GRANTD_STORE__URL"
    }
    assert service["GRANTD_STORE__URL"] == f"redis://:{GIVEN['REDIS_PASSWORD']}@redis:6379"
    # The half that clients reach has the key of the other half, and nothing else.
    assert environment(rendered, pods["facade"]["containers"][0]).keys() == {"GRANTD_CONFIG", "GRANTD_SERVICE_KEY"}


def test_with_certificates_there_is_no_service_key(helm):
    rendered = helm.install(SHAPES["distributed"])
    for pod in grantd_pods(rendered).values():
        assert "GRANTD_SERVICE_KEY" not in environment(rendered, pod["containers"][0])
    assert [secret["metadata"]["name"] for secret in rendered.all("Secret")] == ["acme-grantd-owner"]


def test_what_is_made_is_long_enough_and_new_each_time(helm):
    first, second = (helm.releases([SHAPES["distributed-key"]])[0] for _ in range(2))
    keys = [b64decode(release.one("Secret", "acme-grantd-service-key")["data"]["service-key"]) for release in (first, second)]
    assert keys[0] != keys[1] and all(len(key) == 48 and key.isalnum() for key in keys)


def test_a_url_without_a_password_may_be_seen(helm):
    rendered = helm.install(merged(SHAPES["distributed-key"], nested("redis.url", "redis://redis:6379/2")))
    assert 'url = "redis://redis:6379/2"' in rendered.config("acme-grantd-token-service")

"""What pgBackRest and rclone are told, and what of it is secret."""

from collections.abc import Mapping
from configparser import ConfigParser
from typing import Any, Literal

import pulumi
import pytest

from components.backup import repository as backup_repository
from components.backup import repository_conf
from components.backup.repository import Place, Repository, StaticKeys, WebIdentity
from components.base import Component, Identity
from components.platform.credentials import Credential
from tests.recorder import Recording, is_pulumi_secret, record

IDENTITY = Identity(product="fixia", environment="test", owner="o", cost_centre="c")


def credential(value: str) -> Credential:
    return Credential(current=pulumi.Output.secret(value))


class User(Component):
    """One who uses a repository."""

    TYPE = "fixia:test:User"

    def __init__(self, repository: Repository, *, replica: bool = False, more: str = "") -> None:
        super().__init__("user", IDENTITY, None)
        self.mounted = backup_repository.mounted(
            self, "user", "fixia-data", repository, "backup", replica=replica, more=more
        )
        self.finish()


def repository(
    access: Literal["keys", "role"] = "keys", *, cipher: str = "c i p h e r", key: str = "id", **place: Any
) -> Repository:
    given: dict[str, Any] = {"bucket": "fixia-backups", "region": "eu-central-1", "endpoint": "s3.example"}
    keys = StaticKeys(key=credential(key), secret=credential("hush"))
    return Repository(
        place=Place(**{**given, **place}),
        replica=Place(bucket="fixia-copy", region="eu-west-1", endpoint="s3.elsewhere.example"),
        cipher=credential(cipher),
        access={"backup": keys if access == "keys" else WebIdentity(role="arn:aws:iam::1:role/x")},
    )


def recorded(given: Repository, **options: Any) -> Recording:
    return record(lambda: User(given, **options) and None)


def config(recording: Recording) -> Mapping[str, str]:
    data: Mapping[str, str] = recording.one("kubernetes:core/v1:ConfigMap", "user-repository").inputs["data"]
    return data


def parsed(text: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return parser


def test_pgbackrest_is_told_where_to_and_that_all_is_encrypted() -> None:
    told = parsed(config(recorded(repository()))["pgbackrest.conf"])["global"]
    assert told["repo1-s3-bucket"] == "fixia-backups"
    assert told["repo1-s3-endpoint"] == "s3.example"
    assert told["repo1-s3-region"] == "eu-central-1"
    assert told["repo1-s3-uri-style"] == "host"
    assert told["repo1-cipher-type"] == "aes-256-cbc"
    assert told["repo1-path"] == "/pgbackrest"
    assert (told["compress-type"], told["repo1-bundle"], told["repo1-block"]) == ("zst", "y", "y")
    assert "repo1-storage-ca-file" not in told
    assert "repo1-storage-verify-tls" not in told


def test_a_private_storage_is_trusted_by_its_authority_and_never_blindly() -> None:
    recording = recorded(repository(path_style=True, authority="PEM\n"))
    told = parsed(config(recording)["pgbackrest.conf"])["global"]
    assert told["repo1-s3-uri-style"] == "path"
    assert told["repo1-storage-ca-file"] == "/etc/pgbackrest/ca.crt"
    assert config(recording)["ca.crt"].startswith("PEM\n")
    assert parsed(config(recording)["rclone.conf"])["repository"]["force_path_style"] == "true"


@pytest.mark.parametrize("access", ["keys", "role"])
def test_what_is_secret_is_in_the_secret_alone(access: Literal["keys", "role"]) -> None:
    recording = recorded(repository(access))
    assert "c i p h e r" not in str(config(recording))
    assert "hush" not in str(config(recording))
    secret = recording.one("kubernetes:core/v1:Secret", "user-repository-secrets").inputs["stringData"]
    assert is_pulumi_secret(secret)
    told = parsed(secret["value"]["secrets.conf"])["global"]
    assert told["repo1-cipher-pass"] == "c i p h e r"
    assert told.get("repo1-s3-key-secret") == ("hush" if access == "keys" else None)
    kind = parsed(config(recording)["pgbackrest.conf"])["global"]["repo1-s3-key-type"]
    assert kind == {"keys": "shared", "role": "web-id"}[access]


def test_the_replica_is_read_by_pgbackrest_and_reported_of_in_the_original() -> None:
    recording = recorded(repository(), replica=True)
    assert parsed(config(recording)["pgbackrest.conf"])["global"]["repo1-s3-bucket"] == "fixia-copy"
    remotes = parsed(config(recording)["rclone.conf"])
    assert remotes["repository"]["endpoint"] == "https://s3.example"
    assert remotes["replica"]["endpoint"] == "https://s3.elsewhere.example"
    assert all(remotes[name]["no_check_bucket"] == "true" for name in ("repository", "replica"))


def test_rclone_shows_the_token_to_the_token_service_and_not_to_the_storage() -> None:
    remotes = parsed(config(recorded(repository("role")))["rclone.conf"])
    for name, region in (("repository", "eu-central-1"), ("replica", "eu-west-1")):
        # rclone 1.60 sends all it asks of AWS to an endpoint that it is told.
        assert "endpoint" not in remotes[name]
        assert remotes[name]["region"] == region


@pytest.mark.parametrize("value", ["", " x", "x ", "a\nb", "ü"])
def test_a_key_that_a_file_would_change_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="one line of ASCII"):
        repository_conf.one_line(value)
    assert repository_conf.one_line("it's = a; #key") == "it's = a; #key"


def test_backups_are_kept_by_time_and_taken_without_trust_in_times() -> None:
    told: list[str] = []

    def program() -> pulumi.Output[None]:
        text = repository_conf.client_conf(
            host="database.fixia-data.svc", data_folder="/data", tls="/tls", processes=3, retention_days=30
        )
        return text.apply(told.append)

    record(program)
    conf = parsed(told[0])
    assert conf["global"]["repo1-retention-full-type"] == "time"
    assert conf["global"]["repo1-retention-full"] == "30"
    backup = conf["global:backup"]
    assert (backup["start-fast"], backup["delta"], backup["checksum-page"]) == ("y", "y", "y")
    assert backup["process-max"] == "3"
    main = conf["main"]
    assert (main["pg1-host"], main["pg1-host-type"], main["pg1-host-port"]) == (
        "database.fixia-data.svc",
        "tls",
        "8432",
    )


def test_the_databases_server_knows_one_client() -> None:
    told = parsed(
        repository_conf.server_conf(
            data_folder="/data", port=5432, socket="/run", database="fixia", tls="/tls", processes=2
        )
    )
    assert told["global:server"]["tls-server-auth"] == "backup=main"
    assert told["main"]["pg1-user"] == "backup"


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("s3.example", 443), ("s3.example:9443", 9443), (pulumi.Output.from_input("x"), 443)],
)
def test_calls_go_to_the_public_internet_at_the_endpoints_port(endpoint: Any, port: int) -> None:
    addresses = backup_repository.addresses(repository(endpoint=endpoint))
    assert addresses.port == port
    assert "10.0.0.0/8" in addresses.cidrs["0.0.0.0/0"]

"""A program over all four simulated providers, run by the real engine from birth to end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.session import Session

pytestmark = pytest.mark.engine

WriteProgram = Callable[..., Path]

PASSWORD = "plain-text-of-the-token-4711"

PROGRAM = """
    import json

    import pulumi
    import pulumi_aws as aws
    import pulumi_cloudflare as cloudflare
    import pulumi_kubernetes as k8s
    import pulumi_random as random

    cluster = pulumi.ResourceOptions(provider=k8s.Provider("cluster", context="simulated"))
    account = pulumi.ResourceOptions(
        provider=aws.Provider("account", region="eu-central-1", default_tags={"tags": {"owner": "web"}})
    )
    edge = pulumi.ResourceOptions(provider=cloudflare.Provider("edge", api_token="t" * 40))
    labels = {"app.kubernetes.io/name": "web"}
    zone = "0123456789abcdef0123456789abcdef"

    password = random.RandomPassword("password", length=24)
    namespace = k8s.core.v1.Namespace("web", metadata={"name": "web"}, opts=cluster)
    where = {"namespace": namespace.metadata.name, "labels": labels}
    k8s.core.v1.Secret(
        "credentials",
        metadata={"name": "credentials", **where},
        string_data={"password": password.result, "token": pulumi.Output.secret("TOKEN")},
        opts=cluster,
    )
    settings = k8s.core.v1.ConfigMap("settings", metadata=where, data={"mode": "MODE"}, opts=cluster)
    deployment = k8s.apps.v1.Deployment(
        "web",
        metadata={"name": "web", **where},
        spec={
            "replicas": REPLICAS,
            "selector": {"match_labels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "IMAGE",
                            "ports": [{"container_port": 8080, "name": "http"}],
                            "env_from": [{"config_map_ref": {"name": settings.metadata.name}}],
                        }
                    ]
                },
            },
        },
        opts=cluster,
    )
    service = k8s.core.v1.Service(
        "web",
        metadata={"name": "web", **where},
        spec={"selector": labels, "ports": [{"port": 80, "target_port": "http"}]},
        opts=cluster,
    )
    bucket = aws.s3.Bucket("backups", opts=account)
    aws.s3.BucketVersioning(
        "backups", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=account
    )
    trust = aws.iam.get_policy_document(
        statements=[
            {
                "actions": ["sts:AssumeRole"],
                "principals": [{"type": "Service", "identifiers": ["ec2.amazonaws.com"]}],
            }
        ],
        opts=pulumi.InvokeOptions(provider=account.provider),
    )
    role = aws.iam.Role("backup", name="ROLE", assume_role_policy=trust.json, opts=account)
    key = aws.kms.Key("backups", opts=account)
    record = cloudflare.DnsRecord(
        "www", zone_id=zone, name="www.example.com", type="A", ttl=1, content="203.0.113.9", opts=edge
    )
    cloudflare.Ruleset(
        "limits",
        zone_id=zone,
        name="limits",
        kind="zone",
        phase="http_request_firewall_custom",
        rules=[{"ref": "one", "action": "block", "expression": 'http.host eq "x"', "enabled": True}],
        opts=edge,
    )
    pulumi.export("bucket", bucket.arn)
    pulumi.export("address", service.spec.cluster_ip)
    pulumi.export("key", key.arn)
    pulumi.export("role", role.arn)
    pulumi.export("ready", deployment.status.ready_replicas)
    pulumi.export("record", record.id)
    pulumi.export("settings", settings.metadata.name)
"""
DEFAULTS = {
    "TOKEN": PASSWORD,
    "MODE": "calm",
    "REPLICAS": "2",
    "IMAGE": "registry.test/web:1",
    "ROLE": "backup",
}


@pytest.fixture
def write(write_program: WriteProgram) -> Callable[..., Path]:
    def write_with(**changes: str) -> Path:
        text = PROGRAM
        for name, value in {**DEFAULTS, **changes}.items():
            text = text.replace(name, value)
        return write_program(text)

    return write_with


def run(session: Session, program: Path, *args: str) -> str:
    """Run the engine and return what it said; it must succeed."""
    done = session.pulumi(*args, "--stack", "test", "--non-interactive", program=program, capture=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(session: Session, program: Path, *args: str) -> str:
    """Run the engine and return what it said; it must fail."""
    done = session.pulumi(*args, "--stack", "test", "--non-interactive", program=program, capture=True)
    assert done.returncode != 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def steps(session: Session, program: Path) -> dict[str, str]:
    """The operations that a preview announces, by the resources' types and names."""
    answer = json.loads(run(session, program, "preview", "--json"))
    found = {}
    for step in answer["steps"]:
        kind, name = step["urn"].split("::")[2:]
        # A replacement is told in three steps: the new one, the change of place, the old one's end.
        operation = "replace" if "replace" in step["op"] else step["op"]
        if operation != "same":
            found[f"{kind.rpartition(':')[2]} {name}"] = operation
    return found


def records(session: Session) -> dict[str, Any]:
    """What the simulated cloud holds, by collection and name."""
    return {
        f"{path.parent.name}/{path.stem}": (path, json.loads(path.read_text()))
        for path in session.cloud.rglob("*.json")
    }


def test_life(session: Session, write: Callable[..., Path]) -> None:
    program = write()
    session.init("test", program)
    preview = run(session, program, "preview")
    assert "+ 16 to create" in preview
    assert not list(session.cloud.rglob("*.json")), "a preview must create nothing"

    up = run(session, program, "up", "--yes", "--skip-preview")
    outputs = json.loads(run(session, program, "stack", "output", "--json"))
    assert outputs["bucket"].startswith("arn:aws:s3:::backups-")
    assert outputs["role"] == "arn:aws:iam::123456789012:role/backup"
    assert outputs["key"].startswith("arn:aws:kms:eu-central-1:123456789012:key/")
    assert outputs["address"].startswith("10.96.")
    assert outputs["ready"] == 2
    assert len(outputs["record"]) == 32
    assert outputs["settings"].startswith("settings-")
    held = records(session)
    assert len(held) == 11
    everything = preview + up + "".join(path.read_text() for path, _ in held.values())
    everything += "".join(file.read_text() for file in (session.folder / "state").rglob("*.json*"))
    assert PASSWORD not in everything

    assert steps(session, program) == {}

    # Drift: one object edited and one gone, behind the engine's back.
    path, web = held["apps.Deployment/web%2Fweb"]
    web["inputs"]["spec"]["replicas"] = 9
    path.write_text(json.dumps(web))
    held[f"DnsRecord/{outputs['record']}"][0].unlink()
    refreshed = run(session, program, "refresh", "--yes", "--skip-preview")
    assert "~ 1 updated" in refreshed
    assert "- 1 deleted" in refreshed
    assert steps(session, program) == {"Deployment web": "update", "DnsRecord www": "create"}

    assert "deleted" in run(session, program, "destroy", "--yes", "--skip-preview")
    assert records(session) == {}


def test_edits(session: Session, write: Callable[..., Path]) -> None:
    program = write()
    session.init("test", program)
    run(session, program, "up", "--yes", "--skip-preview")
    before = json.loads(run(session, program, "stack", "output", "--json"))
    write(TOKEN="another-secret", MODE="loud", IMAGE="registry.test/web:2", ROLE="other")
    assert steps(session, program) == {
        "ConfigMap settings": "replace",
        "Deployment web": "update",
        "Role backup": "replace",
        "Secret credentials": "replace",
    }
    run(session, program, "up", "--yes", "--skip-preview")
    after = json.loads(run(session, program, "stack", "output", "--json"))
    assert {name for name in before if before[name] != after[name]} == {"settings", "role"}
    assert steps(session, program) == {}
    assert len(records(session)) == 11, "what was replaced is gone"


SMALL = """
    import pulumi
    import pulumi_kubernetes as k8s

    cluster = pulumi.ResourceOptions(provider=k8s.Provider("cluster", context="simulated"))
    labels = {"app": "web"}
    k8s.apps.v1.Deployment(
        "web",
        metadata={"name": "web"},
        spec={
            "selector": {"match_labels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [CONTAINER]}},
        },
        opts=cluster,
    )
"""


def test_a_program_is_refused_with_every_path(session: Session, write_program: WriteProgram) -> None:
    container = """{
        "image": "web:1",
        "imagePullPolcy": "Always",
        "ports": [{"container_port": "8080"}],
        "env": [{"name": "TOKEN", "value": pulumi.Output.secret(47114711)}],
    }"""
    program = write_program(SMALL.replace("CONTAINER", container))
    session.init("test", program)
    said = refused(session, program, "preview")
    path = "spec.template.spec.containers[0]"
    for expected in (
        f"{path}.imagePullPolcy: unknown property; did you mean imagePullPolicy?",
        f'{path}.ports[0].containerPort: expected an integer, found a string "8080"',
        f"{path}.name: missing required property",
        f"{path}.env[0].value: expected a string, found an integer",
    ):
        assert expected in said
    assert "47114711" not in said
    assert "Traceback" not in said


NAMESPACE = """
    import pulumi
    import pulumi_kubernetes as k8s

    cluster = pulumi.ResourceOptions(provider=k8s.Provider("cluster", context="simulated"))
    for name in NAMES:
        k8s.core.v1.Namespace(name, metadata={"name": "shop"}, opts=cluster)
"""


def test_two_resources_of_one_name_collide(session: Session, write_program: WriteProgram) -> None:
    program = write_program(NAMESPACE.replace("NAMES", '["one", "two"]'))
    session.init("test", program)
    run(session, program, "preview")
    assert "namespaces 'shop' already exists" in refused(session, program, "up", "--yes", "--skip-preview")
    assert len(records(session)) == 1


def test_what_exists_can_be_imported(session: Session, write_program: WriteProgram) -> None:
    program = write_program(NAMESPACE.replace("NAMES", '["one"]'))
    session.init("test", program)
    run(session, program, "up", "--yes", "--skip-preview")
    other = write_program(
        """
        import pulumi
        import pulumi_kubernetes as k8s

        cluster = k8s.Provider("cluster", context="simulated")
        k8s.core.v1.Namespace(
            "adopted",
            metadata={"name": "shop"},
            opts=pulumi.ResourceOptions(provider=cluster, import_="shop"),
        )
        """,
        name="other",
    )
    session.init("test", other)
    assert steps(session, other)["Namespace adopted"] == "import"
    assert "= 1 imported" in run(session, other, "up", "--yes", "--skip-preview")
    assert steps(session, other) == {}
    assert len(records(session)) == 1

"""The buckets of the backups and their roles, by the real engine on the simulated account."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.session import Session
from tests.recorder import ROOT

pytestmark = pytest.mark.engine

WriteProgram = Callable[..., Path]

ACCOUNT = "123456789012"
PROGRAM = """
    import sys

    sys.path.insert(0, "ROOT")

    import pulumi
    import pulumi_aws as aws

    from components.backup.access import Access, AccessArgs, Oidc, Subject
    from components.backup.buckets import Buckets, BucketsArgs
    from components.backup.grants import GRANTS
    from components.backup.places import ObjectLock
    from components.base import Identity

    identity = Identity(product="shop", environment="production", owner="team", cost_centre="shop")
    account = aws.Provider("account", region="eu-central-1", allowed_account_ids=["123456789012"])
    opts = pulumi.ResourceOptions(providers=[account])
    buckets = Buckets(
        "buckets",
        BucketsArgs(
            identity=identity,
            account="123456789012",
            region="eu-central-1",
            replica_region="eu-west-1",
            lock=ObjectLock(mode="GOVERNANCE", days=LOCK_DAYS),
            protect=PROTECT,
        ),
        opts,
    )
    access = Access(
        "access",
        AccessArgs(
            identity=identity,
            account="123456789012",
            oidc=Oidc(issuer="https://oidc.eks.eu-central-1.amazonaws.com/id/ABC", create=True),
            subjects={job: Subject(namespace="shop-data", account=f"backup-{job}") for job in GRANTS},
            buckets=buckets,
        ),
        opts,
    )
    pulumi.export("roles", access.roles)
    pulumi.export("key", buckets.key_arn)
    pulumi.export("replica_key", buckets.replica_key_arn)
"""


@pytest.fixture
def write(write_program: WriteProgram) -> Callable[..., Path]:
    def write_with(*, lock_days: int = 14, protect: bool = True) -> Path:
        text = PROGRAM.replace("ROOT", str(ROOT))
        return write_program(text.replace("LOCK_DAYS", str(lock_days)).replace("PROTECT", str(protect)))

    return write_with


def engine(session: Session, program: Path, *args: str, succeeds: bool = True) -> str:
    """What the engine says; it must end as is expected."""
    done = session.pulumi(*args, "--stack", "test", "--non-interactive", program=program, capture=True)
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


def changes(session: Session, program: Path) -> dict[str, str]:
    """What a preview announces, by the resources' types and names."""
    answer = json.loads(engine(session, program, "preview", "--json"))
    found = {}
    for step in answer["steps"]:
        kind, name = step["urn"].split("::")[2:]
        if step["op"] != "same":
            found[f"{kind.rpartition(':')[2]} {name}"] = step["op"]
    return found


def held(session: Session) -> dict[str, Any]:
    """What the simulated account holds, by collection and name."""
    return {
        f"{path.parent.name}/{path.stem}": json.loads(path.read_text())
        for path in session.cloud.rglob("*.json")
    }


def test_the_buckets_from_birth_to_end(session: Session, write: Callable[..., Path]) -> None:
    program = write()
    session.init("test", program)
    assert "to create" in engine(session, program, "preview")
    assert held(session) == {}, "a preview creates nothing"

    engine(session, program, "up", "--yes", "--skip-preview")
    outputs = json.loads(engine(session, program, "stack", "output", "--json"))
    cloud = held(session)
    buckets = {name.partition("/")[2] for name in cloud if name.startswith("s3.Bucket/")}
    assert buckets == {
        f"shop-production-backups{role}-{ACCOUNT}" for role in ("", "-replica", "-logs", "-replica-logs")
    }
    # Each rule of an account has been asked; what stands is what it accepts.
    assert outputs["key"].startswith(f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/")
    assert outputs["replica_key"].startswith(f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/")
    for file, record in cloud.items():
        if file.startswith("iam.RolePolicy"):
            assert "null" not in record["inputs"]["policy"].lower(), "every ARN was known"

    assert changes(session, program) == {}, "a second preview shows nothing"
    assert changes(session, write(lock_days=21)) == {
        "BucketObjectLockConfiguration buckets-repository-lock": "update",
        "BucketObjectLockConfiguration buckets-replica-lock": "update",
    }

    write()
    assert "protected" in engine(session, program, "destroy", "--yes", "--skip-preview", succeeds=False)
    assert {name for name in held(session) if name.startswith("s3.Bucket/")}, "the buckets stand"

    write(protect=False)
    engine(session, program, "up", "--yes", "--skip-preview")
    engine(session, program, "destroy", "--yes", "--skip-preview")
    assert held(session) == {}

"""Certificates by the real engine: made once, made anew in the right order, and no key in plain anywhere."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from simulator.session import Session
from tests.recorder import ROOT

pytestmark = pytest.mark.engine

WriteProgram = Callable[..., Path]

TOKEN = "plain-text-of-the-dns-token-4711"

PROGRAM = """
    import sys

    sys.path.insert(0, "ROOT")

    import pulumi
    import pulumi_cloudflare
    import pulumi_kubernetes
    import pulumi_tls

    from components.base import Identity
    from components.ingress.certificate import Certificate, CertificateArgs, DnsChallenge, OriginCa
    from components.platform.authority import Authority, AuthorityArgs

    identity = Identity(product="shop", environment="test", owner="team", cost_centre="shop")
    opts = pulumi.ResourceOptions(
        providers=[
            pulumi_kubernetes.Provider("cluster", context="simulated"),
            pulumi_cloudflare.Provider("edge", api_token="t" * 40),
            pulumi_tls.Provider("keys"),
        ]
    )
    hosts = ["shop.example.com", "api.shop.example.com"]


    def certificate(name, issuer):
        args = CertificateArgs(identity=identity, namespace="shop-ingress", hosts=hosts, issuer=issuer)
        return Certificate(name, args, opts)


    token = pulumi.Output.secret("TOKEN")
    public = certificate("public", DnsChallenge(token=token, email="ops@example.com"))
    origin = certificate("origin", OriginCa(validity_days=DAYS))
    authority = Authority("internal", AuthorityArgs(identity=identity), opts)
    internal = authority.issue(origin, "database", "shop-data", ["database.shop-data.svc"], client=True)
    pulumi.export("secrets", [public.secret, origin.secret, internal])
"""


@pytest.fixture
def write(write_program: WriteProgram) -> Callable[[int], Path]:
    def write_with(days: int) -> Path:
        text = PROGRAM.replace("ROOT", str(ROOT)).replace("TOKEN", TOKEN).replace("DAYS", str(days))
        return write_program(text)

    return write_with


def run(session: Session, program: Path, *args: str) -> str:
    """Run the engine and return what it said; it must succeed."""
    done = session.pulumi(*args, "--stack", "test", "--non-interactive", program=program, capture=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def resources(session: Session, program: Path, *args: str) -> dict[str, Any]:
    """The stack's resources by kind and name, as the state holds them."""
    state = json.loads(run(session, program, "stack", "export", *args))
    found = {}
    for resource in state["deployment"]["resources"]:
        kind, name = resource["urn"].split("::")[2:]
        found[f"{kind.rpartition(':')[2]} {name}"] = resource
    return found


def written(session: Session) -> str:
    """All that a session leaves on the disk: the state, its history, and the simulated cloud."""
    folders = (session.folder / "state", session.cloud)
    return "".join(file.read_text() for folder in folders for file in folder.rglob("*") if file.is_file())


def steps(session: Session, program: Path, *args: str) -> list[tuple[str, str]]:
    """What a preview announces but for what stays: the operation, and the kind of resource and its name."""
    answer = json.loads(run(session, program, "preview", "--json", *args))
    told = []
    for step in answer["steps"]:
        kind, name = step["urn"].split("::")[2:]
        told.append((step["op"], f"{kind.rpartition(':')[2]} {name}"))
    return [step for step in told if step[0] != "same"]


def test_certificates_live_and_no_key_is_told(session: Session, write: Callable[[int], Path]) -> None:
    program = write(90)
    session.init("test", program)
    said = run(session, program, "preview")
    said += run(session, program, "up", "--yes", "--skip-preview")
    told = run(session, program, "stack", "output", "--json")
    assert json.loads(told)["secrets"][0] == "public-tls"
    assert re.fullmatch(r"origin-tls-[0-9a-f]{8}", json.loads(told)["secrets"][1])
    assert json.loads(told)["secrets"][2] == "database-tls"
    assert steps(session, program) == []

    secrets = resources(session, program, "--show-secrets")
    key = json.loads(secrets["PrivateKey origin-key"]["outputs"]["privateKeyPem"]["plaintext"])
    assert "PRIVATE KEY" in key
    everything = said + told + written(session)
    # The line after the heading holds the private number; those below it, the public key. And as a Secret's data.
    assert key.splitlines()[1] not in everything
    assert base64.b64encode(key.encode()).decode() not in everything
    assert "PRIVATE KEY" not in everything
    assert TOKEN not in everything

    certificate = x509.load_pem_x509_certificate(
        secrets["OriginCaCertificate origin-certificate"]["outputs"]["certificate"].encode()
    )
    public = secrets["PrivateKey origin-key"]["outputs"]["publicKeyPem"]
    assert certificate.public_key() == load_pem_public_key(public.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["api.shop.example.com", "shop.example.com"]


def test_a_new_certificate_comes_before_the_old_one_goes(
    session: Session, write: Callable[[int], Path]
) -> None:
    program = write(90)
    session.init("test", program)
    run(session, program, "up", "--yes", "--skip-preview")
    before = resources(session, program)
    signed = ["OriginCaCertificate origin-certificate", "Secret origin-tls"]

    write(365)
    assert steps(session, program) == [("replace", what) for what in signed]
    write(90)

    # What the runbook says for an Origin CA certificate near its end: the key anew, and all that follows.
    renewal = ("--replace", before["PrivateKey origin-key"]["urn"])
    chain = ["PrivateKey origin-key", "CertRequest origin-request", *signed]
    assert steps(session, program, *renewal) == [("replace", what) for what in chain]
    said = run(session, program, "up", "--yes", "--skip-preview", *renewal)
    assert said.rindex("created replacement") < said.index("deleting original")
    after = resources(session, program)
    for what in chain:
        assert after[what]["id"] != before[what]["id"], what
    assert steps(session, program) == []
    run(session, program, "destroy", "--yes", "--skip-preview")
    assert not list(session.cloud.rglob("*.json"))

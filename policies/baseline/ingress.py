"""Ingresses: encrypted, and each for hosts of its own."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity

from baseline.frameworks import kubernetes, soc2
from baseline.manifests import Manifest
from baseline.model import UNKNOWN, Policy, Value, Violation
from baseline.subjects import ObjectPolicy, kinds
from baseline.tree import must

_INGRESS: Final = (("networking.k8s.io", "Ingress"), ("extensions", "Ingress"))

_UNSAFE: Final = ("-snippet", "/snippet", "/alias", "/server-alias", "/auth-url")
"""Endings of annotations that run configuration of their author's (CVE-2021-25742), or claim other hosts."""


def _covers(certificate: Value, host: str) -> bool:
    """Tell whether a certificate's name is a host's; an asterisk stands for one label."""
    if not isinstance(certificate, str):
        return False
    return certificate == host or (certificate.startswith("*.") and certificate[2:] == host.partition(".")[2])


def check_tls(ingress: Manifest) -> Iterator[Violation]:
    """Require TLS for every host."""
    spec = ingress.root.at("spec")
    tls = spec.at("tls")
    if not tls.value:
        yield Violation(tls.path, tls.value, "a list that covers every host")
        return
    hosts = [host.value for block in tls.items() for host in block.at("hosts").items()]
    for rule in spec.at("rules").items():
        host = rule.at("host")
        if not isinstance(host.value, str):
            if host.value is UNKNOWN:
                yield Violation(host.path, UNKNOWN, "a host that spec.tls covers")
            continue  # A rule without a host is another policy's.
        if not any(_covers(one, host.value) for one in hosts):
            found = UNKNOWN if tls.value is UNKNOWN or UNKNOWN in hosts else host.value
            yield Violation(host.path, found, "a host that spec.tls covers")


def check_routing(ingress: Manifest) -> Iterator[Violation]:
    """Refuse hosts by wildcard, rules without one, and configuration in annotations."""
    spec = ingress.root.at("spec")
    for annotation in ingress.root.at("metadata", "annotations").fields():
        if annotation.path.rstrip('"]').endswith(_UNSAFE):
            yield Violation(annotation.path, "(its text)", "absent")
    yield from must(spec.at("defaultBackend"), lambda value: not value, "absent: it answers for every host")
    for rule in spec.at("rules").items():
        yield from must(
            rule.at("host"),
            lambda host: isinstance(host, str) and host != "" and "*" not in host,
            "one host's name",
        )


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectPolicy(
        name="ingress-tls",
        description="Ingresses must have TLS for every host.",
        remedy="Add the host to spec.tls[].hosts.",
        severity=Severity.HIGH,
        framework=soc2("CC6.7"),
        anchors=("kyverno:ingress-host-match-tls", "C-0263", "SOC2-CC6.7"),
        selects=kinds(*_INGRESS),
        check=check_tls,
    ),
    ObjectPolicy(
        name="ingress-safe-routing",
        description="Ingresses must name their hosts, and bring no configuration of the controller.",
        remedy="Name each host, and put configuration where the controller's owner reviews it.",
        severity=Severity.HIGH,
        framework=kubernetes("Ingress", "concepts/services-networking/ingress/"),
        anchors=("CKV_K8S_152", "CKV_K8S_153", "CKV_K8S_154", "C-0059", "CVE-2021-25742"),
        selects=kinds(*_INGRESS),
        check=check_routing,
    ),
)

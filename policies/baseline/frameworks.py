"""The published standards that policies answer to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Framework:
    """The requirement of a published standard that a policy answers to.

    Attributes:
        name: The standard.
        version: Its version, where its numbering depends on it.
        reference: The section.
        url: Where it can be read.
    """

    name: str
    reference: str
    version: str
    url: str


def cis_kubernetes(section: str) -> Framework:
    """Name a section of the CIS Kubernetes Benchmark, whose numbers changed between its versions.

    Args:
        section: The section, such as ``5.2.2``.

    Returns:
        The framework of a policy.
    """
    return Framework(
        "CIS Kubernetes Benchmark", section, "2.0.0", "https://www.cisecurity.org/benchmark/kubernetes"
    )


def pod_security(section: str) -> Framework:
    """Name a control of the Kubernetes Pod Security Standards."""
    url = "https://kubernetes.io/docs/concepts/security/pod-security-standards/"
    return Framework("Pod Security Standards", section, "1.37", url)


def soc2(criterion: str) -> Framework:
    """Name a criterion of SOC 2, such as ``A1.2``."""
    url = "https://www.aicpa-cima.com/resources/download/2017-trust-services-criteria"
    return Framework("SOC 2 Trust Services Criteria", criterion, "2017", url)


def security_hub(control: str) -> Framework:
    """Name a control of the AWS Foundational Security Best Practices, such as ``S3.8``."""
    url = f"https://docs.aws.amazon.com/securityhub/latest/userguide/{control.split('.')[0].lower()}-controls.html"
    return Framework("AWS Foundational Security Best Practices", control, "1.0.0", url)


def prowler(check: str) -> Framework:
    """Name a check of Prowler, the only catalogue that covers Cloudflare's zones."""
    return Framework("Prowler", check, "5", f"https://hub.prowler.com/check/{check}")


def kubernetes(topic: str, page: str) -> Framework:
    """Name a page of the Kubernetes documentation, for what is good practice rather than a benchmark."""
    return Framework("Kubernetes documentation", topic, "1.37", f"https://kubernetes.io/docs/{page}")

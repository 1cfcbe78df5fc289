"""Images: which, from where, and always the same."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pulumi_policy import EnforcementLevel, Severity

from baseline.containers import runs_containers
from baseline.frameworks import cis_kubernetes, kubernetes
from baseline.manifests import DATABASE_CLUSTER, Manifest, kind_of
from baseline.model import UNKNOWN, Policy, StackPolicy, Value, Violation
from baseline.selectors import Names, namespace_of
from baseline.subjects import Item, ObjectPolicy, ObjectsPolicy, each
from baseline.tree import Node, Truth, must, some

_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
_DEFAULT_REGISTRY: Final = "docker.io"


@dataclass(frozen=True, slots=True)
class Image:
    """An image's reference, taken apart as container runtimes do.

    Attributes:
        repository: With its registry, such as ``docker.io/library/nginx``.
        tag: The tag; empty if there is none.
        digest: Whether it is pinned by digest.

    Source: https://github.com/distribution/reference
    """

    repository: str
    tag: str
    digest: bool

    @property
    def base(self) -> str:
        """The last part of the repository, which people know it by: ``nginx``."""
        return self.repository.rpartition("/")[2]


def parse(reference: str) -> Image:
    """Take an image's reference apart.

    Args:
        reference: Such as ``nginx:1.29`` or ``ghcr.io/shop/web@sha256:...``.

    Returns:
        The image, with the default registry filled in.
    """
    name, _, _ = reference.partition("@")
    head, slash, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    repository = f"{head}{slash}{base}"
    first, slash, _ = repository.partition("/")
    if not slash:
        repository = f"{_DEFAULT_REGISTRY}/library/{repository}"
    elif not ("." in first or ":" in first or first == "localhost"):
        repository = f"{_DEFAULT_REGISTRY}/{repository}"
    return Image(repository, tag, bool(_DIGEST.search(reference)))


def references(manifest: Manifest) -> Iterator[Node]:
    """Find every image that an object makes a node fetch: of containers, of volumes, of a database's pods.

    Args:
        manifest: The object.

    Yields:
        The properties; what an operator fills in by itself is absent.
    """
    if manifest.kind.is_any(DATABASE_CLUSTER):
        yield manifest.root.at("spec", "imageName")
    for pod in manifest.pods():
        for container in pod.containers():
            yield container.at("image")
        for volume in pod.spec.at("volumes").items():
            reference = volume.at("image", "reference")
            if reference.value is not None:
                yield reference


def _each_image(accepts: Callable[[Image], bool], valid: str, manifest: Manifest) -> Iterator[Violation]:
    seen: list[Value] = []
    for node in references(manifest):
        if node.value is not UNKNOWN and node.value in seen:
            continue  # Said once: containers of one pod often share an image.
        seen.append(node.value)
        yield from must(node, lambda value: isinstance(value, str) and accepts(parse(value)), valid)


def check_digest(manifest: Manifest) -> Iterator[Violation]:
    """Require a digest."""
    yield from _each_image(lambda image: image.digest, "an image with @sha256: and its digest", manifest)


def check_tag(manifest: Manifest) -> Iterator[Violation]:
    """Refuse images without a tag, which are the latest, unless they have a digest."""
    valid = 'an image with a tag other than "latest", or a digest'
    yield from _each_image(lambda image: image.digest or image.tag not in ("", "latest"), valid, manifest)


def _within(image: Image, places: Sequence[str]) -> bool:
    return any(f"{image.repository}/".startswith(f"{place.rstrip('/')}/") for place in places)


def check_registry(manifest: Manifest, *, registries: Sequence[str]) -> Iterator[Violation]:
    """Require one of the registries, or repositories within them, that the stack's configuration names."""
    valid = f"an image from {', '.join(registries)}"
    yield from _each_image(lambda image: _within(image, registries), valid, manifest)


def _maybe(node: Node) -> Truth:
    return UNKNOWN if node.value is UNKNOWN else False


def check_pull_secrets(items: Sequence[Item], *, registries: Sequence[str]) -> Iterator[Violation]:
    """Require pull secrets where an image comes from a private registry, of the pod or of its account."""
    accounts = Names(
        one
        for one in items
        if one.manifest.kind.is_any(("core", "ServiceAccount")) and one.root.at("imagePullSecrets").value
    )

    def check(item: Item) -> Iterator[Violation]:
        for pod in item.manifest.pods():
            private = [
                node
                for node in references(item.manifest)
                if isinstance(node.value, str) and _within(parse(node.value), registries)
            ]
            own = pod.spec.at("imagePullSecrets")
            if not private or (own.value and own.value is not UNKNOWN):
                continue
            account = pod.spec.at("serviceAccountName").value
            covered = some([_maybe(own), accounts.have(namespace_of(item), account)])
            if covered is not True:
                found = UNKNOWN if covered is UNKNOWN else own.value
                valid = f"a list of secrets, because {private[0].path} comes from a private registry"
                yield Violation(own.path, found, valid)

    yield from each(items, check)


_IMAGES = "concepts/containers/images/"

POLICIES: Final[tuple[Policy | StackPolicy, ...]] = (
    ObjectPolicy(
        name="image-digest-pinned",
        description="Images should be named by their digest, which nobody can move.",
        remedy="Append @sha256: and the digest that `docker buildx imagetools inspect` prints.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Images", _IMAGES),
        anchors=("CKV_K8S_43", "kyverno:require-image-checksum"),
        level=EnforcementLevel.ADVISORY,
        selects=runs_containers,
        check=check_digest,
    ),
    ObjectPolicy(
        name="no-latest-tag",
        description="Images must have a tag that says which version they are.",
        remedy="Name the version's tag, or the digest.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Images", _IMAGES),
        anchors=("CKV_K8S_14", "kube-linter:latest-tag", "C-0075", "polaris:tagNotSpecified"),
        selects=runs_containers,
        check=check_tag,
    ),
    ObjectPolicy(
        name="allowed-registries",
        description="Images must come from a registry that the stack's configuration of the pack names.",
        remedy="Use an image from there, or add the registry to the policy's option `registries`.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.5.1"),
        anchors=("CIS-5.5.1", "kyverno:restrict-image-registries", "C-0001"),
        options={
            "registries": ("docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "gcr.io", "public.ecr.aws")
        },
        selects=runs_containers,
        check=check_registry,
    ),
    ObjectsPolicy(
        name="pull-secrets-for-private-registries",
        description="Pods with an image of a private registry must have a secret to fetch it with. "
        "Which registries are private is the option `registries`.",
        remedy="Set imagePullSecrets on the pod, or on its service account.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Images", f"{_IMAGES}#specifying-imagepullsecrets-on-a-pod"),
        anchors=("promise:pull-secrets",),
        options={"registries": ()},
        selects=lambda token: (
            (kind := kind_of(token)) is not None
            and (runs_containers(kind) or kind.is_any(("core", "ServiceAccount")))
        ),
        check=check_pull_secrets,
    ),
)

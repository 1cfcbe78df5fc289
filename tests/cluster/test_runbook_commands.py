"""Every kubectl command of the pages is typed: the real kubectl, and a real API server with production's objects.

A runbook's blocks run as they stand, in one shell, with what an alert says filled in. What needs a kubelet or a
controller (`exec`, `logs`, `top`, `rollout status`) is held against the objects that it names, and nothing answers;
a local node runs such things (`tests/cluster/test_node.py`).
"""

import base64
import copy
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from simulator.engine.install import engine
from simulator.node import programs
from simulator.node.client import Manifest
from simulator.node.control_plane import ControlPlane
from simulator.programs import definitions
from simulator.render import render
from tests.cluster import typist
from tests.cluster.court import Court, pod_of
from tests.doc_commands import GUIDES, RUNBOOKS, blocks, inline
from tests.recorder import ROOT

pytestmark = pytest.mark.cluster

STACK: Final = "production"
NODE: Final = "node-1"
OTHERS: Final = {
    "kube-system": ("coredns", "metrics-server"),
    "cert-manager": ("cert-manager", "cert-manager-webhook", "cert-manager-cainjector"),
    "cnpg-system": ("cnpg-controller-manager",),
}
"""Deployments that a cluster has beside ours, which the pages name."""
STANDS_FOR: Final = ("curl", "dig", "cmctl", "make", "pulumi", "git", "python", "docker")
"""Programs that would reach beyond this machine, or are typed in other tests: they answer nothing."""
SMALL: Final = {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}}
RESTRICTED: Final = {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}}
OPERATED: Final[Manifest] = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "database", "namespace": "fixia-data"},
    "spec": {"instances": 1, "storage": {"size": "1Gi"}},
}
FRAGMENT: Final = re.compile(
    r"kubectl (?:exec|cp|port-forward|logs|certificate approve)(?: \$?POD(?: > POD\.log)?)?"
    r"|kubectl -n [\w-]+ (?:rollout restart (?:deployment|statefulset)|describe pod)"
)
"""What a page speaks of without its end."""
DATABASE: Final = {"NS": "fixia-data", "POD": "database-0", "CONTAINER": "postgresql", "NAME": "database"}
SAYS: Final[dict[str, dict[str, str]]] = {
    "certificate-expiring.md": {"NAME": "alertmanager", "NS": "fixia-monitoring"},
    "certificate-not-ready.md": {"NAME": "alertmanager", "NS": "fixia-monitoring"},
    "capacity-used-up.md": {"NAME": "api", "NS": "fixia-app"},
    "rollout-stuck.md": {"NAME": "api", "NS": "fixia-app"},
    "application-errors.md": {"NAME": "api", "NS": "fixia-app", "POD": "api-x"},
    "application-slow.md": {"NAME": "api", "NS": "fixia-app", "POD": "api-x"},
    "business-failures.md": {"NAME": "api", "NS": "fixia-app", "POD": "api-x"},
    "container-resources.md": {"NAME": "api", "NS": "fixia-app", "POD": "api-x"},
    "job-failed.md": {"NAME": "maintenance-vacuum"},
    "rotate-internal-ca.md": {"NAME": "pool"},
    "mixed-versions.md": {"NAME": "api"},
    "cache-full.md": {"NAME": "api"},
}
"""What the alert of a page says, where it is not about the database."""


ELSEWHERE: Final = {"database-standby": "database", "traces": "logs"}
"""StatefulSets that only other stacks have -> the one of production that each is like."""


@dataclass
class Terminal:
    """A shell whose kubectl is a real one."""

    folder: Path
    environment: dict[str, str]

    def type(self, script: str) -> list[dict[str, Any]]:
        """Run a script, and tell what was called."""
        log = Path(self.environment["TYPIST_LOG"])
        log.unlink(missing_ok=True)
        syntax = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert syntax.returncode == 0, syntax.stderr
        subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture(scope="module")
def terminal(
    servers: dict[str, Path], crds: list[Manifest], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    """A terminal at a cluster that has production's objects and the pods that controllers would make of them."""
    if programs.KUBERNETES.subject in programs.missing() and os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip("no kubectl, and it builds for minutes: make test-node")
    kubectl = programs.kubectl()
    folder = tmp_path_factory.mktemp("terminal")
    for program in ("kubectl", *STANDS_FOR):
        file = folder / "bin" / program
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!{sys.executable}\n{Path(typist.__file__).read_text()}")
        file.chmod(0o755)
    (folder / "bin/openssl").write_text(
        '#!/bin/sh\n[ "$1" = s_client ] && exit 0\nPATH=${PATH#*:} exec openssl "$@"\n'
    )
    (folder / "bin/openssl").chmod(0o755)
    with ControlPlane(etcd=servers["etcd"], apiserver=servers["kube-apiserver"]) as running:
        court = Court(
            running.client,
            render(ROOT, STACK, engine, show_secrets=True),
            [*crds, *definitions.definitions(definitions.CLOUDNATIVE_PG)],
        )
        assert not [line for verdict in court.applied for line in verdict.complaints]
        for manifest in beside(court.manifests, running.authority.certificate.read_bytes()):
            answer = running.client.apply(manifest, manager="cluster")
            assert answer.accepted, f"{manifest['kind']} {manifest['metadata']['name']}: {answer.message}"
        standing = running.client.get(OPERATED).body
        primary = running.client.update_status({**standing, "status": {"currentPrimary": "database-1"}})
        assert primary.accepted, primary.message
        configuration = folder / "kubeconfig"
        admin = running.authority.client("admin", ("system:masters",))
        configuration.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "it",
                    "clusters": [
                        {
                            "name": "it",
                            "cluster": {
                                "server": running.url,
                                "certificate-authority": str(running.authority.certificate),
                            },
                        }
                    ],
                    "users": [
                        {
                            "name": "it",
                            "user": {
                                "client-certificate": str(admin.certificate),
                                "client-key": str(admin.key),
                            },
                        }
                    ],
                    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                }
            )
        )
        yield Terminal(
            folder,
            {
                "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
                "HOME": str(folder),
                "USER": "tester",
                "KUBECONFIG": str(configuration),
                "TYPIST_KUBECTL": str(kubectl),
                "TYPIST_LOG": str(folder / "log"),
            },
        )


def beside(manifests: list[Manifest], certificate: bytes) -> Iterator[Manifest]:
    """What controllers make of the objects, and what a cluster has of others."""
    for namespace in OTHERS:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        account = {"name": "default", "namespace": namespace}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
    yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    for namespace, names in OTHERS.items():
        for name in names:
            labels = {"k8s-app": "kube-dns" if name == "coredns" else name}
            pod = {"containers": [{"name": name, "image": f"registry.k8s.io/{name}:v1"}]}
            metadata = {"name": name, "namespace": namespace}
            template = {"metadata": {"labels": labels}, "spec": pod}
            spec = {"selector": {"matchLabels": labels}, "template": template}
            yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "labels": labels}, "spec": pod}
    # What the operator would make of a database, where it runs one.
    place = {"namespace": "fixia-data"}
    yield OPERATED
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**place, "name": "database"}}
    for name in ("database-1", "database-2"):
        container = {"name": "postgres", "image": "ghcr.io/fixia/postgres:17", "resources": SMALL}
        instance: Manifest = {"containers": [hardened(container)], "securityContext": RESTRICTED}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {**place, "name": name}, "spec": instance}
    for name in ("database-2", "data-database-standby-0"):
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {**place, "name": name},
            "spec": spec,
        }
    for namespace in ("fixia-app", "fixia-data", "fixia-restore"):
        once: Manifest = {"spec": {"containers": [{"name": "it", "image": "it:1"}], "restartPolicy": "Never"}}
        metadata = {"name": "a-job", "namespace": namespace}
        yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": once}}
        container = hardened({"name": "it", "image": "it:1", "resources": SMALL})
        of_it: Manifest = {"name": "a-job-x", "namespace": namespace, "labels": {"job-name": "a-job"}}
        spec = {"containers": [container], "securityContext": RESTRICTED}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": of_it, "spec": spec}
    data = base64.b64encode(certificate).decode()
    names = ("fixia-authority-ca", "fixia-authority-2-ca")
    authorities = [
        {"kind": "Certificate", "metadata": {"namespace": "cert-manager"}, "spec": {"secretName": name}}
        for name in names
    ]
    for manifest in (*manifests, *authorities):
        if manifest["kind"] == "Certificate":
            yield {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {
                    "name": manifest["spec"]["secretName"],
                    "namespace": manifest["metadata"]["namespace"],
                },
                "data": {"tls.crt": data, "tls.key": data, "ca.crt": data},
            }
    alike = [likeness(manifests, *names) for names in ELSEWHERE.items()]
    yield from alike
    for manifest in (*manifests, *alike):
        yield from pods_of(manifest)


def hardened(container: dict[str, Any]) -> dict[str, Any]:
    """A container that the namespaces let in."""
    return {
        **container,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def likeness(manifests: list[Manifest], name: str, original: str) -> Manifest:
    """A StatefulSet of another name, which production has none of by its settings."""
    (found,) = (
        each for each in manifests if each["kind"] == "StatefulSet" and each["metadata"]["name"] == original
    )
    label = '"app.kubernetes.io/name": "{}"'
    made: Manifest = json.loads(json.dumps(found).replace(label.format(original), label.format(name)))
    made["metadata"]["name"] = name
    # Small: production's quota has no room for what its settings have none of.
    pod = made["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod.get("initContainers", [])):
        container["resources"] = SMALL
    return made


def pods_of(manifest: Manifest) -> Iterator[Manifest]:
    """A pod of an object, named as its controller names it, and the claims that it has."""
    kind, metadata = manifest["kind"], manifest["metadata"]
    if kind == "CronJob" or (pod := pod_of(manifest)) is None:
        return
    pod = copy.deepcopy(pod)
    replicas = manifest["spec"].get("replicas") or 1 if kind == "StatefulSet" else 1
    for number in range(replicas):
        name = f"{metadata['name']}-{number}" if kind == "StatefulSet" else f"{metadata['name'][:50]}-x"
        claims = {}
        for claim in manifest["spec"].get("volumeClaimTemplates", []):
            claims[claim["metadata"]["name"]] = f"{claim['metadata']['name']}-{name}"
            yield {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {
                    "labels": claim["metadata"].get("labels") or pod["metadata"].get("labels", {}),
                    "name": f"{claim['metadata']['name']}-{name}",
                    "namespace": metadata["namespace"],
                },
                "spec": claim["spec"],
            }
        for volume in pod["spec"].get("volumes", []):
            if (claimed := volume.get("persistentVolumeClaim")) and claimed["claimName"] in claims:
                claimed["claimName"] = claims[claimed["claimName"]]
        yield {**pod, "metadata": {**pod["metadata"], "name": name}}


def failed(calls: list[dict[str, Any]]) -> str:
    """What was refused, and why."""
    return "\n".join(f"{shlex.join(call['arguments'])}: {call['said']}" for call in calls if call["code"])


def filled(text: str, page: Path) -> str:
    """A page's words with what its alert says."""
    says = {**DATABASE, "NODE": NODE, "JOB": "a-job", "CLAIM": "data-database-standby-0"}
    says["ISSUER"] = "fixia-authority"
    says |= SAYS.get(page.name, {})
    # A workload's pod; those of others are numbered.
    text = re.sub(r"(-n fixia-app \w+ pod )POD\b", r"\1api-x", text).replace("pod $NAME-0", "pod $NAME-x")
    variables = "".join(f"{word}={value}\n" for word, value in says.items())
    for word, value in says.items():
        text = re.sub(rf"\b{word}=\.\.\.", f"{word}={value}", text)
        text = re.sub(rf"(?<![\w${{=-]){word}(?![\w=-])", value, text)
    for word, value in {
        "<data>": "fixia-data",
        "<version before>": "1.0.0",
        "NAMESPACE": says["NS"],
        "SIZE": "90Gi",
        "--replicas=N": "--replicas=2",
        "pod/POD": f"pod/{says['POD']}",
    }.items():
        text = text.replace(word, value)
    return variables + text


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_the_blocks_of_a_runbook_run_as_they_stand(terminal: Terminal, page: Path) -> None:
    script = "\n".join(filled(block, page) for block in blocks(page))
    calls = [call for call in terminal.type(script) if call["program"] == "kubectl"]
    assert not failed(calls), failed(calls)
    assert len(calls) >= script.count("kubectl "), "some of its commands were never reached"


INLINE: Final = sorted(
    {
        (page, command)
        for page in (*GUIDES, *RUNBOOKS)
        for command in inline(page)
        if command.startswith("kubectl ") and not FRAGMENT.fullmatch(command)
    }
)


@pytest.mark.parametrize(("page", "command"), INLINE, ids=lambda each: getattr(each, "stem", None))
def test_a_command_in_running_text_is_one_that_kubectl_and_the_server_take(
    terminal: Terminal, page: Path, command: str
) -> None:
    calls = [call for call in terminal.type(filled(command, page)) if call["program"] == "kubectl"]
    assert not failed(calls), failed(calls)
    assert calls

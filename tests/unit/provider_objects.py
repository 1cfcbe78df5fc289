"""Good Kubernetes objects, one of each kind that has rules, and ways to break them."""

import copy
from typing import Any, Final

from simulator.providers.core import Resource
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.naming import Naming
from simulator.providers.store import Store

LABELS: Final = {"app": "web"}
OBJECTS: Final[dict[str, dict[str, Any]]] = {
    "apps/v1:Deployment": {
        "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web"}},
        "spec": {
            "selector": {"matchLabels": dict(LABELS)},
            "strategy": {"type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": dict(LABELS)},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "web:1",
                            "env": [{"name": "A", "value": "b"}],
                            "ports": [{"name": "http", "containerPort": 8080}],
                            "resources": {
                                "requests": {"cpu": "100m"},
                                "limits": {"cpu": "1", "memory": "1Gi"},
                            },
                            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    },
    "apps/v1:StatefulSet": {
        "metadata": {"name": "db"},
        "spec": {
            "serviceName": "db",
            "selector": {"matchLabels": dict(LABELS)},
            "template": {
                "metadata": {"labels": dict(LABELS)},
                "spec": {
                    "containers": [
                        {"name": "db", "image": "db:1", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}
                    ]
                },
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            ],
        },
    },
    "batch/v1:CronJob": {
        "metadata": {"name": "backup"},
        "spec": {
            "schedule": "*/15 2-4 1,15 jan-mar mon",
            "jobTemplate": {
                "spec": {
                    "template": {
                        "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b:1"}]}
                    }
                }
            },
        },
    },
    "core/v1:ConfigMap": {"metadata": {"name": "settings"}, "data": {"a.b-c_d": "text"}},
    "core/v1:Secret": {"metadata": {"name": "secret"}, "data": {"key": "dGV4dA=="}},
    "core/v1:Service": {
        "metadata": {"name": "web"},
        "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    },
    "core/v1:PersistentVolumeClaim": {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    },
    "core/v1:Namespace": {"metadata": {"name": "shop"}},
    "core/v1:ResourceQuota": {"metadata": {"name": "quota"}, "spec": {"hard": {"requests.cpu": "4"}}},
    "core/v1:LimitRange": {
        "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "min": {"cpu": "10m"}, "max": {"cpu": "2"}}]},
    },
    "autoscaling/v2:HorizontalPodAutoscaler": {
        "metadata": {"name": "web"},
        "spec": {
            "minReplicas": 2,
            "maxReplicas": 4,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        },
    },
    "policy/v1:PodDisruptionBudget": {
        "metadata": {"name": "web"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dict(LABELS)}},
    },
    "networking.k8s.io/v1:Ingress": {
        "metadata": {"name": "web"},
        "spec": {
            "rules": [
                {
                    "host": "*.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "web", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        },
    },
    "networking.k8s.io/v1:NetworkPolicy": {
        "metadata": {"name": "web"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}],
        },
    },
    "rbac.authorization.k8s.io/v1:ClusterRoleBinding": {
        "metadata": {"name": "system:reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}],
    },
    "rbac.authorization.k8s.io/v1:Role": {
        "metadata": {"name": "system:reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    },
    "rbac.authorization.k8s.io/v1:RoleBinding": {
        "metadata": {"name": "system:reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}],
    },
}
DEPLOYMENT: Final = "apps/v1:Deployment"
CONTAINERS: Final = "spec.template.spec.containers"
CONTAINER: Final = f"{CONTAINERS}[0]"
REMOVED: Final = object()
"""As a value for `changed`: take the property away."""


def cluster() -> Kubernetes:
    """A simulated cluster in memory."""
    provider = Kubernetes(Store())
    provider.configure({})
    return provider


def check(cluster: Kubernetes, kind: str, manifest: dict[str, Any]) -> list[str]:
    resource = Resource("urn", f"kubernetes:{kind}", "name")
    return [str(failure) for failure in cluster.check(resource, {}, manifest, Naming(seed=b"x")).failures]


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    """The good object of a kind with one value set, or removed, at a path such as `spec/ports/0/name`."""
    manifest = copy.deepcopy(OBJECTS[kind])
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    target: Any = manifest
    for step in steps:
        target = target[step] if isinstance(step, int) else target.setdefault(step, {})
    if value is REMOVED:
        del target[last]
    elif isinstance(last, int) and last == len(target):
        target.append(value)
    else:
        target[last] = value
    return manifest

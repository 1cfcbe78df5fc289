"""The platform, from left to right the way a request and a byte of data travel.

    settings -> namespaces -> credentials -> workloads

Nothing else composes: a component is handed the components that it needs, and knows of no other.
"""

import pulumi
import pulumi_kubernetes
import pulumi_random

from components import network
from components.application.scaling import Autoscaling
from components.application.workload import Probes, Workload, WorkloadArgs
from components.base import Identity
from components.platform.credentials import Credentials, CredentialsArgs
from components.platform.namespace import Namespace, NamespaceArgs, Quota
from components.pods import Resources
from settings import INTERNET, load

settings = load()

identity = Identity(**dict(settings.stack))

opts = pulumi.ResourceOptions(
    providers=[
        pulumi_kubernetes.Provider("cluster", context=settings.cluster.context),
        pulumi_random.Provider("random"),
    ]
)

namespaces = {
    name: Namespace(name, NamespaceArgs(identity=identity, quota=Quota(**dict(tier.quota))), opts)
    for name, tier in settings.platform.namespaces.items()
}

credentials = Credentials(
    "credentials",
    CredentialsArgs(
        identity=identity,
        generated={name: secret.generate for name, secret in settings.secrets.items() if secret.generate},
        given={
            name: secret.value.get_secret_value() for name, secret in settings.secrets.items() if secret.value
        },
    ),
    opts,
)

workloads: dict[str, Workload] = {}
callees: dict[str, network.Endpoint | network.Addresses] = {INTERNET: network.INTERNET}
for name in settings.workloads_in_order():
    workload = settings.workloads[name]
    workloads[name] = Workload(
        name,
        WorkloadArgs(
            identity=identity,
            namespace=namespaces[workload.namespace].namespace,
            image=workload.image,
            port=workload.port,
            resources=Resources(**dict(workload.resources)),
            autoscaling=Autoscaling(**dict(workload.autoscaling)),
            probes=Probes(**dict(workload.probes)),
            drain_seconds=workload.drain_seconds,
            talks_to=[callees[callee] for callee in workload.talks_to],
            config=workload.config,
            secrets={secret: credentials[secret] for secret in workload.secrets},
        ),
        opts,
    )
    callees[name] = workloads[name].endpoint

pulumi.export("namespaces", {name: tier.namespace for name, tier in namespaces.items()})
pulumi.export("services", {name: workload.service for name, workload in workloads.items()})

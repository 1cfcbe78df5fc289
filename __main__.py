"""The platform, from left to right the way a request and a byte of data travel.

    settings -> ground -> repository -> database -> pool, cache -> release -> workloads -> routes -> edge
                                        snapshot ------------------^
                                  monitoring <- every component's watch list

Nothing else composes, but for who runs the database, who keeps its backups and who watches
(`settings.arguments`): a component is handed the components that it needs, and knows of no other.
"""

from dataclasses import replace

import pulumi
import pulumi_kubernetes
import pulumi_random

from components import network
from components.application.release import Release
from components.application.workload import Workload
from components.data.cache import Cache
from components.data.maintenance import Maintenance
from components.edge.cloudflare import CloudflareEdge
from components.edge.origin_pulls import OriginPulls
from components.ingress.certificate import Certificate
from components.ingress.entrance import Entrance
from components.ingress.route import CLASS_NAME
from components.ingress.routes import Routes, RoutesArgs
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credentials
from components.platform.namespace import Namespace
from components.platform.priorities import Priorities, PrioritiesArgs
from components.watch import Watch
from settings import CACHE, INTERNET, POOL, arguments, load

settings = load()
identity = arguments.of_identity(settings)
ledger = arguments.Ledger()
context = settings.cluster.context
cluster = pulumi_kubernetes.Provider("cluster", context=context)
opts = pulumi.ResourceOptions(providers=[cluster, pulumi_random.Provider("random")])
# For what takes up a changed configuration while it runs, and would lose its clients by a restart.
mutable = pulumi_kubernetes.Provider(
    "cluster-in-place", context=context, enable_config_map_mutable=True, enable_secret_mutable=True
)
in_place = pulumi.ResourceOptions(providers=[mutable])

# What everything else stands on.
ground = arguments.Ground(
    identity=identity,
    namespaces={
        name: Namespace(name, arguments.of_namespace(name, settings, identity), opts).namespace
        for name in settings.platform.namespaces
    },
    priorities=Priorities("priorities", PrioritiesArgs(identity=identity), opts).classes,
    authority=Authority("authority", AuthorityArgs(identity=identity), opts),
    credentials=Credentials("credentials", arguments.of_credentials(settings, identity), opts),
)

# What can be called: the internet, what keeps data, and the workloads.
callees: dict[str, network.Endpoint | network.Addresses] = {INTERNET: network.INTERNET}
before: list[pulumi.Resource] = []  # what a release waits for
watches: list[Watch] = [ground.authority.watch]  # how each is watched
database = None
if settings.database:
    repository = arguments.kept_repository(settings, ground)
    database = arguments.served_database(settings.database, ground, in_place, repository)
    nightly = arguments.of_maintenance(settings.database, ground, database.maintenance, repository)
    watches += [*database.watches, Maintenance("maintenance", nightly, opts).watch]
    backed_up = arguments.backed_up(settings, ground, database, repository, opts)
    watches += backed_up.watches
    callees[POOL] = database.pool
    before += [*database.parts, *backed_up.before]
if settings.cache:
    cache = Cache(CACHE, arguments.of_cache(settings.cache, ground), opts)
    callees[CACHE] = cache.endpoint
    before, watches = [*before, cache], [*watches, cache.watch]
callees |= arguments.called_inside(settings, ground)

# What serves. Nothing of a new version does, until its release has passed.
applications = arguments.of_applications(settings, ground, callees)
if settings.release:
    tried = applications[settings.release.workload]
    released = arguments.of_release(settings.release, settings, ground, tried, database, before)
    before = [*before, Release("release", released, opts)]
workloads = {
    name: Workload(name, arguments.of_workload(workload, ground, applications[name], after=before), opts)
    for name, workload in settings.workloads.items()
}
watches += [workload.watch for workload in workloads.values()]

# How it is reached from outside.
if settings.entrance:
    routes = arguments.of_routes(settings, ground, workloads)
    class_name = settings.entrance.class_name
    reached = Routes("routes", RoutesArgs(identity=identity, routes=routes, class_name=class_name), opts)
    around = pulumi.ResourceOptions(providers=[cluster, *arguments.edge_providers(settings, ground)])
    served: pulumi.Resource = reached
    if class_name == CLASS_NAME:
        signed = arguments.of_certificate(settings.entrance, ground, routes)
        certificate = Certificate("certificate", signed, around)
        entered = arguments.of_entrance(settings.entrance, settings, ground, routes, certificate.secret)
        if settings.edge and settings.edge.origin_pulls:
            pulls = OriginPulls("origin-pulls", arguments.of_origin_pulls(settings, ground), around)
            entered = replace(entered, client_authority=pulls.authority)
        served = entrance = Entrance("entrance", entered, opts)
        watches.append(entrance.watch)
    if settings.edge:
        edge = CloudflareEdge("edge", arguments.of_edge(settings.edge, settings, ground, [served]), around)
        pulumi.export("edge", {"plan": edge.plan, "notes": edge.notes, "leftBehind": edge.left_behind})
    pulumi.export("hosts", reached.hosts)

# Who watches it all, and tells somebody.
if settings.monitoring:
    pulumi.export("monitoring", arguments.monitored(settings, ground, watches, opts, in_place, workloads))

pulumi.export("cost", arguments.told_cost(ledger, settings))
pulumi.export("namespaces", ground.namespaces)
pulumi.export("deployments", {name: workload.deployment for name, workload in workloads.items()})

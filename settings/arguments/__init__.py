"""Sections of the settings as components' arguments: names become components, and pydantic ends here."""

from components.cost.ledger import Ledger
from settings.arguments.application import called_inside, of_applications, of_release, of_workload
from settings.arguments.backups import backed_up, kept_repository
from settings.arguments.cost import told_cost
from settings.arguments.data import of_cache, of_maintenance
from settings.arguments.edge import edge_providers, of_edge, of_origin_pulls
from settings.arguments.engine import ServedDatabase, served_database
from settings.arguments.ground import Ground, of_credentials, of_identity, of_namespace
from settings.arguments.ingress import of_certificate, of_entrance, of_routes
from settings.arguments.monitoring import monitored

__all__ = [
    "Ground",
    "Ledger",
    "ServedDatabase",
    "backed_up",
    "called_inside",
    "edge_providers",
    "kept_repository",
    "monitored",
    "of_applications",
    "of_cache",
    "of_certificate",
    "of_credentials",
    "of_edge",
    "of_entrance",
    "of_identity",
    "of_maintenance",
    "of_namespace",
    "of_origin_pulls",
    "of_release",
    "of_routes",
    "of_workload",
    "served_database",
    "told_cost",
]

"""What may differ between two stacks: the model, and the one place that reads it."""

from settings.load import SettingsError, load
from settings.model import Settings
from settings.workload import CACHE, INTERNET, POOL, Workload

__all__ = ["CACHE", "INTERNET", "POOL", "Settings", "SettingsError", "Workload", "load"]

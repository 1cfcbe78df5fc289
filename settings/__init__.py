"""What may differ between two stacks: the model, and the one place that reads it."""

from settings.load import SettingsError, load
from settings.model import INTERNET, Settings, Workload

__all__ = ["INTERNET", "Settings", "SettingsError", "Workload", "load"]

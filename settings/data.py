"""What keeps data: the cache and queue."""

from pydantic import Field

from settings.section import Section
from settings.types import Bytes, Image, Name
from settings.workload import Resources


class Cache(Section):
    """Valkey, for the cache and the queue."""

    namespace: Name = Field(default="data", description="One of `platform.namespaces`.")
    image: Image = Field(description="Valkey 8.1 or newer.")
    exporter_image: Image = Field(description="The exporter of its metrics.")
    resources: Resources
    password: Name = Field(default="redis-password", description="The secret that clients show.")
    storage: Bytes = Field(description="The volume; five times the memory limit.")

"""What Valkey and its exporter are told, as text: pure functions from settings to files."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final

PORT: Final = 6379
METRICS_PORT: Final = 9121

PROCESS_BYTES: Final = 32 * 2**20
"""Of the memory limit, for the process itself, and for TLS on several hundred connections."""

REWRITE_FACTOR: Final = 2
"""How often the data must fit into the rest.

While the log is rewritten, a forked child keeps the data as they were, and each page that is changed
meanwhile exists twice; the log itself is in the page cache, which the kernel takes back. Under full load on
small jobs all over memory, up to four fifths of all pages were changed during one rewrite: with 60 % of the
limit for data, the two came to 98 % of 1 GiB and to 126 % of 64 MiB, and the kernel would have ended Valkey
again and again. With this they come to 79 % and 68 %.
"""

_FOLDER: Final = Path(__file__).parent
_UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

# What each user may do, as rules of an ACL: first nothing, then what follows, each word after the one before.
# Source: https://valkey.io/topics/acl/; `ACL CAT dangerous` lists what a category holds.

WORKLOAD_RULES: Final = (
    "~* &* -@all +@read +@write +@transaction +@pubsub -@admin -@dangerous -@scripting "
    "+eval +evalsha +eval_ro +evalsha_ro +script|load +script|exists +ping +select +time "
    # `valkey-cli --bigkeys` begins with it; it means something in a cluster alone.
    "+readonly "
    # Both are among the dangerous. Every connection of ioredis asks for the first before its first command;
    # the second is how BullMQ's `getWorkers` finds them.
    "+info +client|list +client|info +client|id +client|getname +client|setname +client|setinfo"
)
"""Of the workloads: data, transactions, channels and scripts. Nothing that changes the server or its users,
copies it elsewhere, ends it, deletes everything or walks through all keys at once (KEYS); SCAN is there."""

OPERATOR: Final = "operator"
OPERATOR_RULES: Final = "resetkeys resetchannels -@all +ping +config|get +config|set"
"""Of who renews the certificate, and of the probe. An ACL has no rules for single parameters of CONFIG SET,
so it may set whatever may be changed in a running server; it reads and writes no key."""

EXPORTER: Final = "exporter"
EXPORTER_RULES: Final = (
    "resetkeys resetchannels -@all +info +config|get +latency|latest +latency|histogram "
    "+slowlog|get +slowlog|len +client|setname"
)
"""Of who counts: it reads, and of no key."""


def valkey_conf(memory_limit: str, *, port: int = PORT) -> str:
    """The configuration file; it names no secret.

    Args:
        memory_limit: the container's memory limit, as a binary Kubernetes quantity such as `512Mi`.
        port: where to listen for TLS.

    Raises:
        ValueError: as `maxmemory`.
    """
    template = Template((_FOLDER / "valkey.conf").read_text(encoding="utf-8"))
    return template.substitute(port=port, maxmemory=maxmemory(memory_limit))


def maxmemory(memory_limit: str) -> int:
    """How many bytes the data may take.

    Args:
        memory_limit: as in `valkey_conf`.

    Raises:
        ValueError: the limit is no such quantity, or leaves nothing for data.
    """
    number, unit = memory_limit[:-2], memory_limit[-2:]
    if unit not in _UNITS or not number.isdecimal():
        raise ValueError(f"{memory_limit!r} is not a quantity such as 512Mi")
    data = int(number) * _UNITS[unit] - PROCESS_BYTES
    if data <= 0:
        raise ValueError(
            f"a memory limit of {memory_limit} leaves nothing for data: give the cache 64Mi or more"
        )
    return data // REWRITE_FACTOR


def secret_files(password: str, accepted: Sequence[str] = ()) -> dict[str, str]:
    """The files of the Secret: the user that the workloads are.

    It is the one that Valkey calls `default`, so that a password alone is enough to come in.

    Args:
        password: the one that is used, a line.
        accepted: others that are as good, so that a rotation locks nobody out.

    Returns:
        Name -> content: `users.conf` for Valkey, with each password's hash, which no quoting can spoil;
        `password` as it is, for people in the pod, who look at the data by the runbooks.

    Raises:
        ValueError: a password is empty or more than a line.
    """
    passwords = [password, *accepted]
    if not all(known and known.isprintable() for known in passwords):
        raise ValueError("the cache's password must be one line, and not empty")
    digests = " ".join(f"#{hashlib.sha256(known.encode()).hexdigest()}" for known in passwords)
    return {"password": password, "users.conf": f"user default reset on {digests} {WORKLOAD_RULES}\n"}


def address(port: int = PORT) -> str:
    """Where the exporter, in the same pod, finds Valkey."""
    return f"rediss://localhost:{port}"


def password_entry(port: int = PORT) -> str:
    """By what the exporter finds its password in its file: the address, with the user in it."""
    return f"rediss://{EXPORTER}@localhost:{port}"


def scripts() -> dict[str, str]:
    """The shell scripts that run beside Valkey, by file name."""
    return {
        path.name: path.read_text(encoding="utf-8") for path in sorted((_FOLDER / "scripts").glob("*.sh"))
    }

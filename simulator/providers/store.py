"""The simulated cloud's memory: one JSON file per resource, or a dictionary.

Several plugin processes share one folder, as several providers share one cloud, so a record is created by
an atomic link that fails when the name is taken. A test makes drift by editing or deleting a file.

The store never holds a secret in plain text: a secret is kept as a salted digest, which is enough to say
whether somebody changed it.
"""

import contextlib
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from simulator.providers.values import Properties, Secret, Value, reveal

DIGEST: Final = "$digest"
CHANGED_OUTSIDE: Final = "(changed outside)"
LONGEST_NAME: Final = 120
"""A file's name is cut here and told apart by a digest: file systems end at 255 bytes."""


class AlreadyExistsError(Exception):
    """A resource of that kind and name is already there."""


@dataclass
class Record:
    """One resource of the simulated cloud.

    Attributes:
        type: the resource's type token.
        urn: who created it; empty if nobody of ours.
        inputs: what was asked for, secrets as digests.
        computed: what the cloud added, secrets as digests.
        unready: why it exists and does not work; empty if it does.
        serving: of what runs behind it, where that may be older than what was asked for: the pod template of
            the pods that serve, secrets as digests.
    """

    type: str
    urn: str
    inputs: Properties
    computed: Properties = field(default_factory=dict)
    unready: str = ""
    serving: Properties = field(default_factory=dict)


class Store:
    """The records of one account or cluster.

    Args:
        folder: where the files are; None keeps them in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._memory: dict[str, str] = {}
        self._lock = threading.Lock()

    def within(self, *names: str) -> "Store":
        """The store of one part of this cloud, such as one account."""
        if self._folder is None:
            return self
        return Store(self._folder.joinpath(*(_file_name(name) for name in names)))

    def create(self, collection: str, name: str, record: Record) -> None:
        """Write a record that must be new.

        Raises:
            AlreadyExistsError: the name is taken in its collection.
        """
        text = _dump(record)
        key = _key(collection, name)
        with self._lock:
            if self._folder is None:
                if key in self._memory:
                    raise AlreadyExistsError(name)
                self._memory[key] = text
                return
            path = self._folder / key
            temporary = _write_beside(path, text)
            try:
                os.link(temporary, path)
            except FileExistsError:
                raise AlreadyExistsError(name) from None
            finally:
                temporary.unlink()

    def read(self, collection: str, name: str) -> Record | None:
        """The record of that name, or None if there is none."""
        key = _key(collection, name)
        with self._lock:
            text = self._memory.get(key)
            if self._folder is not None:
                with contextlib.suppress(FileNotFoundError):
                    text = (self._folder / key).read_text()
        return None if text is None else Record(**json.loads(text))

    def update(self, collection: str, name: str, record: Record) -> None:
        """Replace the record of that name."""
        key = _key(collection, name)
        with self._lock:
            if self._folder is None:
                self._memory[key] = _dump(record)
            else:
                path = self._folder / key
                _write_beside(path, _dump(record)).replace(path)

    def delete(self, collection: str, name: str) -> None:
        """Forget the record of that name, if there is one."""
        key = _key(collection, name)
        with self._lock:
            self._memory.pop(key, None)
            if self._folder is not None:
                (self._folder / key).unlink(missing_ok=True)

    def records(self, collection: str) -> Iterator[Record]:
        """Every record of a collection."""
        with self._lock:
            if self._folder is None:
                texts = [
                    text for key, text in self._memory.items() if key.startswith(f"{_file_name(collection)}/")
                ]
            else:
                texts = [
                    path.read_text()
                    for path in sorted((self._folder / _file_name(collection)).glob("*.json"))
                ]
        yield from (Record(**json.loads(text)) for text in texts)


def seal(value: Value) -> Value:
    """A value fit for the store: every secret replaced by a salted digest."""
    if isinstance(value, Secret):
        salt = secrets.token_hex(8)
        return {DIGEST: f"{salt}:{_digest(salt, value)}"}
    if isinstance(value, dict):
        return {key: seal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [seal(item) for item in value]
    return value


def unseal(stored: Value, known: Value) -> Value:
    """A value from the store, with the secrets that the caller already knows put back.

    Args:
        stored: what the store holds.
        known: the value that the engine last saw at the same place; a secret that no longer matches its
            digest comes back as a secret that says so.
    """
    inner = known.value if isinstance(known, Secret) else known
    if isinstance(stored, dict) and DIGEST in stored:
        salt, _, expected = str(stored[DIGEST]).partition(":")
        unchanged = known is not None and _digest(salt, known) == expected
        return Secret(inner if unchanged else CHANGED_OUTSIDE)
    if isinstance(known, Secret):
        return Secret(unseal(stored, inner))
    if isinstance(stored, dict):
        old = inner if isinstance(inner, dict) else {}
        return {key: unseal(item, old.get(key)) for key, item in stored.items()}
    if isinstance(stored, list):
        items = inner if isinstance(inner, list) else []
        return [
            unseal(item, items[index] if index < len(items) else None) for index, item in enumerate(stored)
        ]
    return stored


def _digest(salt: str, value: Any) -> str:
    # What is not known yet, as at a preview, matches no digest.
    text = json.dumps(reveal(value), sort_keys=True, default=repr)
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()


def _dump(record: Record) -> str:
    return json.dumps(asdict(record), indent=2, sort_keys=True) + "\n"


def _key(collection: str, name: str) -> str:
    return f"{_file_name(collection)}/{_file_name(name)}.json"


def _file_name(name: str) -> str:
    safe = quote(name, safe="@+=,")
    if len(safe) <= LONGEST_NAME:
        return safe
    return f"{safe[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _write_beside(path: Path, text: str) -> Path:
    """Write a temporary file next to its final place, so that moving it is atomic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(6)}.tmp")
    temporary.write_text(text)
    return temporary

"""The names, labels and quantities that a simulated API server accepts, and walking over an object.

Every check passes over what is not known yet.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from simulator.providers.quantities import quantity
from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, is_known, join

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT: Final = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")

LABEL_LENGTH: Final = 63
SUBDOMAIN_LENGTH: Final = 253
PORT_NAME_LENGTH: Final = 15
HIGHEST_PORT: Final = 65535


def is_label(text: str) -> bool:
    """Whether a text is a DNS-1123 label, such as a namespace's or a container's name."""
    return len(text) <= LABEL_LENGTH and bool(_LABEL.fullmatch(text))


def is_service_name(text: str) -> bool:
    """Whether a text is a DNS-1035 label, as a Service's name must be."""
    return len(text) <= LABEL_LENGTH and bool(_SERVICE.fullmatch(text))


def is_subdomain(text: str) -> bool:
    """Whether a text is a DNS-1123 subdomain, as most names must be."""
    return len(text) <= SUBDOMAIN_LENGTH and bool(_SUBDOMAIN.fullmatch(text))


def is_qualified(text: str) -> bool:
    """Whether a text is a label's or annotation's key: a name with an optional domain before a slash."""
    domain, slash, name = text.rpartition("/")
    return (
        len(name) <= LABEL_LENGTH and bool(_QUALIFIED.fullmatch(name)) and (not slash or is_subdomain(domain))
    )


def is_label_value(text: str) -> bool:
    """Whether a text is a label's value; an empty one is."""
    return not text or (len(text) <= LABEL_LENGTH and bool(_QUALIFIED.fullmatch(text)))


def is_port_name(text: str) -> bool:
    """Whether a text is a port's name."""
    return len(text) <= PORT_NAME_LENGTH and bool(_PORT.fullmatch(text))


def is_data_key(text: str) -> bool:
    """Whether a text is a key of a ConfigMap or Secret."""
    return len(text) <= SUBDOMAIN_LENGTH and text not in (".", "..") and bool(_DATA_KEY.fullmatch(text))


def refuse_unless(accepts: Callable[[str], bool], value: Any, path: str, valid: str) -> Iterator[Failure]:
    """Refuse a known string that a test does not accept."""
    if isinstance(value, str) and not accepts(value):
        yield Failure(path, f"expected {valid}, found {value!r}")


def objects(value: Any, path: str) -> Iterator[tuple[str, Properties]]:
    """The known objects of a known list, each with its path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield join(path, index), item


def entries(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """The entries of a known object: path, key and value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield join(path, key), key, item


def part(value: Any, *keys: str) -> Any:
    """What stands at a path of keys inside an object; None if a step is absent or not known."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def unique(found: Iterable[tuple[str, Any]], what: str) -> Iterator[Failure]:
    """Refuse every value that came before; `found` pairs the path with the value."""
    seen: set[Any] = set()
    for path, value in found:
        if value in seen:
            shown = "/".join(str(one) for one in value) if isinstance(value, tuple) else str(value)
            yield Failure(path, f"duplicate {what} {shown!r}")
        seen.add(value)


def check_port(value: Any, path: str) -> Iterator[Failure]:
    """Refuse a port's number out of range or a malformed name."""
    if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value <= HIGHEST_PORT:
        yield Failure(path, f"expected a port from 1 to {HIGHEST_PORT}, found {value}")
    yield from refuse_unless(is_port_name, value, path, "a port's name (at most 15 of a-z, 0-9 and -)")


def check_quantities(value: Any, path: str) -> Iterator[Failure]:
    """Refuse the malformed and the negative quantities of an object such as `requests`."""
    for entry, _key, item in entries(value, path):
        number = quantity(item) if isinstance(item, str) else None
        if isinstance(item, str) and (number is None or number < 0):
            yield Failure(entry, f"expected a quantity such as 500m or 1Gi, found {item!r}")


def check_not_above(lower: Any, upper: Any, path: str, words: tuple[str, str]) -> Iterator[Failure]:
    """Refuse every quantity of `lower` that is above its like in `upper`."""
    for entry, key, item in entries(lower, path):
        other = part(upper, key)
        low = quantity(item) if isinstance(item, str) else None
        high = quantity(other) if isinstance(other, str) else None
        if low is not None and high is not None and low > high:
            yield Failure(entry, f"{words[0]} {item} is above {words[1]} {other}")


def check_labels(labels: Any, path: str) -> Iterator[Failure]:
    """Refuse malformed label keys and values."""
    for entry, key, value in entries(labels, path):
        if not is_qualified(key):
            yield Failure(
                entry, f"expected a label's key (at most 63 of A-Z, a-z, 0-9, -, _, .), found {key!r}"
            )
        yield from refuse_unless(
            is_label_value, value, entry, "a label's value (at most 63 of A-Z, a-z, 0-9, -, _, .)"
        )


def selects(selector: Any, labels: Any) -> bool:
    """Whether a label selector is met by labels; whatever is not known counts as met."""
    if not isinstance(selector, dict) or not isinstance(labels, dict | None):
        return True
    labels = labels or {}
    for _path, key, wanted in entries(part(selector, "matchLabels"), ""):
        found = labels.get(key)
        if found is None or (isinstance(found, str) and isinstance(wanted, str) and found != wanted):
            return False
    for _path, expression in objects(selector.get("matchExpressions"), ""):
        if not is_known(expression):
            continue
        found, allowed = labels.get(expression.get("key")), expression.get("values") or []
        met = {
            "In": found in allowed or (found is not None and not isinstance(found, str)),
            "NotIn": found not in allowed,
            "Exists": found is not None,
            "DoesNotExist": found is None,
        }
        if not met.get(str(expression.get("operator")), True):
            return False
    return True

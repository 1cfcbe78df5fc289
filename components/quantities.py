"""Kubernetes' quantities as numbers."""

import re
from decimal import Decimal
from typing import Final

_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_DECIMAL: Final = {"m": Decimal("0.001"), "": Decimal(1), "k": Decimal(10**3), "M": Decimal(10**6)}


def quantity(text: str) -> Decimal:
    """The number that a Kubernetes quantity stands for: cores for a CPU, bytes for memory or storage.

    Args:
        text: a quantity such as `250m`, `2`, `1.5` or `512Mi`.

    Raises:
        ValueError: the text is not a quantity.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", text)
    if found is None or found[2] not in _BINARY | _DECIMAL:
        raise ValueError(f"{text!r} is not a quantity such as 250m, 2 or 512Mi")
    return Decimal(found[1]) * (_BINARY | _DECIMAL)[found[2]]

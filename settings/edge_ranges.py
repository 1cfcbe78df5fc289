"""Whether Cloudflare still calls from where the entrance lets it in: `python -m settings.edge_ranges`.

Compares the list in `settings/entrance.py` to what Cloudflare publishes, and ends with 1 where they differ: a
range that is missing shuts customers out, one too many lets somebody else in. For a schedule; it needs no
credential. `--listing FILE` compares a saved answer instead. It was never run against the API itself.
"""

import argparse
import json
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from settings.entrance import CLOUDFLARE

SOURCE: Final = "https://api.cloudflare.com/client/v4/ips"
TIMEOUT_SECONDS: Final = 30
UNREADABLE: Final = 2


def published(answer: Mapping[str, Any]) -> list[str]:
    """The ranges in an answer of the API.

    Args:
        answer: the whole answer; the ranges are under `result`.

    Raises:
        ValueError: it has none, or is no answer of that API.
    """
    result = answer.get("result")
    found = [
        *(result.get("ipv4_cidrs") or [] if isinstance(result, dict) else []),
        *(result.get("ipv6_cidrs") or [] if isinstance(result, dict) else []),
    ]
    if not found:
        raise ValueError("no `result` with `ipv4_cidrs` and `ipv6_cidrs`")
    return found


def drift(known: Iterable[str], there: Iterable[str]) -> Iterator[str]:
    """What differs, each as a sentence.

    Args:
        known: what the entrance lets in.
        there: what Cloudflare publishes.
    """
    for missing in sorted(set(there) - set(known)):
        yield f"{missing} is new: add it, or requests from there are refused"
    for gone in sorted(set(known) - set(there)):
        yield f"{gone} is Cloudflare's no more: take it out, or somebody else is let in"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Args:
        arguments: without the program's name.
    """
    parser = argparse.ArgumentParser(prog="edge_ranges", description="Compares Cloudflare's ranges to ours.")
    parser.add_argument("--listing", type=Path, help="a saved answer of the API")
    file = parser.parse_args(arguments).listing
    try:
        if file:
            answer = json.loads(file.read_text(encoding="utf-8"))
        else:
            with urllib.request.urlopen(SOURCE, timeout=TIMEOUT_SECONDS) as opened:
                answer = json.load(opened)
        there = published(answer)
    except (OSError, ValueError, AttributeError) as error:
        sys.stderr.write(f"error: {file or SOURCE}: {error}\n  to do:  try again, or use --listing\n")
        return UNREADABLE
    found = list(drift(CLOUDFLARE, there))
    sys.stdout.write("".join(f"settings/entrance.py: {each}\n" for each in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Says something on GitHub: a comment on a pull request, or an issue, found again by its first line.

`python -m delivery.github comment --number 12 < build/comment-staging.md` makes the comment, or changes the
one that begins with the same line. `issue --title ...` does the same with an open issue; with nothing to say
it is closed. `labels --commit SHA` prints the labels of the pull request whose merge that is. The token is
read from GITHUB_TOKEN and goes nowhere but into the request's header.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from simulator.faults import USAGE, Fault
from simulator.processes import guarded

API: Final = "https://api.github.com"
_PAGE: Final = 100
_SECONDS: Final = 30


@dataclass(frozen=True, kw_only=True)
class Repository:
    """One repository at GitHub's API.

    Attributes:
        name: `owner/name`.
        token: may write comments or issues there.
        api: the API's address.
    """

    name: str
    token: str
    api: str = API

    def comment(self, number: int, text: str) -> str:
        """Put a comment under a pull request, or change the one that begins with the same line.

        Returns:
            Its address.

        Raises:
            Fault: GitHub refuses it or can't be reached.
        """
        first = text.partition("\n")[0]
        for each in self._pages(f"issues/{number}/comments?"):
            if str(each["body"]).partition("\n")[0].strip() == first:
                return str(self._ask("PATCH", f"issues/comments/{each['id']}", {"body": text})["html_url"])
        return str(self._ask("POST", f"issues/{number}/comments", {"body": text})["html_url"])

    def issue(self, title: str, text: str) -> str | None:
        """Have one open issue of this title with this text; with no text, none.

        Returns:
            Its address, or None where there is none.

        Raises:
            Fault: GitHub refuses it or can't be reached.
        """
        for each in self._pages("issues?state=open"):
            if each["title"] == title and "pull_request" not in each:
                change = {"body": text} if text else {"state": "closed"}
                changed = self._ask("PATCH", f"issues/{each['number']}", change)
                return str(changed["html_url"]) if text else None
        if not text:
            return None
        return str(self._ask("POST", "issues", {"title": title, "body": text})["html_url"])

    def labels(self, commit: str) -> list[str]:
        """The labels of the pull requests whose merge a commit is.

        Raises:
            Fault: GitHub refuses it or can't be reached.
        """
        merged = (each for each in self._pages(f"commits/{commit}/pulls?") if each["merged_at"])
        return sorted({str(label["name"]) for each in merged for label in each["labels"]})

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            found = self._ask("GET", f"{path}&per_page={_PAGE}&page={page}")
            yield from found
            if len(found) < _PAGE:
                return
            page += 1

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the address is ours, and http only in tests
            f"{self.api}/repos/{self.name}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
                return json.load(answer)
        except urllib.error.HTTPError as error:
            found = f"GitHub answers {error.code} {error.reason}"
        except (OSError, ValueError) as error:
            found = f"GitHub can't be reached ({error})"
        raise Fault(
            where=f"{method} {self.name}/{path.partition('?')[0]}",
            found=found,
            valid="a token that may write there: `pull-requests: write` or `issues: write` of the job",
            do="check the workflow's `permissions`; a fork's pull request never has them",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, 2 if it was called wrongly, 3 if GitHub refuses.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.github", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("comment").add_argument("--number", type=int, required=True)
    commands.add_parser("issue").add_argument("--title", required=True)
    commands.add_parser("labels").add_argument("--commit", required=True)
    given = parser.parse_args(arguments)

    def command() -> None:
        repository = Repository(
            name=_variable("GITHUB_REPOSITORY"),
            token=_variable("GITHUB_TOKEN"),
            api=os.environ.get("GITHUB_API_URL", API),
        )
        if given.command == "labels":
            print(json.dumps(repository.labels(given.commit)))
        elif given.command == "comment":
            print(repository.comment(given.number, sys.stdin.read()))
        else:
            print(repository.issue(given.title, sys.stdin.read()) or f"no open issue {given.title!r}")

    return guarded("github", command)


def _variable(name: str) -> str:
    if value := os.environ.get(name):
        return value
    raise Fault(
        where=name,
        found="not set",
        valid="what a workflow sets",
        do="run this in a workflow, or set it",
        exit_code=USAGE,
    )


if __name__ == "__main__":
    sys.exit(main())

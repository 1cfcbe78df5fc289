"""Stands in a terminal's PATH for one program, and writes down what it was called with.

Called as kubectl, it hands on to the real one what an API server alone can answer, and has changes judged by the
server without effect. What needs a kubelet or a controller is answered with nothing, once the server has told that
what it names is there: the object, the pods of a selector, the container.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

NODE: Final = ("exec", "logs", "cp", "port-forward", "top", "debug", "cnpg", "wait")
CHANGES: Final = (
    *(
        "annotate",
        "apply",
        "cordon",
        "create",
        "delete",
        "drain",
        "label",
        "patch",
        "scale",
        "set",
        "uncordon",
    ),
)
WITH_VALUE: Final = ("-n", "--namespace", "-c", "--container", "-l", "--selector", "-o", "--output")


def kubectl(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """The real one."""
    command = [os.environ["TYPIST_KUBECTL"], *arguments]
    given = None if sys.stdin.isatty() or "-" not in arguments else sys.stdin.read()
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def parsed(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Positional arguments up to `--`, and the options that have a value."""
    words: list[str] = []
    options: dict[str, str] = {}
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            break
        if word in WITH_VALUE:
            options[word.lstrip("-")[0]] = next(rest, "")
        elif not word.startswith("-"):
            words.append(word)
    return words, options


def named(words: list[str], options: dict[str, str]) -> tuple[int, str]:
    """Look whether what a command for a kubelet names is there."""
    verb, place = words[0], ["-n", options.get("n", "default")]
    target = words[2:3] if verb in ("rollout", "cnpg") else words[1:2]
    if verb == "top":
        if len(words) == 2 and "l" not in options:
            return 0, ""  # all of them
        target = [f"pod/{words[2]}"] if len(words) > 2 else []
    if verb == "cnpg":
        place = ["-n", "fixia-data"]
        target = ["clusters.postgresql.cnpg.io/" + words[2]]
    if "l" in options:
        asked = ["get", "pods", "-l", options["l"]]
    elif target:
        (name,) = target
        asked = [
            "get",
            *(
                words[2:4]
                if verb == "rollout" and "/" not in name
                else [name if "/" in name else f"pod/{name}"]
            ),
        ]
    else:
        asked = ["get", "pods"]
    done = kubectl([*place, *asked, "-o", "json"])
    if done.returncode:
        return done.returncode, done.stderr
    found = json.loads(done.stdout)
    items = found["items"] if found["kind"] == "List" else [found]
    if not items:
        return 1, f"no pod for {options}"
    if container := options.get("c"):
        for item in items:
            if container not in containers(item):
                return 1, f"no container {container} in {item['metadata']['name']}: {containers(item)}"
    return 0, ""


def containers(item: dict[str, Any]) -> list[str]:
    """The containers of a pod, or of a template."""
    spec = item["spec"].get("template", item).get("spec", {})
    return [each["name"] for key in ("containers", "initContainers") for each in spec.get(key, [])]


def main() -> int:
    """Does what the module says."""
    program, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    told: dict[str, Any] = {
        "program": program,
        "arguments": arguments,
        "class": "other",
        "code": 0,
        "said": "",
    }
    output = ""
    if program == "kubectl":
        words, options = parsed(arguments)
        raw = next((word for word in words if word.startswith("/api/v1/nodes/")), "")
        if words[0] in NODE or words[:2] in (["rollout", "status"], ["rollout", "undo"]) or raw:
            told["class"] = "node"
            told["code"], told["said"] = (0, "") if raw or words[0] == "debug" else named(words, options)
        else:
            told["class"] = "server"
            dry = words[0] in CHANGES and not any(word.startswith("--dry-run") for word in arguments)
            done = kubectl([*arguments, *(["--dry-run=server"] if dry else [])])
            told["code"], told["said"], output = done.returncode, done.stderr[-400:], done.stdout
    with open(os.environ["TYPIST_LOG"], "a", encoding="utf-8") as log:  # noqa: PTH123 - one line at a time
        log.write(json.dumps(told) + "\n")
    sys.stdout.write(output)
    return int(told["code"])


if __name__ == "__main__":
    sys.exit(main())

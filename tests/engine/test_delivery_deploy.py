"""Deploy, a release that fails, the way back, and drift: the workflows' own scripts and make targets over the real
engine, with the simulated cloud as the account and a GitHub on this machine."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from components.cost.estimate import prices_of
from delivery import cost
from simulator.session import Session
from simulator.stack_file import with_placeholders
from tests.engine.platform import Platform, config, program_copy, without
from tests.recorder import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

OLD: Final = "ghcr.io/fixia/api:1.0.0"
NEW: Final = "ghcr.io/fixia/api:1.1.0"
WORKLOADS: Final = ("api", "realtime", "worker")
SMOKE: Final = "release-smoke-job"
BUDGET: Final = ("policy.PodDisruptionBudget", "web-disruption-budget-*")
LEFT_OUT: Final = {"staging": ("monitoring", "edge", "backup"), "production": ("monitoring", "edge")}
TITLE: Final = "Drift of staging"
PULUMI: Final = '#!/bin/sh\necho "$*" >>"$CALLS"\nexec "{engine}" "$@"\n'
PARTS: Final = ("Makefile", "constraints.txt", "requirements.txt", "requirements-dev.txt")


class Forge:
    """GitHub, as far as a deployment and the search for drift need it."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.closed: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def handler(forge: Forge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Each commit is a merge of a pull request without labels.
            pulls = [{"merged_at": "2026-11-20T12:00:00Z", "labels": []}]
            self.answer(forge.issues if "/issues" in self.path else pulls)

        def do_POST(self) -> None:
            issue = {
                **self.body(),
                "number": len(forge.issues) + 1,
                "html_url": f"https://forge.test{self.path}",
            }
            forge.issues.append(issue)
            self.answer(issue)

        def do_PATCH(self) -> None:
            (issue,) = forge.issues
            issue.update(self.body())
            if issue.get("state") == "closed":
                forge.closed.append(issue["title"])
                forge.issues.clear()
            self.answer(issue)

        def body(self) -> dict[str, Any]:
            sent: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return sent

        def answer(self, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    return Handler


@dataclass
class World:
    """A clone, an account and a GitHub.

    Attributes:
        folder: where all of it lies.
        session: the engine's private session, which stands for the account.
        forge: GitHub.
        stack: the stack that the scripts are run for.
    """

    folder: Path
    session: Session
    forge: Forge
    stack: str = "staging"

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def platform(self) -> Platform:
        """To look into the account."""
        return Platform(self.session, self.folder, self.clone, self.stack)

    def run(self, *command: str, failing: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command of a workflow in the clone, with the account logged in."""
        github = {  # What a runner sets.
            "GITHUB_WORKSPACE": str(self.clone),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_SHA": "c0ffee",
            "GITHUB_REPOSITORY": "fixia/platform",
            "GITHUB_TOKEN": "token-of-the-job",
            "GITHUB_API_URL": self.forge.address,
        }
        return subprocess.run(
            command,
            cwd=self.clone,
            env={
                **self.session.environment(),
                **github,
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "CALLS": str(self.folder / "calls"),
                "STACK": self.stack,
                "FIXIA_SIMULATOR_FAIL": failing,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def script(self, name: str, failing: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(f".github/scripts/{name}.sh", failing=failing)

    def calls(self) -> list[str]:
        """What pulumi was called with since this was asked last."""
        file = self.folder / "calls"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def file(self, stack: str) -> Path:
        return self.clone / f"Pulumi.{stack}.yaml"

    def edit(self, stack: str, old: str, new: str) -> None:
        text = self.file(stack).read_text()
        assert old in text
        self.file(stack).write_text(text.replace(old, new))

    def commit(self, message: str) -> None:
        identity = (
            "-c",
            "user.name=Tester",
            "-c",
            "user.email=tester@example.org",
            "-c",
            "commit.gpgsign=false",
        )
        for command in (("add", "."), ("commit", "--quiet", f"--message={message}")):
            subprocess.run(["git", *identity, *command], cwd=self.clone, check=True, capture_output=True)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def record(self, collection: str, name: str) -> Path:
        """The file in which the simulated cluster keeps one object; `*` stands for the engine's suffix."""
        (found,) = self.session.cloud.rglob(f"{collection}/*%2F{name}.json")
        return found

    def wanted(self) -> dict[str, str]:
        """The images that the Deployments ask for."""
        templates = {name: self.platform.record("Deployment", name)["spec"]["template"] for name in WORKLOADS}
        return {name: image(template) for name, template in templates.items()}

    def unready(self) -> list[str]:
        """The resources that the engine knows not to work."""
        return [each["urn"].rpartition("::")[2] for each in self.platform.state() if each.get("initErrors")]

    def serving(self) -> dict[str, str]:
        """The images of the pods that serve."""
        records = {name: json.loads(self.record("apps.Deployment", name).read_text()) for name in WORKLOADS}
        return {name: image(record["serving"]) for name, record in records.items()}


def everywhere(image: str) -> dict[str, str]:
    return dict.fromkeys(WORKLOADS, image)


def image(template: dict[str, Any]) -> str:
    return str(template["spec"]["containers"][0]["image"])


@pytest.fixture(scope="module")
def deployed(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Staging, brought up by the workflow's script; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("deployed")
    program_copy(folder / "clone")
    for part in PARTS:
        shutil.copy(ROOT / part, folder / "clone")
    for part in ("delivery", "simulator", ".github"):
        shutil.copytree(ROOT / part, folder / "clone" / part, ignore=shutil.ignore_patterns("__pycache__"))
    for stack, left_out in LEFT_OUT.items():
        # Half of its objects: what watches it, stands in front of it and backs it up is deployed by the same steps.
        plain = folder / "plain.yaml"
        plain.write_text(yaml.safe_dump({"config": without(config(stack), *left_out)}))
        # As an owner has it who has set the credentials, under the session's passphrase.
        with_placeholders(plain, folder / f"clone/Pulumi.{stack}.yaml")
        levels = folder / f"clone/policies/levels.{stack}.json"
        # Some exemptions are of what was left out, and nothing needs them.
        levels.write_text(json.dumps({**json.loads(levels.read_text()), "exemptions-current": "advisory"}))
    (folder / "clone/.gitignore").write_text("build/\n.venv\n__pycache__/\n")
    subprocess.run(["git", "init", "--quiet", folder / "clone"], check=True)
    (folder / "bin").mkdir()
    (folder / "bin/pulumi").write_text(PULUMI.format(engine=engine))
    (folder / "bin/pulumi").chmod(0o755)
    forge = Forge()
    world = World(folder, Session(engine, folder / "account"), forge)
    world.commit("The platform")
    world.session.init("staging", world.clone)
    done = world.script("deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    yield world
    forge.close()


@pytest.fixture
def world(deployed: World, engine: Path, tmp_path: Path) -> Iterator[World]:
    """A copy of what was brought up, which a test may break."""
    for part in ("clone", "account", "bin"):
        shutil.copytree(deployed.folder / part, tmp_path / part, symlinks=True)
    shutil.copy(deployed.folder / "summary", tmp_path)
    forge = Forge()
    yield World(tmp_path, Session(engine, tmp_path / "account"), forge)
    forge.close()


def test_a_release_that_fails_its_smoke_test_leaves_the_old_version_and_can_be_taken_back(
    world: World,
) -> None:
    told = world.text("summary")
    assert "✅ it can be done" in told
    assert "to create" in told
    before = world.file("staging").read_text()
    assert before.count(OLD) == len(WORKLOADS)
    world.edit("staging", OLD, NEW)
    world.commit("Release 1.1.0")

    done = world.script("deploy", failing=SMOKE)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("deploy: ")]
    assert "release-smoke" in line
    assert "did not become ready" in line
    assert "old version still serves" in line
    assert "docs/runbooks/roll-back-a-release.md" in line
    assert world.wanted() == everywhere(OLD), "no Deployment was told of the new version"
    assert world.serving() == everywhere(OLD)
    assert set(world.unready()) == {SMOKE}

    world.calls()
    done = world.script("rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deploy: " not in done.stderr
    (left,) = [each for each in world.forge.issues if each["title"] == "Rollback of staging"]
    assert f"+      image: {OLD}" in left["body"]
    world.forge.issues.clear()
    assert world.file("staging").read_text() == before
    assert world.serving() == world.wanted() == everywhere(OLD)
    assert world.unready() == []
    preview, up = world.calls()
    plan = preview.split("--save-plan ")[1].split()[0]
    assert preview.startswith("preview ")
    assert up.startswith("up ")
    assert f"--plan {plan}" in up
    assert "--policy-pack-config" in preview
    assert "--policy-pack-config" in up


def test_a_release_that_serves_is_taken_back_by_the_steps_of_a_release(world: World) -> None:
    before = world.file("staging").read_text()
    world.edit("staging", OLD, NEW)
    world.commit("Release 1.1.0")
    done = world.run("make", "deploy", "STACK=staging")
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.serving() == everywhere(NEW)

    back = ("make", "rollback", "STACK=staging", "YES=1")
    done = world.run(*back, failing=SMOKE)
    assert done.returncode != 0
    assert "did not become ready" in done.stderr
    assert "`make deploy STACK=staging`" in done.stderr
    assert world.serving() == everywhere(NEW), "the version before has to pass its smoke test too"
    assert world.file("staging").read_text() == before

    world.calls()
    done = world.run(*back)
    assert done.returncode != 0
    assert "already" in done.stderr, "a second try never goes forward to what was taken back"
    assert world.calls() == []
    done = world.run("make", "deploy", "STACK=staging")
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.serving() == world.wanted() == everywhere(OLD)
    assert world.unready() == []


def test_a_release_reaches_production_after_staging_and_by_no_other_way(world: World, engine: Path) -> None:
    account = Session(engine, world.folder / "production")
    production = replace(world, session=account, stack="production")
    account.init("production", world.clone)
    alone = world.file("production").read_text()
    world.edit("production", OLD, NEW)
    world.commit("Release 1.1.0, in production first")
    world.calls()
    done = production.script("deploy")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"workloads.api.image of production is {NEW}, which staging never had" in done.stderr
    assert world.calls() == [], "the engine was not even asked"
    assert not list(account.cloud.iterdir())
    world.file("production").write_text(alone)
    world.commit("Take it back")

    world.edit("staging", OLD, NEW)
    world.commit("Release 1.1.0")
    done = world.run("make", "promote", "FROM=staging", "TO=production", "YES=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.file("production").read_text() == alone.replace(OLD, NEW)
    world.commit("1.1.0 to production")
    for stack in (world, production):  # As the workflow does it: one commit, production when staging is done.
        done = stack.script("deploy")
        assert done.returncode == 0, done.stdout + done.stderr
        assert stack.serving() == stack.wanted() == everywhere(NEW)
        assert stack.unready() == []
    assert [call.split()[0] for call in world.calls()] == ["preview", "up"] * 2
    # What a release does in production before anything of it serves, in this order.
    steps = ["release-snapshot-job", "release-migrate-job", "release-smoke-job", "api-deployment"]
    made = [each["urn"].rpartition("::")[2] for each in production.platform.state()]
    assert [name for name in made if name in steps] == steps


def test_what_is_changed_by_hand_is_found_told_and_taken_back(world: World) -> None:
    """One container's image is another one, and one object is gone."""
    deployment = world.record("apps.Deployment", "api")
    held = json.loads(deployment.read_text())
    held["inputs"]["spec"]["template"]["spec"]["containers"][0]["image"] = NEW
    deployment.write_text(json.dumps(held))
    world.record(*BUDGET).unlink()

    done = world.script("drift")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "drift: stack staging is not what was deployed" in done.stderr
    (issue,) = world.forge.issues
    assert issue["title"] == TITLE
    rows = [row for row in issue["body"].splitlines() if row.startswith("| `")]
    assert len(rows) == 2, "what has not drifted is not told"
    assert any("`api-deployment`" in row and "containers[0].image" in row for row in rows)
    assert any(row.startswith("| `+`") and "`web-disruption-budget`" in row for row in rows)

    mend = ("-m", "delivery.deploy", "--stack", "staging", "--refresh")
    done = world.run(".venv/bin/python", *mend)
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.wanted() == everywhere(OLD)
    assert world.record(*BUDGET).exists()

    done = world.script("drift")
    assert done.returncode == 0, done.stdout + done.stderr
    assert world.forge.issues == []
    assert world.forge.closed == [TITLE]


def test_the_stack_tells_as_an_output_what_the_comment_said_it_would_cost(deployed: World) -> None:
    done = deployed.run("pulumi", "stack", "output", "--stack", "staging", "--json")
    assert done.returncode == 0, done.stderr
    expected = cost.read(deployed.clone, "staging", None).after
    assert json.loads(done.stdout)["cost"] == expected.told(prices_of())
    assert f"{expected.total} in a month" in deployed.text("summary")


def test_the_policy_packs_step_judges_the_whole_stack(deployed: World) -> None:
    done = deployed.run("make", "policy", "STACK=staging")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^staging: \d{3} resources, \d\d policies: ", done.stdout, re.MULTILINE)
    assert "[mandatory]" not in done.stdout

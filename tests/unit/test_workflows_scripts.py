"""The workflows' scripts, run as they are: their programs are stand-ins that write down how they were called."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from tests.recorder import ROOT
from tests.tree import committed

SCRIPTS: Final = ROOT / ".github" / "scripts"
TOKEN: Final = "token-of-the-job"
STAND_IN: Final = """#!/usr/bin/env bash
# Writes down its arguments and input, and does what its table says.
call="$(basename "$0") $*"
echo "$call" >>"$CALLS"
if [ ! -t 0 ] && [ "$(basename "$0")" != git ]; then cat >>"$CALLS.stdin"; fi
while IFS='|' read -r part status output; do
    if [[ $call == *"$part"* ]]; then
        printf '%b' "$output"
        exit "$status"
    fi
done <"$ANSWERS"
"""


class World:
    """A work space with stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: list[str] = []
        self.environment: dict[str, str] = {}
        (folder / "build").mkdir()
        (folder / "bin").mkdir()
        for program in (".venv/bin/python", "bin/aws", "bin/docker", "bin/npm"):
            file = folder / program
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(STAND_IN)
            file.chmod(0o755)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "answers").write_text("".join(f"{each}\n" for each in self.answers))
        return subprocess.run(
            [SCRIPTS / f"{script}.sh"],
            cwd="/",
            env={
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "CALLS": str(self.folder / "calls"),
                "ANSWERS": str(self.folder / "answers"),
                "GITHUB_WORKSPACE": str(self.folder),
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
                "GITHUB_ENV": str(self.folder / "env"),
                "GITHUB_PATH": str(self.folder / "path"),
                "GITHUB_SHA": "c0ffee",
                "GITHUB_RUN_ID": "7",
                "RUNNER_TEMP": str(self.folder / "temporary"),
                "STACK": "staging",
                "BASE": "0ddba11",
                **self.environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        return self.text("calls").splitlines()

    def text(self, name: str) -> str:
        file = self.folder / name
        return file.read_text() if file.exists() else ""


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "temporary").mkdir()
    return World(tmp_path)


def commented(world: World, text: str = "a comment\n") -> None:
    (world.folder / "build/comment-staging.md").write_text(text)


def committed_file(world: World) -> Path:
    """The stack's file, with a commit behind it."""
    file = world.folder / "Pulumi.staging.yaml"
    file.write_text("image: new\n")
    committed(world.folder)
    return file


def test_a_forks_review_asks_no_account_and_writes_to_the_summary_alone(world: World) -> None:
    commented(world)
    done = world.run("review")
    assert done.returncode == 0, done.stderr
    assert world.calls == [
        "python -m delivery.review --stack staging --base 0ddba11",
        "python -m delivery.gate --stack staging --labels ",
        "python -m delivery.promote --check --base 0ddba11",
    ]
    assert world.text("summary") == "a comment\n"


def test_our_own_review_asks_the_account_and_comments(world: World) -> None:
    commented(world)
    world.environment = {"ACCOUNT": "true", "NUMBER": "12", "LABELS": '["stateful-change"]'}
    assert world.run("review").returncode == 0
    assert world.calls == [
        "python -m delivery.review --stack staging --account",
        "python -m delivery.github comment --number 12",
        'python -m delivery.gate --stack staging --labels ["stateful-change"]',
        "python -m delivery.promote --check --base 0ddba11",
    ]
    assert "a comment" in world.text("calls.stdin")


@pytest.mark.parametrize(
    ("failing", "status"), [("delivery.review", 255), ("delivery.gate", 1), ("delivery.promote", 1)]
)
def test_a_review_goes_on_to_its_end_and_fails_if_any_part_does(
    world: World, failing: str, status: int
) -> None:
    commented(world)
    world.answers = [f"{failing}|{status}|"]
    assert world.run("review").returncode == status
    assert len(world.calls) == 3


def test_a_review_that_left_nothing_fails_without_a_gate(world: World) -> None:
    world.answers = ["delivery.review|3|"]
    assert world.run("review").returncode == 3
    assert not [call for call in world.calls if "gate" in call]


def test_a_deployment_carries_the_labels_of_its_pull_request(world: World) -> None:
    commented(world)
    world.answers = ['delivery.github labels|0|["stateful-change"]\\n']
    assert world.run("deploy").returncode == 0
    assert world.calls == [
        "python -m delivery.github labels --commit c0ffee",
        'python -m delivery.deploy --stack staging --labels ["stateful-change"]',
    ]
    assert world.text("summary") == "a comment\n"


def test_a_deployment_that_fails_says_so_and_one_without_labels_does_not_begin(world: World) -> None:
    world.answers = ["delivery.deploy|1|"]
    assert world.run("deploy").returncode == 1
    world.answers = ["delivery.github|3|"]
    (world.folder / "calls").unlink()
    assert world.run("deploy").returncode == 3
    assert not [call for call in world.calls if "deploy" in call]


@pytest.mark.parametrize(("status", "said"), [(0, "Commit this"), (1, "is not back yet")])
def test_a_release_that_was_taken_back_leaves_an_issue_with_what_to_commit(
    world: World, status: int, said: str
) -> None:
    file = committed_file(world)
    file.write_text("image: old\n")
    world.answers = [f"delivery.rollback|{status}|"]
    done = world.run("rollback")
    assert done.returncode == status, done.stderr
    assert world.calls == [
        "python -m delivery.rollback --stack staging --yes",
        "python -m delivery.github issue --title Rollback of staging",
    ]
    told = world.text("calls.stdin")
    assert said in told
    assert "-image: new\n+image: old\n" in told
    assert world.text("summary") == told


def test_a_release_that_cant_be_taken_back_leaves_no_issue(world: World) -> None:
    committed_file(world)
    world.answers = ["delivery.rollback|2|"]
    assert world.run("rollback").returncode == 2
    assert world.calls == ["python -m delivery.rollback --stack staging --yes"]


@pytest.mark.parametrize(
    ("changes", "status", "said"), [([], 0, ""), ([{"operation": "update"}], 1, "a comment\n")]
)
def test_drift_keeps_one_issue_open_as_long_as_it_lasts(
    world: World, changes: list[dict[str, str]], status: int, said: str
) -> None:
    commented(world)
    (world.folder / "build/preview-staging.json").write_text(json.dumps({"changes": changes}))
    assert world.run("drift").returncode == status
    assert world.calls == [
        "python -m delivery.review --stack staging --account --refresh",
        "python -m delivery.github issue --title Drift of staging",
    ]
    assert world.text("calls.stdin").replace("\n", "") == said.replace("\n", "")


def test_a_preview_that_fails_is_no_drift(world: World) -> None:
    world.answers = ["delivery.review|255|"]
    assert world.run("drift").returncode == 255
    assert len(world.calls) == 1


@pytest.mark.parametrize(("status", "said"), [(0, ""), (1, "who is too old")])
def test_rotation_keeps_one_issue_open_as_long_as_a_credential_is_too_old(
    world: World, status: int, said: str
) -> None:
    world.answers = [f"delivery.rotation|{status}|{said}"]
    done = world.run("rotation")
    assert done.returncode == status, done.stderr
    assert world.calls == [
        "python -m delivery.rotation --stack staging",
        "python -m delivery.github issue --title Credentials of staging",
    ]
    assert world.text("calls.stdin") == said
    assert world.text("summary") == said


def test_ages_that_cant_be_told_are_no_answer(world: World) -> None:
    world.answers = ["delivery.rotation|2|"]
    assert world.run("rotation").returncode == 2
    assert world.calls == ["python -m delivery.rotation --stack staging"]


def test_the_pinned_pulumi_gets_onto_the_path(world: World) -> None:
    world.answers = ["delivery.account|0|/there/bin\\n"]
    assert world.run("pulumi").returncode == 0
    assert world.text("path") == "/there/bin\n"


def with_images(world: World) -> None:
    for name in ("postgres", "postgres-exporter", "valkey"):
        (world.folder / "images" / name).mkdir(parents=True)
    for stack in ("staging", "production"):
        (world.folder / f"Pulumi.{stack}.yaml").write_text(
            "image: ghcr.io/fixia/postgres:17.6-1\nexporterImage: ghcr.io/fixia/postgres-exporter:0.17.1-1\n"
            "image: docker.io/valkey/valkey:8.1.4\n"
        )


def test_images_of_a_pull_request_are_built_and_go_nowhere(world: World) -> None:
    with_images(world)
    assert world.run("images").returncode == 0
    assert world.calls == [
        "docker buildx build --tag ghcr.io/fixia/postgres-exporter:0.17.1-1 images/postgres-exporter/",
        "docker buildx build --tag ghcr.io/fixia/postgres:17.6-1 images/postgres/",
    ]


def test_a_published_tag_is_never_overwritten_and_a_new_one_tells_its_digest(world: World) -> None:
    with_images(world)
    world.environment = {"PUSH": "true", "GITHUB_TOKEN": TOKEN, "GITHUB_ACTOR": "ana"}
    world.answers = [
        "inspect --format|0|sha256:feed",
        "inspect ghcr.io/fixia/postgres:17.6-1|1|",
    ]
    done = world.run("images")
    assert done.returncode == 0, done.stderr
    built = [call for call in world.calls if "build --push" in call]
    assert built == [
        "docker buildx build --push --provenance=mode=max --sbom=true --tag ghcr.io/fixia/postgres:17.6-1 images/postgres/"
    ]
    assert "postgres-exporter:0.17.1-1 is there already" in done.stdout
    assert world.text("summary") == "- `ghcr.io/fixia/postgres:17.6-1@sha256:feed`\n"
    assert TOKEN not in world.text("calls") + done.stdout + done.stderr
    assert TOKEN in world.text("calls.stdin")


class Issuer(BaseHTTPRequestHandler):
    """Hands out the job's identity to who shows the right token."""

    asked: list[str] = []  # noqa: RUF012 - one server at a time

    def do_GET(self) -> None:
        self.asked.append(self.path)
        good = self.headers["Authorization"] == f"bearer {TOKEN}"
        body = json.dumps({"value": "a.web.token"} if good else {"message": "no"}).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


@pytest.fixture
def issuer() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Issuer.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}/token?api=1"
    server.shutdown()
    server.server_close()


def identified(world: World, issuer: str, token: str = TOKEN) -> None:
    world.environment = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": issuer,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token,
        "AWS_REGION": "eu-central-1",
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/preview",
    }
    world.answers = ["sts assume-role-with-web-identity|0|AKIATEST\\tse/cret+key\\tses/sion==\\n"]


def test_a_job_takes_over_its_role_and_leaves_no_key_where_others_look(world: World, issuer: str) -> None:
    identified(world, issuer)
    done = world.run("identity")
    assert done.returncode == 0, done.stderr
    assert Issuer.asked == ["/token?api=1&audience=sts.amazonaws.com"]
    file = world.folder / "temporary/identity/credentials"
    assert file.read_text() == (
        "[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = se/cret+key\naws_session_token = ses/sion==\n"
    )
    assert file.stat().st_mode & 0o077 == 0
    assert sorted(each.name for each in file.parent.iterdir()) == ["credentials"]
    assert world.text("env") == f"AWS_SHARED_CREDENTIALS_FILE={file}\nAWS_REGION=eu-central-1\n"
    (call,) = world.calls
    assert "--role-arn arn:aws:iam::123456789012:role/preview" in call
    for secret in (TOKEN, "a.web.token", "se/cret+key", "ses/sion=="):
        assert secret not in call + done.stdout + done.stderr + world.text("env")


def test_with_a_cluster_it_gets_a_kubeconfig_of_its_own(world: World, issuer: str) -> None:
    identified(world, issuer)
    world.environment |= {"CLUSTER": "fixia", "CONTEXT": "fixia-staging"}
    assert world.run("identity").returncode == 0
    assert f"KUBECONFIG={world.folder}/temporary/identity/kubeconfig\n" in world.text("env")
    assert "--name fixia --alias fixia-staging" in world.calls[1]


def test_without_the_right_token_nothing_is_asked_of_the_cloud(world: World, issuer: str) -> None:
    identified(world, issuer, "another")
    assert world.run("identity").returncode != 0
    assert world.calls == []
    assert world.text("env") == ""


def test_a_job_without_the_right_is_told_which_it_lacks(world: World, issuer: str) -> None:
    identified(world, issuer, "")
    done = world.run("identity")
    assert done.returncode != 0
    assert "id-token: write" in done.stderr


def test_weaknesses_of_either_kind_fail_and_both_are_looked_for(world: World) -> None:
    fake = world.folder / "bin/python3"
    fake.write_text(
        '#!/usr/bin/env bash\nmkdir -p "$3/bin"\nfor each in pip pip-audit; do\n'
        f'cp "{world.folder}/bin/npm" "$3/bin/$each"; done\n'
    )
    fake.chmod(0o755)
    world.answers = ["pip-audit --no-deps|1|"]
    assert world.run("dependencies").returncode == 1
    assert [call.split()[0] for call in world.calls] == ["pip", "pip-audit", "npm"]
    assert "constraints.txt" in world.calls[1]

"""One preview by the real engine, as every measurement of previews takes it."""

import uuid
from collections.abc import Callable
from pathlib import Path

from bench import programs
from simulator.session import Session
from simulator.stack_file import with_placeholders


def preview(session: Session, program: Path, *options: str) -> Callable[[], object]:
    """What runs it.

    Args:
        session: where the engine runs.
        program: the program's folder, with the settings of `programs.STACK`.
        *options: more options of the command.

    Raises:
        SystemExit: by what is returned, when the preview fails: there is nothing to measure then.
    """
    settings = session.folder / f"settings-{uuid.uuid4().hex}.yaml"
    with_placeholders(program / f"Pulumi.{programs.STACK}.yaml", settings)

    def run() -> None:
        done = session.pulumi(
            *("preview", "--stack", programs.STACK, "--config-file", str(settings), *options),
            program=program,
            capture=True,
            env={"PULUMI_DEBUG_COMMANDS": "true"},
        )
        if done.returncode:
            raise SystemExit(
                f"{program}: the preview failed, so nothing was measured\n{done.stdout}{done.stderr}"
            )

    return run

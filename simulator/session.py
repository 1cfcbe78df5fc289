"""A private session of the engine: nothing of the user's own Pulumi, and no account.

A session is a folder. It holds the engine's home with the simulated plugins, its state, and the records
of the simulated cloud:

    home/plugins/  what the engine starts: the language host and the simulated providers
    state/         the stacks' state, as files
    cloud/         what the simulated providers have created
    projects/      copies of project files, to create stacks without touching the program's folder

Every process that a session starts ends with the call that started it, also when that call is
interrupted.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, NoReturn, Self

import yaml

from simulator.faults import USAGE, Fault
from simulator.processes import bound_to_us, uninterrupted
from simulator.stack_file import PASSPHRASE

PROVIDERS: Final = ("kubernetes", "aws", "cloudflare", "random", "tls")
"""The providers that a session simulates, in the order in which they are named to the user."""

_REPOSITORY: Final = Path(__file__).resolve().parent.parent
_FOREIGN: Final = ("PULUMI_", "AWS_", "CLOUDFLARE_", "CF_", "KUBE", "FIXIA_SIMULATOR_")
"""Variables that would lead the engine or a provider to the user's own accounts and settings."""

_GRACE: Final = 30.0
"""Seconds that an interrupted engine has to end its plugins and write its state."""


class Session:
    """A private engine home, state and simulated cloud.

    Args:
        engine: the `pulumi` program. If its makers' language host lies beside it, it uses that one.
        folder: where the session lives, and stays when it is closed; a temporary folder if left out.
    """

    def __init__(self, engine: Path, folder: Path | None = None) -> None:
        self._engine = engine
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="fixia-session-")) if folder is None else folder.resolve()
        try:
            self._lay_out()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the session's folder if it is a temporary one. May be called more than once."""
        if self._temporary:
            with uninterrupted():
                shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def home(self) -> Path:
        """The engine's home."""
        return self.folder / "home"

    @property
    def cloud(self) -> Path:
        """What the simulated providers have created."""
        return self.folder / "cloud"

    def environment(self) -> dict[str, str]:
        """Return the engine's environment: the caller's, without what leads to real accounts."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        return kept | {
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": (self.folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # A pulumi-language-python or -resource-... on the user's PATH would win over ours.
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "FIXIA_SIMULATOR_STATE": str(self.cloud),
        }

    def pulumi(
        self,
        *args: str,
        program: Path,
        capture: bool = False,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        given: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the engine in a program's folder and wait for it.

        Ctrl-C and SIGTERM interrupt the engine, which then ends its plugins and writes its state; a
        second one kills it with everything that it has started.

        Args:
            *args: the engine's arguments.
            program: the folder of the program's `Pulumi.yaml`.
            capture: keep standard output and error for the result instead of passing them through.
            timeout: seconds after which the engine is interrupted.
            env: variables to add to the session's.
            given: what it reads from standard input, such as a value that no argument may hold.

        Returns:
            The exit status and, with `capture`, the output.

        Raises:
            Fault: the engine didn't end in time.
            KeyboardInterrupt: after the interrupted engine has ended.
        """
        pipe = subprocess.PIPE if capture else None
        with _interruptible():
            engine = subprocess.Popen(
                # Or an engine that outlives us would go on beside the next run's.
                [*bound_to_us(), self._engine, *args],
                cwd=program,
                env={**self.environment(), **(env or {})},
                # Not a terminal: the engine must ask nothing, and its keyboard display would stop it in
                # the background. A session of its own: the terminal's Ctrl-C reaches only us.
                stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=pipe,
                stderr=pipe,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            try:
                output, errors = engine.communicate(given, timeout=timeout)
            except subprocess.TimeoutExpired:
                _interrupt(engine)
                raise _too_slow(args, timeout or 0) from None
            except KeyboardInterrupt:
                _interrupt(engine)
                raise
            finally:
                with uninterrupted():
                    _kill_session(engine.pid)
                    engine.wait()
        return subprocess.CompletedProcess([str(self._engine), *args], engine.returncode, output, errors)

    def init(self, stack: str, program: Path) -> None:
        """Create an empty stack. The program's folder is not written to.

        Args:
            stack: the stack's name.
            program: the folder of the program's `Pulumi.yaml`.

        Raises:
            Fault: the folder has no project file, or the engine refuses the name.
        """
        name = _project_name(program)
        # `pulumi stack init` writes the stack's file beside the project file, and has no option not to.
        copy = self.folder / "projects" / name
        copy.mkdir(parents=True, exist_ok=True)
        (copy / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n", encoding="utf-8")
        done = self.pulumi("stack", "init", stack, program=copy, capture=True)
        if done.returncode:
            raise Fault(
                where=f"stack {stack!r} of {name}",
                found=done.stderr.strip() or f"`pulumi stack init` ended with {done.returncode}",
                valid="a stack name of letters, digits, '-', '_' and '.', once per session",
                do="name another stack",
                exit_code=USAGE,
            )

    def _lay_out(self) -> None:
        for folder in (self.home, self.folder / "state", self.cloud):
            folder.mkdir(parents=True, exist_ok=True)
        host = Path(__file__).parent / "language" / "host.py"
        self._shim(f"language-python-v{version('pulumi')}", "pulumi-language-python", ["-P", str(host)])
        for provider in PROVIDERS:
            self._shim(
                f"resource-{provider}-v{_plugin_version(provider)}",
                f"pulumi-resource-{provider}",
                # -P: the program's folder may hold another simulator, as the check-out of a base does.
                ["-P", "-m", "simulator.providers", provider],
                PYTHONPATH=str(_REPOSITORY),
            )

    def _shim(self, plugin: str, command: str, arguments: list[str], **variables: str) -> None:
        """Write a plugin that is this interpreter with some arguments."""
        file = self.home / "plugins" / plugin / command
        file.parent.mkdir(parents=True, exist_ok=True)
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        file.write_text(
            f'#!/bin/sh\n{exports}exec {shlex.join([sys.executable, *arguments])} "$@"\n', encoding="utf-8"
        )
        file.chmod(0o755)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt meanwhile, so that it cleans up as Ctrl-C does.

    Outside of the main thread, where no signal arrives, and where the caller has a handler of its own,
    nothing changes.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(engine: subprocess.Popen[str]) -> None:
    """Interrupt the engine and wait for its end; return early if that is asked for, or takes too long."""
    engine.send_signal(signal.SIGINT)
    with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
        # communicate, not wait: with nobody reading, a full pipe would hold the engine up.
        engine.communicate(timeout=_GRACE)


def _kill_session(leader: int) -> None:
    """Kill what is left of an engine's session: plugins whose engine could not end them."""
    for pid in _processes():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    """Return the ids of all processes, on Linux and elsewhere."""
    proc = Path("/proc")
    if (proc / "self").exists():
        return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    listing = subprocess.run(["ps", "-A", "-o", "pid="], check=True, capture_output=True, text=True).stdout
    return [int(pid) for pid in listing.split()]


def _project_name(program: Path) -> str:
    file = program / "Pulumi.yaml"
    try:
        project = yaml.safe_load(file.read_text(encoding="utf-8"))
        return str(project["name"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError) as error:
        raise Fault(
            where=str(file),
            found=f"no project file that names the project ({type(error).__name__}: {error})",
            valid="a Pulumi.yaml with the keys `name` and `runtime`",
            do="run this in a program's folder",
            exit_code=USAGE,
        ) from None


def _plugin_version(provider: str) -> str:
    """Return the version of the plugin that an installed SDK asks for."""
    package = find_spec(f"pulumi_{provider}")
    if package is None or package.origin is None:
        raise Fault(
            where=sys.executable,
            found=f"pulumi-{provider} is not installed",
            valid="the SDKs that requirements.txt pins",
            do="run `make setup`",
        )
    plugin = json.loads(Path(package.origin).with_name("pulumi-plugin.json").read_text(encoding="utf-8"))
    return str(plugin["version"]).removeprefix("v")


def _too_slow(args: tuple[str, ...], timeout: float) -> Fault:
    return Fault(
        where=f"pulumi {shlex.join(args)}",
        found=f"it did not end within {timeout:g} s, and was interrupted",
        valid="a program that ends",
        do="run it again on a less busy machine; if it hangs again, look for a wait in the program",
    )

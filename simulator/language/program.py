"""Run one Pulumi program: the child process of the language host.

The host starts this file with the program's own interpreter and the engine's address as its argument,
and writes one serialised `RunRequest` to its standard input. Settings and decrypted configuration
arrive only there: an argument list and an environment can be read by every process of the same user.

The process ends with `REPORTED` when it has already told the engine what went wrong, so that the host
doesn't say it a second time; any other non-zero status is the program's own.
"""

import asyncio
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pulumi.runtime.proto import language_pb2

REPORTED: Final = 32
"""Exit status: failed, and the engine has shown the reason."""

_THREADS_PER_SLOT: Final = 4
"""Blocking calls (registrations, invokes, callbacks) that one parallel operation may have in flight."""


def main() -> int:
    """Read the request from standard input and run its program.

    Returns:
        The exit status of this process.
    """
    # The host starts us with SIGINT ignored, so that no interrupt hits Python's own start. From here on
    # it ends this process without a traceback, together with whatever the program has started.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    serialised = sys.stdin.buffer.read()
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    try:
        import pulumi  # noqa: F401 - only whether it is there
        from pulumi.runtime.proto import language_pb2
    except ImportError:
        print(f"{traceback.format_exc()}\n{_missing_sdk()}", file=sys.stderr)
        return 1
    return _run(language_pb2.RunRequest.FromString(serialised), engine=sys.argv[1])


def _missing_sdk() -> str:
    return (
        f"The Pulumi SDK can't be imported by {sys.executable}. Install the program's requirements there:\n"
        f"  {sys.executable} -m pip install -r requirements.txt"
    )


def _run(request: "language_pb2.RunRequest", engine: str) -> int:
    import grpc
    import pulumi
    import pulumi.runtime

    entry = _entry(request)
    _configure(request, engine)
    sys.argv = [str(entry), *request.args]
    sys.path.insert(0, str(entry if entry.is_dir() else entry.parent))

    # A failed program leaves futures that nobody awaited; asyncio would report each of them on top of
    # the one error that matters.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    executor = ThreadPoolExecutor(max_workers=max(request.parallel, 1) * _THREADS_PER_SLOT)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(executor)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _execute(entry)))
    except pulumi.RunError as error:
        return _report(str(error))
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            return 0  # The engine is shutting down and knows why.
        return _report(_unhandled(entry))
    except Exception:
        return _report(_unhandled(entry))
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _entry(request: "language_pb2.RunRequest") -> Path:
    """Return the folder or file to run, as an absolute path without `.` parts."""
    directory = request.info.program_directory or request.pwd
    return Path(os.path.normpath(Path(directory) / (request.info.entry_point or ".")))


def _configure(request: "language_pb2.RunRequest", engine: str) -> None:
    import pulumi.runtime

    pulumi.runtime.reset_options(
        project=request.project,
        stack=request.stack,
        root_directory=request.info.root_directory,
        parallel=request.parallel,
        engine_address=engine,
        monitor_address=request.monitor_address,
        preview=request.dryRun,
        organization=request.organization or "organization",
    )
    pulumi.runtime.set_all_config(dict(request.config), list(request.configSecretKeys))


def _execute(entry: Path) -> None:
    """Run the user's program as `__main__`.

    Raises:
        pulumi.RunError: the folder holds no program.
    """
    if entry.is_dir() and not (entry / "__main__.py").is_file():
        from pulumi import RunError

        raise RunError(f"unable to find main python program `__main__.py` in `{entry}`")
    runpy.run_path(str(entry), run_name="__main__")


def _unhandled(entry: Path) -> str:
    """Describe the exception being handled, from the program's first frame on."""
    return f"Program failed with an unhandled exception:\n{_user_traceback(entry)}"


def _user_traceback(entry: Path) -> str:
    error = sys.exc_info()[1]
    main_file = entry / "__main__.py" if entry.is_dir() else entry
    frames = traceback.extract_tb(error.__traceback__) if error else []
    for index, frame in enumerate(frames):
        if Path(os.path.normpath(frame.filename)) == main_file:
            return traceback.format_exc(limit=index - len(frames))
    if isinstance(error, SyntaxError):
        # The main file itself doesn't compile: no frame of it exists, and those of runpy say nothing.
        return "".join(traceback.format_exception_only(error))
    return traceback.format_exc()


def _report(message: str) -> int:
    import grpc
    import pulumi

    try:
        pulumi.log.error(message)
    except grpc.RpcError:
        print(message, file=sys.stderr)  # The engine no longer listens; its output is all that is left.
    return REPORTED


if __name__ == "__main__":
    sys.exit(main())

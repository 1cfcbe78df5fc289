"""The Python language host: what the engine starts as `pulumi-language-python`.

The engine asks it which plugins a program needs, has it run the program and the policy packs, and ends
it with SIGINT. It speaks gRPC on a port of the loopback interface, which it prints as its first line.

Debuggers can't be attached, and code and SDK generation (`pulumi convert`, `pulumi package add`) is not
offered: those calls answer UNIMPLEMENTED. Everything that preview, up, refresh, destroy, import, policy
packs, `pulumi about` and `pulumi install` ask for is here.
"""

import base64
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

_HERE: Final = Path(__file__).resolve().parent
_REPORTED: Final = 32
"""The status of `program.py` that says: the engine has shown the reason (there: `REPORTED`)."""

_IGNORING_INTERRUPTS: Final = ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""A prefix of commands. The engine interrupts our whole process group; a Python child that isn't done
starting would answer with a traceback. We end our children ourselves."""


class Children:
    """The processes that this host has started and must not leave behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a command as one of the host's children.

        Args:
            command: the program and its arguments.
            **options: passed on to `subprocess.Popen`.

        Returns:
            The running process. Hand it to `forget` when it has ended.
        """
        with self._lock:
            child = subprocess.Popen([*_IGNORING_INTERRUPTS, *command], **options)
            self._running.add(child)
        return child

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        """Reap a child that has ended, or is to end now."""
        child.kill()
        child.wait()
        with self._lock:
            self._running.discard(child)

    def kill(self) -> None:
        """End every child, without waiting for it. Safe to call from a signal handler."""
        for child in tuple(self._running):
            child.kill()


class UnusableEnvironmentError(Exception):
    """The program's interpreter can't be used; the message says what to do."""


def interpreter(info: Any) -> Path:
    """Return the interpreter that a program asks for in `runtime.options.virtualenv`.

    Args:
        info: the `ProgramInfo` of a request. A relative folder counts from the project's root.

    Returns:
        The virtual environment's `python`, or this process's own where none is asked for.

    Raises:
        UnusableEnvironmentError: the folder holds no virtual environment, or the project asks for a
            tool other than pip to manage it.
    """
    options = info.options.fields
    toolchain = options["toolchain"].string_value if "toolchain" in options else "pip"
    if toolchain != "pip":
        raise UnusableEnvironmentError(
            f"runtime.options.toolchain is {toolchain!r} in {info.root_directory}; this language host only "
            "knows 'pip': name the environment with runtime.options.virtualenv instead"
        )
    if "virtualenv" not in options:
        return Path(sys.executable)
    environment = Path(info.root_directory, options["virtualenv"].string_value)
    python = environment / "bin" / "python"
    if not python.is_file():
        raise UnusableEnvironmentError(
            f"runtime.options.virtualenv of {info.root_directory} names {environment}, which has no "
            "bin/python: create it with `make setup`"
        )
    return python


def _environment(base: Mapping[str, str], python: Path) -> dict[str, str]:
    """Return a child's environment, with the program's virtual environment activated."""
    folder = str(python.parent)
    path = os.pathsep.join([folder, base.get("PATH", os.defpath)])
    activated = {**base, "PATH": path, "VIRTUAL_ENV": str(python.parent.parent)}
    activated.pop("PYTHONHOME", None)
    return activated


@functools.cache
def _inventory(python: Path) -> dict[str, Any]:
    """Return what is installed beside an interpreter (see `packages.py`)."""
    command = [str(python), "-I", str(_HERE / "packages.py")]
    output = subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
    inventory: dict[str, Any] = json.loads(output)
    return inventory


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an `UnusableEnvironmentError` of a call into the engine's error message."""

    @functools.wraps(method)
    def guarded(self: object, request: Any, context: Any) -> Any:
        try:
            return method(self, request, context)
        except UnusableEnvironmentError as error:
            return context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    return guarded


class PythonLanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine. Calls that are not defined here answer UNIMPLEMENTED in the base class."""

    def __init__(self, children: Children, engine: str) -> None:
        self._children = children
        self._engine = engine

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Agree to talk; there is nothing to negotiate."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Return the release of the SDK that this host was written against."""
        return plugin_pb2.PluginInfo(version=version("pulumi"))

    @_guarded
    def About(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Return the interpreter that runs the program."""
        python = interpreter(request.info)
        command = [str(python), "-I", "-c", "import platform; print(platform.python_version())"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return language_pb2.AboutResponse(executable=str(python), version=output.strip())

    @_guarded
    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Return the provider plugin of each installed SDK."""
        plugins = _inventory(interpreter(request.info))["plugins"]
        return language_pb2.GetRequiredPackagesResponse(packages=[_package(plugin) for plugin in plugins])

    @_guarded
    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Return the same for engines that ask in the older way."""
        plugins = _inventory(interpreter(request.info))["plugins"]
        dependencies = [
            plugin_pb2.PluginDependency(
                name=plugin["name"],
                kind="resource",
                version=plugin["version"],
                server=plugin.get("server", ""),
            )
            for plugin in plugins
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=dependencies)

    @_guarded
    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Return the distributions installed for the program; only the outermost ones unless asked."""
        dependencies = [
            language_pb2.DependencyInfo(name=each["name"], version=each["version"])
            for each in _inventory(interpreter(request.info))["distributions"]
            if request.transitiveDependencies or not each["required"]
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: ARG002, N802
        """Say who installs what the program needs; a simulated run installs nothing on the way."""
        message = "Nothing was installed: `make setup` installs the pinned requirements.\n"
        yield language_pb2.InstallDependenciesResponse(stdout=message.encode())

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Ask nothing of the user of `pulumi new`."""
        return language_pb2.RuntimeOptionsResponse()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """End the running program and policy packs."""
        self._children.kill()
        return empty_pb2.Empty()

    @_guarded
    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run a program to its end; its output goes straight to ours, which the engine reads."""
        if request.attach_debugger:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "this language host can't attach a debugger")
        python = interpreter(request.info)
        child = self._children.start(
            [str(python), "-u", "-P", str(_HERE / "program.py"), self._engine],
            cwd=request.pwd or request.info.program_directory,
            env=_environment(os.environ, python),
            stdin=subprocess.PIPE,
        )
        context.add_callback(child.kill)  # The engine gave up on the call: Ctrl-C, or a failed resource.
        try:
            _feed(child, request.SerializeToString())
            status = child.wait()
        finally:
            self._children.forget(child)
        if status == _REPORTED:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=_explanation(status))

    @_guarded
    def RunPlugin(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run a policy pack; other kinds of plugins are not offered."""
        if request.kind != "analyzer":
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"this language host runs policy packs, not plugins of kind {request.kind!r}",
            )
        python = interpreter(request.info)
        environment = dict(entry.split("=", 1) for entry in request.env)
        child = self._children.start(
            [str(python), "-u", "-m", "pulumi.policy", *request.args, request.info.program_directory],
            cwd=request.pwd,
            env=_environment(environment or os.environ, python),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(child.kill)
        return self._relayed(child)

    def _relayed(self, child: subprocess.Popen[bytes]) -> Iterator[Any]:
        """Yield a child's output as it comes, then its exit status."""
        response = language_pb2.RunPluginResponse
        chunks: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        streams = {"stdout": child.stdout, "stderr": child.stderr}
        for name, stream in streams.items():
            threading.Thread(target=_pump, args=(name, stream, chunks), daemon=True).start()
        try:
            open_streams = len(streams)
            while open_streams:
                name, chunk = chunks.get()
                if chunk:
                    yield response(stdout=chunk) if name == "stdout" else response(stderr=chunk)
                else:
                    open_streams -= 1
            yield response(exitcode=child.wait())
        finally:
            self._children.forget(child)


def _package(plugin: Mapping[str, Any]) -> Any:
    """Return the engine's description of one installed SDK's plugin."""
    package = plugin_pb2.PackageDependency(
        name=plugin["name"], kind="resource", version=plugin["version"], server=plugin.get("server", "")
    )
    fields = {"parameterization": "parameterization", "extensionParameterization": "extension"}
    for key, field in fields.items():
        if key in plugin:
            parameterization = getattr(package, field)
            parameterization.name = plugin[key]["name"]
            parameterization.version = plugin[key]["version"]
            parameterization.value = base64.b64decode(plugin[key]["value"])
    return package


def _feed(child: subprocess.Popen[bytes], message: bytes) -> None:
    assert child.stdin is not None  # noqa: S101 - we asked for the pipe
    try:
        with child.stdin as pipe:
            pipe.write(message)
    except BrokenPipeError:
        pass  # The child died at its start; its status says so.


def _pump(name: str, stream: IO[bytes], chunks: "queue.SimpleQueue[tuple[str, bytes]]") -> None:
    """Move a stream's output into the queue; an empty chunk marks its end."""
    with stream:
        while chunk := os.read(stream.fileno(), 65536):
            chunks.put((name, chunk))
    chunks.put((name, b""))


def _explanation(status: int) -> str:
    if status == 0:
        return ""
    if status < 0:
        return f"Program was ended by signal {-status} ({signal.Signals(-status).name})"
    return f"Program exited with non-zero exit code: {status}"


def main() -> NoReturn:
    """Serve until the engine interrupts this process, or is gone."""
    engine = sys.argv[-1]  # Its address; options such as --tracing come before it.
    children = Children()
    server = grpc.server(
        ThreadPoolExecutor(max_workers=32),  # A policy pack holds its thread for as long as it runs.
        options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
    )
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(PythonLanguageHost(children, engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def end(*_: object) -> NoReturn:
        # At once: the engine waits for us, and calls anything but a prompt exit 0 a bug of the plugin.
        children.kill()
        if os.getpgrp() == os.getpid():  # What the program itself has started goes with it.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)
        os._exit(0)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    print(port, flush=True)
    sys.stdin.buffer.read()  # The engine keeps this pipe open: its end means that the engine is gone.
    end()


if __name__ == "__main__":
    main()

"""A simulated provider served over the engine's own gRPC interface.

Here is only translation: protobuf in, plain values, protobuf out. What is decided is decided in `core` and
in the providers.
"""
# ruff: noqa: ARG002, D102, N802 - the interface's names and signatures; its documentation is the engine's

import json
import os
import signal
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from simulator.providers.core import (
    Checked,
    Difference,
    NotReadyError,
    Provider,
    ProviderError,
    Resource,
)
from simulator.providers.naming import Naming
from simulator.providers.values import from_struct, to_struct

THREADS: Final = 16
"""The engine asks about this many resources at once by default."""
LARGEST_MESSAGE: Final = 400 * 1024 * 1024
"""The engine's own limit for one message."""

_LOOK_SECONDS: Final = 5.0

Answer = TypeVar("Answer")


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The gRPC face of one provider.

    Args:
        provider: who answers.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._provider.sdk.version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        sdk = self._provider.sdk
        return provider_pb2.GetSchemaResponse(
            schema=json.dumps({"name": sdk.package, "version": sdk.version, "resources": {}})
        )

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return _answer(
            context, lambda: _check_response(self._provider.check_config(from_struct(request.news)))
        )

    def DiffConfig(self, request: Any, context: Any) -> Any:
        olds = request.old_inputs if request.HasField("old_inputs") else request.olds
        return _answer(
            context,
            lambda: _diff_response(self._provider.diff_config(from_struct(olds), from_struct(request.news))),
        )

    def Configure(self, request: Any, context: Any) -> Any:
        _answer(context, lambda: self._provider.configure(from_struct(request.args)))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        naming = Naming(
            seed=request.randomSeed,
            proposed=request.autonaming.proposed_name,
            disabled=request.autonaming.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE,
        )
        return _answer(
            context,
            lambda: _check_response(
                self._provider.check(
                    _resource(request), from_struct(request.olds), from_struct(request.news), naming
                )
            ),
        )

    def Diff(self, request: Any, context: Any) -> Any:
        olds = request.old_inputs if request.HasField("old_inputs") else request.olds
        return _answer(
            context,
            lambda: _diff_response(
                self._provider.diff(_resource(request), from_struct(olds), from_struct(request.news))
            ),
        )

    def Create(self, request: Any, context: Any) -> Any:
        resource, inputs = _resource(request), from_struct(request.properties)
        if request.preview:
            outputs = _answer(context, lambda: self._provider.preview_create(resource, inputs))
            return provider_pb2.CreateResponse(properties=to_struct(outputs))
        resource_id, outputs = _answer(context, lambda: self._provider.create(resource, inputs))
        return provider_pb2.CreateResponse(id=resource_id, properties=to_struct(outputs))

    def Read(self, request: Any, context: Any) -> Any:
        resource_id, inputs, outputs = _answer(
            context,
            lambda: self._provider.read(
                _resource(request), request.id, from_struct(request.inputs), from_struct(request.properties)
            ),
        )
        if not resource_id:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=resource_id, inputs=to_struct(inputs), properties=to_struct(outputs)
        )

    def Update(self, request: Any, context: Any) -> Any:
        resource, olds, news = _resource(request), from_struct(request.olds), from_struct(request.news)
        if request.preview:
            old = (from_struct(request.old_inputs), olds)
            outputs = _answer(context, lambda: self._provider.preview_update(resource, old, news))
        else:
            outputs = _answer(context, lambda: self._provider.update(resource, request.id, olds, news))
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        _answer(
            context,
            lambda: self._provider.delete(_resource(request), request.id, from_struct(request.properties)),
        )
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        result = _answer(context, lambda: self._provider.invoke(request.tok, from_struct(request.args)))
        # `return` is the field's name, and a Python keyword.
        return provider_pb2.InvokeResponse(**{"return": to_struct(result)})


def serve(provider: Provider) -> tuple[grpc.Server, int]:
    """Serve a provider on a free port of this machine.

    Returns:
        The running server and its port.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=THREADS),
        options=[
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(provider), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def await_end(ends: set[signal.Signals]) -> None:
    """Wait until a signal comes, or until who started us is gone: an engine that was killed says nothing.

    Args:
        ends: the signals; they are blocked.
    """
    parent = os.getppid()
    wait = getattr(signal, "sigtimedwait", None)
    if wait is None:  # macOS
        signal.sigwait(ends)
        return
    while wait(ends, _LOOK_SECONDS) is None and os.getppid() == parent:
        pass


def _answer(context: Any, work: Callable[[], Answer]) -> Answer:
    """Do the work; a refusal ends the call with one line instead of a traceback."""
    try:
        return work()
    except NotReadyError as unready:
        status = _status(unready).SerializeToString()
        context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(grpc.StatusCode.UNKNOWN, str(unready))
        raise
    except ProviderError as refusal:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        raise  # `abort` has raised already; this tells the type checker


def _status(unready: NotReadyError) -> Any:
    """The call's status with the detail that makes the engine keep the resource."""
    failed = provider_pb2.ErrorResourceInitFailed(
        id=unready.resource_id, properties=to_struct(unready.outputs), reasons=unready.reasons
    )
    if unready.inputs is not None:
        failed.inputs.CopyFrom(to_struct(unready.inputs))
    detail = any_pb2.Any()
    detail.Pack(failed)
    return status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(unready), details=[detail])


def _resource(request: Any) -> Resource:
    urn = str(request.urn)
    # The last part of a URN is the name and may itself hold "::"; the type before it ends a chain of parents.
    chain, name = [*urn.split("::", 3), "", "", "", ""][2:4]
    kind = request.type or chain.rpartition("$")[2]
    return Resource(urn, kind, request.name or name, getattr(request, "timeout", 0.0))


def _check_response(checked: Checked) -> Any:
    # No `property`: the engine would print that input's value, which may be a secret, next to the reason.
    return provider_pb2.CheckResponse(
        inputs=to_struct(checked.inputs),
        failures=[provider_pb2.CheckFailure(reason=str(failure)) for failure in checked.failures],
    )


def _diff_response(difference: Difference) -> Any:
    replacing = {change.path for change in difference.replaces}
    kinds = provider_pb2.PropertyDiff.Kind
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME
        if difference.changes or difference.because
        else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=_top_level(change.keys for change in difference.changes),
        replaces=[*_top_level(change.keys for change in difference.replaces), *difference.because],
        deleteBeforeReplace=difference.delete_first,
        hasDetailedDiff=True,
        detailedDiff={
            change.path: provider_pb2.PropertyDiff(
                kind=kinds.Value(change.kind.value + ("_REPLACE" if change.path in replacing else "")),
                inputDiff=True,
            )
            for change in difference.changes
        },
    )


def _top_level(paths: Iterable[tuple[str, ...]]) -> list[str]:
    return sorted({keys[0] for keys in paths if keys})

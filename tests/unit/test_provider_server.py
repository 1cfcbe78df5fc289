"""The gRPC face of the simulated providers, in process and as the plugin that the engine starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from simulator.providers.__main__ import PROVIDERS
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.server import serve
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN, Secret, from_struct, to_struct

REPOSITORY = Path(__file__).resolve().parents[2]
TYPE = "kubernetes:core/v1:ConfigMap"
URN = f"urn:pulumi:test::shop::{TYPE}::settings"
WHO: dict[str, Any] = {"urn": URN, "type": TYPE, "name": "settings"}
INPUTS: dict[str, Any] = {"metadata": {"name": "settings"}, "data": {"mode": "calm"}}


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Any]:
    server, port = serve(Kubernetes(Store(tmp_path)))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = provider_pb2_grpc.ResourceProviderStub(channel)
        client.Configure(provider_pb2.ConfigureRequest(args=to_struct({})))
        yield client
    server.stop(None).wait()


def check(stub: Any, news: dict[str, Any], **more: Any) -> Any:
    return stub.Check(provider_pb2.CheckRequest(**WHO, news=to_struct(news), **more))


def checked(stub: Any, news: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = check(stub, news, **more)
    assert not answer.failures
    return from_struct(answer.inputs)


def create(stub: Any, inputs: dict[str, Any], *, preview: bool = False) -> Any:
    return stub.Create(provider_pb2.CreateRequest(**WHO, properties=to_struct(inputs), preview=preview))


def test_the_introduction(stub: Any) -> None:
    shaken = stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="x"))
    assert shaken.accept_secrets
    assert shaken.supports_autonaming_configuration
    configured = stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"context": "test"})))
    assert configured.acceptSecrets
    assert configured.supportsPreview
    assert stub.GetPluginInfo(empty_pb2.Empty()).version == Kubernetes(Store()).sdk.version
    assert '"kubernetes"' in stub.GetSchema(provider_pb2.GetSchemaRequest()).schema


def test_life(stub: Any) -> None:
    inputs = checked(stub, INPUTS)
    preview = create(stub, inputs, preview=True)
    assert preview.id == ""
    assert from_struct(preview.properties)["metadata"]["uid"] is UNKNOWN
    made = create(stub, inputs)
    assert made.id == "default/settings"
    read_request = provider_pb2.ReadRequest(
        **WHO, id=made.id, inputs=to_struct(inputs), properties=made.properties
    )
    read = stub.Read(read_request)
    assert (read.id, read.properties, from_struct(read.inputs)) == (made.id, made.properties, inputs)

    news = checked(
        stub, {**INPUTS, "metadata": {"name": "settings", "labels": {"a": "b"}}}, olds=to_struct(inputs)
    )
    update = {
        **WHO,
        "id": made.id,
        "olds": made.properties,
        "old_inputs": to_struct(inputs),
        "news": to_struct(news),
    }
    expected = stub.Update(provider_pb2.UpdateRequest(**update, preview=True))
    assert from_struct(expected.properties)["metadata"]["labels"] == {"a": "b"}
    assert stub.Read(read_request).properties == made.properties, "a preview changes nothing"
    updated = stub.Update(provider_pb2.UpdateRequest(**update))
    assert from_struct(updated.properties)["metadata"]["labels"] == {"a": "b"}

    stub.Delete(provider_pb2.DeleteRequest(**WHO, id=made.id, properties=updated.properties))
    assert stub.Read(read_request).id == ""


def test_a_difference_is_told_property_by_property(stub: Any) -> None:
    olds = {**INPUTS, "data": {"a.b": "1", "gone": "x"}, "immutable": False}
    news = {
        "metadata": {"name": "settings", "labels": {"x": "y"}},
        "data": {"a.b": Secret("2")},
        "immutable": False,
    }
    answer = stub.Diff(
        provider_pb2.DiffRequest(
            **WHO, id="default/settings", olds=to_struct({}), old_inputs=to_struct(olds), news=to_struct(news)
        )
    )
    kinds = provider_pb2.PropertyDiff.Kind
    assert {path: (kinds.Name(one.kind), one.inputDiff) for path, one in answer.detailedDiff.items()} == {
        'data["a.b"]': ("UPDATE_REPLACE", True),
        "data.gone": ("DELETE_REPLACE", True),
        "metadata.labels": ("ADD", True),
    }
    assert answer.hasDetailedDiff
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert list(answer.diffs) == ["data", "metadata"]
    assert list(answer.replaces) == ["data"]
    assert answer.deleteBeforeReplace


def test_no_difference(stub: Any) -> None:
    same = to_struct(INPUTS)
    answer = stub.Diff(provider_pb2.DiffRequest(**WHO, id="x", olds=same, old_inputs=same, news=same))
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert not answer.detailedDiff


def test_failures_carry_their_path_in_the_reason(stub: Any) -> None:
    answer = check(stub, {**INPUTS, "dta": {}, "immutable": "no"})
    assert [(failure.property, failure.reason) for failure in answer.failures] == [
        ("", "dta: unknown property; did you mean data?"),
        ("", 'immutable: expected a boolean, found a string "no"'),
    ]


def test_a_seed_or_a_proposal_names(stub: Any) -> None:
    nameless = {"data": {"mode": "calm"}}
    first = checked(stub, nameless, randomSeed=b"1")["metadata"]["name"]
    assert checked(stub, nameless, randomSeed=b"1")["metadata"]["name"] == first
    assert checked(stub, nameless, randomSeed=b"2")["metadata"]["name"] != first
    options = provider_pb2.CheckRequest.AutonamingOptions
    proposal = options(proposed_name="chosen", mode=options.ENFORCE)
    assert checked(stub, nameless, autonaming=proposal)["metadata"]["name"] == "chosen"
    [failure] = check(stub, nameless, autonaming=options(mode=options.DISABLE)).failures
    assert failure.reason == "metadata.name: missing required property"


def test_a_type_is_read_from_the_urn_if_the_engine_is_old(stub: Any) -> None:
    urn = f"urn:pulumi:test::shop::fixia:platform:Room${TYPE}::settings"
    answer = stub.Check(provider_pb2.CheckRequest(urn=urn, news=to_struct(INPUTS)))
    assert from_struct(answer.inputs)["kind"] == "ConfigMap"


def test_a_refusal_is_one_line(stub: Any) -> None:
    create(stub, checked(stub, INPUTS))
    with pytest.raises(grpc.RpcError) as caught:
        create(stub, checked(stub, INPUTS))
    assert caught.value.details() == "configmaps 'settings' already exists (in 'default/settings')"
    with pytest.raises(grpc.RpcError) as caught:
        stub.Invoke(provider_pb2.InvokeRequest(tok="kubernetes:yaml:decode", args=to_struct({})))
    assert (
        caught.value.details() == "the simulated kubernetes provider does not answer kubernetes:yaml:decode"
    )


def test_the_providers_own_settings(stub: Any) -> None:
    [failure] = stub.CheckConfig(provider_pb2.CheckRequest(**WHO, news=to_struct({"contxt": "a"}))).failures
    assert failure.reason == "contxt: unknown property; did you mean context?"
    answer = stub.DiffConfig(
        provider_pb2.DiffRequest(
            **WHO, id="x", old_inputs=to_struct({"context": "a"}), news=to_struct({"context": "b"})
        )
    )
    assert list(answer.replaces) == ["context"]


def test_the_store_holds_no_secret(stub: Any, tmp_path: Path) -> None:
    create(stub, checked(stub, {**INPUTS, "data": {"token": Secret("hunter22")}}))
    [file] = tmp_path.rglob("*.json")
    assert "hunter22" not in file.read_text()
    assert "$digest" in file.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_the_plugin_starts_answers_and_ends_at_once(
    name: str, number: signal.Signals, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator.providers", name, "127.0.0.1:1"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "FIXIA_SIMULATOR_STATE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            client = provider_pb2_grpc.ResourceProviderStub(channel)
            assert client.GetPluginInfo(empty_pb2.Empty(), timeout=30).version
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_a_wrong_call_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulator.providers", "azure"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"usage: python -m simulator.providers {{{','.join(sorted(PROVIDERS))}}}\n"

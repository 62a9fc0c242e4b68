"""Reflection: a caller without our stubs finds the services, their messages, and can score."""

from __future__ import annotations

import grpc
import pytest
from credence.inference import grpc_service_pb2
from credence.v1 import credit_scoring_pb2
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from scorecard_repository import DECLINED, probability
from wire_requests import TIMEOUT_S


@pytest.fixture
def database(channel: grpc.Channel) -> ProtoReflectionDescriptorDatabase:
    return ProtoReflectionDescriptorDatabase(channel)


def test_every_service_is_listed(database: ProtoReflectionDescriptorDatabase):
    assert set(database.get_services()) == {
        "credence.v1.CreditScoring",
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


@pytest.mark.parametrize("ours", [credit_scoring_pb2, grpc_service_pb2], ids=["credit_scoring", "inference"])
def test_the_files_are_those_of_our_stubs(database: ProtoReflectionDescriptorDatabase, ours: object):
    descriptor = ours.DESCRIPTOR  # type: ignore[attr-defined]
    expected = FileDescriptorProto()
    descriptor.CopyToProto(expected)
    assert database.FindFileByName(descriptor.name) == expected
    for service in descriptor.services_by_name.values():
        assert database.FindFileContainingSymbol(service.full_name) == expected


@pytest.mark.parametrize("unknown", ["nobody.Service", "credence.v1.Guess", ""])
def test_an_unknown_symbol_is_not_found(database: ProtoReflectionDescriptorDatabase, unknown: str):
    with pytest.raises(KeyError):
        database.FindFileContainingSymbol(unknown)


def test_a_caller_with_descriptors_only_can_score(channel: grpc.Channel, database: ProtoReflectionDescriptorDatabase):
    method = DescriptorPool(database).FindServiceByName("credence.v1.CreditScoring").FindMethodByName("Score")
    request = GetMessageClass(method.input_type)()
    features = {
        name: {"text": value} if isinstance(value, str) else {"number": value} for name, value in DECLINED.items()
    }
    json_format.ParseDict({"applications": [{"id": "reflected", "features": features}]}, request)
    call = channel.unary_unary(f"/{method.containing_service.full_name}/{method.name}")
    answer = GetMessageClass(method.output_type).FromString(call(request.SerializeToString(), timeout=TIMEOUT_S))
    (result,) = json_format.MessageToDict(answer)["results"]
    assert result["applicationId"] == "reflected"
    assert result["decision"] == "DECISION_DECLINE"
    assert result["probabilityOfDefault"] == pytest.approx(probability(DECLINED), abs=1e-6)

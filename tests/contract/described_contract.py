"""Describes a module's protobuf messages, enums and services as JSON; a process of its own, as two contracts collide in one.

python described_contract.py MODULE...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

Described = tuple[str, dict[str, Any]]


def describe(file: Any) -> Iterator[Described]:
    for message in file.message_types_by_name.values():
        yield from describe_message(message)
    for enum in file.enum_types_by_name.values():
        yield describe_enum(enum)
    for service in file.services_by_name.values():
        yield service.full_name, {method.name: describe_method(method) for method in service.methods}


def describe_message(message: Any) -> Iterator[Described]:
    yield message.full_name, {field.name: describe_field(field) for field in message.fields}
    yield from map(describe_enum, message.enum_types)
    for nested in message.nested_types:
        yield from describe_message(nested)


def describe_field(field: Any) -> list[Any]:
    named = field.message_type or field.enum_type
    oneof = field.containing_oneof
    return [field.number, field.type, field.is_repeated, named and named.full_name, oneof and oneof.name]


def describe_enum(enum: Any) -> Described:
    return enum.full_name, {value.name: value.number for value in enum.values}


def describe_method(method: Any) -> list[Any]:
    types = [method.input_type.full_name, method.output_type.full_name]
    return [*types, method.client_streaming, method.server_streaming]


if __name__ == "__main__":
    files = [import_module(name).DESCRIPTOR for name in sys.argv[1:]]
    json.dump(dict(described for file in files for described in describe(file)), sys.stdout)

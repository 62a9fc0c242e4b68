"""Each field of Triton's model configuration has a rule, and the documentation says the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from credence.inference import model_config_pb2 as pb
from google.protobuf.descriptor import Descriptor

from server.models.triton.fields import RULES, set_fields

PROTOCOL = Path(__file__).parents[4] / "docs" / "protocol.md"


def leaves(message: Descriptor, path: str = "") -> Iterator[str]:
    """Every field below which there is nothing more to tell apart."""
    for field in message.fields:
        own = f"{path}{field.name}"
        if own in RULES or field.message_type is None:
            yield own
        else:
            yield from leaves(field.message_type, f"{own}.")


def test_there_is_a_rule_for_each_field_and_for_nothing_else() -> None:
    assert sorted(leaves(pb.ModelConfig.DESCRIPTOR)) == sorted(RULES)


def test_the_documentation_has_every_rule() -> None:
    rows = [line.strip("| ").split(" | ") for line in PROTOCOL.read_text().splitlines() if line.startswith("| `")]
    documented = [
        tuple(row) for row in rows if row[0].strip("`").partition(".")[0] in pb.ModelConfig.DESCRIPTOR.fields_by_name
    ]
    assert documented == [(f"`{path}`", rule.effect.value, rule.why) for path, rule in RULES.items()]


def test_set_fields_are_named_by_where_they_stand() -> None:
    message = pb.ModelConfig(max_batch_size=4, input=[pb.ModelInput(name="A"), pb.ModelInput(optional=True)])
    message.dynamic_batching.default_queue_policy.max_queue_size = 3
    message.parameters["threads"].string_value = "4"

    paths = [each.path for each in set_fields(message)]

    assert sorted(paths) == [
        "dynamic_batching.default_queue_policy.max_queue_size",
        "input[0].name",
        "input[1].optional",
        "max_batch_size",
        "parameters",
    ]


def test_a_field_at_its_default_is_not_set() -> None:
    message = pb.ModelConfig(max_batch_size=0)
    message.model_transaction_policy.decoupled = False

    assert list(set_fields(message)) == []

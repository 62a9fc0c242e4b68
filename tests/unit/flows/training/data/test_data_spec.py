from pathlib import Path

import pytest

from flows.training.data import DatasetSpec, SpecError, load_spec
from flows.training.data.spec import parse_spec

ORIGIN = Path("personal_loans.toml")
LEAK = "dunning_letters, which is a leak: sent after a missed instalment"


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as refused:
        parse_spec(text, ORIGIN)
    return str(refused.value)


def test_both_specs_are_read_and_name_their_features_in_order(spec: DatasetSpec) -> None:
    assert load_spec("sba_7a").feature_names[:3] == ("amount", "guarantee_percent", "employees")
    assert spec.feature_names[-1] == "branch"
    assert spec.feature("branch").digits == 4


def test_an_unknown_feature_is_a_key_error(spec: DatasetSpec) -> None:
    with pytest.raises(KeyError, match="dunning_letters"):
        spec.feature("dunning_letters")


def test_an_unknown_spec_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match=r"no dataset spec nowhere.*sba_7a"):
        load_spec("nowhere")


def test_what_is_not_toml_is_refused() -> None:
    assert "personal_loans.toml is not TOML" in refusal("name = ")


def test_the_digest_follows_what_is_said_and_not_how(spec_text: str, spec: DatasetSpec) -> None:
    assert parse_spec("# remark\n" + spec_text, ORIGIN).digest == spec.digest
    assert parse_spec(spec_text.replace("given_default = 0.8", "given_default = 0.7"), ORIGIN).digest != spec.digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('from = "children"', 'from = "dunning_letters"', f"feature children reads {LEAK}"),
        (r"\"sum\" / income", "income - dunning_letters", f"feature amount_to_income reads {LEAK}"),
        (r"\"sum\" / income", r"income * abs(\"dunning_letters\")", f"feature amount_to_income reads {LEAK}"),
        ('of = ["amount"]', 'of = ["dunning_letters"]', f"encoding log_amount reads {LEAK}"),
        ("purpose <> 'staff'", "dunning_letters < 2", f"population.keep reads {LEAK}"),
        (
            'from = "purpose"',
            'from = "closed_as"',
            "feature purpose reads closed_as, which is a leak: it is the outcome",
        ),
        (r"\"sum\" / income", "COLUMNS('dunning.*') + income", "must name the columns it reads one by one"),
        (r"\"sum\" / income", "(SELECT 1)", "must name the columns it reads one by one"),
        (r"\"sum\" / income", "income +", "feature amount_to_income: not a SQL expression"),
    ],
)
def test_a_leak_is_refused_wherever_it_is_read(spec_text: str, old: str, new: str, message: str) -> None:
    assert message in refusal(spec_text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "ref"', 'id = "reference"', "id: no column reference"),
        ('id = "ref"', 'id = "homeowner"', "id: column homeowner must be parsed as code or integer or text"),
        ('approved_on = "opened"', 'approved_on = "sum"', "approved_on: column sum must be parsed as date"),
        ('column = "dunning_letters"', 'column = "dunning"', "leaks: no column dunning"),
        ('good = ["settled", ', 'good = ["settled", "written off", ', "outcome: code 'written off' means two things"),
        ('from = "children"', 'from = "kids"', "feature children: no column kids"),
        ('from = "children"', 'from = "purpose"', "a number cannot come from a column parsed as text"),
        ('from = "branch"\ndigits = 4', 'from = "branch"\ndigits = 3', "column branch has up to 4 digits"),
        ('name = "children"', 'name = "label"', "features: the name label is taken"),
        ('name = "children"', 'name = "amount"', "features: the name amount appears twice"),
        ('["children", "homeowner"]', '["children"]', "feature homeowner is in 0 groups"),
        ('["children", "homeowner"]', '["children", "homeowner", "branch"]', "feature branch is in 2 groups"),
        ('["children", "homeowner"]', '["children", "homeowner", "age"]', "reasons: no feature age"),
        ('code = "R02"', 'code = "R01"', "reasons: the code R01 appears twice"),
        ('exposure = "amount"', 'exposure = "children"', "loss.exposure: children must be a required number"),
        ('name = "region"\nof = "branch"\nkeep = 1', 'name = "region"\nof = "amount"', "amount is a number"),
        ('name = "region"\nof = "branch"', 'name = "region"\nof = "area"', "segment region: no feature area"),
        ('of = "branch"\nkeep = 1\ntarget', 'of = "branch"\nkeep = 4\ntarget', "keep = 4 needs a code of more digits"),
        ('op = "log"', 'op = "log_ratio"', "log_amount: log_ratio takes 2 feature(s), not 1"),
        ('op = "log"', 'op = "multiple_of"', "log_amount: steps are needed for multiple_of"),
        ('op = "log"', 'op = "cube"', "encoding.numeric.0.op"),
        ('of = ["amount"]', 'of = ["purpose"]', "log does not take purpose, a text"),
        ("clip = { children =", "clip = { branch =", "clips what it does not read: branch"),
        ("[0, 10]", "[10, 0]", "clip of children has its bounds the wrong way round"),
        ('op = "prefix"', 'op = "value"', "value takes no parameter, see keep"),
        ("target_encode = true", "floor = 1", "region: floor belongs to value"),
        ("target_encode = true", "embed = false", "neither embedded nor target-encoded"),
        (
            "target_encode = true",
            'target_encode = true\n[[encoding.pair]]\nname = "both"\nof = ["region", "area"]',
            "both: no category area",
        ),
        (
            "target_encode = true",
            'target_encode = true\n[[encoding.pair]]\nname = "both"\nof = ["region", "region"]',
            "both: region makes no pair with itself",
        ),
        ("minimum = 100\n", "minimum = 60_000\n", "feature amount: minimum is above maximum"),
        ("required = true", "required = true\nmax_null_rate = 0.1", "a required feature bears no nulls"),
        ("digits = 4\nmax", "max", "digits is needed for codes"),
        ('format = "%d.%m.%Y"', 'format = "%d.%m.%y"', "century_pivot is needed with %y"),
        ('null = ["k.A."]', 'null = ["ja"]', "a code may mean one thing only: ja"),
        ("[volumes]", "[volumes]\nmaximum = 3", "volumes.maximum: Extra inputs are not permitted"),
        ('sha256 = "0', 'sha256 = "x', "sources.embedded.sha256"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused_with_the_field(
    spec_text: str, old: str, new: str, message: str
) -> None:
    assert old in spec_text
    assert message in refusal(spec_text.replace(old, new))


def test_every_problem_is_reported_at_once(spec_text: str) -> None:
    message = refusal(spec_text.replace('id = "ref"', 'id = "reference"').replace('code = "R02"', 'code = "R01"'))
    assert "no column reference" in message
    assert "the code R01 appears twice" in message

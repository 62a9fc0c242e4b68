from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from server.settings import CallerQuota, InvalidSettings, Settings, read_settings


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "server.toml"


def test_only_the_model_repository_must_be_given() -> None:
    settings = read_settings(["--model-repository", "models"])

    assert settings.model_repository == "models"
    assert (settings.host, settings.grpc_port, settings.metrics_port) == ("127.0.0.1", 8001, 8002)


def test_what_was_read_is_validated_settings_that_cannot_be_changed() -> None:
    settings = read_settings(["--model-repository", "models", "--grpc-port", "9001"])

    assert settings == Settings(model_repository="models", grpc_port=9001)
    with pytest.raises(ValidationError, match="frozen"):
        settings.grpc_port = 1


def test_the_command_line_beats_the_environment_which_beats_the_file_which_beats_the_defaults(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text('model_repository = "file"\nhost = "file"\ngrpc_port = 1\nlog_level = "debug"\n')
    monkeypatch.setenv("CREDENCE_HOST", "environment")
    monkeypatch.setenv("CREDENCE_GRPC_PORT", "2")

    settings = read_settings(["--config", str(toml), "--grpc-port", "3"])

    assert (settings.grpc_port, settings.host, settings.model_repository) == (3, "environment", "file")
    assert (settings.log_level, settings.metrics_port) == ("debug", 8002)


def test_the_file_may_be_named_by_the_environment_and_the_command_line_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.toml").write_text('model_repository = "a"')
    (tmp_path / "b.toml").write_text('model_repository = "b"')
    monkeypatch.setenv("CREDENCE_CONFIG", str(tmp_path / "a.toml"))

    assert read_settings([]).model_repository == "a"
    assert read_settings([f"--config={tmp_path / 'b.toml'}"]).model_repository == "b"


def test_variables_of_other_programs_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_PORT", "not a port")

    assert read_settings(["--model-repository", "m"]).grpc_port == 8001


def test_a_variable_of_ours_that_is_no_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENCE_GRCP_PORT", "9001")
    monkeypatch.setenv("credence_model_repo", "m")

    with pytest.raises(InvalidSettings, match=r"^CREDENCE_GRCP_PORT: no such setting; credence_model_repo: no such"):
        read_settings(["--model-repository", "m"])
    with pytest.raises(InvalidSettings, match=r"credence_model_repo: no such setting; model_repository is not set"):
        read_settings([])


def test_the_clients_variable_and_other_spellings_of_settings_may_stand_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENCE_TARGET", "127.0.0.1:1")
    monkeypatch.setenv("CREDENCE_LOADGEN", "credence-loadgen")
    monkeypatch.setenv("credence_grpc_port", "9001")

    assert read_settings(["--model-repository", "m"]).grpc_port == 9001


def test_a_missing_repository_says_the_three_ways_to_give_it() -> None:
    with pytest.raises(
        InvalidSettings, match=r"^model_repository is not set: give --model-repository, CREDENCE_MODEL_REPOSITORY or"
    ):
        read_settings([])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grpc_port", "65536"),
        ("grpc_port", "-1"),
        ("grpc_port", "http"),
        ("metrics_port", "1.5"),
        ("max_message_bytes", "1023"),
        ("max_rows_per_call", "0"),
        ("max_batch_rows", "-5"),
        ("max_queue_rows", "0"),
        ("max_explain_queue_rows", "0"),
        ("max_explain_batch_rows", "0"),
        ("max_concurrent_streams", "0"),
        ("max_stream_requests", "0"),
        ("recent_decisions", "0"),
        ("intra_op_threads", "0"),
        ("inline_below_ms", "-1"),
        ("inline_below_ms", "nan"),
        ("reasons_margin_ms", "-0.1"),
        ("drain_delay_s", "86401"),
        ("drain_s", "soon"),
        ("log_level", "loud"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_was_from_every_source(
    name: str, value: str, toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"{name} = '{value}': "
    repository = ["--model-repository", "m"]
    with pytest.raises(InvalidSettings) as from_command_line:
        read_settings([*repository, f"--{name.replace('_', '-')}={value}"])
    assert str(from_command_line.value).startswith(expected)

    toml.write_text(f'{name} = "{value}"')
    with pytest.raises(InvalidSettings) as from_file:
        read_settings([*repository, "--config", str(toml)])
    assert str(from_file.value).startswith(expected)

    monkeypatch.setenv(f"CREDENCE_{name.upper()}", value)
    with pytest.raises(InvalidSettings) as from_environment:
        read_settings(repository)
    assert str(from_environment.value).startswith(expected)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(InvalidSettings, match=r"model_repository is not set.*; grpc_port = 'x'.*; drain_s = '-1'"):
        read_settings(["--grpc-port", "x", "--drain-s=-1"])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that opens and cannot be read, for root too")
def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InvalidSettings, match=r"^config /proc/self/mem: Input/output error$"):
        read_settings(["--model-repository", "m", "--config", "/proc/self/mem"])


def test_an_unknown_key_in_the_file_is_named(toml: Path) -> None:
    toml.write_text("grcp_port = 8001")

    with pytest.raises(InvalidSettings, match=r"^grcp_port = 8001: "):
        read_settings(["--model-repository", "m", "--config", str(toml)])


def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSettings, match=r"^config = '.*/none\.toml': no such file$"):
        read_settings(["--config", str(tmp_path / "none.toml")])

    monkeypatch.setenv("CREDENCE_CONFIG", str(tmp_path))
    with pytest.raises(InvalidSettings, match=r"^config = .*: no such file$"):
        read_settings([])


@pytest.mark.parametrize("content", [b"grpc_port = ", b"\xff\xfe", b"[[["])
def test_a_file_that_is_not_toml_is_named(content: bytes, toml: Path) -> None:
    toml.write_bytes(content)

    with pytest.raises(InvalidSettings, match=r"^config .*server\.toml: not TOML"):
        read_settings(["--model-repository", "m", "--config", str(toml)])


def test_help_names_every_setting_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"])

    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in printed
        assert field.description


def test_an_option_that_does_not_exist_ends_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--model-repository", "m", "--gpu", "0"])

    assert ended.value.code == 2
    assert "--gpu" in capsys.readouterr().err


def test_quotas_of_callers_stand_in_the_file(toml: Path) -> None:
    toml.write_text(
        'model_repository = "m"\n[quota]\nrows_per_s = 10\nburst_rows = 50\n'
        '[caller_quotas."key:0123456789abcdef"]\nrows_per_s = 1000.5\nburst_rows = 5000\n'
    )

    settings = read_settings(["--config", str(toml)])

    assert settings.quota == CallerQuota(rows_per_s=10, burst_rows=50)
    assert settings.caller_quotas == {"key:0123456789abcdef": CallerQuota(rows_per_s=1000.5, burst_rows=5000)}


@pytest.mark.parametrize("caller", ["key:secret", "0123456789abcdef", "peer:"])
def test_a_quota_for_something_that_is_no_identity_is_refused(toml: Path, caller: str) -> None:
    toml.write_text(f'model_repository = "m"\n[caller_quotas."{caller}"]\nrows_per_s = 1\nburst_rows = 1\n')

    with pytest.raises(InvalidSettings, match="caller_quotas"):
        read_settings(["--config", str(toml)])


@pytest.mark.parametrize(("rate", "burst"), [("0", "1"), ("-1", "1"), ("inf", "1"), ("1", "0")])
def test_a_quota_that_grants_nothing_or_everything_is_refused(toml: Path, rate: str, burst: str) -> None:
    toml.write_text(f'model_repository = "m"\n[quota]\nrows_per_s = {rate}\nburst_rows = {burst}\n')

    with pytest.raises(InvalidSettings, match=r"quota\."):
        read_settings(["--config", str(toml)])


def test_settings_of_single_models_are_given_one_by_one_or_as_a_table(toml: Path) -> None:
    toml.write_text('model_repository = "m"\n[version_policy]\ndot = "all"\n')
    digest = "0123456789abcdef" * 4
    pins = ["--pin-build", f"a={digest}", "--pin-build", f"b={digest}"]

    settings = read_settings(["--config", str(toml), *pins, "--load-model", "a", "--load-model", "b"])

    assert settings.version_policy == {"dot": "all"}
    assert settings.pin_build == {"a": digest, "b": digest}
    assert settings.load_model == ("a", "b")


@pytest.mark.parametrize("name", ["--pin-build", "--version-policy"])
def test_a_setting_of_a_model_without_its_value_is_named(name: str) -> None:
    with pytest.raises(InvalidSettings, match=name.removeprefix("--").replace("-", "_")):
        read_settings(["--model-repository", "m", name, "scorecard"])


@pytest.mark.parametrize("digest", ["", "0" * 63, "A" * 64, "champion"])
def test_a_pin_that_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^pin = "):
        read_settings(["--model-repository", "m", f"--pin={digest}"])
    with pytest.raises(InvalidSettings, match=r"^pin_build\.m = "):
        read_settings(["--model-repository", "m", f"--pin-build=m={digest}"])

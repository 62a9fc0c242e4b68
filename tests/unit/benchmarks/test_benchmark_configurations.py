from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compare.configurations import UnfitConfiguration, read_configurations


def write(folder: Path, text: str) -> str:
    path = folder / "compared.toml"
    path.write_text(text)
    return str(path)


def test_words_and_files_stand_beside_each_other_in_their_order(tmp_path: Path):
    file = write(tmp_path, '[[configuration]]\nname = "ours"\nsettings = { model_repository = "models" }\n')
    assert [each.name for each in read_configurations(["127.0.0.1:8001", file])] == ["127.0.0.1:8001", "ours"]


def test_a_matrix_makes_one_configuration_of_each_combination(tmp_path: Path):
    file = write(
        tmp_path,
        """
        [[configuration]]
        name = "{rows} rows, {threads} threads"
        settings = { model_repository = "models" }
        matrix = { rows = [1, 64], threads = [1, 2] }
        """,
    )
    found = read_configurations([file])
    assert [each.name for each in found] == [
        "1 rows, 1 threads",
        "1 rows, 2 threads",
        "64 rows, 1 threads",
        "64 rows, 2 threads",
    ]
    assert found[2].settings == {"model_repository": "models", "rows": 64, "threads": 1}


def test_a_matrix_fills_the_words_of_a_command(tmp_path: Path):
    file = write(
        tmp_path,
        """
        [[configuration]]
        name = "{n} workers"
        command = ["serve", "--workers", "{n}", "--port", "{port}"]
        matrix = { n = [1, 2] }
        """,
    )
    assert [each.command for each in read_configurations([file])] == [
        ("serve", "--workers", "1", "--port", "{port}"),
        ("serve", "--workers", "2", "--port", "{port}"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "x"', "one of target, settings and command"),
        ('name = "x"\ntarget = "a:1"\ncommand = ["a"]', "given: target, command"),
        ('name = "x"\ntarget = "nowhere"', "target"),
        ('name = "x"\ntarget = "a:1"\nmatrix = { a = [1] }', "a target runs already"),
        ('name = "x"\ncommand = []', "command"),
        ('name = "x"\ncommand = ["a"]\npython = "p"', "python is for settings"),
        ('name = "x"\nsettings = {}\nspeed = 1', "speed"),
        ('name = ""\nsettings = {}', "name"),
        ("settings = {}", "name"),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_field(tmp_path: Path, text: str, told: str):
    with pytest.raises(UnfitConfiguration, match=told) as refused:
        read_configurations([write(tmp_path, f"[[configuration]]\n{text}\n")])
    assert "compared.toml" in str(refused.value)


def test_names_that_repeat_are_refused():
    with pytest.raises(UnfitConfiguration, match=r"127\.0\.0\.1:1 is there twice"):
        read_configurations(["127.0.0.1:1", "127.0.0.1:1"])


def test_one_configuration_is_nothing_to_compare():
    with pytest.raises(UnfitConfiguration, match="nothing to compare"):
        read_configurations(["127.0.0.1:1"])


def test_what_is_neither_an_address_nor_a_file_is_refused(tmp_path: Path):
    with pytest.raises(UnfitConfiguration, match=r"neither host:port nor a \.toml file"):
        read_configurations(["nowhere"])
    with pytest.raises(UnfitConfiguration, match="No such file"):
        read_configurations([str(tmp_path / "absent.toml")])
    with pytest.raises(UnfitConfiguration, match="not TOML"):
        read_configurations([write(tmp_path, "[[")])

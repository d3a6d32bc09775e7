"""What a person reads first, and in whole sentences."""

from click.testing import CliRunner

import dynsys
from dynsys.cli import VERBS, command, main


def test_the_list_of_commands_has_the_whole_first_sentence_of_each():
    listed = "".join(CliRunner().invoke(main, ["--help"]).output.partition("Commands:")[2].split())
    assert "..." not in listed
    for verb in VERBS:
        sentence = command(verb).help.split("\n\n")[0].partition(". ")[0]
        assert "".join(sentence.split()).rstrip(".") in listed, verb


def test_find_says_what_was_found_before_the_table_and_how_the_search_went_on_request(tmp_path):
    find = ["find", "simple2d", "-o", str(tmp_path), "--starts", "32", "-v"]
    wordy = CliRunner().invoke(main, find).stdout
    lines = wordy.splitlines()
    assert lines[0] == "Found 3 fixed points: 2 stable, 1 saddle with 1 unstable direction."
    assert "settle" in lines[1]
    assert "in all (95%)" in lines[2]
    assert lines.index("") < next(i for i, line in enumerate(lines) if line.startswith("id  verdict"))
    points = dynsys.FixedPoints.load(tmp_path / "fixed_points.safetensors")
    course = "; by newton, in "
    assert course in wordy
    assert course in points.summary(course=True)
    assert course not in points.summary()

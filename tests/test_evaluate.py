"""pass@k and its intervals worked out by hand, and what a killed or mistaken run leaves behind."""
import fcntl
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

import evaluate
from evaluate import bootstrap_interval, count_tokens, n_at_k, paired_difference, pass_at_k, summarize
from sandbox import Problem, Program, UserError

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def command(*arguments):
    return [sys.executable, os.path.join(ROOT, "evaluate.py"), *map(str, arguments)]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# --- metrics --------------------------------------------------------------------------------------

def test_pass_at_k_is_the_share_of_subsets_that_hold_a_passing_program():
    """Catches: any slip in the formula. All k-subsets of n <= 7 programs are tried."""
    for n in range(1, 8):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_stays_exact_for_a_thousand_programs():
    """Catches: binomials computed as floats, which overflow."""
    assert pass_at_k(5000, 1, 1000) == pytest.approx(0.2)


def test_pass_at_k_refuses_fewer_programs_than_k():
    """Catches: the estimator's answer of 1.0 for no right program at all."""
    with pytest.raises(ValueError, match="needs 5 programs; there are 4"):
        pass_at_k(4, 0, 5)


def test_n_at_k_is_the_share_of_submissions_that_hold_a_right_program():
    """Catches: DESIGN's corner, f < n with c = 0, counted as solved; and f < n refused. All ways to
    submit min(n, f) of the f programs that are left are tried."""
    for f in range(7):
        for c, n in itertools.product(range(f + 1), range(1, 7)):
            ways = list(itertools.combinations([True] * c + [False] * (f - c), min(n, f)))
            assert n_at_k(f, c, n) == pytest.approx(sum(map(any, ways)) / len(ways))
    assert n_at_k(0, 0, 1) == n_at_k(2, 0, 5) == 0.0


def test_the_interval_of_a_constant_is_the_constant_and_more_problems_narrow_it():
    """Catches: an interval around something else than the mean, or that ignores the problems."""
    assert bootstrap_interval([0.5] * 30) == (0.5, 0.5, 0.5)
    mean, low, high = bootstrap_interval([0.0, 1.0] * 50)
    assert mean == 0.5 and 0.35 < low < 0.45 and 0.55 < high < 0.65  # 0.5 +- 1.96 * 0.05
    mean, wide_low, wide_high = bootstrap_interval([0.0, 1.0] * 5)
    assert wide_low < low and wide_high > high


def test_the_difference_of_two_runs_is_taken_problem_by_problem():
    """Catches: runs resampled apart, which would hide a gain that every problem shows."""
    old = {"a": (4, 0), "b": (4, 2), "c": (2, 1)}
    new = {"a": (4, 1), "b": (4, 3), "c": (4, 3)}
    assert paired_difference(new, old, ["a", "b", "c"]) == (0.25, 0.25, 0.25)


def judged(problem_id, *labels):
    return [Program(problem_id, "", outcome=label, error=error) for label, error in labels]


def test_judge_errors_and_unjudged_programs_enter_no_share():
    """Catches: the judge's own failures counted as programs that failed."""
    problems = {key: Problem(key, "", difficulty="interview") for key in "ab"}
    programs = judged("a", ("passed_test", None), ("judge_error", "OSError"), ("failed_test", "WrongAnswer"),
                      (None, None))
    summary = summarize(problems, programs, ks=[1, 2, 3])
    assert summary["counts"] == {"a": (2, 1)}
    assert summary["groups"]["all"][1][0] == 0.5 and summary["groups"]["all"][2][0] == 1.0
    assert summary["groups"]["all"][3] is None  # two judged programs: no pass@3
    assert evaluate.outcome_shares(summary["outcomes"]) == [0, 0, 50, 50]
    assert summary["errors"] == {"WrongAnswer": 1}


def test_tokens_are_those_of_all_rounds():
    """Catches critic sampling at the price of its last round, and rounds that are counted once for each
    program: of four programs of one mini-batch, two kept and two refined, each has a fourth of 40 + 10
    tokens; a second mini-batch took 7. Without tokens a program has none."""
    rounds = {"sampled": {"programs": 4, "tokens": 40}, "refined": {"programs": 2, "tokens": 10}}
    made = [Program("a", "", tokens=[5] * 7, outcome="passed_test", extra={"rounds": rounds})] * 4
    made += [Program("a", "", outcome="failed_test", extra={"rounds": {
        "sampled": {"programs": 2, "tokens": 7}}})] * 2
    plain = [Program("b", "", tokens=[5] * 7, outcome="failed_test"), Program("b", "", outcome="failed_test"),
             Program("b", "", tokens=[5] * 7)]  # the last one is not judged
    assert count_tokens(made + plain) == {"a": 57, "b": 7}


def test_groups_come_in_the_order_of_the_papers_tables():
    """Catches: columns in the order of the file, and a group of one that repeats `all`."""
    labels = ["competition", "mine", "introductory", "interview"]
    problems = {label: Problem(label, "", difficulty=label) for label in labels}
    assert list(evaluate.by_difficulty(problems, labels)) == [
        "introductory", "interview", "competition", "mine", "all"]
    assert list(evaluate.by_difficulty(problems, ["mine"])) == ["all"]


# --- judging --------------------------------------------------------------------------------------

def problem_row(problem_id, difficulty, output):
    return {"problem_id": problem_id, "question": "Print it.", "difficulty": difficulty,
            "input_output": {"inputs": ["3\n"], "outputs": [output]},
            "example_tests": {"inputs": ["3"], "outputs": ["3"]} if difficulty == "interview" else None}


def program_rows(problem_id, *codes):
    return [{"problem_id": problem_id, "code": code, "tokens": [1, 2]} for code in codes]


@pytest.fixture
def sample(tmp_path):
    """Two problems and eight programs: 3 of 4 and 1 of 4 pass, all four outcomes occur."""
    problems = write_jsonl(tmp_path / "p.jsonl", [problem_row("one", "introductory", "3\n"),
                                                  problem_row("two", "interview", "6\n")])
    programs = write_jsonl(tmp_path / "s.jsonl",
                           program_rows("one", "print(input())", "print(3)", "print(", "print(6 // 2)")
                           + program_rows("two", "print(6)", "print(3)", "print(x)", "print(6.0)"))
    return problems, programs, tmp_path / "j.jsonl"


def test_a_small_sample_scores_a_known_value(sample):
    """Catches: verdicts written to the wrong program, keys lost, wrong sums in the report."""
    problems, programs, out = sample
    report = run("--problems", problems, "--programs", programs, "--out", out, "--k", 1, 4)
    assert report.returncode == 0, report.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["outcome"] for row in rows] == [
        "passed_test", "passed_test", "compile_error", "passed_test",
        "passed_test", "failed_test", "runtime_error", "failed_test"]
    assert [row["error"] for row in rows][2:7:4] == ["SyntaxError", "NameError"]
    assert all(row["tokens"] == [1, 2] for row in rows)
    assert rows[0]["judged_with"] == {"tests": "hidden", "compare": "strict", "time_limit": 4.0,
                                      "memory_mb": 1024, "all_tests": False}
    table = [line.split() for line in report.stdout.splitlines()]
    assert ["introductory", "1", "4", "8", "75.0", "[75.0,", "75.0]", "100.0", "[100.0,", "100.0]"] in table
    assert ["all", "2", "8", "16", "50.0", "[25.0,", "75.0]", "100.0", "[100.0,", "100.0]"] in table
    assert ("outcomes: compile_error 12.5 %, runtime_error 12.5 %, failed_test 25.0 %, passed_test 50.0 %"
            in report.stdout)
    assert "errors: WrongAnswer 2, SyntaxError 1, NameError 1" in report.stdout


def test_default_ks_that_are_too_large_print_a_dash_and_missing_problems_are_said(sample, tmp_path):
    """Catches: pass@10 of four programs, and an average that silently skips problems."""
    problems, programs, out = sample
    only_one = write_jsonl(tmp_path / "one.jsonl", program_rows("one", *["print(3)"] * 4))
    report = run("--problems", problems, "--programs", only_one, "--out", out)
    assert ["all", "1", "4", "8", "100.0", "[100.0,", "100.0]", "-", "-"] in map(str.split, report.stdout.splitlines())
    assert "1 of 2 problems have no judged program" in report.stdout


def test_without_example_tests_a_program_gets_no_verdict(sample):
    """Catches: zero tests taken for a pass, and the order of the file lost around such programs."""
    problems, programs, out = sample
    report = run("--problems", problems, "--programs", programs, "--out", out, "--tests", "example")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["outcome"] for row in rows] == ["judge_error"] * 4 + [
        "failed_test", "passed_test", "runtime_error", "failed_test"]
    assert "4 programs without a verdict" in report.stdout
    only_one = write_jsonl(out.parent / "one.jsonl", program_rows("one", "print(3)"))
    report = run("--problems", problems, "--programs", only_one, "--out", out.parent / "j1.jsonl",
                 "--tests", "example", "--n", 1)
    assert report.returncode == 0 and "nan" not in report.stdout


def test_n_at_k_submits_what_passes_the_example_tests(sample):
    """Catches: a filter by the hidden tests, and one where there are no example tests. Problem two
    keeps print(3), which passes the example and fails the hidden test; one has no examples and
    submits one of its four programs, of which three pass."""
    problems, programs, out = sample
    report = run("--problems", problems, "--programs", programs, "--out", out, "--k", 1, "--n", 1, 5)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["example_passed"] for row in rows] == [None] * 4 + [False, True, False, False]
    again = run("--problems", problems, "--programs", programs, "--out", out, "--k", 1)
    assert again.returncode == 2 and "judged with --n" in again.stderr
    table = [line.split() for line in report.stdout.splitlines()]
    assert ["introductory", "1", "4", "3", "75.0", "[75.0,", "75.0]", "100.0", "[100.0,", "100.0]"] in table
    assert ["interview", "1", "1", "0", "0.0", "[0.0,", "0.0]", "0.0", "[0.0,", "0.0]"] in table
    out.write_text("".join(json.dumps({key: row[key] for key in row if key != "example_passed"}) + "\n"
                           for row in rows[:1]))
    report = run("--problems", problems, "--programs", programs, "--out", out, "--n", 1)
    assert report.returncode == 2 and "judged without --n" in report.stderr


def test_what_an_earlier_judging_said_of_the_example_tests_is_forgotten(sample, tmp_path):
    """Catches an n@k from verdicts on other example tests, which the file was read with."""
    problems, _, out = sample
    row = {**program_rows("one", "print(3)")[0], "example_passed": False}
    assert run("--problems", problems, "--programs", write_jsonl(tmp_path / "old.jsonl", [row]),
               "--out", out, "--k", 1).returncode == 0
    assert "example_passed" not in json.loads(out.read_text())


def test_repairs_are_counted_by_what_was_wrong(sample, tmp_path):
    """Catches: shares of all programs, by the outcome of the repaired program itself, or of what is left of them."""
    problems, _, out = sample
    rows = program_rows("one", "print(3)", "print(4)", "print(3)", "print(5)")
    for row, error in zip(rows, ["compile_error (SyntaxError)"] * 2 + ["failed_test (WrongAnswer)"] * 2):
        row.update(source="repaired", parent_outcome=error)
    rows[-1]["rounds"] = {}  # of critic sampling, which drops the repairs that failed beside one that passed
    repaired = write_jsonl(tmp_path / "r.jsonl", rows)
    report = run("--problems", problems, "--programs", repaired, "--out", out)
    assert "repaired from compile_error (SyntaxError): 1 of 2 pass (50.0 %)" in report.stdout
    assert "repaired from failed_test (WrongAnswer): 1 of 1 pass (100.0 %)" in report.stdout


def test_with_n_a_kill_loses_no_program_that_has_both_verdicts(sample, monkeypatch):
    """Catches example tests of all programs before the first line is written. Verdicts come in pairs, and
    when the first of a pair comes, the programs before it are in the file."""
    problems, programs, out = sample
    run_judge, lines = evaluate.Judge.run, []

    def watched(judge, jobs):
        for program in run_judge(judge, jobs):
            lines.append(out.read_bytes().count(b"\n"))
            yield program

    monkeypatch.setattr(evaluate.Judge, "run", watched)
    evaluate.main(["--problems", str(problems), "--programs", str(programs), "--out", str(out),
                   "--k", "1", "--n", "1"])
    assert lines == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]


def test_verdicts_of_other_tests_and_another_process_are_refused(sample):
    """Catches: stale verdicts after the hidden tests were mended; one file written by two, in which every
    program counts twice."""
    problems, programs, out = sample
    arguments = ["--problems", problems, "--programs", programs, "--out", out]
    run(*arguments)
    before = out.read_bytes()
    problems.write_text(problems.read_text().replace("6\\n", "7\\n"))
    report = run(*arguments)
    assert report.returncode == 2 and "line 5: judged by other tests than those that problem 'two'" in report.stderr
    with open(out) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        report = run(*arguments)
    assert report.returncode == 2 and "another process is writing there" in report.stderr
    assert out.read_bytes() == before


@pytest.mark.parametrize("more", [[], ["--n", "1"]])
def test_a_half_written_output_is_continued_to_the_same_bytes(sample, more):
    """Catches: a torn line kept, a program judged twice or skipped, another order."""
    problems, programs, out = sample
    arguments = ["--problems", problems, "--programs", programs, "--out", out, *more]
    run(*arguments)
    whole = out.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
        out.write_bytes(whole[:size])
        report = run(*arguments)
        assert out.read_bytes() == whole
        before = whole[:size].count(b"\n")
        assert f"{before} programs were judged before, {8 - before} now" in report.stdout


def test_kill_9_at_any_moment_then_the_same_command_gives_the_same_bytes(tmp_path):
    """Catches: lines written out of order, or before the verdicts that belong in front of them."""
    problems = write_jsonl(tmp_path / "p.jsonl", [problem_row(i, "interview", "3\n") for i in range(4)])
    programs = write_jsonl(tmp_path / "s.jsonl", [
        row for i in range(4) for row in program_rows(
            i, *[f"import time; time.sleep({0.3 * (j % 3 == 0)}); print({3 + j % 2})" for j in range(6)])])
    straight = tmp_path / "straight.jsonl"
    arguments = ["--problems", problems, "--programs", programs, "--workers", 2, "--out"]
    assert run(*arguments, straight).returncode == 0
    for attempt in range(3):
        killed = tmp_path / f"killed-{attempt}.jsonl"
        child = subprocess.Popen(command(*arguments, killed), stdout=subprocess.DEVNULL)
        while not killed.exists():
            time.sleep(0.01)
        time.sleep(random.uniform(0, 1.5))
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert run(*arguments, killed).returncode == 0
        assert killed.read_bytes() == straight.read_bytes()


# --- tables and pictures --------------------------------------------------------------------------

def test_a_table_compares_judged_files_on_the_problems_they_share(sample, tmp_path):
    """Catches: columns swapped between runs, a difference of the wrong sign, no picture."""
    problems, programs, out = sample
    run("--problems", problems, "--programs", programs, "--out", out)
    better = write_jsonl(tmp_path / "s2.jsonl", program_rows("one", *["print(3)"] * 4))
    run("--problems", problems, "--programs", better, "--out", tmp_path / "j2.jsonl")
    pytest.importorskip("matplotlib")
    report = run("--problems", problems, "--table", f"warm start={out}", f"RL={tmp_path / 'j2.jsonl'}",
                 "--k", 1, "--plot", tmp_path / "table.png")
    assert report.returncode == 0, report.stderr
    assert "on the 1 of 2 problems" in report.stdout
    table = [line.split() for line in report.stdout.splitlines()]
    assert ["pass@1", "warm", "start", "75.0", "[75.0,", "75.0]"] in table
    assert ["pass@1", "RL", "minus", "warm", "start", "+25.0", "[+25.0,", "+25.0]"] in table
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_one_line_says_so(tmp_path, monkeypatch, capsys):
    """Catches: a run that dies after its work is done, for want of an optional package."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    evaluate.plot(str(tmp_path / "x.png"), {}, [1])
    assert "pip install matplotlib" in capsys.readouterr().err


# --- bad input ------------------------------------------------------------------------------------

@pytest.mark.parametrize("change, message", [
    ({"--tme-limit": 3}, "--tme-limit"),
    ({"--program": "s.jsonl"}, "--program "),  # no abbreviations
    ({"--problems": "nowhere.jsonl"}, "cannot read nowhere.jsonl"),
    ({"--programs": "nowhere.jsonl"}, "cannot read nowhere.jsonl"),
    ({"--programs": "broken.jsonl"}, "broken.jsonl, line 2: not valid JSON"),
    ({"--programs": "stranger.jsonl"}, "stranger.jsonl, line 1: problem_id 'three' is not in the problems"),
    ({"--programs": "samples.jsonl"}, "samples.jsonl, line 2: problem_id 'HumanEval/0' is not in the problems file"),
    ({"--programs": "empty.jsonl"}, "no programs"),
    ({"--out": "s.jsonl"}, "one of the inputs"),
    ({"--out": "link.jsonl"}, "one of the inputs"),
    ({"--out": "new.jsonl.gz"}, "end the name in .jsonl"),
    ({"--out": "other.jsonl"}, "other.jsonl, line 1: not the program"),
    ({"--out": "longer.jsonl"}, "holds 9 programs already"),
    ({"--out": "j.jsonl", "--time-limit": 3}, "j.jsonl, line 1: judged with"),
    ({"--k": 5}, "--k 5: must be 1 to 4"),
    ({"--k": 0}, "--k: 0 is not from 1 to 2147483647"),
    ({"--time-limit": 0}, "--time-limit: 0 is not a number from 0.01 to 1e9"),
    ({"--time-limit": "inf"}, "--time-limit: inf is not a number"),
    ({"--time-limit": "1e300"}, "--time-limit: 1e300 is not a number from"),
    ({"--plot": "picture"}, ".png, .pdf or .svg"),
    ({"--out": None}, "give either"),
    ({"--table": "a=j.jsonl"}, "give either"),
    ({"--table": "a=good.jsonl", "--programs": None}, "give either"),
    ({"--table": "a=good.jsonl", "--out": None}, "give either"),
    ({"--out": None, "--programs": None, "--table": "j.jsonl"}, "write NAME=FILE"),
    ({"--out": None, "--programs": None, "--table": "a=s.jsonl"}, "not judged"),
    ({"--out": None, "--programs": None, "--table": ["a=good.jsonl", "a=s.jsonl"]}, "each NAME once"),
    ({"--programs": ["s.jsonl", "./s.jsonl"]}, "a file is given twice"),
])
def test_bad_input_is_one_sentence_and_status_2(change, message, sample, tmp_path):
    """Catches: a traceback, or a mistake found only after hours of judging."""
    rows = program_rows("one", "print(", "print(3)")
    write_jsonl(tmp_path / "stranger.jsonl", program_rows("three", "print(3)"))
    (tmp_path / "broken.jsonl").write_text(json.dumps(rows[0]) + "\n{\"problem_id\": \n")
    write_jsonl(tmp_path / "samples.jsonl", [{"task_id": "one", "solution": "print(3)"},
                                             {"task_id": "HumanEval/0", "completion": "    pass"}])
    (tmp_path / "empty.jsonl").write_text("")
    write_jsonl(tmp_path / "other.jsonl", rows)
    (tmp_path / "link.jsonl").symlink_to("s.jsonl")
    write_jsonl(tmp_path / "longer.jsonl", rows * 4 + rows[:1])
    (tmp_path / "j.jsonl").write_text(json.dumps({**program_rows("one", "print(input())")[0], "judged_with": {}}) + "\n")
    flags = {"--problems": "p.jsonl", "--programs": "s.jsonl", "--out": "new.jsonl", **change}
    write_jsonl(tmp_path / "good.jsonl", [{**rows[0], "outcome": "passed_test"}])
    arguments = [str(part) for flag, value in flags.items() if value is not None
                 for part in (flag, *(value if isinstance(value, list) else [value]))]
    report = subprocess.run(command(*arguments), cwd=tmp_path, capture_output=True, text=True)
    assert (report.returncode, report.stdout, report.stderr.count("\n")) == (2, "", 1), report.stderr
    assert message in report.stderr
    assert not (tmp_path / "new.jsonl").exists()


def test_an_explicit_k_is_refused_and_a_default_one_is_not():
    """Catches: the default 1 5 10 refused for a file with four programs a problem."""
    programs = judged("a", *[("passed_test", None)] * 4)
    evaluate.check_k(evaluate.parse_args(["--problems", "p"]).k, programs)
    with pytest.raises(UserError):
        evaluate.check_k(evaluate.parse_args(["--problems", "p", "--k", "5"]).k, programs)

"""The embedded benchmark: deterministic, solvable, and with tests that tell right from wrong."""
import importlib.util
import json
import os
import random
import subprocess
import sys

import pytest

from sandbox import Judge, Program, UserError, read_problems

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
spec = importlib.util.spec_from_file_location(
    "mini_apps", os.path.join(ROOT, "data", "mini_apps", "prepare.py"))
mini_apps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mini_apps)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """90 training and 40 test problems as read back from disk, with the raw rows."""
    path = tmp_path_factory.mktemp("mini")
    train, seen = mini_apps.make_split(
        random.Random("train"), "train", 90, {1: 1, 2: 4, 3: 4, 4: 2}, mini_apps.has_solution,
        lambda chain: not mini_apps.held_out(chain), 3)
    test, _ = mini_apps.make_split(random.Random("test"), "test", 40, {2: 4, 3: 4, 4: 2},
                                   lambda *_: True, mini_apps.held_out, 1, seen)
    mini_apps.write_jsonl(str(path / "train.jsonl"), train)
    mini_apps.write_jsonl(str(path / "test.jsonl"), test)
    return read_problems(path / "train.jsonl"), read_problems(path / "test.jsonl")


def test_every_solution_passes_the_sandbox(splits):
    """Catches a generator whose own check is not the judge's: both forms, every kind,
    all hidden and example tests."""
    problems = {**splits[0], **splits[1]}
    jobs = [(problem, Program(problem.problem_id, code, "ground_truth"))
            for problem in problems.values() for code in problem.solutions]
    assert len(jobs) > 50
    for tests in ("hidden", "example"):
        with Judge(tests=tests) as judge:
            assert {program.outcome for program in judge.run(jobs)} == {"passed_test"}


@pytest.mark.parametrize("before, after", [(" + ", " - "), ("> ", "< "), ("== 0", "!= 0"),
                                           ("[::-1]", "")])
def test_the_tests_have_teeth(splits, before, after):
    """Catches hidden tests that a wrong program passes:
    each mutation of a solution must fail nearly always."""
    jobs = [(problem, Program(problem.problem_id, code.replace(before, after, 1)))
            for problem in splits[1].values() for code in problem.solutions if before in code]
    with Judge() as judge:
        passed = [program for program in judge.run(jobs) if program.outcome == "passed_test"]
    assert jobs and len(passed) <= 0.1 * len(jobs), passed[0].code


def test_test_problems_chain_steps_and_behave_like_no_training_problem(splits):
    """Catches a leak from test to training."""
    train, test = splits
    assert not ({tuple(p.extra["steps"]) for p in train.values()}
                & {tuple(p.extra["steps"]) for p in test.values()})


def test_no_problem_behaves_like_a_forbidden_one():
    """Catches a test problem that a training problem has in other words: the second split, from the
    same seed, would begin with the problems of the first."""
    splits = {}
    for name in ("first", "second"):
        forbidden = splits.get("first", ())
        _, splits[name] = mini_apps.make_split(random.Random("a"), name, 20, {2: 1}, lambda *_: False,
                                               lambda chain: True, 1, forbidden)
        assert len(splits[name]) == 20 and max(splits[name].values()) == 1
    assert not splits["first"].keys() & splits["second"].keys()


def test_a_third_of_the_training_problems_have_solutions_and_all_have_tests(splits):
    """Catches a split on which L_rl could not differ from L_ce."""
    train, test = splits
    assert 0.15 < sum(bool(p.solutions) for p in train.values()) / len(train) < 0.5
    assert all(p.solutions for p in test.values())
    for problem in {**train, **test}.values():
        assert (len(problem.input_output["inputs"]) == 10
                and len(problem.example_tests["inputs"]) == 2)
        assert problem.call_based == ("fn_name" in problem.input_output)


def test_a_quarter_of_the_step_sequences_never_has_a_solution():
    """Catches solutions that leave nothing for the unit tests alone to teach."""
    rng = random.Random(0)
    chains = [mini_apps.draw_chain(rng, 2) for _ in range(400)]
    never = [chain for chain in chains
             if not any(mini_apps.has_solution(chain, rng) for _ in range(30))]
    assert 0.15 < len(never) / len(chains) < 0.35


def test_the_same_seed_gives_the_same_file_under_any_hash_seed(tmp_path):
    """Catches an order that comes from a set of strings."""
    code = ("import importlib.util, json, random; "
            "s = importlib.util.spec_from_file_location('m', {!r}); "
            "m = importlib.util.module_from_spec(s);"
            "s.loader.exec_module(m); print(json.dumps(m.make_split(random.Random('x'), "
            "'train', 20, {{2: 1, 3: 1}}, m.has_solution, lambda c: True, 1)[0]))"
            ).format(os.path.join(ROOT, "data", "mini_apps", "prepare.py"))
    texts = {subprocess.run([sys.executable, "-c", code],
                            env={**os.environ, "PYTHONHASHSEED": seed},
                            capture_output=True, text=True, check=True).stdout for seed in "12"}
    assert len(texts) == 1 and len(json.loads(texts.pop())) == 20


def test_there_are_a_dozen_families_over_all_kinds():
    """Catches a benchmark that shrank: lists, strings, words, numbers and grids,
    each with several steps and styles."""
    assert {s.takes for s in mini_apps.STEPS} == set("LSWNG") and len(mini_apps.STEPS) >= 45
    assert sum(len(s.styles) >= 2 for s in mini_apps.STEPS) >= 35


def test_more_problems_than_there_are_is_one_sentence():
    """Catches a search without an end: a step that no number changes behaves in one way, and twice at most."""
    with pytest.raises(UserError, match="only 2 different test problems were found, and 3 asked for"):
        mini_apps.make_split(random.Random(0), "test", 3, {1: 1}, mini_apps.has_solution,
                             lambda chain: chain.steps[0].name == "prefix sums", repeats=2)

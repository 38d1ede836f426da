"""The tables of bench/tables.py, worked out by hand, for which nothing is trained or sampled; and the
values of bench/values.py."""
import argparse
import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "bench"))

import pretrain_ntp  # noqa: E402
import sample  # noqa: E402
import tables  # noqa: E402
import train_rl  # noqa: E402
import values  # noqa: E402
from sandbox import Problem, Program, UserError, append_record, to_row  # noqa: E402
from train_critic import Critic, critic_batch, load_critic, prefix_predictions  # noqa: E402


def write_programs(path, programs):
    with open(path, "wb") as file:
        for program in programs:
            append_record(file, program)
    return str(path)


def judged(key, outcomes, tokens=10, **extra):
    """A program of problem `key` for each letter of `outcomes`: p passed, f failed, on the example
    tests too."""
    return [Program(key, "", tokens=[1] * tokens, extra={"example_passed": letter == "p", **extra},
                    outcome={"p": "passed_test", "f": "failed_test"}[letter])
            for letter in outcomes]


def write_metrics(run, rows):
    os.makedirs(run, exist_ok=True)
    with open(f"{run}/metrics.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return str(run)


# --- intervals ------------------------------------------------------------------------------------

def test_the_interval_resamples_seeds_and_problems():
    """Catches an interval over one of the two. Two draws of 0 and 1 have the mean 0 or 1 in a
    quarter of the cases each, so that both ends are reached; what does not vary has no width."""
    assert tables.interval(np.array([[0.0, 1.0]])) == "50.0 [0.0, 100.0]"
    assert tables.interval(np.array([[0.0], [1.0]])) == "50.0 [0.0, 100.0]"
    assert tables.interval(np.full((2, 3), 0.25)) == "25.0 [25.0, 25.0]"


def test_the_difference_is_paired_by_problem_and_seed():
    """Catches a difference of means, whose interval would be as wide as the problems differ."""
    first = np.array([[0.0, 1.0, 0.5], [0.5, 0.0, 0.75]])
    assert tables.paired_difference(first + 0.125, first) == ["12.5 [12.5, 12.5]", "+12.5 +12.5"]
    assert tables.paired_difference(first - [[0.25], [0.5]], first) == [
        "-37.5 [-50.0, -25.0]", "-25.0 -50.0"]


def test_problems_are_paired_by_their_ids(tmp_path):
    """Catches pass@k in the order of the file, which pairs one problem with another."""
    one = write_programs(tmp_path / "one", judged("a", "pp") + judged("b", "fp"))
    two = write_programs(tmp_path / "two", judged("b", "pf") + judged("a", "pp"))
    for path in (one, two):
        assert tables.passes(path, [1, 2]).tolist() == [[1.0, 1.0], [0.5, 1.0]]


# --- costs ----------------------------------------------------------------------------------------

def test_training_cost_keeps_the_first_figure(tmp_path):
    """Catches a finished run, found again in a moment, that is said to have taken a moment; and a
    run that went on to more steps with the tokens of its first ones."""
    run = write_metrics(tmp_path / "run", [{"step": 0, "reward": 0.1}, {"step": 1, "tokens": 50},
                                           {"step": 2, "tokens": 90}, {"step": 2, "passed": 0.5}])
    assert tables.training_cost(run, 60.0) == [60.0, 90]
    assert tables.training_cost(run, 1.0) == [60.0, 90]
    write_metrics(run, [{"step": 1, "tokens": 50}, {"step": 3, "tokens": 120}])
    seconds, tokens = tables.training_cost(run, float("nan"))
    assert np.isnan(seconds) and tokens == 120


def test_a_killed_run_does_not_pass_its_last_part_off_as_all(tmp_path, monkeypatch):
    """Catches seconds that are counted from where a killed run was continued."""
    monkeypatch.setattr(tables, "stage", lambda *words: None)
    run = write_metrics(tmp_path / "run", [{"step": 2, "tokens": 90}])
    os.makedirs(f"{run}/step-000002")
    assert np.isnan(tables.train("train_rl.py", run)[0])


def test_plain_programs_are_bought_in_their_order_until_the_tokens_are_spent():
    """Catches a program too many, one too few, and none at all."""
    plain = [Program("a", str(n), tokens=[1] * n) for n in (10, 20, 30)]
    bought = lambda tokens: [p.code for p in tables.bought_with(tokens, plain)]  # noqa: E731
    assert bought(29) == ["10"]
    assert bought(30) == ["10", "20"]
    assert bought(1000) == ["10", "20", "30"]
    assert bought(9) == ["10"]


def test_plain_programs_are_as_many_for_each_problem_and_cost_no_less():
    """Catches a budget that is less than the row's, and one that is more than it need be: one
    program for each of the two problems costs 30 tokens, two cost 50."""
    plain = {"a": [Program("a", "", tokens=[1] * 10)] * 3, "b": [Program("b", "", tokens=[1] * n)
                                                                 for n in (20, 10, 10)]}
    assert [tables.spread_evenly(tokens, plain) for tokens in (29, 30, 31, 50, 51)] == [1, 1, 2, 2, 3]


def test_table_4_compares_at_equal_programs_and_at_equal_tokens(tmp_path, monkeypatch):
    """Catches a gain that is bought with tokens, for one problem or in all. A plain program costs 10
    tokens, and only the fifth passes. The row's two programs pass and cost 35 tokens for problem a,
    the price of three plain ones, and 55 for b, that of five; 90 in all take five for each."""
    def rounds(refined):
        return {"sampled": {"programs": 2, "tokens": 20}, "refined": {"programs": 2, "tokens": refined}}

    files = {"plain": write_programs(tmp_path / "plain", judged("a", "ffffpf") + judged("b", "ffffpf")),
             "refine": write_programs(tmp_path / "refine", judged("a", "pp", rounds=rounds(15))
                                      + judged("b", "pp", rounds=rounds(35)))}
    monkeypatch.setattr(tables, "judged_programs", lambda problems, model, out, *_, **__: files[
        "refine" if "refine" in out else "plain"])
    monkeypatch.setattr(tables, "test_problems", lambda args: None)
    monkeypatch.setattr(tables, "interval", lambda values: f"{values[0].tolist()}")  # of a and of b
    lines, problems = tables.table_4(tables.parse_args(
        ["--table", "4", "--rows", "plain", "refine", "--seeds", "0", "--num-programs", "2"]))
    _, _, plain, refine = [line.strip("| ").split(" | ") for line in lines]
    assert problems == 2 and plain[1:4] == ["[0.0, 0.0]", "[0.0, 0.0]", "20"]
    assert refine[1:4] == ["[1.0, 1.0]", "[1.0, 1.0]", "45"]
    assert refine[4:10] == [  # pass@2 and 1@2 minus plain's, with the same
        "[1.0, 1.0]", "[1.0, 1.0]",  # programs
        "[1.0, 0.0]", "[1.0, 0.0]",  # tokens for each problem
        "[0.0, 0.0]", "[0.0, 0.0]"]  # tokens in all


# --- commands -------------------------------------------------------------------------------------

@pytest.fixture
def commands(monkeypatch):
    """The commands that tables.py would run, [script, flags...] each; none of them is."""
    found = []
    monkeypatch.setattr(tables, "stage", lambda *words: found.append([str(w) for w in words]))
    monkeypatch.setattr(tables, "training_cost", lambda run, seconds: [1.0, 2])
    return found


def demo_flags(parse_args, script, task="", number=0):
    """The flags of demo.sh's first command of a script, or of that with another number, parsed, as if SEED were 3."""
    with open(os.path.join(ROOT, "demo.sh")) as file:
        line = [line for line in file if line.startswith(f"$RUN {script} {task}")][number]
    for name, value in (("$L", "$S " + " ".join(tables.LENGTHS)), ("$S", "--seed 3"), ("${SEED:-0}", "3"),
                        ("$MANY", "256")):
        line = line.replace(name, value)
    return vars(parse_args(shlex.split(line)[2:]))


def different(flags, others):
    return {key for key in flags if flags[key] != others[key]}


def test_the_rows_of_table_5_differ_in_pretraining_alone(commands, tmp_path):
    """Catches a row with more steps than another, or another tokenizer or warm start, and a warm
    start or NTP other than demo.sh's."""
    args = tables.parse_args(["--table", "5", "--work", str(tmp_path)])
    budgets, untrained = {}, set()
    for row, (tasks, *_) in tables.TABLES["5"].items():
        commands.clear()
        _, cost = tables.train_warm_start(args, tasks, 3, str(tmp_path / row))
        first, *pretraining, warm_start = [vars(pretrain_ntp.parse_args(words[1:]))
                                           for words in commands]
        assert first["init"] == "mini" and first["lr"] == 0 and first["steps"] == 1
        chain = [first, *pretraining, warm_start]
        assert [flags["init"] for flags in chain[1:]] == [flags["out"] for flags in chain[:-1]]
        assert {flags["seed"] for flags in chain} == {3}
        assert cost == [1.0 + len(tasks), 2 + 2 * len(tasks)]
        untrained.add(first["out"])
        budgets[row] = sum(flags["steps"] * flags["batch_size"] for flags in pretraining)
        demo = demo_flags(pretrain_ntp.parse_args, "pretrain_ntp.py", "--task warmstart")
        assert different(warm_start, demo) == {"init", "out", "problems"}
    assert budgets == {"none": 0, "msp": 1600, "msp + ntp": 1600, "ntp": 1600}
    assert len(untrained) == 1
    demo = demo_flags(pretrain_ntp.parse_args, "pretrain_ntp.py", "--task ntp")
    assert different(pretraining[-1], demo) == {"init", "out", "problems"}


def test_the_row_of_both_losses_is_the_demo_s(commands, tmp_path):
    """Catches a Table 3 whose last row is not what demo.sh does (it evaluates more often here)."""
    args = tables.parse_args(["--table", "3", "--work", str(tmp_path)])
    tables.train_actor(args, tables.TABLES["3"]["ce+rl"][0], 3, str(tmp_path))
    flags = vars(train_rl.parse_args(commands[-1][1:]))
    assert different(flags, demo_flags(train_rl.parse_args, "train_rl.py")) == {
        "init", "out", "problems", "critic", "programs", "save_every"}


def write_demo(folder):
    """A demo's problems without a solution, 1, 10 and 2, of which samples solve the first, one at the second
    try, and the third not; returns the lines of the two that are left."""
    lines = [json.dumps(to_row(Problem(f"train/{n}", "Add."))) + "\n" for n in (1, 10, 2)]
    (folder / "unsolved.jsonl").write_text("".join(lines))
    write_programs(folder / "samples_judged.jsonl", judged("train/1", "fp") + judged("train/2", "f"))
    return "".join(lines[1:])


def test_the_demo_s_second_round_is_on_the_problems_that_are_left(tmp_path):
    """Catches a pattern that takes problem 10 for problem 1, or a failed program for one that passed."""
    left = write_demo(tmp_path)
    with open(os.path.join(ROOT, "demo.sh")) as file:
        lines = [line for line in file if line.startswith("grep ") and "solved.txt" in line]
    subprocess.run(["bash", "-euc", "".join(lines)], env={"D": str(tmp_path), "PATH": os.environ["PATH"]},
                   check=True)
    assert (tmp_path / "still_unsolved.jsonl").read_text() == left
    tables.still_unsolved(tmp_path / "unsolved.jsonl", [tmp_path / "samples_judged.jsonl"], tmp_path / "x")
    assert (tmp_path / "x").read_text() == left


def test_two_rounds_are_the_demo_s(commands, tmp_path):
    """Catches a second round from the warm start, of other programs than demo.sh's, or for L_ce alone,
    which takes none."""
    args = tables.parse_args(["--table", "3", "--rounds", "2", "--work", str(tmp_path), "--demo", str(tmp_path)])
    left = write_demo(tmp_path)
    run, cost = tables.train_actor(args, tables.TABLES["3"]["ce+rl"][0], 3, str(tmp_path))
    scripts = [script for script, *_ in commands]
    assert scripts == ["train_rl.py", "sample.py", "evaluate.py", "train_rl.py"] and cost == [2.0, 4]
    first, sampled, judged, second = [words[1:] for words in commands]
    first, second = vars(train_rl.parse_args(first)), vars(train_rl.parse_args(second))
    sampled = vars(sample.parse_args(sampled))
    assert first["out"] == sampled["model"] == second["init"] and second["out"] == run
    assert second["programs"] == first["programs"] + [judged[judged.index("--out") + 1]]
    with open(sampled["problems"]) as file:
        assert file.read() == left
    assert different(second, demo_flags(train_rl.parse_args, "train_rl.py", number=1)) == {
        "init", "out", "problems", "critic", "programs", "save_every"}
    assert different(sampled, demo_flags(sample.parse_args, "sample.py", number=1)) <= {
        "model", "out", "problems", "batch_size"}
    commands.clear()
    tables.train_actor(args, tables.TABLES["3"]["ce"][0], 3, str(tmp_path))
    assert [script for script, *_ in commands] == ["train_rl.py", "train_rl.py"]
    assert tables.table_name(args) == "table3-2-rounds"


def test_each_seed_has_a_demo_of_its_own(commands, tmp_path):
    """Catches a run that starts from one seed's warm start and learns from another's programs."""
    demo = f"{tmp_path}/demo-{{seed}}"
    args = tables.parse_args(["--table", "2", "--demo", demo, "--work", str(tmp_path)])
    tables.train_actor(args, ["--returns", "baseline"], 3, str(tmp_path))
    flags, own = train_rl.parse_args(commands[-1][1:]), f"{tmp_path}/demo-3"
    assert (flags.init, flags.critic, flags.programs) == (
        f"{own}/warmstart", f"{own}/critic", [f"{own}/samples_judged.jsonl", f"{own}/greedy_judged.jsonl"])


def test_offline_and_on_policy_learn_from_as_many_programs(commands, tmp_path):
    """Catches a comparison that the row with more samples wins: mini-APPS has 4,028 training problems
    without a solution, for each of which demo.sh has one program."""
    samples = demo_flags(sample.parse_args, "sample.py")
    assert (samples["problems"], samples["num_programs"]) == ("$D/unsolved.jsonl", 1)
    args = tables.parse_args(["--table", "returns-on-policy", "--work", str(tmp_path)])
    for row, (flags, *_) in tables.TABLES["returns-on-policy"].items():
        tables.train_actor(args, flags, 0, str(tmp_path / row))
        flags = train_rl.parse_args(commands[-1][1:])
        assert bool(flags.programs) == (row == "offline") == (not flags.on_policy)
        if flags.on_policy:
            assert flags.steps // flags.round_steps * flags.round_problems * flags.group == 4000


def test_the_rows_of_the_loss_differ_in_the_flag_that_names_them(commands, tmp_path):
    """Catches a comparison of two changes at once, and a first row that has not demo.sh's loss."""
    args = tables.parse_args(["--table", "loss", "--work", str(tmp_path)])
    rows = {}
    for row, (flags, *_) in tables.TABLES["loss"].items():
        tables.train_actor(args, flags, 0, str(tmp_path))
        rows[row] = vars(train_rl.parse_args(commands[-1][1:]))
    first, demo = rows.pop("bound positive"), demo_flags(train_rl.parse_args, "train_rl.py")
    assert {row: different(flags, first) for row, flags in rows.items()} == {row: {row.split()[0]} for row in rows}
    assert all(first[name] == demo[name] for name in ("objective", "returns", "bound", "normalize", "correction", "kl"))


def test_rows_of_other_steps_have_other_folders(monkeypatch):
    """Catches a row of 1,200 steps that goes on from a run of 300, whose rate has fallen to 0, and one
    that takes that run's programs for its own. A second round goes on from the first, in its folder:
    there its programs have another name."""
    folders = []
    monkeypatch.setattr(tables, "test_problems", lambda args: None)
    monkeypatch.setattr(tables, "train_actor", lambda args, flags, seed, out: (out, [0, 0]))
    monkeypatch.setattr(tables, "judged_programs", lambda problems, run, out, *_, split: folders.append((run, out, split)))
    for more in ([], ["--steps", "1200"], ["--rounds", "2"]):
        tables.run_row(tables.parse_args(["--table", "3", *more]), "ce+rl", [], 0)
    assert folders == [("runs/tables/ce+rl-0",) * 2 + ("test-10",),
                       ("runs/tables/ce+rl-1200-steps-0",) * 2 + ("test-10",),
                       ("runs/tables/ce+rl-0",) * 2 + ("test-10-2-rounds",)]
    monkeypatch.setattr(tables, "train_warm_start", lambda args, tasks, seed, out: (out, [0, 0]))
    assert tables.table_name(tables.parse_args(["--table", "3", "--pretrain-steps", "1000"])) == "table3"
    assert tables.table_name(tables.parse_args(["--table", "3", "--num-programs", "5"])) == "table3-5-programs"
    args = tables.parse_args(["--table", "5", "--pretrain-steps", "1000"])
    assert tables.table_name(args) == "table5-1000-pretraining"
    table_4 = tables.parse_args(["--table", "4", "--num-programs", "100", "--num-problems", "150"])
    assert tables.table_name(table_4) == "table4-100-programs-150-problems"
    names = [tables.run_row(args, row, tasks, 0)[0] for row, tasks in (("none", []), ("ntp", ["ntp"]))]
    assert names == ["runs/tables/table5-none-0", "runs/tables/table5-ntp-1000-pretraining-0"]


def test_the_released_recipe_is_run_on_request_only(monkeypatch):
    """Catches a default Table 3 that waits for a row which is there to show a collapse."""
    rows = []
    monkeypatch.setattr(tables, "run_row", lambda args, row, *_: rows.append(row))
    monkeypatch.setattr(tables, "trained_table", lambda *_: ([], 0))
    monkeypatch.setattr(tables, "write_table", lambda *_: None)
    tables.main(["--table", "3", "--quick"])
    assert rows == list(tables.TABLES["3"]) and "released recipe" not in rows
    rows.clear()
    tables.main(["--table", "3", "--quick", "--rows", "released recipe"])
    assert rows == ["released recipe"]


def test_an_offline_row_against_the_greedy_baseline_gets_greedy_programs(commands, tmp_path):
    """Catches a row that train_rl.py refuses, since its samples have no baseline."""
    args = tables.parse_args(["--table", "3", "--work", str(tmp_path)])
    for row, number in [("released recipe", 2), ("ce", 1), ("ce+samples", 1)]:
        commands.clear()
        tables.train_actor(args, tables.known_rows("3")[row][0], 0, str(tmp_path / row))
        flags = train_rl.parse_args(commands[-1][1:])
        assert len(flags.programs) == number, row
        assert number == 2 or flags.objective == "ce" or flags.returns == "critic", row


@pytest.mark.parametrize("words, said", [
    (["--table", "3", "--rows", "nope"], "no row 'nope' in table 3; its rows: 'warm start', 'ce'"),
    (["--table", "4", "--plot", "x.png"], "evaluate.py"),
    (["--table", "5", "--plot", "x.jpg"], ".png"),
    (["--table", "2", "--rounds", "2"], "only for the rows of Table 3"),
    (["--table", "3", "--rounds", "2", "--rows", "released recipe"], "greedy"),
    (["--table", "5", "--pretrain-steps", "3"], "must be even")])
def test_bad_flags_are_one_sentence_and_exit_status_2(words, said):
    """Catches a traceback, and hours of work before the complaint."""
    done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "tables.py"), *words],
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_what_stops_a_stage_stops_the_table():
    """Catches a table of half the rows, and a traceback below the stage's own sentence."""
    with pytest.raises(SystemExit) as stopped:
        tables.stage("evaluate.py", "--no-such-flag")
    assert stopped.value.code == 2


# --- pictures -------------------------------------------------------------------------------------

def test_a_curve_has_the_steps_that_every_seed_has(tmp_path):
    """Catches a mean over the seeds that happen to be there."""
    runs = [write_metrics(tmp_path / "0", [{"step": 0, "passed": 0.2}, {"step": 10, "lr": 1.0},
                                           {"step": 50, "passed": 0.4}]),
            write_metrics(tmp_path / "1", [{"step": 0, "passed": 0.3}, {"step": 50, "passed": 0.1},
                                           {"step": 100, "passed": 0.9}])]
    steps, values = tables.curve(runs, "passed")
    assert steps == [0, 50] and values.tolist() == [[0.2, 0.4], [0.3, 0.1]]


def test_shares_are_a_mean_over_the_seeds(tmp_path):
    """Catches the last seed's shares alone."""
    paths = [write_programs(tmp_path / "0", judged("a", "pppp")),
             write_programs(tmp_path / "1", judged("a", "pf"))]
    assert tables.mean_shares(paths) == {"compile_error": 0, "runtime_error": 0,
                                         "failed_test": 25, "passed_test": 75}


def rows_to_draw(tmp_path):
    """What run_row returns, {row: one for each of two seeds}."""
    rows = {"warm start": [], "ce+rl": []}
    for seed in (0, 1):
        run = write_metrics(tmp_path / f"rl-{seed}", [
            {"step": step, "reward": 0.1 * seed + step / 100, "passed": 0.3 + step / 200}
            for step in (0, 25, 50)])
        path = write_programs(tmp_path / f"judged-{seed}", judged("a", "ppf"))
        rows["warm start"].append((None, None, path))
        rows["ce+rl"].append((run, [1.0, 2], path))
    return rows


def test_the_picture_shows_every_row_and_says_what_it_shows(tmp_path):
    """Catches a row without a curve or a bar; color is not all that tells them apart."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure
    rows, axes = rows_to_draw(tmp_path), Figure().subplots(1, 2)
    runs = [run for run, *_ in rows["ce+rl"]]
    tables.draw_curves(axes[0], {"ce+rl": runs, "rl": runs[:1]}, "reward")
    assert [line.get_label() for line in axes[0].lines] == ["ce+rl", "rl"]
    assert axes[0].lines[0].get_ydata() == pytest.approx([0.05, 0.3, 0.55])
    assert len({(line.get_linestyle(), line.get_marker()) for line in axes[0].lines}) == 2
    tables.draw_shares(axes[1], {row: [path for *_, path in of] for row, of in rows.items()})
    assert [label.get_text() for label in axes[1].get_yticklabels()] == list(rows)
    assert {"67", "33"} <= {text.get_text() for text in axes[1].texts}
    tables.plot(f"{tmp_path}/new/picture.png", rows, ["reward", "passed"])
    with open(f"{tmp_path}/new/picture.png", "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    assert os.listdir(tmp_path / "new") == ["picture.png"]


def test_without_matplotlib_there_is_a_line_and_no_picture(tmp_path, monkeypatch, capsys):
    """Catches a traceback at the end of a day's work."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    tables.plot(f"{tmp_path}/picture.png", {}, ["reward"])
    assert capsys.readouterr().err == (f"no {tmp_path}/picture.png: matplotlib is missing "
                                       "(pip install matplotlib)\n")
    assert not os.path.exists(f"{tmp_path}/picture.png")


# --- bench/values.py --------------------------------------------------------------------------------

def test_a_prefix_ends_where_a_line_does():
    """Catches the end of the program as a prefix, after which nothing is left to continue."""
    words = {1: "</s>", 2: "a = 1", 3: "\n", 4: "\n    ", 5: "print(a)"}

    class Words:
        def decode(self, ids):
            return words[ids[0]]
    assert values.line_ends([2, 3, 5, 4, 5, 3, 1], Words()) == [0, 2, 4]
    assert values.line_ends([5, 1], Words()) == [0]


def test_the_table_has_shares_means_and_correlations_of_each_row():
    """Catches a critic that knows which program is easy being taken for one that follows its lines: this one
    is right about the two programs, and says the reverse of their lines."""
    truth, said = np.array([0.0, 0.25, 0.75, 1.0]), np.array([0.25, 0.0, 1.0, 0.75])
    which = np.array([0, 0, 1, 1])
    assert values.within(said, which).tolist() == [0.125, -0.125, 0.125, -0.125]
    assert [line.split() for line in values.table(truth, {"a": said}, np.array([0, 0.6, 0, 0.7]), which)] == [
        ["read", "continuations", "a:", "mean,", "r"],
        ["nothing", "0.375", "0.625", "1.00"],             # 0 and 0.75; 0.25 and 1
        ["50%", "to", "75%", "0.625", "0.375", "1.00"],    # 0.25 and 1; 0 and 0.75
        ["all,", "r", "0.80"], ["in", "a", "program,", "r", "-1.00"],
        ["calib.", "error", "0.250"]]


def test_continuations_are_drawn_once_for_all_critics(eager_model, tmp_path, monkeypatch, capsys):
    """Catches continuations that do not begin with their prefix, that a kill changes, or that are drawn
    anew for a second critic, and a critic that is asked for the value of another prefix. What prints
    nothing passes here: a prefix that holds a print never does."""
    tokenizer, model = pretrain_ntp.load_model(eager_model, torch.device("cpu"))
    torch.manual_seed(0)
    for name in ("first", "second"):
        tokenizer.save_pretrained(tmp_path / name)
        Critic(model, binary=name == "second").save_pretrained(tmp_path / name)
    problems = [Problem(str(i), "Print nothing.", input_output={"inputs": [""], "outputs": [""]})
                for i in range(4)]
    write_programs(tmp_path / "p.jsonl", problems)
    code = "print(1)\nprint(2)\n"
    tokens = tokenizer.encode(code) + [tokenizer.eos_token_id]
    programs = [Program(problem.problem_id, code, tokens=tokens, outcome="failed_test")
                for problem in problems]
    write_programs(tmp_path / "j.jsonl", programs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(values, "PREFIXES", 3)

    def run(*words, critics=("a=first",)):
        monkeypatch.setattr(sys, "argv", [
            "values.py", "--model", eager_model, "--programs", "j.jsonl", "--problems", "p.jsonl",
            "--held-out", "0.9", "--num-programs", "4", "--max-target", "32", "--device", "cpu", "--out",
            "v.jsonl", *words, "--critics", *critics])
        values.main()

    run()
    whole = (tmp_path / "v.jsonl").read_bytes()
    rows = [json.loads(line) for line in whole.splitlines()]
    empty, line = rows[::2], rows[1::2]
    assert {row["prefix_tokens"] for row in empty} == {0} and sum(row["passed"] for row in empty) > 0
    assert {row["prefix_tokens"] for row in line} == {len(tokenizer.encode("print(1)\n"))}
    assert {row["passed"] for row in line} == {0}
    (tmp_path / "v.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:4]) + b'{"prob')
    run()
    assert (tmp_path / "v.jsonl").read_bytes() == whole
    monkeypatch.setattr(values, "generate", None)
    capsys.readouterr()
    run(critics=("a=first", "b=second"))
    assert "a: mean, r" in (said := capsys.readouterr().out) and "b: mean, r" in said
    for words, complaint in ((["--num-programs", "5"], "--num-programs was 4"),
                             (["--out", "j.jsonl"], "is one of the inputs")):
        with pytest.raises(UserError, match=complaint):
            run(*words)
    write_programs(tmp_path / "j.jsonl", programs[::-1])
    with pytest.raises(UserError, match="what stands in j.jsonl was something else"):
        run()

    critic = load_critic("second", torch.device("cpu"))[1]
    batch = critic_batch([(pretrain_ntp.encode_prompt(tokenizer, problems[0], 320), tokens, None, 0)],
                         tokenizer, "cpu")
    args = argparse.Namespace(max_source=320)
    (found,) = values.critic_values(critic, tokenizer, {"0": problems[0]}, programs[:1], args)
    assert found == pytest.approx(prefix_predictions(critic, batch)[0, :, 3].tolist(), abs=2e-3)  # bfloat16

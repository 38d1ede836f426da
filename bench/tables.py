"""The paper's Tables 2 (returns), 3 (objectives), 4 (critic sampling) and 5 (pretraining), the flags
of L_rl one at a time, and offline against on-policy, on mini-APPS, over seeds.

    bash demo.sh                                  # makes the warm start, its samples and the critic
    python bench/tables.py --table 3 --seeds 0 1 2              # writes results/table3.md
    python bench/tables.py --table 3 --seeds 0 --rows ce ce+rl  # what is done is not done again
    python bench/tables.py --table 3 --rows ce+rl "released recipe" --plot results/table3.png
    python bench/tables.py --table 3 --rounds 2         # two rounds of RL, as in demo.sh
    python bench/tables.py --table 3 --steps 1200       # writes results/table3-1200-steps.md
    python bench/tables.py --table 3 --seeds 0 1 --demo runs/demo-{seed}  # demos of SEED=0 and SEED=1
    python bench/tables.py --table loss --seeds 0       # L_rl with another bound, norm, weight, KL
    python bench/tables.py --table 4 --num-programs 20  # the demo's actor, critic_test and repair
    python bench/tables.py --table 4 --num-programs 100  # writes results/table4-100-programs.md
    python bench/tables.py --table 5 --seeds 0 1 2      # needs nothing of the demo but the data
    python bench/tables.py --table 5 --pretrain-steps 1000  # writes results/table5-1000-pretraining.md

Reads    --demo: demo.sh's folder; with {seed} in it one for each seed, whose rows then share a warm
         start, samples and a critic of their own. Every row trains `train_rl.py` for the same
         number of steps and batches from the same warm start, then draws and judges the same number
         of programs for each test problem. --rounds 2: each row that learns from programs then writes
         some of its own, as demo.sh does, and all rows are trained for as many steps again.
Writes   --work/ROW-SEED/ (a run and its programs), greedy programs of the warm start beside its
         samples where rows have that baseline, and the table: pass@k in percent, its mean over
         seeds and 95 % interval (bootstrap over seeds and problems), the difference to the first
         row, paired by problem and seed, and the paper's own numbers (CodeT5-770M, APPS, beam
         search, in Table 4 sampling: to be compared by their order only).
         --plot: the curves of the rows' runs over steps (mean, and a band from the lowest to the
         highest seed), and the outcomes of the programs for the test problems, warm start first.

Table 3 has one more row, run only when --rows names it: `released recipe`, those choices of the
released code that are flags here: rewards relative to the greedy program's, the critic's values as
they come, batches of 4 (so an eighth of the programs in as many steps), and nothing that bounds the
negative branch. The learning rate is that of the other rows.

Table 4: N = --num-programs programs for each test problem, in mini-batches of at most 20. Each row
is compared with plain sampling three times (1@ is of those that pass its example tests):
  same programs                  N, which are the very ones that its first rounds drew
  same tokens for each problem   as many as cost the tokens that all rounds of the row generated for
                                 that problem: most where nothing passed the example tests
  same tokens in all             the same number for each problem, as plain sampling has it, the
                                 least that costs at least the row's tokens for all problems

Table 5: what comes before the warm start, which is demo.sh's. All rows of a seed start from the
same random weights, and all rows of all seeds have the same tokenizer. Where there is pretraining
there are --pretrain-steps steps of 16 windows of 192 tokens, in halves for `msp + ntp`. Of these
NTP loses what is more than 96 tokens from the pivot and MSP nothing, so that MSP trains on more
tokens (the column says how many), though on fewer target tokens. `ntp` is demo.sh's pretraining.
The paper has no rows `none` and `ntp`; its `msp` read CSN, then GCPY, and its `msp + ntp` adds
NTP's steps to those.
"""
import glob
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from evaluate import (LABELS, count_filtered, count_passed, count_tokens,  # noqa: E402
                      n_at_k, outcome_shares, pass_at_k)
from sandbox import (UserError, make_parser, number, read_programs, run_main,  # noqa: E402
                     whole)

DATA = os.path.join(ROOT, "data", "mini_apps")
TRAIN = os.path.join(DATA, "train.jsonl")

# --- the rows -------------------------------------------------------------------------------------

LENGTHS = ["--max-source", "320", "--max-target", "256"]
CE = ["--objective", "ce"]
DEMO_LOSS = ["--returns", "critic", "--bound", "positive"]  # of demo.sh's L_rl
ROUND_PROGRAMS = ["--num-programs", "2", "--temperature", "1.0"]  # of demo.sh's second round
PRETRAIN_STEPS = 100  # of demo.sh
# in five rounds nearly as many programs as demo.sh's samples, 4,028, of the actor as it is then
ROUNDS = ["--on-policy", "--round-steps", "40", "--save-every", "40"]
ON_POLICY = [*ROUNDS, "--round-problems", "800", "--group", "1", *DEMO_LOSS]
GROUP_BASELINE = [*ROUNDS, "--round-problems", "200", "--group", "4", "--returns", "baseline+critic",
                  "--baseline", "group", "--bound", "taper"]
RELEASED = ["--objective", "ce+rl", "--returns", "baseline+critic", "--baseline", "greedy",
            "--correction", "none", "--normalize", "token", "--bound", "none", "--batch-size", "4"]

# row: flags of train_rl.py (None: not trained), and the paper's pass@1 and pass@5, all difficulties
TABLES = {
    "2": {"A baseline": (["--returns", "baseline"], "1.62", "2.44"),
          "B critic": (["--returns", "critic"], "1.36", "1.94"),
          "C baseline + decay": (["--returns", "decay"], "1.64", "2.58"),
          "D baseline + critic": (["--returns", "baseline+critic"], "2.20", "3.10")},
    "3": {"warm start": (None, "2.00", "2.90"),
          "ce": (CE, "1.50", "2.26"),
          "ce+samples": (["--objective", "ce+samples", "--returns", "critic"], "1.76", "2.66"),
          "rl": (["--objective", "rl", *DEMO_LOSS], "1.64", "2.56"),
          "ce+rl": (["--objective", "ce+rl", *DEMO_LOSS], "2.20", "3.10")},
    "loss": {
        "bound positive": (DEMO_LOSS, "-", "-"),
        **{" ".join(other).replace("--", ""): ([*DEMO_LOSS, *other], "-", "-") for other in (
            ["--bound", "taper"], ["--bound", "none"], ["--normalize", "sequence"],
            ["--normalize", "program"], ["--correction", "none"], ["--correction", "prior"],
            ["--returns", "reward"], ["--kl", "0.1"])}},
    "returns-on-policy": {
        "offline": (DEMO_LOSS, "-", "-"),
        "on-policy": (ON_POLICY, "-", "-"),
        "on-policy, group baseline": (GROUP_BASELINE, "-", "-")},
    # flags of sample.py, and the paper's pass@200, pass@1000 and 1@1000
    "4": {"plain": (None, "12.12", "17.78", "7.71"),
          "refine": (["--no-repair"], "13.52", "19.36", "7.83"),
          "repair, M = 1": (["--no-refine", "--num-repair", "1"], "-", "-", "-"),
          "refine + repair, M = 1": (["--num-repair", "1"], "14.38", "20.98", "8.48"),
          "refine + repair, M = 2": (["--num-repair", "2"], "14.46", "20.92", "8.47"),
          "refine + repair, M = 4": (["--num-repair", "4"], "14.42", "20.62", "8.33")},
    # the tasks before the warm start
    "5": {"none": ([], "-", "-"), "msp": (["msp"], "1.56", "2.06"),
          "msp + ntp": (["msp", "ntp"], "2.00", "2.90"), "ntp": (["ntp"], "-", "-")}}
# rows that are run only when --rows names them
ON_REQUEST = {"3": {"released recipe": (RELEASED, "-", "-")}}


# --- stages ---------------------------------------------------------------------------------------

def demo_of(args, seed):
    """demo.sh's folder for a seed: the same for all, unless --demo holds {seed}."""
    return args.demo.replace("{seed}", str(seed))


def stage(script, *flags):
    """Run one of the six scripts; what stops it has been said by it, and stops this one too."""
    done = subprocess.run([sys.executable, os.path.join(ROOT, script), *map(str, flags)])
    if done.returncode:
        sys.exit(done.returncode)


def train(script, out, *flags):
    """Train the run `out`, or go on with it; returns its (seconds, tokens)."""
    started, continued = time.time(), glob.glob(f"{out}/step-*")
    stage(script, "--out", out, *flags)
    return training_cost(out, float("nan") if continued else time.time() - started)


def training_cost(run, seconds):
    """(seconds, tokens trained on) of a run, sampling and judging on-policy included. A run that is
    found finished keeps the first figure. nan seconds: it was continued, after a kill or with
    more steps."""
    path = f"{run}/cost.json"
    with open(f"{run}/metrics.jsonl") as file:
        tokens = max(json.loads(line).get("tokens", 0) for line in file)
    if os.path.exists(path):
        with open(path) as file:
            first = json.load(file)
        if first[1] == tokens:
            return first
    with open(path, "w") as file:
        json.dump([seconds, tokens], file)
    return [seconds, tokens]


def judged_programs(problems, model, out, seed, *flags, split="test", judging=()):
    """Draw programs and judge them, or continue where a killed run was; returns the judged file."""
    os.makedirs(out, exist_ok=True)
    programs, judged = f"{out}/{split}.jsonl", f"{out}/{split}_judged.jsonl"
    stage("sample.py", "--model", model, "--problems", problems, "--out", programs,
          "--seed", seed, *LENGTHS, *flags)
    stage("evaluate.py", "--problems", problems, "--programs", programs, "--out", judged, *judging)
    return judged


def table_name(args):
    """The name of its file, which tells of numbers that are not the usual ones (steps, programs,
    problems; 20 programs in Table 4, 10 elsewhere)."""
    usual = 20 if args.table == "4" else 10
    programs = f"-{args.num_programs}-programs" if args.num_programs != usual else ""
    problems = f"-{args.num_problems}-problems" if args.num_problems else ""
    name = f"table{args.table}" if args.table.isdigit() else args.table
    return name + with_rounds(args) + with_steps(args) + programs + problems


def with_rounds(args):
    """What of a name says how many rounds of RL, where there is more than one."""
    return f"-{args.rounds}-rounds" if args.rounds > 1 else ""


def with_steps(args, pretrained=True):
    """What of a name says how many steps, where they are not the default."""
    name = f"-{args.steps}-steps" if args.steps else ""
    if args.table == "5" and pretrained and args.pretrain_steps != PRETRAIN_STEPS:
        name += f"-{args.pretrain_steps}-pretraining"
    return name


def test_problems(args):
    """The file of the first --num-problems test problems."""
    path = f"{DATA}/test.jsonl"
    if not os.path.exists(path):
        raise UserError(f"no {path}; run python data/mini_apps/prepare.py first")
    if args.num_problems is None:
        return path
    part = f"{args.work}/first-{args.num_problems}-problems.jsonl"
    os.makedirs(args.work, exist_ok=True)
    with open(path) as source, open(part, "w") as file:
        file.writelines(itertools.islice(source, args.num_problems))
    return part


# --- Tables 2, 3, 5 and offline against on-policy: rows that are trained --------------------------

def train_actor(args, flags, seed, out):
    """A row of Tables 2 and 3: RL from the demo's warm start, in --rounds; returns (the last run
    directory, what training all of them cost)."""
    demo = demo_of(args, seed)
    model, samples, costs = f"{demo}/warmstart", [f"{demo}/samples_judged.jsonl"], []
    if args.table == "2" or "greedy" in flags:  # the baselines of offline rows
        samples.append(judged_programs(TRAIN, model, demo, 0, "--greedy", split="greedy"))
    for turn in range(1, args.rounds + 1):
        if turn > 1 and flags != CE:
            left = still_unsolved(f"{demo}/unsolved.jsonl", samples, f"{out}/unsolved-{turn}.jsonl")
            samples.append(judged_programs(left, model, out, f"{turn - 1}{seed}", *ROUND_PROGRAMS,
                                           split=f"round-{turn}"))
        given = [] if args.table == "returns-on-policy" and "--on-policy" in flags else samples
        run = f"{out}/actor" + (f"-{turn}" if turn > 1 else "")
        costs.append(train("train_rl.py", run, "--init", model, "--critic", f"{demo}/critic",
                           "--problems", TRAIN, *(["--programs", *given] if given else []),
                           "--steps", args.steps or 200, "--batch-size", 32, "--lr", "1e-3",
                           "--warmup", 10, "--save-every", 50, "--seed", seed, *LENGTHS, *flags))
        model = run
    return run, np.sum(costs, axis=0).tolist()


def still_unsolved(problems, judged, path):
    """Write to `path` those problems of a file that no program of these judged files solves."""
    solved = {program.key for file in judged for program in read_programs(file)
              if program.outcome == "passed_test"}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(problems) as source, open(path, "w") as file:
        file.writelines(line for line in source if str(json.loads(line)["problem_id"]) not in solved)
    return path


def train_warm_start(args, tasks, seed, out):
    """A row of Table 5: pretraining on `tasks` in turn, each with its share of --pretrain-steps,
    then the warm start; returns (run directory, the cost of all)."""
    # The tokenizer of --init mini depends on corpus and problems alone. One step at rate 0 changes
    # no weight: it saves what all rows start from.
    model, costs = f"{args.work}/table5-untrained-{seed}", []
    stage("pretrain_ntp.py", "--task", "warmstart", "--init", "mini", "--problems", TRAIN,
          "--out", model, "--steps", 1, "--lr", 0, "--batch-size", 1, "--held-out", 0,
          "--seed", seed)
    for task in tasks:
        # Both read windows of 192 tokens: NTP cuts them in two, MSP's source is all of them.
        steps, sources = args.pretrain_steps // len(tasks), {"ntp": 96, "msp": 192}[task]
        costs.append(train("pretrain_ntp.py", f"{out}/{task}", "--task", task, "--init", model,
                           "--steps", steps, "--batch-size", 16, "--max-source", sources,
                           "--max-target", 96, "--lr", "1e-3", "--warmup", 3 * steps // 20,
                           "--seed", seed))
        model = f"{out}/{task}"
    run = f"{out}/warmstart"
    costs.append(train("pretrain_ntp.py", run, "--task", "warmstart", "--init", model,
                       "--problems", TRAIN, "--steps", args.steps or 1600, "--batch-size", 8,
                       "--lr", "2e-3", "--warmup", 50, "--save-every", 500, "--log-every", 100,
                       "--seed", seed, *LENGTHS))
    return run, np.sum(costs, axis=0).tolist()


def run_row(args, row, flags, seed):
    """Train a row and measure it: (run directory or None, its cost or None, judged test programs).

    flags: of train_rl.py; None is the warm start itself. In Table 5 the tasks of pretraining.
    """
    prefix = "table5-" if args.table == "5" else ""
    name = row.replace(" ", "-") + with_steps(args, pretrained=bool(flags))
    out = f"{args.work}/{prefix}{name}-{seed}"
    run, cost = None, None
    if flags is not None:
        run, cost = (train_warm_start if args.table == "5" else train_actor)(args, flags, seed, out)
    judged = judged_programs(test_problems(args), run or f"{demo_of(args, seed)}/warmstart", out, seed,
                             "--num-programs", args.num_programs,
                             split=f"test-{args.num_programs}" + (with_rounds(args) if run else ""))
    return run, cost, judged


def passes(path, ks):
    """(problems, len(ks)): pass@k of every problem, in the order of their ids."""
    counts = count_passed(read_programs(path))
    return np.array([[pass_at_k(*counts[key], k) for k in ks] for key in sorted(counts)])


def interval(values, resamples=2000):
    """`mean [low, high]` in percent of `values` (seeds, problems): both are resampled."""
    rng = np.random.default_rng(0)
    seeds, problems = values.shape
    means = [values[np.ix_(rng.integers(seeds, size=seeds),
                           rng.integers(problems, size=problems))].mean()
             for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def paired_difference(values, first):
    """Two cells on `values` minus `first`, (seeds, problems) each, which are the same seeds and
    problems in both: its interval, and the mean of each seed."""
    difference = values - first
    return [interval(difference),
            " ".join(f"{100 * each:+.1f}" for each in difference.mean(axis=1))]


def markdown(head, rows):
    first, *others = ["| " + " | ".join(cells) + " |" for cells in [head, *rows]]
    return [first, "|---" * len(head) + "|", *others]


def trained_table(rows, found, ks):
    """The lines of the table, and how many problems it is on.

    found: {row: a (run, cost, judged file) for each seed}; rows: with the paper's numbers.
    """
    values = {row: np.stack([passes(judged, ks) for *_, judged in runs])
              for row, runs in found.items()}  # (seeds, problems, ks)
    first = next(iter(values))
    head = ["", *(f"pass@{k}" for k in ks), f"pass@1 minus {first}", "each seed", "seconds",
            "tokens", "paper's pass@1, pass@5"]
    lines = []
    for row, runs in found.items():
        cost = np.mean([cost or (0, 0) for _, cost, _ in runs], axis=0)
        pass_at_1 = values[row][..., 0]
        difference = (["", ""] if row == first else
                      paired_difference(pass_at_1, values[first][..., 0]))
        lines.append([row, *(interval(values[row][..., i]) for i in range(len(ks))), *difference,
                      *(f"{mean:,.0f}" for mean in cost), ", ".join(rows[row][1:])])
    return markdown(head, lines), values[first].shape[1]


# --- Table 4: rows that are sampled ---------------------------------------------------------------

def sampled_rows(args, problems, size):
    """{(row, seed): {problem: its programs}} of Table 4. The plain row has three times as many,
    since a row of critic sampling has at most three rounds."""
    found = {}
    for seed, (row, (flags, *_)) in itertools.product(args.seeds, TABLES["4"].items()):
        if row != "plain" and row not in (args.rows or TABLES["4"]):
            continue
        number = (3 if row == "plain" else 1) * args.num_programs
        name = f"table4-{args.num_programs}-{args.temperature}-{row.replace(' ', '')}-{seed}"
        demo = demo_of(args, seed)
        parts = ["--critic", f"{demo}/critic_test", "--repairer", f"{demo}/repair"]
        path = judged_programs(problems, f"{demo}/rl", f"{args.work}/{name}", seed,
                               "--num-programs", number, "--mini-batch", size,
                               "--temperature", args.temperature,
                               *(parts + flags if flags else []), judging=["--n", "1"])
        for program in read_programs(path):
            found.setdefault((row, seed), {}).setdefault(program.key, []).append(program)
    return found


def solved(programs):
    """[whether one of a problem's programs passes, 1@k of them]."""
    (_, c), = count_passed(programs).values()
    return [float(c > 0), n_at_k(*count_filtered(programs)[programs[0].key], 1)]


def bought_with(tokens, plain):
    """The plain programs, in their order, that cost at most `tokens` together; at least one."""
    until = np.cumsum([len(program.tokens) for program in plain])
    return plain[:max(1, int((until <= tokens).sum()))]


def spread_evenly(tokens, plain):
    """How many plain programs for each problem cost at least `tokens` in all; plain: {problem: its
    programs}."""
    costs = [sum(len(program.tokens) for program in programs) for programs in zip(*plain.values())]
    return int(np.searchsorted(np.cumsum(costs), tokens)) + 1


def table_4(args):
    """The lines of Table 4, and how many problems it is on."""
    N, size = args.num_programs, min(20, args.num_programs)
    found = sampled_rows(args, test_problems(args), size)
    keys = sorted(found["plain", args.seeds[0]])
    same = ("same programs", "same tokens for each problem", "same tokens in all")
    head = ["", f"pass@{N}", f"1@{N}", "tokens",
            *(f"{name} minus plain's, {budget}" for budget in same for name in (f"pass@{N}", f"1@{N}")),
            "paper's pass@200, pass@1000, 1@1000"]
    lines = []
    for row in dict.fromkeys(row for row, _ in found):
        values, costs = [], []
        for seed in args.seeds:
            programs, plain = found[row, seed], found["plain", seed]
            if row == "plain":
                programs = {key: plain[key][:N] for key in keys}
            cost = [round(count_tokens(programs[key])[key]) for key in keys]
            evenly = spread_evenly(sum(cost), plain)
            values.append([[solved(programs[key]), solved(plain[key][:N]),
                            solved(bought_with(tokens, plain[key])), solved(plain[key][:evenly])]
                           for key, tokens in zip(keys, cost)])
            costs += cost
        values = np.array(values)  # (seeds, problems, budgets, pass@N and 1@N)
        differences = [values[:, :, 0, i] - values[:, :, j, i] for j in (1, 2, 3) for i in (0, 1)]
        lines.append([row, *(interval(values[:, :, 0, i]) for i in (0, 1)),
                      f"{np.mean(costs):.0f}",
                      *("" if row == "plain" else interval(d) for d in differences),
                      ", ".join(TABLES["4"][row][1:])])
    return markdown(head, lines), len(keys)


# --- pictures -------------------------------------------------------------------------------------

# Line, marker and hatch tell rows and outcomes apart without colour vision and on paper.
LINES = [("black", "-", "o"), ("#0072b2", "--", "s"), ("#d55e00", "-.", "^"), ("#009e73", ":", "D"),
         ("#cc79a7", (0, (5, 1, 1, 1, 1, 1)), "v"), ("#8c6d00", (0, (1, 3)), "x")]
BARS = {"passed_test": ("#0072b2", ""), "failed_test": ("#ffffff", ""),
        "runtime_error": ("#fdd0a2", "//"), "compile_error": ("#d9d9d9", "xx")}


def curve(runs, key):
    """(steps, values) of `key` in the runs' metrics.jsonl, at the steps that every run has.
    values: (runs, steps)."""
    logs = []
    for run in runs:
        with open(f"{run}/metrics.jsonl") as file:
            rows = [json.loads(line) for line in file]
        logs.append({row["step"]: row[key] for row in rows if key in row})
    steps = sorted(set.intersection(*map(set, logs)))
    return steps, np.array([[log[step] for step in steps] for log in logs])


def mean_shares(paths):
    """{outcome: percent of the programs}, a mean over the judged files."""
    shares = [outcome_shares(Counter(program.outcome for program in read_programs(path)))
              for path in paths]
    return dict(zip(LABELS, np.mean(shares, axis=0)))


def draw_curves(axes, rows, key):
    """rows: {row: run directories, one a seed}. The mean over seeds, and the lowest and highest:
    two or three seeds have no interval worth drawing."""
    for (row, runs), (color, line, marker) in zip(rows.items(), itertools.cycle(LINES)):
        steps, values = curve(runs, key)
        axes.plot(steps, values.mean(axis=0), color=color, linestyle=line, marker=marker, label=row)
        axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15,
                          linewidth=0)
    axes.set(title=key.replace("_", " "), xlabel="step (band: lowest to highest seed)")


def draw_shares(axes, rows):
    """rows: {row: judged files, one a seed}. A bar a row, what passed first."""
    shares = {row: mean_shares(paths) for row, paths in rows.items()}
    left = np.zeros(len(rows))
    for label, (color, hatch) in BARS.items():
        widths = np.array([share[label] for share in shares.values()])
        bars = axes.barh(list(shares), widths, left=left, color=color, hatch=hatch,
                         edgecolor="black", linewidth=0.5, label=label.replace("_", " "))
        axes.bar_label(bars, [f"{width:.0f}" if width >= 4 else "" for width in widths],
                       label_type="center", fontsize=8,
                       bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        left += widths
    axes.invert_yaxis()  # the first row on top
    axes.set(title="outcomes, test problems", xlabel="% of the programs", xlim=(0, 100))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, handlelength=3)


def plot(path, found, keys):
    """Draw {row: a (run or None, cost, judged file) for each seed}: the curves of `keys` and the
    outcomes."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(f"no {path}: matplotlib is missing (pip install matplotlib)", file=sys.stderr)
        return
    figure = Figure(figsize=(5 * len(keys) + 6, 4.8), layout="constrained")
    *left, right = figure.subplots(1, len(keys) + 1)
    runs = {row: [run for run, *_ in of_seeds] for row, of_seeds in found.items()
            if of_seeds[0][0]}
    for axes, key in zip(left, keys):
        draw_curves(axes, runs, key)
        axes.legend(handlelength=5)
    draw_shares(right, {row: [judged for *_, judged in of_seeds]
                        for row, of_seeds in found.items()})
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    figure.savefig(path + ".tmp", format=os.path.splitext(path)[1][1:], dpi=150)
    os.replace(path + ".tmp", path)
    print(f"drawn: {path}")


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    p.add_argument("--table", choices=sorted(TABLES), required=True, help="which table")
    p.add_argument("--seeds", type=whole(0), nargs="+", default=[0, 1, 2, 3, 4],
                   help="of training and sampling")
    p.add_argument("--quick", action="store_true", help="one seed, the first")
    p.add_argument("--rows", nargs="+", help="only these rows; none: all, less those on request")
    p.add_argument("--demo", default="runs/demo",
                   help="what demo.sh has made; {seed} in it: a demo for each seed")
    p.add_argument("--work", default="runs/tables", help="the rows' runs")
    p.add_argument("--rounds", type=whole(1), default=1, help="rounds of RL in Table 3 (demo.sh has two)")
    p.add_argument("--steps", type=whole(1), help="steps of every row's RL (Table 5: of its warm start),"
                   " in each round; none: 200 (1600), as in demo.sh")
    p.add_argument("--pretrain-steps", type=whole(1), default=PRETRAIN_STEPS,
                   help="steps of Table 5's pretraining in all, as in demo.sh")
    p.add_argument("--num-programs", type=whole(1), default=10, help="programs for each test problem")
    p.add_argument("--num-problems", type=whole(1),
                   help="only the first test problems; none: all")
    p.add_argument("--temperature", type=number(0.01), default=1.0, help="of Table 4")
    p.add_argument("--plot", metavar="FILE.png", help="draw the table (.png, .pdf or .svg)")
    args = p.parse_args(argv)
    args.seeds = args.seeds[:1] if args.quick else args.seeds
    rows = known_rows(args.table)
    unknown = sorted(set(args.rows or []) - set(rows))
    if unknown:
        p.error(f"no row {unknown[0]!r} in table {args.table}; its rows: "
                f"{', '.join(map(repr, rows))}")
    if args.rounds > 1 and (args.table != "3" or "released recipe" in (args.rows or [])):
        p.error("--rounds: only for the rows of Table 3 that need no greedy programs")
    if args.pretrain_steps % 2:
        p.error(f"--pretrain-steps {args.pretrain_steps}: must be even, msp + ntp halves it")
    if args.plot and os.path.splitext(args.plot)[1] not in (".png", ".pdf", ".svg"):
        p.error(f"--plot {args.plot}: the name must end in .png, .pdf or .svg")
    if args.plot and args.table == "4":
        p.error("--plot: the rows of Table 4 are not trained and have no curves; draw their "
                "programs with evaluate.py --table ... --plot")
    return args


def known_rows(table):
    """All rows of a table, those on request last."""
    return {**TABLES[table], **ON_REQUEST.get(table, {})}


def write_table(args, lines, problems):
    """results/tableT.md; the lines are printed too."""
    title = (f"Table {args.table}, {len(args.seeds)} seeds, {args.num_programs} programs for each "
             f"of {problems} test problems" + (f", {args.steps} steps" if args.steps else "")
             + (f", {args.rounds} rounds" if args.rounds > 1 else ""))
    if args.table == "4":
        title += f", temperature {args.temperature}"
    if args.table == "5":
        title += f", {args.pretrain_steps} steps of pretraining"
    os.makedirs("results", exist_ok=True)
    with open(f"results/{table_name(args)}.md", "w") as file:
        file.write(f"{title}\n\n" + "\n".join(lines) + "\n")
    print("\n".join(lines))


def main(argv=None):
    args = parse_args(argv)
    if args.table == "4":
        return write_table(args, *table_4(args))
    rows = {row: known_rows(args.table)[row] for row in args.rows or TABLES[args.table]}
    found = {row: [run_row(args, row, flags, seed) for seed in args.seeds]
             for row, (flags, *_) in rows.items()}
    ks = [k for k in (1, 5, 10) if k <= args.num_programs]
    write_table(args, *trained_table(rows, found, ks))
    if args.plot:
        keys = ["loss_held_out"] if args.table == "5" else ["reward", "passed"]
        if args.table != "5":  # before RL
            warm_start = [run_row(args, "warm start", None, seed) for seed in args.seeds]
            found = {"warm start": warm_start, **found}
        plot(args.plot, found, keys)


if __name__ == "__main__":
    run_main(main)

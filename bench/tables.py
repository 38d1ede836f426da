"""The paper's Tables 2 (returns), 3 (objectives) and 4 (critic sampling), and offline against on-policy, on mini-APPS, over
seeds, from one warm start.

    bash demo.sh                                                # makes the warm start, its samples and the critic
    python bench/tables.py --table 3 --seeds 0 1 2              # writes results/table3.md
    python bench/tables.py --table 3 --seeds 0 --rows ce ce+rl  # a part of it; what is done is not done again
    python bench/tables.py --table 4 --num-programs 20          # the demo's actor, binary critic and repair model

Reads    --demo: demo.sh's folder. Every row trains `train_rl.py` for the same number of steps and batches from the same
         warm start, then draws and judges the same number of programs for each test problem.
Writes   --work/ROW-SEED/ (a run and its programs), and the table: pass@k in percent, its mean over seeds and 95 %
         interval (bootstrap over seeds and problems), the difference to the first row, paired by problem and seed,
         and the paper's own numbers (CodeT5-770M, APPS, beam search: to be compared by their order only).

Table 4: N = --num-programs programs for each of the first --num-problems test problems, in mini-batches of at most 20. Each row is
compared with plain sampling twice: with N programs, which are the very ones that its first rounds drew, and with as many
programs as cost the tokens that all rounds of the row generated for that problem (1@ is of those that pass its example tests).
"""
import argparse
import itertools
import json
import os
import subprocess
import sys
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from evaluate import count_filtered, count_passed, n_at_k, pass_at_k
from sandbox import read_programs

DATA = os.path.join(ROOT, "data", "mini_apps")
LENGTHS = ["--max-source", "320", "--max-target", "256"]
# as in demo.sh: 6,400 programs, of four actors
ON_POLICY = ["--on-policy", "--round-steps", "50", "--group", "1", "--round-problems", "1600", "--returns", "critic",
             "--bound", "positive"]
# row: flags of train_rl.py, and the paper's pass@1 and pass@5 over all difficulties
TABLES = {
    "2": {"A baseline": (["--returns", "baseline"], "1.62", "2.44"),
          "B critic": (["--returns", "critic"], "1.36", "1.94"),
          "C baseline + decay": (["--returns", "decay"], "1.64", "2.58"),
          "D baseline + critic": (["--returns", "baseline+critic"], "2.20", "3.10")},
    "3": {"warm start": (None, "2.00", "2.90"),
          "ce": (["--objective", "ce"], "1.50", "2.26"),
          "ce+samples": (["--objective", "ce+samples"], "1.76", "2.66"),
          "rl": (["--objective", "rl", *ON_POLICY], "1.64", "2.56"),
          "ce+rl": (["--objective", "ce+rl", *ON_POLICY], "2.20", "3.10")},
    "returns-on-policy": {
          "offline": (["--returns", "critic", "--bound", "positive"], "-", "-"),
          "on-policy": (ON_POLICY, "-", "-"),
          "on-policy, group baseline": (ON_POLICY[:3] + ["--round-problems", "400", "--group", "4", "--returns",
                                        "baseline+critic", "--baseline", "group", "--bound", "taper"], "-", "-")}}
# row of Table 4: flags of sample.py, and the paper's pass@200, pass@1000 and 1@1000 over all difficulties
TABLE_4 = {"plain": (None, "12.12", "17.78", "7.71"), "refine": (["--no-repair"], "13.52", "19.36", "7.83"),
           "repair, M = 1": (["--no-refine", "--num-repair", "1"], "-", "-", "-"),
           "refine + repair, M = 1": (["--num-repair", "1"], "14.38", "20.98", "8.48"),
           "refine + repair, M = 2": (["--num-repair", "2"], "14.46", "20.92", "8.47"),
           "refine + repair, M = 4": (["--num-repair", "4"], "14.42", "20.62", "8.33")}


def stage(script, *flags):
    subprocess.run([sys.executable, os.path.join(ROOT, script), *flags], check=True)


def judged_programs(problems, model, out, seed, *flags, split="test", judging=()):
    """Draw programs and judge them, or continue where a killed run was; returns the judged file."""
    stage("sample.py", "--model", model, "--problems", problems, "--out", f"{out}/{split}.jsonl", "--seed", str(seed),
          *LENGTHS, *flags)
    judged = f"{out}/{split}_judged.jsonl"
    stage("evaluate.py", "--problems", problems, "--programs", f"{out}/{split}.jsonl", "--out", judged, *judging)
    return judged


def passes(path, ks):
    """(problems, len(ks)): pass@k of every problem, in the order of their ids."""
    counts = count_passed(read_programs(path))
    return np.array([[pass_at_k(*counts[key], k) for k in ks] for key in sorted(counts)])


def interval(values, resamples=2000):
    """`mean [low, high]` in percent of `values` (seeds, problems): both are resampled."""
    rng = np.random.default_rng(0)
    seeds, problems = values.shape
    means = [values[np.ix_(rng.integers(seeds, size=seeds), rng.integers(problems, size=problems))].mean()
             for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def training_cost(run, seconds):
    """(seconds, tokens trained on) of a row's training, sampling and judging on-policy included; a run that was continued
    or found finished keeps what the first one took."""
    path = f"{run}/cost.json"
    if not os.path.exists(path):
        with open(f"{run}/metrics.jsonl") as file:
            tokens = max(json.loads(line).get("tokens", 0) for line in file)
        with open(path, "w") as file:
            json.dump([seconds, tokens], file)
    with open(path) as file:
        return json.load(file)


def solved(programs):
    """(2,): whether one of a problem's programs passes, and 1@k of them."""
    (_, c), = count_passed(programs).values()
    return [float(c > 0), n_at_k(*count_filtered(programs)[programs[0].key], 1)]


def table_4(args):
    problems, size = f"{args.work}/table4-problems.jsonl", min(20, args.num_programs)
    os.makedirs(args.work, exist_ok=True)
    with open(f"{DATA}/test.jsonl") as source, open(problems, "w") as file:
        file.writelines(itertools.islice(source, args.num_problems))
    parts = ["--critic", f"{args.demo}/critic_test", "--repairer", f"{args.demo}/repair"]
    found = {}  # (row, seed): {problem: its programs}
    for seed, (row, (flags, *_)) in itertools.product(args.seeds, TABLE_4.items()):
        if row == "plain" or row in (args.rows or TABLE_4):
            number = 3 * args.num_programs if row == "plain" else args.num_programs  # at most three rounds
            out = f"{args.work}/table4-{args.num_programs}-{args.temperature}-{row.replace(' ', '')}-{seed}"
            os.makedirs(out, exist_ok=True)
            path = judged_programs(problems, f"{args.demo}/rl", out, seed, "--num-programs", str(number), "--mini-batch",
                                   str(size), "--temperature", str(args.temperature), *(parts + flags if flags else []), judging=["--n", "1"])
            for program in read_programs(path):
                found.setdefault((row, seed), {}).setdefault(program.key, []).append(program)
    N, keys = args.num_programs, sorted(found["plain", args.seeds[0]])
    head = ["", f"pass@{N}", f"1@{N}", "tokens", *(f"{name} minus plain's, {same}" for same in ("same programs", "same tokens")
                                                 for name in (f"pass@{N}", f"1@{N}")), "paper's pass@200, pass@1000, 1@1000"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in dict.fromkeys(row for row, _ in found):
        values, tokens = [], 0
        for seed, key in itertools.product(args.seeds, keys):
            programs, plain = found[row, seed][key], found["plain", seed][key]
            if row == "plain":
                programs = plain[:N]
            cost = sum(len(program.tokens) for program in programs) if row == "plain" else sum(
                row_cost["tokens"] for program in programs[::size] for row_cost in program.extra["rounds"].values())
            until = np.cumsum([len(program.tokens) for program in plain])
            same_cost = plain[:max(1, int((until <= cost).sum()))]
            tokens += cost / len(args.seeds) / len(keys)
            values.append([solved(programs), solved(plain[:N]), solved(same_cost)])
        values = np.array(values).reshape(len(args.seeds), len(keys), 3, 2)
        cells = [interval(values[:, :, 0, i]) for i in (0, 1)] + [f"{tokens:.0f}"]
        cells += [interval(values[:, :, 0, i] - values[:, :, j, i]) if row != "plain" else ""
                  for j in (1, 2) for i in (0, 1)]
        lines.append("| " + " | ".join([row, *cells, ", ".join(TABLE_4[row][1:])]) + " |")
    os.makedirs("results", exist_ok=True)
    with open("results/table4.md", "w") as file:
        file.write(f"Table 4, {len(args.seeds)} seeds, {N} programs for each of {len(keys)} test problems, temperature "
                   f"{args.temperature}\n\n" + "\n".join(lines) + "\n")
    print("\n".join(lines))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--table", choices=[*TABLES, "4"], required=True)
    p.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="(default: 0 to 4)")
    p.add_argument("--quick", action="store_true", help="one seed, the first")
    p.add_argument("--rows", nargs="+", help="only these rows (default: all)")
    p.add_argument("--demo", default="runs/demo", help="what demo.sh has made (default: runs/demo)")
    p.add_argument("--work", default="runs/tables", help="the rows' runs (default: runs/tables)")
    p.add_argument("--steps", type=int, default=200, help="steps of every row (default: 200, as in demo.sh)")
    p.add_argument("--num-programs", type=int, default=10, help="programs for each test problem (default: 10)")
    p.add_argument("--num-problems", type=int, default=150, help="test problems of Table 4 (default: 150)")
    p.add_argument("--temperature", type=float, default=1.0, help="of Table 4 (default: 1.0)")
    args = p.parse_args()
    args.seeds = args.seeds[:1] if args.quick else args.seeds
    if args.table == "4":
        TABLES["4"] = TABLE_4
    unknown = sorted(set(args.rows or []) - set(TABLES[args.table]))
    if unknown:
        p.error(f"no row {unknown[0]!r} in table {args.table}; its rows: {', '.join(map(repr, TABLES[args.table]))}")
    if args.table == "4":
        return table_4(args)
    rows = {row: TABLES[args.table][row] for row in args.rows or TABLES[args.table]}
    train, test = f"{DATA}/train.jsonl", f"{DATA}/test.jsonl"
    samples, warm_start = [f"{args.demo}/samples_judged.jsonl"], f"{args.demo}/warmstart"
    number, ks = ["--num-programs", str(args.num_programs)], [k for k in (1, 5, 10) if k <= args.num_programs]
    if args.table == "2":  # the baselines
        samples.append(judged_programs(train, warm_start, args.work, 0, "--greedy", split="greedy"))
    found, cost = {}, {}  # row: an array a seed; row: (seconds, tokens) a seed
    for row, (flags, *_) in rows.items():
        for seed in args.seeds:
            out, model = f"{args.work}/{row.replace(' ', '-')}-{seed}", warm_start
            os.makedirs(out, exist_ok=True)
            if flags is not None:
                model, started = f"{out}/actor", time.time()
                stage("train_rl.py", "--init", warm_start, "--critic", f"{args.demo}/critic", "--problems", train,
                      "--programs", *samples, "--out", model, "--steps", str(args.steps), "--batch-size", "32",
                      "--lr", "1e-3", "--warmup", "10", "--seed", str(seed), *LENGTHS, *flags)
                cost.setdefault(row, []).append(training_cost(model, time.time() - started))
            found.setdefault(row, []).append(passes(judged_programs(test, model, out, seed, *number), ks))
    found = {row: np.stack(values) for row, values in found.items()}  # (seeds, problems, ks)
    first = next(iter(found))
    head = ["", *(f"pass@{k}" for k in ks), f"pass@1 minus {first}", "each seed", "seconds", "tokens",
            "paper's pass@1, pass@5"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row, values in found.items():
        difference = values[..., 0] - found[first][..., 0]
        each = " ".join(f"{100 * d:+.1f}" for d in difference.mean(axis=1))
        cells = [row, *(interval(values[..., i]) for i in range(len(ks))),
                 *(["", ""] if row == first else [interval(difference), each]),
                 *(f"{mean:,.0f}" for mean in np.mean(cost.get(row, [[0, 0]]), axis=0)), ", ".join(rows[row][1:])]
        lines.append("| " + " | ".join(cells) + " |")
    os.makedirs("results", exist_ok=True)
    name = f"table{args.table}" if args.table.isdigit() else args.table
    with open(f"results/{name}.md", "w") as file:
        file.write(f"Table {args.table}, {len(args.seeds)} seeds, {args.num_programs} programs for each of "
                   f"{values.shape[1]} test problems\n\n" + "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

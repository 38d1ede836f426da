"""The actor: L_ce + L_rl from judged programs, their greedy baselines and the critic (Sec. 3.3).

    grad L_rl = - (r(W^s) - r(W^b)) sum_t q_hat(w_t) grad log p(w_t | w_<t, D)          Eq. (14)

Reads   --init (the warm start), --critic, --problems, --programs: files of sampled and of greedy
        programs, judged by evaluate.py (the greedy program of a problem is its baseline W^b).
Writes  --out/step-NNNNNN, metrics.jsonl, config.json. The same command again continues.

    python train_rl.py --init runs/warmstart --critic runs/critic --problems data/mini_apps/train.jsonl \\
        --programs runs/judged.jsonl runs/greedy_judged.jsonl --out runs/rl

The value of L_rl means nothing by itself: watch `reward` and `passed`, which come from programs
sampled and judged on held-out problems at every evaluation.

Here, unlike in the released code, L_ce and L_rl are in the same step, every sample that has an
end and carries a gradient is used, and the negative branch is bounded: a program with a negative
return counts min(1, p(W^s) now / p(W^s) when it was sampled, of --programs under --init), so that it
is not pushed on once it has become unlikely (arXiv 2503.14286). `--bound none` is the paper's form.

Next: `python sample.py --model runs/rl ...`
"""
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from pretrain_ntp import (add_trainer_flags, add_up, autocast, batches, collate,
                          decode_program, distribute, encode_program, encode_prompt, gather,
                          learn_ce, learning_rate, load_model, load_state, log_metrics,
                          newest_checkpoint, optimizer_step, parts_of, save_checkpoint, split,
                          start_run, token_log_probs)
from sample import generate
from sandbox import (JUDGE_ERROR, RANK, REWARD, WORLD_SIZE, Judge, Outcome, Program, UserError,
                     make_parser, number, read_judged, read_problems, run_main, whole)
from train_critic import (check_tokenizer, check_tokens, critic_batch, load_critic, program_tokens,
                          q_hat)

NO_BASELINE = ("reward", "critic")  # --returns in which r_b is 0


# --- data -----------------------------------------------------------------------------------------

def with_baselines(programs, baseline, returns):
    """(sampled program, r_b) pairs: r(W^b), what the program's reward is compared with (Eq. 8).

    baseline: "greedy", the problem's greedy program, as in the paper; "group", the mean reward of the
    problem's samples; "leave-one-out", the mean of its other samples. 0 where `returns` has none.
    Left out: programs without a verdict, and samples whose greedy program has none.
    """
    rewards = {}  # (problem, source): the rewards of its programs
    unknown = {program.key for program in programs
               if program.source == "greedy" and program.outcome == JUDGE_ERROR}
    programs = [program for program in programs if program.outcome != JUDGE_ERROR]
    for program in programs:
        rewards.setdefault((program.key, program.source), []).append(reward(program))
    pairs = []
    for program in programs:
        if program.source != "sampled":
            continue
        group, greedy = rewards[program.key, "sampled"], rewards.get((program.key, "greedy"))
        if returns in NO_BASELINE:
            r_b = 0.0
        elif baseline == "greedy":
            if not greedy and program.key in unknown:
                continue
            if not greedy:
                raise UserError(f"problem {program.problem_id!r} has samples but no greedy program, its "
                                f"baseline; run sample.py --greedy and evaluate.py, and add the file "
                                f"to --programs, or use --baseline group")
            if len(greedy) > 1:
                raise UserError(f"problem {program.problem_id!r} has {len(greedy)} greedy programs; give "
                                f"--programs one file of them, of the actor that wrote the samples")
            r_b = greedy[0]
        elif baseline == "group":
            r_b = sum(group) / len(group)
        else:  # with no other sample to compare with there is nothing to learn
            r_b = ((sum(group) - reward(program)) / (len(group) - 1) if len(group) > 1
                   else reward(program))
        pairs.append((program, r_b))
    return pairs


def reward(program):
    """r(W) of a judged program, Eq. (4) to (7)."""
    return REWARD[Outcome.from_label(program.outcome)]


def rl_items(problems, programs, tokenizer, args):
    """(source ids, program ids, problem_id, class, r_s, r_b) of every sampled program that carries
    a gradient. Prints how many do not, and why.

    A program without an end, cut in sampling or here, is left out: its verdict is of an unfinished
    text or of a longer one.
    """
    sources, items, counts, alike = {}, [], Counter(), {}
    returns = args.returns if "rl" in args.objective else "reward"
    for program, r_b in with_baselines(programs, args.baseline, returns):
        r_s, tokens = reward(program), program_tokens(program, tokenizer, args.max_target)
        advantage = 1.0 if args.objective == "ce+samples" else r_s - r_b
        zero = abs(advantage) < 1e-9
        alike[program.key] = zero and alike.get(program.key, True)  # so far
        kind = ("cut off" if tokens[-1] != tokenizer.eos_token_id else "return 0" if zero else
                "negative" if advantage < 0 else "positive")
        counts[kind] += 1
        if kind == "positive" or kind == "negative" and args.bound != "positive":
            if program.key not in sources:
                sources[program.key] = encode_prompt(tokenizer, problems[program.key],
                                                     args.max_source)
            items.append((sources[program.key], tokens, program.key,
                          int(Outcome.from_label(program.outcome)), r_s, r_b))
    said = [", ".join(f"{kind} {n}" for kind, n in sorted(counts.items())), f"{len(items)} to learn from"]
    if any(alike.values()):
        said.append(f"{sum(alike.values())} problems whose programs all have return 0")
    others = sorted({program.source for program in programs} - {"sampled", "greedy"})
    if others:
        said.append(f"those that are {' or '.join(others)} are no samples of the actor")
    print(f"{counts.total()} sampled programs: {'; '.join(said)}")
    return items


# --- objective ------------------------------------------------------------------------------------

def policy_gradient_loss(log_p, mask, r_s, r_b, q_hat, log_mu=None, normalize="token", count=None):
    """A scalar whose gradient is the paper's estimate of the gradient of L_rl, Eq. (14).

        - sum over samples of (r(W^s) - r(W^b)) * sum_t q_hat(w_t) log p(w_t | w_<t, D),
          divided by the number of tokens

    log_p, mask, q_hat: (B, T).  r_s, r_b: (B,).  With r_b = 0 and q_hat = 1 it is REINFORCE, Eq. (3),
    whose expectation is the gradient of the objective, Eq. (2); with q_hat = 1 alone Eq. (8).
    normalize="program" divides by the number of programs: the mean over samples that Eq. (14) is.
    "token" divides by the batch's tokens, as L_ce does (and the released code), so that neither loss
    outweighs the other; "sequence" divides each program's sum by its own length first, so that
    long programs do not count more (bucket makes batches of like length: "token" is close to that).
    With log_mu (B,), log p(W^s) when the program was sampled, one of negative return counts
    min(1, p now / p then): the tapered form.
    count: the tokens (else: the programs) of the whole batch, where this is a part of it.
    Only the gradient means something; the value can fall while programs get worse.
    """
    advantage = (r_s - r_b).detach()                                         # (B,)   Eq. (8)
    if log_mu is not None:
        ratio = ((log_p * mask).sum(dim=1).detach() - log_mu).exp()          # (B,)
        advantage = torch.where(advantage < 0, advantage * ratio.clamp(max=1), advantage)
    per_token = q_hat.detach() * log_p * mask                                # (B, T) Eq. (10)
    if normalize == "sequence":
        per_token = per_token / mask.sum(dim=1, keepdim=True)
    count = count or (mask.sum() if normalize == "token" else len(mask))
    return -(advantage * per_token.sum(dim=1)).sum() / count                 # scalar Eq. (14), Eq. (3)


def kl_to_reference(log_p, log_p_reference, mask, count=None):
    """How far the actor has moved from the reference on these tokens, a mean over them: the estimator
    exp(d) - d - 1, d = log p_reference - log p, which is never negative. (B, T) each.
    count: the tokens of the whole batch, where this is a part of it."""
    d = (log_p_reference - log_p) * mask
    return (d.exp() - d - 1).sum() / (count or mask.sum())


def token_weights(returns, critic, batch, correction="mean"):
    """q_hat (B, T) for each row of Table 2: the critic's values, a linear decay from 1, or ones.

    The critic's value of a token is mostly the prior of the class, and weighs whole programs. Over its
    "mean" in the program it says which token; over its value before the first token ("prior") how far
    reading has moved the critic; "none" leaves it as it comes, as the paper does.
    """
    mask = batch["target_mask"]
    if returns in ("critic", "baseline+critic"):
        q = q_hat(critic, batch, over_prior=correction == "prior") * mask              # (B, T)
        if correction == "mean":
            q = q * mask.sum(dim=1, keepdim=True) / q.sum(dim=1, keepdim=True)
        return q
    if returns == "decay":
        t = torch.arange(mask.shape[1], device=mask.device)
        return (1 - t / mask.sum(dim=1, keepdim=True)).clamp(min=0)
    return torch.ones_like(mask, dtype=torch.float32)


# --- training loop --------------------------------------------------------------------------------

@torch.no_grad()
def sample_and_judge(actor, tokenizer, problems, num_programs, judge, args, seed, **decoding):
    """`num_programs` programs of the actor for each problem, judged: a list of records with tokens.

    The judge works on one batch of programs while the next one is sampled. Under torchrun each
    process has its share of the problems, and all get all programs.
    """
    actor.eval()
    groups = max(1, args.decode_batch // num_programs)
    numbers = np.array_split(range(len(problems)), WORLD_SIZE)[RANK].tolist()
    with ThreadPoolExecutor(1) as judging:
        waiting = []
        for first in range(0, len(numbers), groups):
            chosen = numbers[first:first + groups]
            part = [problems[i] for i in chosen]
            rows = generate(actor, [encode_prompt(tokenizer, problem, args.max_source)
                                    for problem in part],
                            num_programs, args.max_target, pad_id=tokenizer.pad_token_id,
                            seeds=[[*seed, i] for i in chosen], batch_size=args.decode_batch, **decoding)
            jobs = [(problem, Program(problem.problem_id, decode_program(tokenizer, ids), tokens=ids))
                    for problem, programs in zip(part, rows) for ids in programs]
            waiting.append(judging.submit(lambda jobs=jobs: list(judge.run(jobs))))
        own = [program for verdicts in waiting for program in verdicts.result()]
    return [program for programs in gather(own) for program in programs]


def without_dropout(actor):
    """Learn with the probabilities that programs are sampled with: with dropout p now / p then is far
    from 1 before anything has been learned, and so is the divergence from 0. Under
    --grad-checkpointing a layer recomputes only in training mode: that flag of its own is set again."""
    actor.eval()
    for module in actor.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = True


def copy_weights(actor, writer):
    """Bring an actor in shards together in the model that writes its programs."""
    if writer is not actor:
        import torch.distributed.checkpoint.state_dict as full
        writer.load_state_dict(full.get_model_state_dict(
            actor, options=full.StateDictOptions(full_state_dict=True)))


def evaluate_actor(actor, tokenizer, problems, judge, args):
    """One sampled program for each held-out problem, judged: (row for the log, one of the programs)."""
    programs = sample_and_judge(actor, tokenizer, problems, 1, judge, args, [args.seed])
    outcomes = [Outcome.from_label(program.outcome) for program in programs
                if program.outcome != JUDGE_ERROR]
    if not outcomes:
        raise UserError(f"{args.problems}: no held-out problem has tests to measure the actor by; "
                        f"give problems with tests, or a greater --held-out")
    row = {"reward": sum(REWARD[u] for u in outcomes) / len(outcomes),
           "passed": outcomes.count(Outcome.PASSED_TEST) / len(outcomes)}
    row.update({u.label: outcomes.count(u) / len(outcomes) for u in list(Outcome)[:3]})
    return row, programs[0]


def on_policy_items(actor, tokenizer, problems, judge, args, turn):
    """Round `turn` of --on-policy: programs of the actor as it is now (temperature 1: the policy
    itself), judged, with their baselines. The problems are the next ones of a random order: where L_ce
    teaches those that have a solution, only the others, if there are any."""
    unsolved = [key for key in problems if not problems[key].solutions]
    keys = unsolved if unsolved and "ce" in args.objective else list(problems)
    size = min(args.round_problems, len(keys))
    epoch, position = divmod(turn * size, len(keys) // size * size)
    order = np.random.default_rng([args.seed, epoch]).permutation(len(keys))
    chosen = [problems[keys[i]] for i in order[position:position + size]]
    # The 1: held-out problem i has the seed [args.seed, i], and numpy fills a seed up with zeros.
    programs = sample_and_judge(actor, tokenizer, chosen, args.group, judge, args,
                                [args.seed, turn, 1], temperature=1.0, top_p=1.0)
    if args.baseline == "greedy" and args.returns not in NO_BASELINE and "rl" in args.objective:
        greedy = sample_and_judge(actor, tokenizer, chosen, 1, judge, args, [], method="greedy")
        programs += [replace(program, source="greedy") for program in greedy]
    return rl_items(problems, programs, tokenizer, args)


@torch.no_grad()
def add_log_mu(actor, items, tokenizer, args, device):
    """Append to each item log p(W^s) of the actor that sampled it, for the tapered bound: this one, for
    which --init is taken where the programs are --programs'."""
    actor.eval()
    order = sorted(range(len(items)), key=lambda i: len(items[i][1]))
    for first in range(0, len(order), args.batch_size):
        part = order[first:first + args.batch_size]
        batch = collate([items[i] for i in part], tokenizer, device)
        with autocast(device):
            log_mu = (token_log_probs(actor, batch) * batch["target_mask"]).sum(dim=1)
        for i, value in zip(part, log_mu.tolist()):
            items[i] += (value,)


def learn_rl(forward, items, critic, start, tokenizer, args, device):
    """Gradients of L_rl, and of the divergence from `start`, on a batch; (loss_rl, kl, mean token
    weight, tokens) of this process's share."""
    num_tokens = sum(len(item[1]) for item in items) / WORLD_SIZE
    count = num_tokens if args.normalize == "token" else len(items) / WORLD_SIZE
    totals = np.zeros(4)
    for part, weight in parts_of(items, forward, args):
        batch = critic_batch(part, tokenizer, device)
        mask = batch["target_mask"]
        # add_log_mu has appended log_mu, or it is empty
        r_s, r_b, *log_mu = torch.tensor([item[4:] for item in part], device=device).T
        with autocast(device):
            q = token_weights(args.returns, critic, batch, args.correction)
            log_p = token_log_probs(forward, batch)
            loss_rl = policy_gradient_loss(log_p, mask, r_s, r_b, q, *log_mu,
                                           normalize=args.normalize, count=count)
            kl = torch.zeros(())
            if args.kl:
                with torch.no_grad():
                    reference = token_log_probs(start, batch)
                kl = kl_to_reference(log_p, reference, mask, num_tokens)
        (weight * (loss_rl + args.kl * kl)).backward()
        shares = [loss_rl.item(), kl.item(), float((q * mask).sum()) / num_tokens]
        tokens = int(batch["source_mask"].sum() + mask.sum())
        totals += weight * np.array([*(share / WORLD_SIZE for share in shares), tokens])
    return totals.tolist()  # state.pt holds their sums, and opens with plain numbers only


def train(args):
    problems = read_problems(args.problems)
    device, checkpoint = start_run(args)
    tokenizer, actor = load_model(checkpoint or args.init, device, args.max_source + args.max_target)
    # who writes the programs: the actor, or where it is in shards a copy in each process
    writer = load_model(checkpoint or args.init, device)[1] if args.shard else actor
    with_rl, with_ce = "rl" in args.objective, "ce" in args.objective
    critic = None
    if with_rl and "critic" in args.returns:
        its_tokenizer, critic = load_critic(args.critic, device, binary=False,
                                            positions=args.max_source + args.max_target)
        check_tokenizer(args.critic, its_tokenizer, args.init, tokenizer)
    start = (load_model(args.init, device)[1]
             if args.kl or with_rl and args.bound == "taper" and args.programs else None)

    held = dict(zip(problems, split(len(problems), args.held_out)))
    held_problems = [problem for key, problem in problems.items() if held[key]]
    learned = {key: problem for key, problem in problems.items() if not held[key]}
    sources = {key: encode_prompt(tokenizer, problem, args.max_source)
               for key, problem in learned.items() if problem.solutions}
    solved = [(source, encode_program(tokenizer, code, args.max_target))
              for key, source in sources.items() for code in learned[key].solutions]
    items = []
    if args.objective != "ce" and args.programs:
        programs = read_judged(args.programs, problems)
        check_tokens(args.programs, programs, args.init, tokenizer)
        items = rl_items(problems, [program for program in programs if not held[program.key]],
                         tokenizer, args)
        if not items:
            raise UserError(f"{' '.join(args.programs)}: none of the sampled programs is one to learn from "
                            f"(the line above says why); give more of them, or another --bound or "
                            f"--baseline")
        if with_rl and args.bound == "taper":
            add_log_mu(start, items, tokenizer, args, device)
    if with_ce and not solved:
        raise UserError(f"{args.problems}: no problem has solutions, which L_ce needs; "
                        f"use --objective rl")
    if not held_problems or not learned:
        raise UserError("--held-out leaves no problem to learn from or to measure on; "
                        "give another share")

    forward = distribute(actor, args)
    optimizer = torch.optim.AdamW(actor.parameters(), lr=args.lr, weight_decay=args.weight_decay,
                                  fused=True)
    step, running = load_state(checkpoint, actor, optimizer, args)
    coming_pairs = batches(lambda epoch: solved, step, args)
    coming_items = batches(lambda epoch: items, step, args)
    started, seen = time.time(), running["tokens"]
    with Judge(time_limit=args.time_limit) as judge:
        if step == 0:
            row, _ = evaluate_actor(writer, tokenizer, held_problems, judge, args)
            log_metrics(args, 0, **row)
        while step < args.steps:
            if (args.on_policy and args.objective != "ce" and step % args.round_steps == 0
                    and (step or not args.programs)):  # the first round may be given
                copy_weights(actor, writer)
                items = on_policy_items(writer, tokenizer, learned, judge, args,
                                        step // args.round_steps)
                coming_items = batches(lambda epoch: items, 0, args)
                if with_rl and args.bound == "taper":
                    add_log_mu(writer, items, tokenizer, args, device)
            step += 1
            without_dropout(actor)
            learned_ce, learned_rl = (0, 0), (0, 0, 0, 0)
            if with_ce:
                _, pairs = next(coming_pairs)
                if args.objective == "ce+samples" and items:
                    pairs += next(coming_items)[1]
                learned_ce = learn_ce(forward, pairs, tokenizer, args, device,
                                      per_token=args.normalize != "program")
            if with_rl and items:
                _, chosen = next(coming_items)
                learned_rl = learn_rl(forward, chosen, critic, start, tokenizer, args, device)
            optimizer_step(actor, optimizer, step, args)
            loss_ce, tokens_ce, loss_rl, kl, weight, tokens_rl = add_up(*learned_ce, *learned_rl)
            running.update(loss_ce=loss_ce, loss_rl=loss_rl, kl=kl, weight=weight, steps=1,
                           tokens=int(tokens_ce + tokens_rl))
            if step % args.log_every == 0 or step == args.steps:
                speed = (running["tokens"] - seen) / (time.time() - started)
                started, seen = time.time(), running["tokens"]
                log_metrics(args, step, f"{speed:.0f} tokens/s",
                            loss_ce=running["loss_ce"] / running["steps"],
                            loss_rl=running["loss_rl"] / running["steps"],
                            token_weight=running["weight"] / running["steps"],
                            kl=running["kl"] / running["steps"],
                            lr=learning_rate(step, args), tokens=running["tokens"])
                running = Counter(tokens=running["tokens"])
            if step % args.save_every == 0 or step == args.steps:
                copy_weights(actor, writer)
                row, program = evaluate_actor(writer, tokenizer, held_problems, judge, args)
                log_metrics(args, step, **row)
                save_checkpoint(args, step, actor, tokenizer, optimizer, running)
                print(f"--- {program.problem_id}: {program.outcome}, {program.error}\n{program.code}---")
    print(f"done: {newest_checkpoint(args.out)}")


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    add_trainer_flags(p)
    g = p.add_argument_group("the objective (Section 3.3)")
    g.add_argument("--critic", default=None, metavar="DIR",
                   help="run directory of train_critic.py; in sample.py one with --binary")
    g.add_argument("--objective", default="ce+rl", choices=["ce", "ce+samples", "rl", "ce+rl"],
                   help="the rows of Table 3; ce+samples takes every sample as right")
    g.add_argument("--returns", default="baseline+critic",
                   choices=["reward", "baseline", "critic", "decay", "baseline+critic"],
                   help="the reward alone, Eq. (3), or the rows A, B, C, D of Table 2")
    g.add_argument("--baseline", default="greedy", choices=["greedy", "group", "leave-one-out"],
                   help="what a reward is compared with: the greedy program's, as in the paper; the "
                        "mean of the problem's samples; or of its other samples")
    g.add_argument("--bound", default="taper", choices=["none", "taper", "positive"],
                   help="what a program of negative return counts: in full, as in the paper (none); "
                        "times min(1, p now / p then), where p then is by the actor that sampled it, "
                        "for --programs --init (taper); nothing (positive)")
    g.add_argument("--normalize", default="token", choices=["token", "sequence", "program"],
                   help="a mean over the batch's tokens (token); over programs, of each one's mean over "
                        "tokens (sequence), or of each one's sum, as Eq. (14) is, L_ce's too (program)")
    g.add_argument("--correction", default="mean", choices=["none", "mean", "prior"],
                   help="divide the critic's values by their mean in the program, or by the value "
                        "before its first token")
    g.add_argument("--kl", type=number(0), default=0.0,
                   help="weight of the divergence from --init on the sampled programs")
    g.add_argument("--on-policy", action="store_true",
                   help="sample and judge in rounds, from the actor as it is then; --programs, if "
                   "there are any, are the first round; with L_ce, later rounds are of problems "
                   "without a solution, if there are any")
    g.add_argument("--round-steps", type=whole(1), default=20, help="optimizer steps of a round")
    g.add_argument("--round-problems", type=whole(1), default=160, help="problems of a round")
    g.add_argument("--group", type=whole(1), default=4, help="programs for each of them")
    g.add_argument("--decode-batch", type=whole(1), default=256, help="programs decoded together; a card "
                   "takes hardly longer for more of them")
    g.add_argument("--time-limit", type=number(0.01), default=4.0, metavar="SECONDS",
                   help="wall time of one test")
    args = p.parse_args(argv)
    if args.objective != "ce" and not (args.programs or args.on_policy):
        p.error(f"--objective {args.objective} needs --programs or --on-policy")
    if args.on_policy and (args.steps % args.round_steps or args.save_every % args.round_steps):
        p.error(f"--steps and --save-every must be multiples of --round-steps {args.round_steps}, "
                f"so that a run can be continued at the start of a round")
    if "rl" in args.objective and "critic" in args.returns and not args.critic:
        p.error(f"--returns {args.returns} needs --critic")
    if args.returns in NO_BASELINE and args.baseline != "greedy":
        p.error(f"--returns {args.returns} compares with nothing, so --baseline {args.baseline} would do "
                f"nothing; leave it out, or give --returns baseline+critic")
    if (args.on_policy and args.group == 1 and "rl" in args.objective and args.returns not in NO_BASELINE
            and args.baseline != "greedy"):
        p.error(f"--baseline {args.baseline} compares --group 1 with itself: every return would be 0; "
                f"give --group 2 or more")
    if args.on_policy and args.objective == "ce":
        p.error("--objective ce learns from no samples, so --on-policy would do nothing; leave it out")
    if args.kl and "rl" not in args.objective:
        p.error(f"--kl is of the programs that L_rl learns from; --objective {args.objective} has none")
    return args


def main(argv=None):
    train(parse_args(argv))


if __name__ == "__main__":
    run_main(main)

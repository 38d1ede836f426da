"""Programs from a model: nucleus sampling, greedy decoding, beam search, and critic sampling
(Sec. 3.3.4, Algorithm 1), which refines what passes the example tests and repairs what does not.

Reads   --model: a checkpoint or run directory or hub name; --problems: statements, starter code
        and, with --critic, the example tests; --failed: judged programs. No hidden test and no
        solution is shown to a model.
Writes  --out: one program record a line with `code`, `source` and the `tokens` exactly as sampled
        (the end-of-sequence token included; without it the program was cut at --max-target).
        Beside it the flags, OUT.config.json. The same command again continues a half-written file
        and gives the same programs. Under torchrun each process writes parts of it
        (OUT.part-NNNNNN), which are joined at the end.
        With --critic only the programs of a mini-batch's last round are written, as in Algorithm 1,
        and with them those that were refined (--keep). They hold `rounds` (programs, passed and
        generated tokens of each round: what they cost; `passed` is null where no tests were run);
        `critic_sampling` is the reason where there was none. With --critic or --failed: `parent`
        (the code that they were refined or repaired from), `parent_outcome` and `prefix_tokens`.
        --export, once all is sampled: the programs as OUT.human-eval.jsonl or OUT.evalplus.jsonl
        (OUT without its .jsonl), which those harnesses and `evaluate.py --programs` read.

    python sample.py --model runs/warmstart --problems data/mini_apps/test.jsonl \\
        --out runs/samples.jsonl --num-programs 10
    python sample.py --model runs/warmstart --problems data/mini_apps/test.jsonl \\
        --out runs/greedy.jsonl --greedy
    python sample.py --model runs/rl --critic runs/critic_test --repairer runs/repair \\
        --problems data/mini_apps/test.jsonl --out runs/critic_sampling.jsonl \\
        --num-programs 100 --mini-batch 20 --trace runs/trace.html
    python sample.py --model runs/repair --failed runs/judged.jsonl \\
        --problems data/mini_apps/test.jsonl --out runs/repaired.jsonl --num-programs 1

The paper samples APPS with temperature 0.6 (MBPP: 1.2) and top-p 0.95, and takes the greedy program
as the baseline of its returns. Its k = 1000 are five mini-batches of 200.

Next: `python evaluate.py --problems ... --programs runs/samples.jsonl --out runs/judged.jsonl`
"""
import argparse
import glob
import html
import os
from collections import Counter, namedtuple

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from pretrain_ntp import (autocast, before_program, cache_name, check_config, decode_program,
                          empty_cache, encode_prompt, load_model, pad, pick_device, pin_checkpoints, reading)
from sandbox import (JUDGE_ERROR, RANK, WORLD_SIZE, Judge, Outcome, Program, UserError,
                     append_record, check_out, in_parts, make_parser, number, open_to_continue,
                     read_judged, read_problems, read_programs, run_main, tests_of, to_sample,
                     whole, write_jsonl)
from train_critic import (P_PASSED, check_tokenizer, critic_batch, load_critic, prefix_predictions,
                          show_tokens, write_page)

PASSED = Outcome.PASSED_TEST.label
FAILED = [outcome.label for outcome in Outcome if outcome.label != PASSED]


# --- model: decoding ------------------------------------------------------------------------------

def next_tokens(logits, temperature, top_p, uniform, width=16):
    """Nucleus sampling by inversion: the smallest set of tokens with probability top_p,
    then one of it.

    logits: (R, V).  uniform: (R,) in [0, 1), or None for greedy.  Returns token ids (R,).
    The `width` likeliest tokens nearly always hold the nucleus; where they do not, more are sorted.
    """
    if uniform is None:
        return logits.argmax(dim=-1)
    p = (logits / temperature).softmax(dim=-1)                                  # (R, V)
    if top_p == 1:  # the set is all tokens, in any order
        cumulative = p.cumsum(dim=-1)                                           # (R, V)
        tokens = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(dim=-1)
        return tokens.clamp(max=p.shape[-1] - 1)                                # (R,)
    top, ids = p.topk(min(width, p.shape[-1]), dim=-1)                          # (R, width)
    cumulative = top.cumsum(dim=-1)
    # tokens kept, at least one
    nucleus = ((cumulative - top) < top_p).sum(dim=-1, keepdim=True)            # (R, 1)
    mass = cumulative.gather(1, nucleus - 1)                                    # (R, 1)
    choice = (cumulative <= uniform[:, None] * mass).sum(dim=-1, keepdim=True)  # (R, 1)
    tokens = ids.gather(1, choice.minimum(nucleus - 1)).squeeze(1)              # (R,)
    flat = cumulative[:, -1] < top_p
    if width < p.shape[-1] and flat.any():
        tokens[flat] = next_tokens(logits[flat], temperature, top_p, uniform[flat], 16 * width)
    return tokens


# New programs begin when this share of a batch is left. A card takes no longer for many than for few; on a
# CPU the padding of programs of unequal age costs more than a small batch, so they wait for the last.
REFILL = {"cuda": 0.75, "cpu": 0.0}


def fit(cache, width):
    """Cut or pad a cache's keys and values (R, heads, n, d) on their left to `width` columns."""
    for layer in cache.layers:
        layer.keys, layer.values = (
            F.pad(x, (0, 0, width - x.shape[2], 0)) for x in (layer.keys, layer.values))


def append(cache, other):
    """Put the rows of another cache below."""
    for layer, new in zip(cache.layers, other.layers):
        layer.keys, layer.values = torch.cat([layer.keys, new.keys]), torch.cat([layer.values, new.values])


def decode(model, encoded, openings, prefixes, group, uniforms, max_target, temperature, top_p,
           pad_id, batch_size):
    """Write P programs until each has said end-of-sequence, at most `batch_size` at once: finished
    ones leave the batch, and new ones take their place.

    encoded, openings: before_program of each of K seeds.  prefixes: the tokens that a seed's
    programs begin with; they are read into the cache after its opening.
    group: (P,), the seed that each program continues.  uniforms: (P, max_target), the randomness of
    every program and step; None for greedy.  Returns P lists of token ids, prefixes included.

    Programs of a seed that have been the same so far share a row of the batch, and part where they
    draw different tokens. What is shorter is padded on the left and the padding is masked, so that
    a row is decoded as if it stood by itself.
    """
    eos, device = model.config.eos_token_id, group.device

    def own(cache):
        """What of a cache belongs to the program, and not to an encoder's states."""
        return cache.self_attention_cache if encoded else cache

    def forward(tokens, seen, encoded, cache):
        inputs = reading(model.config, tokens, None if seen.all() else seen, encoded)
        return model(**inputs, use_cache=True, **{cache_name(model): cache}).logits[:, -1].float()

    def begin(programs):
        """Read what stands before these programs: (the row of each, seeds, logits, seen, cache)."""
        seeds, row = group[programs].unique(return_inverse=True)
        starts = [[*openings[k], *prefixes[k]][::-1] for k in seeds.tolist()]  # padded on the left
        tokens, seen = (x.flip(1).to(device) for x in pad(starts, pad_id))
        cache = empty_cache(model.config)
        logits = forward(tokens, seen, encoded and [x[seeds] for x in encoded], cache)
        return row, seeds, logits, seen, cache

    room = torch.tensor([0 if eos in prefix[-1:] else max_target - len(prefix)
                         for prefix in prefixes], device=device)[group]  # (P,) what may follow
    written = torch.zeros(len(group), max_target, dtype=torch.long, device=device)
    lengths = torch.zeros_like(group)                                   # (P,) tokens written
    waiting = (room > 0).nonzero().squeeze(1)                           # programs that have not begun
    # The batch: the `active` programs, (p,), and the `row` of each, (p,), among the r that the model reads;
    # the seed of each row, its last token, the tokens `seen` and the cache.
    active = waiting[:0]
    while len(active) or len(waiting):
        if len(active):  # of the encoder's states only the shape is read: their keys are in the cache
            seen = torch.cat([seen, seen.new_ones(len(seeds), 1)], dim=1)
            logits = forward(tokens[:, None], seen, encoded and (
                encoded[0][:1].expand(len(seeds), -1, -1), encoded[1][seeds]), cache)        # (r, V)
        if len(waiting) and len(active) <= REFILL[device.type] * batch_size:
            new, waiting = waiting.tensor_split([batch_size - len(active)])
            if len(active):
                more, theirs, also, below, other = begin(new)
                row = torch.cat([row, more + len(seeds)])
                seeds, logits = torch.cat([seeds, theirs]), torch.cat([logits, also])
                width = max(seen.shape[1], below.shape[1])
                seen = torch.cat([F.pad(x, (width - x.shape[1], 0)) for x in (seen, below)])
                fit(own(cache), width)
                fit(own(other), width)
                append(own(cache), own(other))
                if encoded:
                    append(cache.cross_attention_cache, other.cross_attention_cache)
            else:
                row, seeds, logits, seen, cache = begin(new)
            active = torch.cat([active, new])
        step = lengths[active]
        chosen = next_tokens(logits[row], temperature, top_p,
                             None if uniforms is None else uniforms[active, step])            # (p,)
        written[active, step] = chosen
        lengths[active] += 1
        going = (chosen != eos) & (lengths[active] < room[active])
        active, row, chosen = active[going], row[going], chosen[going]
        # A row for all programs that came from the same row and chose the same token.
        pairs, joined = (row * logits.shape[1] + chosen).unique(return_inverse=True)
        parents = pairs // logits.shape[1]
        parted = (parents[1:] == parents[:-1]).any()
        if parted or len(pairs) < 0.9 * len(seeds):
            row, tokens, seeds, seen = joined, pairs % logits.shape[1], seeds[parents], seen[parents]
            cache.reorder_cache(parents)
            if not seen[:, 0].any():  # columns that only rows saw which have left
                seen = seen[:, int((~seen.any(dim=0)).sum()):]
                fit(own(cache), seen.shape[1])
        else:  # copying the cache costs a step, so rows leave in groups, or where programs part
            tokens = torch.full_like(seeds, pad_id).scatter(0, row, chosen)                  # (r,)
    return [[*prefixes[k], *program[:length]] for k, program, length in zip(
        group.tolist(), written.tolist(), lengths.tolist())]


def beam(model, prompts, num_programs, max_target, pad_id):
    """The num_programs best hypotheses of a beam of that width, best first, for each prompt."""
    ids, seen = (x.flip(1).to(model.device) for x in pad([prompt[::-1] for prompt in prompts], pad_id))
    output = model.generate(  # padded on the left
        input_ids=ids, attention_mask=seen, do_sample=False, num_beams=num_programs,
        num_return_sequences=num_programs, max_new_tokens=max_target)
    start = 1 if model.config.is_encoder_decoder else ids.shape[1]
    eos = model.config.eos_token_id
    programs = [ids[:ids.index(eos) + 1] if eos in ids else ids
                for ids in output[:, start:].tolist()]
    return [programs[i:i + num_programs] for i in range(0, len(programs), num_programs)]


@torch.no_grad()
def generate(model, prompts, num_programs, max_target, method="sample", temperature=0.6, top_p=0.95,
             seeds=None, batch_size=256, pad_id=0, prefixes=None):
    """Programs for each prompt: lists of token ids, in the order of the prompts.

    prompts: lists of token ids.  num_programs: how many for every prompt, or a list, one number a
    prompt.  method: "sample", "greedy" or "beam".  prefixes: one list of token ids a prompt, which
    its programs begin with.  seeds: one list of integers a prompt; program j of prompt i is a
    function of (seeds[i], j), of prompt and prefix and of the model alone.
    The encoder runs once for each distinct prompt; at most `batch_size` programs are decoded
    together, as one for as long as they are the same.
    """
    counts = [num_programs] * len(prompts) if isinstance(num_programs, int) else num_programs
    prompts = list(map(tuple, prompts))
    distinct = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    with autocast(model.device, decoding=True):
        if method == "beam":
            found = beam(model, list(distinct), counts[0], max_target, pad_id)
            return [found[distinct[prompt]] for prompt in prompts]
        encoded, openings = before_program(model, list(distinct), pad_id, batch_size)
        # What a program begins with, a prompt and a prefix: each of these once, too.
        begun = list(zip(prompts, map(tuple, prefixes or [()] * len(prompts))))
        starts = {start: k for k, start in enumerate(dict.fromkeys(begun))}
        of = [distinct[prompt] for prompt, _ in starts]
        group = torch.tensor([starts[start] for start in begun]).repeat_interleave(torch.tensor(counts))
        uniforms = None if method == "greedy" else torch.from_numpy(np.concatenate([
            np.random.default_rng(seed).random((count, max_target), dtype=np.float32)
            for seed, count in zip(seeds, counts)])).to(model.device)
        programs = decode(
            model, encoded and [x[of] for x in encoded], [openings[i] for i in of],
            [prefix for _, prefix in starts], group.to(model.device), uniforms, max_target,
            temperature, top_p, pad_id, batch_size)
    ends = np.cumsum(counts).tolist()
    return [programs[end - count:end] for count, end in zip(counts, ends)]


# --- critic sampling: what the critic chooses -----------------------------------------------------

def prefix_values(critic, batch):
    """q_hat(w_t) = p_phi_test(Passed | w_1 .. w_t, D), (B, T).

    It is read from the pool of the states of w_1 .. w_t: what the critic predicts (Eq. 9) of the
    program that ends there. That is what it is trained on, and at t = T it is Eq. (12). The state
    of w_t alone, as in Sec. 3.3.3, tells less of the prefix (train_critic.py reports both of a critic
    that has neither --likelihood nor --prefixes).
    """
    return prefix_predictions(critic, batch)[:, 1:, Outcome.PASSED_TEST]  # Eq. (11)


@torch.no_grad()
def program_value(critic, batch):
    """p_phi_test(Passed | W, D) of the whole program, (B,)."""
    return critic(batch).float().softmax(dim=-1)[:, Outcome.PASSED_TEST]  # Eq. (12)


def refine(tokens, values, eos, cut="before"):
    """The seed of a program that passed: the prefix of which the critic is most sure.

    The prefix ends at the (first) highest value. If it holds a token that the critic calls failing, with
    a value p(Passed) below 1/2, it ends before the first of them (cut="at": with it).

        tokens     a    b    c    d   eos
        values    0.6  0.8  0.4  0.9  0.7      highest at d, but c is failing: the seed is a b

    The end-of-sequence token never belongs to a seed. Where the first token fails the seed is
    empty, and its continuations are plain samples.
    """
    values = list(values[:len(tokens)])
    length = values.index(max(values)) + 1
    failing = [t for t in range(length) if values[t] < 0.5]
    if failing:
        length = failing[0] + (cut == "at")
    return [token for token in tokens[:length] if token != eos]


def repair(programs, values, num_repair):
    """The M failing programs that the critic likes best; of equal values the first, copies once."""
    best = {}
    for program, _ in sorted(zip(programs, values), key=lambda pair: -pair[1]):
        best.setdefault(program.code, program)
    return list(best.values())[:num_repair]


def share_out(total, parts):
    """`total` programs over `parts` seeds, none lost: 20 over 3 is 7, 7, 6."""
    return [total // parts + (i < total % parts) for i in range(parts)]


# --- critic sampling: Algorithm 1 -----------------------------------------------------------------

# A mini-batch: `size` programs for a problem (for --failed, repairs of the program `failed`).
Unit = namedtuple("Unit", "problem failed prompt seed size")
# `count` programs that continue `prefix`, for the unit of this index; parent: the program W that they
# refine or repair.
Job = namedtuple("Job", "unit parent prompt prefix count seed")


def draw(model, tokenizer, units, jobs, source, args, method="sample"):
    """{unit: Program records} of the jobs."""
    found, jobs = {}, [job for job in jobs if job.count]
    if not jobs:
        return found
    _, _, prompts, prefixes, counts, seeds = zip(*jobs)
    programs = generate(model, prompts, counts, args.max_target, method, args.temperature,
                        args.top_p, seeds, args.batch_size, tokenizer.pad_token_id, prefixes)
    for job, rows in zip(jobs, programs):
        extra = {"parent": job.parent.code, "prefix_tokens": len(job.prefix),
                 "parent_outcome": job.parent.verdict} if job.parent else {}
        found.setdefault(job.unit, []).extend(
            Program(units[job.unit].problem.problem_id, decode_program(tokenizer, ids), source, ids,
                    extra=dict(extra)) for ids in rows)
    return found


def run_tests(units, programs, judge):
    """{unit: Program records} with the verdicts of the example tests."""
    judged = judge.run((units[u].problem, program) for u in programs for program in programs[u])
    return {u: [next(judged) for _ in programs[u]] for u in programs}


def critic_values(function, critic, tokenizer, units, programs):
    """{unit: [(program, value)]} of (unit, program) pairs, by prefix_values or program_value."""
    device, values, found = next(critic.parameters()).device, {}, {}
    distinct = list(dict.fromkeys((u, *program.tokens) for u, program in programs))  # many are the same
    for first in range(0, len(distinct), 32):  # not more: a vocabulary of logits for each of their tokens
        part = distinct[first:first + 32]
        batch = critic_batch([(units[u].prompt, tokens, None, 0) for u, *tokens in part],
                             tokenizer, device)
        with autocast(device, decoding=True):
            values.update(zip(part, function(critic, batch).tolist()))
    for u, program in programs:
        found.setdefault(u, []).append((program, values[(u, *program.tokens)]))
    return found


def critic_sampling(units, actor, critic, repairer, tokenizer, judge, args):
    """Algorithm 1, for many units at once: at most one round of repair and one of refinement.

    Returns the rounds, {unit: Program records} each, with the example tests' verdict on all but the
    refined ones. A unit's result is the last round that has it, a function of this unit alone.
    """
    # N samples from p_theta(. | D), split into P and F by their example tests.
    jobs = [Job(u, None, unit.prompt, [], unit.size, unit.seed) for u, unit in enumerate(units)]
    S = run_tests(units, draw(actor, tokenizer, units, jobs, "sampled", args), judge)
    rounds = [S]
    P = [(u, W) for u in S for W in S[u] if W.outcome == PASSED]
    solved = {u for u, _ in P}
    F = [(u, W) for u in S for W in S[u] if W.outcome in FAILED and u not in solved]
    # Where P is empty: N / M repairs of each of the M best failures, p_omega(. | D, W_fail, u, c).
    if repairer and args.repair and F:
        jobs = []
        for u, ranked in critic_values(program_value, critic, tokenizer, units, F).items():
            R = repair(*zip(*ranked), min(args.num_repair, units[u].size))
            for j, (W, count) in enumerate(zip(R, share_out(units[u].size, len(R)))):
                prompt = encode_prompt(tokenizer, units[u].problem,
                                       args.max_repair_source or args.max_source, W)
                jobs.append(Job(u, W, prompt, [], count, [*units[u].seed, 1, j]))
        S = run_tests(units, draw(repairer, tokenizer, units, jobs, "repaired", args), judge)
        rounds.append(S)
        P += [(u, W) for u in S for W in S[u] if W.outcome == PASSED]
    # Where something passed: N / |P| for each program in P, itself and continuations of its seed.
    if args.refine and P:
        jobs = []
        for u, passed in critic_values(prefix_values, critic, tokenizer, units, P).items():
            counts = share_out(units[u].size, len(passed))
            for j, ((W, values), count) in enumerate(zip(passed, counts)):
                prefix = refine(W.tokens, values, tokenizer.eos_token_id, args.cut)
                jobs.append(Job(u, W, units[u].prompt, prefix, count - args.keep,
                                [*units[u].seed, 2, j]))
        rounds.append(draw(actor, tokenizer, units, jobs, "refined", args))
    return rounds


def returned(units, rounds, args):
    """The programs that count, in the order of the units: those of a unit's last round, with those
    that it refined, if they are kept, and what all of its rounds cost. They have no outcome: their
    hidden tests have not been run.
    """
    def cost(programs):
        return {"programs": len(programs),
                "passed": (None if {W.outcome for W in programs} <= {None, JUDGE_ERROR} else  # not tested
                           sum(program.outcome == PASSED for program in programs)),
                "tokens": sum(len(program.tokens) - program.extra.get("prefix_tokens", 0)
                              for program in programs)}

    records = []
    for u, unit in enumerate(units):
        own = [programs[u] for programs in rounds if u in programs]
        note = {"rounds": {programs[0].source: cost(programs) for programs in own}}
        if not tests_of(unit.problem, "example"):
            note["critic_sampling"] = "no example tests"
        kept = ([program for program in own[-2] if program.outcome == PASSED]
                if args.keep and own[-1][0].source == "refined" else [])
        records += [Program(program.problem_id, program.code, program.source, program.tokens,
                            extra={**program.extra, **note}) for program in kept + own[-1]]
    return records


def print_rounds(all_rounds):
    """What each round drew, over all mini-batches: `rounds` of one record of each."""
    for name in ("sampled", "repaired", "refined"):
        rows = [rounds[name] for rounds in all_rounds if name in rounds]
        programs, passed, tokens = (sum(row[key] or 0 for row in rows)
                                    for key in ("programs", "passed", "tokens"))
        if rows:
            print(f"{name}: {programs} programs, {tokens} generated tokens, in {len(rows)} mini-batches"
                  + ("" if name == "refined" else f"; {passed} pass the example tests, in "
                     f"{sum(bool(row['passed']) for row in rows)} of these"))


def trace(path, unit, rounds, critic, tokenizer, judge):
    """A page on one mini-batch: the critic's values in each program that something was made from,
    where its seed ends, what was made from it, and the example tests' verdicts."""
    parts = [("The problem", f"<pre>{html.escape(unit.problem.question)}</pre>")]
    programs = run_tests([unit], {0: [W for found in rounds for W in found.get(0, [])]}, judge)[0]
    for code in dict.fromkeys(W.extra["parent"] for W in programs if W.extra):
        parent = next(W for W in programs if W.code == code)
        children = [W for W in programs if W.extra.get("parent") == code]
        (_, values), = critic_values(prefix_values, critic, tokenizer, [unit], [(0, parent)])[0]
        parts.append((f"{parent.source}: {parent.outcome}", show_tokens(
            tokenizer, parent.tokens, values,
            children[0].extra["prefix_tokens"] if children[0].source == "refined" else None)))
        kinds = Counter((W.code, W.source, W.outcome) for W in children)
        parts += [(f"{count} x {source} from it: {outcome}", f"<pre>{html.escape(text)}</pre>")
                  for (text, source, outcome), count in kinds.most_common(4)]
    write_page(path, f"Critic sampling of problem {unit.problem.problem_id}", P_PASSED + " &#9474;: the cut.",
               parts)


# --- from problems to a file of programs ----------------------------------------------------------

def make_units(problems, tokenizer, args):
    """What to draw, in an order that is a function of the input alone, so that a killed run can be
    continued. Prompts of like length go through together."""
    jobs = [(problem, None) for problem in problems.values()]
    if args.failed:
        jobs = [(problems[W.key], W) for W in read_judged([args.failed], problems)
                if W.outcome in FAILED]
        if not jobs:
            raise UserError(f"{args.failed}: no failed programs in it; run evaluate.py on it first")
    total = 1 if args.greedy else args.num_programs
    size = min(total, args.mini_batch or total)
    prompts = [encode_prompt(tokenizer, problem, args.max_source, W) for problem, W in jobs]
    return [Unit(*jobs[i], prompts[i], [args.seed, i, batch], min(size, total - first))
            for i in sorted(range(len(jobs)), key=lambda i: -len(prompts[i]))
            for batch, first in enumerate(range(0, total, size))]


def export(path, form, problems, programs):
    """Write the programs as a sample file of `form`; say how many do not continue the prompt."""
    write_jsonl(path, (to_sample(problems[program.key], program.code, form) for program in programs))
    anew = sum(not program.code.startswith(problems[program.key].prompt) for program in programs)
    print(f"wrote {path}" + (f"; {anew} of {len(programs)} programs do not begin with the prompt: "
          "they follow it and define the function anew, with its imports and helpers at hand"
          if form == "human-eval" and anew else ""))


def sample(args):
    check_out(args.out, [args.problems, args.failed])
    device, problems = pick_device(args.device), read_problems(args.problems)
    pin_checkpoints(args)
    positions = args.max_source + args.max_target
    tokenizer, model = load_model(args.model, device, positions)
    critic = repairer = None
    if args.critic:
        its_tokenizer, critic = load_critic(args.critic, device, binary=True, positions=positions)
        check_tokenizer(args.critic, its_tokenizer, args.model, tokenizer)
    if args.repairer:
        positions = (args.max_repair_source or args.max_source) + args.max_target
        its_tokenizer, repairer = load_model(args.repairer, device, positions)
        check_tokenizer(args.repairer, its_tokenizer, args.model, tokenizer)
    units = make_units(problems, tokenizer, args)
    starts = np.cumsum([0] + [unit.size for unit in units]).tolist()  # of each unit in the file
    started = [path for path in (args.out, *glob.glob(glob.escape(args.out) + ".part-*"))
               if os.path.exists(path) and os.path.getsize(path)]
    check_config(args.out + ".config.json", args, started, ignore=("device", "trace", "export"))
    # The later rounds of critic sampling have fewer rows, and a card's batches are filled up again:
    # four batches go through together.
    many = 4 if critic or REFILL[device.type] else 1
    groups = range(0, len(units), max(1, many * args.batch_size // units[0].size))
    written = Counter()
    with Judge(tests="example", time_limit=args.time_limit) as judge:  # idle without --critic
        models = model, critic, repairer, tokenizer, judge, args
        in_parts(args.out, [starts[u] for u in groups] + starts[-1:],
                 lambda first, last, path: write_programs(
                     path, units[starts.index(first):starts.index(last)], groups.step, models, written))
        if critic and RANK == 0:
            records = read_programs(args.out)
            print_rounds([records[start].extra["rounds"] for start in starts[:-1]])
        if args.trace and RANK == 0:  # the first mini-batch of the most rounds, cut inside a program
            shown = max(range(len(units)), key=lambda u: (
                len(records[starts[u]].extra["rounds"]),
                max(W.extra.get("prefix_tokens", 0) for W in records[starts[u]:starts[u + 1]]) > 1))
            trace(args.trace, units[shown], critic_sampling(units[shown:shown + 1], *models),
                  critic, tokenizer, judge)
    who = f"process {RANK}: " if WORLD_SIZE > 1 else ""
    print(f"{who}wrote {written['programs']} programs, {written['tokens']} tokens to {args.out}")
    if args.export and RANK == 0:
        export(f"{args.out.removesuffix('.jsonl')}.{args.export}.jsonl", args.export, problems,
               read_programs(args.out))


def write_programs(path, units, size, models, written):
    """Sample the programs of the units, `size` units at once, and append them to a file that may
    hold some of them already."""
    model, critic, _, tokenizer, _, args = models
    method = "greedy" if args.greedy else "beam" if args.beam else "sample"
    source = "repaired" if args.failed else {"sample": "sampled"}.get(method, method)
    starts = np.cumsum([0] + [unit.size for unit in units]).tolist()
    file, done = open_to_continue(path)
    keys = [str(unit.problem.problem_id) for unit in units for _ in range(unit.size)]
    if [W.key for W in read_programs(path)] != keys[:done]:
        raise UserError(f"{path} holds programs of other problems; use another --out")
    with file, tqdm(total=starts[-1], initial=done, desc=os.path.basename(path), unit=" programs",
                    smoothing=0.05, leave=WORLD_SIZE == 1, disable=RANK > 0) as bar:
        for first in range(0, len(units), size):
            group = units[first:first + size]
            if starts[first + len(group)] <= done:  # what is there is skipped, not sampled again
                continue
            if critic:
                records = returned(group, critic_sampling(group, *models), args)
            else:
                jobs = [Job(u, unit.failed, unit.prompt, [], unit.size, unit.seed)
                        for u, unit in enumerate(group)]
                found = draw(model, tokenizer, group, jobs, source, args, method)
                records = [W for programs in found.values() for W in programs]
            for record in records[max(0, done - starts[first]):]:
                append_record(file, record)
                written.update(programs=1, tokens=len(record.tokens))
                bar.update()


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    p.add_argument("--model", required=True, metavar="NAME_OR_DIR",
                   help="checkpoint, run directory or hub name")
    p.add_argument("--problems", required=True, metavar="FILE",
                   help="problem records (see sandbox.py)")
    p.add_argument("--out", required=True, metavar="FILE",
                   help="what this stage writes; what is there already is continued")
    p.add_argument("--num-programs", type=whole(1), default=10,
                   help="programs for each problem (--greedy: 1)")
    g = p.add_argument_group("decoding: nucleus sampling, or")
    g.add_argument("--greedy", action="store_true",
                   help="the most probable token each time: the baseline W^b")
    g.add_argument("--beam", action="store_true",
                   help="beam search of width --num-programs, as in Tables 2, 3 and 5")
    g.add_argument("--temperature", type=number(0.01), default=0.6, help="of nucleus sampling")
    g.add_argument("--top-p", type=float, default=0.95, help="probability of the nucleus")
    p.add_argument("--failed", metavar="FILE", help="judged programs: --model is a repair model, "
                   "and writes --num-programs for each failed one")
    p.add_argument("--export", choices=["human-eval", "evalplus"], default=None,
                   help="also write the programs as a sample file of that harness")
    g = p.add_argument_group("critic sampling (Section 3.3.4, Algorithm 1)")
    g.add_argument("--critic", default=None, metavar="DIR",
                   help="run directory of train_critic.py; in sample.py one with --binary")
    g.add_argument("--repairer", default=None, metavar="DIR",
                   help="run directory of pretrain_ntp.py --task repair; none: nothing is repaired")
    g.add_argument("--num-repair", type=whole(1), default=1, metavar="M",
                   help="failed programs that are repaired, where none passes")
    g.add_argument("--refine", action=argparse.BooleanOptionalAction, default=True,
                   help="continue the seeds of programs that pass the example tests")
    g.add_argument("--keep", action=argparse.BooleanOptionalAction, default=True,
                   help="what passes the example tests is itself one of the N/|P| programs of its "
                   "seed; Algorithm 1 returns new ones only")
    g.add_argument("--repair", action=argparse.BooleanOptionalAction, default=True,
                   help="repair with --repairer where no program passes")
    g.add_argument("--cut", choices=["before", "at"], default="before",
                   help="a seed ends before the first token that is called failing, or with it")
    g.add_argument("--mini-batch", type=whole(1), default=None, metavar="N",
                   help="programs of one run of Algorithm 1; none: all of --num-programs")
    g.add_argument("--time-limit", type=number(0.01), default=4.0, metavar="SECONDS",
                   help="wall time of one test")
    g.add_argument("--trace", default=None, metavar="FILE.html",
                   help="write a page that shows what was done for one problem")
    g = p.add_argument_group("lengths and batches")
    g.add_argument("--max-source", type=whole(1), default=600,
                   help="tokens of the prompt, where a statement that is too long loses its end; "
                   "the paper pretrains with 768")
    g.add_argument("--max-repair-source", type=whole(1), default=None,
                   help="tokens of --repairer's prompt, which holds the failed program, too; "
                   "none: --max-source")
    g.add_argument("--max-target", type=whole(1), default=512,
                   help="tokens of a program; the paper pretrains with 600")
    g.add_argument("--batch-size", type=whole(1), default=256, help="programs decoded together")
    g.add_argument("--seed", type=whole(0), default=0, help="of all that is random")
    g.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = p.parse_args(argv)
    if args.greedy and args.beam:
        p.error("give --greedy or --beam, not both")
    if args.critic and (args.greedy or args.beam or args.failed):
        p.error("--critic samples: leave --greedy, --beam and --failed out")
    if not args.critic and (args.repairer or args.trace):
        p.error("--repairer and --trace need --critic, which train_critic.py --binary makes")
    if args.beam and args.mini_batch:
        p.error("--beam has one mini-batch; leave --mini-batch out")
    if not 0 < args.top_p <= 1:
        p.error("--top-p must be a share in (0, 1]")
    return args


def main(argv=None):
    sample(parse_args(argv))


if __name__ == "__main__":
    run_main(main)

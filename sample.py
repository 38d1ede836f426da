"""Programs from a model: nucleus sampling, greedy decoding or beam search.

Reads   --model: a checkpoint or run directory or hub name; --problems (statements and starter code
        only: tests are never read here).
Writes  --out: one program record a line with `code`, `source` and the `tokens` exactly as sampled
        (the end-of-sequence token included; without it the program was cut at --max-target).
        The same command again continues a half-written file and gives the same programs.

    python sample.py --model runs/warmstart --problems data/mini_apps/test.jsonl \\
        --out runs/samples.jsonl --num-programs 10
    python sample.py --model runs/warmstart --problems data/mini_apps/test.jsonl \\
        --out runs/greedy.jsonl --greedy

The paper samples APPS with temperature 0.6 (MBPP: 1.2) and top-p 0.95, and takes the greedy program
as the baseline of its returns.

Next: `python evaluate.py --problems ... --programs runs/samples.jsonl --out runs/judged.jsonl`
"""
import argparse

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from pretrain_ntp import (autocast, check_config, decode_program, encode_prompt, load_model, pad,
                          pick_device)
from sandbox import (Program, UserError, append_record, make_parser, open_to_continue,
                     read_problems, read_programs, run_main)


# --- model: decoding ------------------------------------------------------------------------------

def next_tokens(logits, temperature, top_p, uniform, width=16):
    """Nucleus sampling by inversion: the smallest set of tokens with probability top_p,
    then one of it.

    logits: (R, V).  uniform: (R,) in [0, 1), or None for greedy.  Returns token ids (R,).
    The `width` likeliest tokens nearly always hold the nucleus; rows where they do not are sorted.
    """
    if uniform is None:
        return logits.argmax(dim=-1)
    p = (logits / temperature).softmax(dim=-1)                                  # (R, V)
    top, ids = p.topk(min(width, p.shape[-1]), dim=-1)                          # (R, width)
    cumulative = top.cumsum(dim=-1)
    # tokens kept, at least one
    nucleus = ((cumulative - top) < top_p).sum(dim=-1, keepdim=True)            # (R, 1)
    mass = cumulative.gather(1, nucleus - 1)                                    # (R, 1)
    choice = (cumulative <= uniform[:, None] * mass).sum(dim=-1, keepdim=True)  # (R, 1)
    tokens = ids.gather(1, choice.minimum(nucleus - 1)).squeeze(1)              # (R,)
    flat = cumulative[:, -1] < top_p
    if width < p.shape[-1] and flat.any():
        tokens[flat] = next_tokens(logits[flat], temperature, top_p, uniform[flat], p.shape[-1])
    return tokens


def decode(model, states, mask, prefixes, group, uniforms, max_target, temperature, top_p):
    """Continue R rows until each has said end-of-sequence. Finished rows leave the batch.

    states (K, S, d), mask (K, S), prefixes: for each of K seeds the encoder's output and the tokens
    that its programs begin with; they go through the decoder into its cache once a seed.
    group: (R,), the seed that each row continues.  uniforms: (R, max_target), the randomness of
    every row and step; None for greedy.  Returns R lists of token ids, prefixes included.

    Shorter prefixes are padded on the left and the padding is masked: T5 knows positions by their
    distance alone, so that a row is decoded as if it stood by itself.
    """
    cache = EncoderDecoderCache(DynamicCache(config=model.config),
                                DynamicCache(config=model.config))
    start, eos = model.config.decoder_start_token_id, model.config.eos_token_id
    width, device = max(map(len, prefixes)), states.device
    tokens = torch.tensor([[start] * (width - len(prefix) + 1) + list(prefix)
                           for prefix in prefixes], device=device)                     # (K, 1 + w)
    seen = torch.tensor([[False] * (width - len(prefix)) + [True] * (len(prefix) + 1)
                         for prefix in prefixes], device=device)                       # (K, 1 + w)
    padded = not seen.all()

    def forward(tokens):
        output = model(encoder_outputs=(states,), attention_mask=mask, decoder_input_ids=tokens,
                       decoder_attention_mask=seen if padded else None, past_key_values=cache,
                       use_cache=True)
        return output.logits[:, -1].float()

    def finished(program):
        return program[-1:] == [eos] or len(program) >= max_target

    logits = forward(tokens)[group]                                                    # (R, V)
    cache.batch_select_indices(group)
    # The cache holds what attention needs of the states; from here on only their shape is read.
    states, mask, seen = states[:1].expand(len(group), -1, -1), mask[group], seen[group]
    programs = [list(prefixes[k]) for k in group.tolist()]
    rows = list(range(len(programs)))  # which program stands in which row of the batch
    for step in range(max_target):
        uniform = None if uniforms is None else uniforms[rows, step].to(device)
        tokens, going = next_tokens(logits, temperature, top_p, uniform), []           # (R,)
        for i, (row, token) in enumerate(zip(rows, tokens.tolist())):
            if not finished(programs[row]):
                programs[row].append(token)
                if not finished(programs[row]):
                    going.append(i)
        if not going:
            break
        if len(going) < 0.9 * len(rows):  # copying the cache costs a step, so rows leave in groups
            rows = [rows[i] for i in going]
            going = torch.tensor(going, device=device)
            cache.batch_select_indices(going)
            states, mask, seen, tokens = states[:len(going)], mask[going], seen[going], tokens[going]
        seen = F.pad(seen, (0, 1), value=True)
        logits = forward(tokens[:, None])
    return programs


def beam(model, states, mask, num_programs, max_target):
    """The num_programs best hypotheses of a beam of that width, best first,
    for each row of states."""
    output = model.generate(
        encoder_outputs=BaseModelOutput(states), attention_mask=mask, do_sample=False,
        num_beams=num_programs, num_return_sequences=num_programs, max_new_tokens=max_target)
    eos, programs = model.config.eos_token_id, []
    for ids in output[:, 1:].tolist():  # without the decoder's start token
        programs.append(ids[:ids.index(eos) + 1] if eos in ids else ids)
    return programs


@torch.no_grad()
def generate(model, prompts, num_programs, max_target, method="sample", temperature=0.6, top_p=0.95,
             seeds=None, batch_size=256, pad_id=0, prefixes=None):
    """Programs for each prompt: lists of token ids, in the order of the prompts.

    prompts: lists of token ids.  num_programs: how many for every prompt, or a list, one number a
    prompt.  method: "sample", "greedy" or "beam".  prefixes: one list of token ids a prompt, which
    its programs begin with.  seeds: one list of integers a prompt; program j of prompt i is a
    function of (seeds[i], j), of prompt and prefix and of the model alone.
    The encoder runs once for each distinct prompt; at most `batch_size` programs are decoded
    together.
    """
    device = next(model.parameters()).device
    counts = [num_programs] * len(prompts) if isinstance(num_programs, int) else num_programs
    distinct = {tuple(prompt): i for i, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    source, mask = (x.to(device) for x in pad(list(distinct), pad_id))
    with autocast(device):
        states = model.get_encoder()(input_ids=source,
                                     attention_mask=mask).last_hidden_state  # (P, S, d)
        if method == "beam":
            programs = beam(model, states, mask, num_programs, max_target)
        else:
            rows = torch.arange(len(prompts)).repeat_interleave(torch.tensor(counts))  # (R,)
            which = torch.tensor([distinct[tuple(prompt)] for prompt in prompts], device=device)
            uniforms = None if method == "greedy" else torch.from_numpy(np.concatenate([
                np.random.default_rng(seed).random((count, max_target), dtype=np.float32)
                for seed, count in zip(seeds, counts)]))
            programs = []
            for first in range(0, len(rows), batch_size):
                chosen, group = rows[first:first + batch_size].unique(return_inverse=True)
                part = which[chosen]
                programs += decode(
                    model, states[part], mask[part],
                    [prefixes[i] if prefixes else [] for i in chosen.tolist()], group.to(device),
                    None if uniforms is None else uniforms[first:first + batch_size],
                    max_target, temperature, top_p)
    starts = np.cumsum([0, *counts]).tolist()
    return [programs[i:j] for i, j in zip(starts, starts[1:])]


# --- from problems to a file of programs ----------------------------------------------------------

def sample(args):
    device = pick_device(args.device)
    problems = list(read_problems(args.problems).values())
    tokenizer, model = load_model(args.model, device)
    model.eval()
    method = "greedy" if args.greedy else "beam" if args.beam else "sample"
    num_programs = 1 if args.greedy else args.num_programs
    file, done = open_to_continue(args.out)
    check_config(args.out + ".config.json", args, started=done, ignore=("device",))

    # Problems of like length go through together; the order is a function of the problems alone, so
    # that a killed run can be continued: what is already there is skipped, not sampled again.
    prompts = [encode_prompt(tokenizer, problem, args.max_source) for problem in problems]
    order = sorted(range(len(problems)), key=lambda i: -len(prompts[i]))
    groups = max(1, args.batch_size // num_programs)
    total = len(problems) * num_programs
    if done > total or any(program.key != str(problems[order[i // num_programs]].problem_id)
                           for i, program in enumerate(read_programs(args.out) if done else [])):
        raise UserError(f"{args.out} holds programs of other problems; use another --out")
    num_tokens = 0
    with file, tqdm(total=total, initial=done, unit=" programs", smoothing=0.05) as bar:
        for first in range(done // num_programs // groups * groups, len(order), groups):
            chosen = order[first:first + groups]
            programs = generate(model, [prompts[i] for i in chosen], num_programs, args.max_target,
                                method, args.temperature, args.top_p,
                                [[args.seed, i] for i in chosen], args.batch_size,
                                tokenizer.pad_token_id)
            records = [Program(problems[i].problem_id, decode_program(tokenizer, ids),
                               {"sample": "sampled"}.get(method, method), ids)
                       for i, rows in zip(chosen, programs) for ids in rows]
            for record in records[max(0, done - first * num_programs):]:
                append_record(file, record)
                num_tokens += len(record.tokens)
                bar.update()
    print(f"wrote {total - done} programs, {num_tokens} tokens to {args.out}")


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    p.add_argument("--model", required=True, default=argparse.SUPPRESS, metavar="NAME_OR_DIR",
                   help="checkpoint, run directory or hub name")
    p.add_argument("--problems", required=True, default=argparse.SUPPRESS, metavar="FILE",
                   help="problem records (see sandbox.py)")
    p.add_argument("--out", required=True, default=argparse.SUPPRESS, metavar="FILE",
                   help="program records; a half-written file is continued")
    p.add_argument("--num-programs", type=int, default=10,
                   help="programs for each problem (--greedy: 1)")
    g = p.add_argument_group("decoding: nucleus sampling, or")
    g.add_argument("--greedy", action="store_true",
                   help="the most probable token each time: the baseline W^b")
    g.add_argument("--beam", action="store_true",
                   help="beam search of width --num-programs, as in Tables 2, 3 and 5")
    g.add_argument("--temperature", type=float, default=0.6, help="of nucleus sampling")
    g.add_argument("--top-p", type=float, default=0.95, help="probability of the nucleus")
    g = p.add_argument_group("lengths and batches")
    g.add_argument("--max-source", type=int, default=600,
                   help="tokens of the prompt; longer statements lose their end")
    g.add_argument("--max-target", type=int, default=512, help="tokens of a program")
    g.add_argument("--batch-size", type=int, default=256, help="programs decoded together")
    g.add_argument("--seed", type=int, default=0, help="of sampling")
    g.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = p.parse_args(argv)
    if args.greedy and args.beam:
        p.error("give --greedy or --beam, not both")
    if (args.num_programs < 1 or args.batch_size < 1 or args.temperature <= 0
            or not 0 < args.top_p <= 1):
        p.error("--num-programs and --batch-size need at least 1, --temperature more than 0, "
                "--top-p a share in (0, 1]")
    return args


def main(argv=None):
    sample(parse_args(argv))


if __name__ == "__main__":
    run_main(main)

"""How fast sample.py's generator is beside `model.generate` as the released CodeRL code calls it,
interleaved in one run.

    python bench/bench_sampling.py --model runs/demo/rl --problems data/mini_apps/test.jsonl

Ours: the programs of several problems in one batch, the encoder once a problem, one row for those
that are the same so far, rows that have said end-of-sequence leave. Theirs (generate.py there): one
problem at a time, N copies of it, all of them padded until the longest has ended. Same model, same
temperature, same nucleus; top_k, which the released code leaves at its default of 50, is off in
both, so that both draw from one distribution: the lengths that are printed should agree.

The greedy programs of both are compared token by token. Memory is what the process grows by while
it generates (the card's peak on CUDA). On a busy machine the CPU seconds tell more than the wall
clock: run it with OMP_NUM_THREADS=1 there.
"""
import ctypes
import os
import platform
import sys
import time

import numpy as np
import torch
import transformers

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pretrain_ntp import autocast, encode_prompt, load_model, pick_device
from sample import REFILL, generate
from sandbox import UserError, make_parser, number, read_problems, run_main, whole

TOP_P = 0.95


def ours(model, prompts, count, args, seed, method="sample"):
    """As sample.py does it: prompts of like length together, --batch-size programs at once."""
    many = 4 if REFILL[model.device.type] else 1  # batches, which on a card are filled up again
    groups, programs = max(1, many * args.batch_size // count), []
    for first in range(0, len(prompts), groups):
        part = prompts[first:first + groups]
        programs += generate(model, part, count, args.max_target, method, args.temperature, TOP_P,
                             [[seed, first + i] for i in range(len(part))], args.batch_size,
                             model.config.pad_token_id)
    return [program for programs_of_one in programs for program in programs_of_one]


@torch.no_grad()
def theirs(model, prompts, count, args, seed, method="sample"):
    torch.manual_seed(seed)
    device, eos, programs = next(model.parameters()).device, model.config.eos_token_id, []
    decoding = (dict(do_sample=True, temperature=args.temperature, top_p=TOP_P, top_k=0)
                if method == "sample" else dict(do_sample=False))
    for prompt in prompts:
        with autocast(device, decoding=True):
            rows = model.generate(
                torch.tensor([prompt], device=device), max_new_tokens=args.max_target,
                num_return_sequences=count, **decoding)[:, 1:].tolist()
        programs += [row[:row.index(eos) + 1] if eos in row else row for row in rows]
    return programs


def memory(field):
    """A line of /proc/self/status in GB: VmRSS, held now; VmHWM, the most since the last reset."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 2 ** 20


def measured(way, device, *job):
    """(wall seconds, CPU seconds, GB, lengths of the programs) of way(*job)."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:
        ctypes.CDLL(None).malloc_trim(0)  # what earlier runs have freed goes back to the system
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")               # resets VmHWM
        before = memory("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    programs = way(*job)  # lists of numbers: the card has finished
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    gigabytes = (torch.cuda.max_memory_allocated() / 2 ** 30 if device.type == "cuda"
                 else memory("VmHWM") - before)
    return wall, cpu, gigabytes, [len(program) for program in programs]


def describe(device):
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(":")[1].strip() for line in file if "model name" in line), "CPU")
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    print(f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"{torch.get_num_threads()} threads, {gpu}; Python {platform.python_version()}, "
          f"torch {torch.__version__}, transformers {transformers.__version__}", flush=True)


def spread(values):
    return f"{np.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def parse_args():
    p = make_parser(__doc__)
    p.add_argument("--model", default="runs/demo/rl", help="a trained model")
    p.add_argument("--problems", default="data/mini_apps/test.jsonl", help="problem records")
    p.add_argument("--num-programs", type=whole(1), nargs="+", default=[20, 200], metavar="N",
                   help="programs a problem, each measured by itself")
    p.add_argument("--total", type=whole(1), default=1200,
                   help="programs of one measurement, so total / N problems")
    p.add_argument("--repeats", type=whole(1), default=3, help="of each measurement")
    p.add_argument("--batch-size", type=whole(1), default=256, help="of ours")
    p.add_argument("--max-target", type=whole(1), default=512, help="tokens of a program")
    p.add_argument("--temperature", type=number(0.01), default=0.6, help="the paper's for APPS; MBPP: 1.2")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return p.parse_args()


def main():
    args = parse_args()
    for path in (args.model, args.problems):
        if not os.path.exists(path):
            raise UserError(f"{path} is not there; run demo.sh first, or name another one")
    device = pick_device(args.device)
    tokenizer, model = load_model(args.model, device)
    model.eval()
    describe(device)
    prompts = [encode_prompt(tokenizer, problem, 600)
               for problem in read_problems(args.problems).values()]
    prompts = [prompts[i] for i in np.random.default_rng(0).permutation(len(prompts))]
    for count in args.num_programs:
        # a random choice of problems, sorted by length as sample.py has them
        part = sorted(prompts[:max(1, args.total // count)], key=len, reverse=True)
        if count == args.num_programs[0]:
            same = [a == b for a, b in zip(ours(model, part, 1, args, 0, "greedy"),
                                           theirs(model, part, 1, args, 0, "greedy"))]
            print(f"greedy: {sum(same)} of {len(same)} programs are the same, token for token")
        rows = {"ours": [], "generate": []}
        for repeat in range(args.repeats):
            ways = [("ours", ours), ("generate", theirs)]
            for name, way in ways if repeat % 2 else ways[::-1]:  # neither is always first
                rows[name].append(measured(way, device, model, part, count, args, repeat))
        print(f"N = {count}, {len(part)} problems, {args.repeats} repeats: median [least, most]")
        for name, runs in rows.items():
            lengths = sum((run[3] for run in runs), [])
            shares = [f"{q} % {np.percentile(lengths, q):.0f}" for q in (5, 50, 95, 100)]
            print(f"  {name:9}{spread([len(run[3]) / run[0] for run in runs])} programs/s, "
                  f"{spread([len(run[3]) / run[1] for run in runs])} a CPU second, "
                  f"{spread([run[2] for run in runs])} GB; "
                  f"tokens a program: mean {np.mean(lengths):.1f}, {', '.join(shares)}")
        ratios = zip(*([b / a for a, b in zip(mine[:3], other[:3])]
                       for mine, other in zip(*rows.values())))
        print("  ours is {} times as fast by the clock, {} by CPU seconds; generate takes {} times "
              "the memory".format(*map(spread, ratios)), flush=True)


if __name__ == "__main__":
    run_main(main)

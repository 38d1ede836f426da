"""What a model of the paper's size costs on one CUDA card: a T5 of CodeT5-large's shape with random
weights, prompts of 600 tokens and programs of 512.

    python bench/bench_large.py

training  seconds, tokens a second and peak memory of optimizer steps of the warm start (L_ce)
          and of RL (L_ce + L_rl, with a critic of CodeT5-small's shape), through the functions that
          the trainers themselves call; and the share of the card's bf16 peak: 6 operations a token
          and weight that it meets in the actor, without attention scores, recomputation and critic.
sampling  one batch of programs for one prompt. The floor of a decoding step is the time to read
          the decoder's weights and every row's keys and values once, in bf16, at the bandwidth that a
          copy on this card reaches.
"""
import os
import sys
import time
from types import SimpleNamespace

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from bench_sampling import describe
from bench_training import LARGE, PEAK_TFLOPS, SMALL, SOURCE, TARGET, random_t5, weights
from pretrain_ntp import distribute, learn_ce, optimizer_step, pick_device
from sample import generate
from sandbox import make_parser, number, run_main, whole
from train_critic import Critic
from train_rl import learn_rl

# name, with RL, pairs a step, parts of a batch, grad-checkpointing (once on, it stays)
STEPS = [("warm start", False, 8, 1, False), ("warm start", False, 16, 1, False),
         ("warm start", False, 32, 2, False), ("warm start", False, 32, 1, True),
         ("warm start", False, 32, 2, True), ("L_ce + L_rl", True, 32, 2, True)]


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def gigabytes(device):
    """The most that was held at once since the last call, in GiB."""
    if device.type != "cuda":
        return float("nan")
    most = torch.cuda.max_memory_allocated() / 2 ** 30
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return most


def copy_bandwidth(device, size=2 ** 30):
    """Bytes a second, read and written, of the fastest of five copies of `size` bytes."""
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target, seconds = torch.empty_like(source), []
    for _ in range(5):
        synchronize(device)
        started = time.perf_counter()
        target.copy_(source)
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * size / min(seconds)


def train(name, with_rl, batch_size, parts, checkpointing, actor, critic, args, device):
    """Print what `args.steps` steps cost; one more comes before, to warm up."""
    flags = SimpleNamespace(accumulate=parts, shard=False, grad_checkpointing=checkpointing,
                            compile=False, lr=1e-6, warmup=1, steps=1000, lr_end=0.0, lr_power=1.0,
                            normalize="token", returns="baseline+critic", correction="mean", kl=0.0)
    tokenizer = SimpleNamespace(pad_token_id=0)
    forward = distribute(actor, flags)
    optimizer = torch.optim.AdamW(actor.parameters(), lr=flags.lr, fused=True)
    rng, vocabulary = np.random.default_rng(0), actor.config.vocab_size
    pairs = [[rng.integers(2, vocabulary, n).tolist() for n in (args.source, args.target)]
             for _ in range(batch_size)]
    # (source, program, problem, outcome, r_s, r_b, log mu): all four outcomes and rewards
    items = [(*pair, "", i % 4, (-1.0, -0.6, -0.3, 1.0)[i % 4], 0.0, -1e3)
             for i, pair in enumerate(pairs)]
    seconds, tokens = [], (1 + with_rl) * batch_size * np.array([args.source, args.target])
    gigabytes(device)
    for step in range(1, args.steps + 2):
        started = time.perf_counter()
        actor.train()
        learn_ce(forward, pairs, tokenizer, flags, device)
        if with_rl:
            learn_rl(forward, items, critic, None, tokenizer, flags, device)
        optimizer_step(actor, optimizer, step, flags)
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    used = 6 * (tokens @ weights(actor)) / np.median(seconds[1:]) / 1e12
    share = f", {used / args.peak:.1%} of {args.peak:.0f} TFLOP/s" if args.peak else ""
    print(f"{name:12} batch {batch_size}, --accumulate {parts}"
          f"{', --grad-checkpointing' if checkpointing else ''}: "
          f"{np.median(seconds[1:]):.3f} [{min(seconds[1:]):.3f}, {max(seconds[1:]):.3f}] s a step, "
          f"{tokens.sum() / np.median(seconds[1:]):.0f} tokens/s{share}, {gigabytes(device):.1f} GiB",
          flush=True)


def decode(count, actor, args, device):
    """Print what a batch of `count` programs for one prompt costs."""
    prompt = np.random.default_rng(0).integers(2, actor.config.vocab_size, args.source).tolist()
    for length in (4, args.target):  # the first is to warm up
        gigabytes(device)
        synchronize(device)
        started = time.perf_counter()
        programs, = generate(actor, [prompt], count, length, "sample", 0.6, 0.95, [[0]],
                             batch_size=count)
        seconds = time.perf_counter() - started
    lengths, config = np.array([len(program) for program in programs]), actor.config
    token = 2 * config.num_layers * config.num_heads * config.d_kv  # its keys and values in all layers
    read = 2 * (weights(actor)[1] * max(lengths)  # bytes; a row of n tokens reads 0 + 1 + .. + n - 1
                + token * (lengths * args.source + lengths * (lengths - 1) // 2).sum())
    floor = read / args.bandwidth
    print(f"sampling     {count} programs of {np.mean(lengths):.0f} tokens: {seconds:.1f} s, "
          f"{count / seconds:.1f} programs/s, {1e3 * seconds / max(lengths):.1f} ms a step, of which "
          f"reading takes {1e3 * floor / max(lengths):.2f} at {args.bandwidth / 1e12:.2f} TB/s "
          f"({floor / seconds:.1%}), {gigabytes(device):.1f} GiB", flush=True)


def parse_args():
    p = make_parser(__doc__)
    p.add_argument("--steps", type=whole(1), default=4, help="steps of one measurement")
    p.add_argument("--num-programs", type=whole(1), nargs="+", default=[20, 200], metavar="N",
                   help="programs of a sampled batch")
    p.add_argument("--source", type=whole(1), default=SOURCE, help="tokens of a prompt")
    p.add_argument("--target", type=whole(1), default=TARGET, help="tokens of a program")
    p.add_argument("--peak", type=number(0), metavar="TFLOPS",
                   help="of the card in bf16, where its name is not H100, H200 or A100")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return p.parse_args()


def main():
    args = parse_args()
    device = pick_device(args.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    args.peak = args.peak or next((n for name, n in PEAK_TFLOPS.items() if name in gpu), None)
    args.bandwidth = copy_bandwidth(device)
    torch.manual_seed(0)
    actor, critic = random_t5(LARGE, device), Critic(random_t5(SMALL, device)).to(device).eval()
    describe(device)
    print(f"{sum(p.numel() for p in actor.parameters()) / 1e6:.0f} million parameters, critic "
          f"{sum(p.numel() for p in critic.parameters()) / 1e6:.0f}; prompts of {args.source} tokens, "
          f"programs of {args.target}", flush=True)
    for count in args.num_programs:
        decode(count, actor.eval(), args, device)
    for row in STEPS:
        train(*row, actor, critic, args, device)


if __name__ == "__main__":
    run_main(main)

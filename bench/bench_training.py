"""Real tokens a second (no padding counted) of warm-start and RL steps, interleaved in one run:

    ours  batches of like length (pretrain_ntp.bucket), padded to the longest of the batch
    (a)   random batches, everything padded to 600 source and 512 target tokens, as the released
          CodeRL code does it with transformers' Trainer
    (b)   Seq2SeqTrainer with DataCollatorForSeq2Seq: random batches, padded to the longest
    (c)   ours, in float32 throughout

    python bench/bench_training.py [--problems data/mini_apps/train.jsonl] [--model DIR]
    python bench/bench_training.py --shape codet5-large        # random weights, for a CUDA card

Same model, data, batch size and optimizer, and but for (c) the same precision. First the losses on
one batch in three manners are compared. An RL step is train_rl.py's: L_ce, the critic's values,
L_rl; ground truths stand for sampled programs, which changes no speed. Seq2SeqTrainer knows no RL:
there (b) is its padding in the same loop, and in the warm start too where accelerate is not
installed. On a card the share of the bf16 peak is printed: 6 operations a real token and weight
that it meets in the actor, without attention scores and critic. On a busy machine go by tokens a
CPU second, and take enough steps: a CPU's bfloat16 kernels are compiled for each shape it meets.
"""
import importlib.util
import itertools
import os
import platform
import sys
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
import transformers

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pretrain_ntp import (autocast, bucket, build_prompt, collate, cross_entropy_loss,
                          encode_program, encode_prompt, load_model, pick_device, token_log_probs,
                          train_tokenizer)
from sandbox import UserError, make_parser, number, read_problems, run_main, whole
from train_critic import Critic
from train_rl import policy_gradient_loss, token_weights

SOURCE, TARGET = 600, 512  # the released code's lengths
LARGE = dict(d_model=1024, d_kv=64, d_ff=4096, num_layers=24, num_heads=16, vocab_size=32100)
SMALL = dict(d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8, vocab_size=32100)
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312}  # dense bf16


def random_t5(shape, device, pad_token_id=0, eos_token_id=1):
    with device:  # a card draws 738 million random weights in no time
        return transformers.T5ForConditionalGeneration(transformers.T5Config(
            **shape, dropout_rate=0.0, decoder_start_token_id=0, pad_token_id=pad_token_id,
            eos_token_id=eos_token_id, attn_implementation="eager"))  # as load_model has it


def weights(actor):
    """How many weights a source token meets, and a target token: the decoder's and the head's."""
    encoder, decoder = (sum(p.numel() for p in stack.block.parameters())
                        for stack in (actor.encoder, actor.decoder))
    return encoder, decoder + actor.config.vocab_size * actor.config.d_model


def make_models(args, problems, device):
    """(tokenizer, actor, critic); the critic of the large shape is small, as in the paper."""
    texts = [build_prompt(problem) + code for problem in problems for code in problem.solutions]
    if args.shape == "mini":
        tokenizer, actor = load_model(args.model or "mini", device, vocab_texts=texts)
        critic = load_model(args.model or "mini", device, vocab_texts=texts)[1]
        return tokenizer, actor, Critic(critic).to(device).eval()
    tokenizer = train_tokenizer(texts, vocab_size=2048)
    actor, critic = (random_t5(shape, device, tokenizer.pad_token_id, tokenizer.eos_token_id)
                     for shape in (LARGE, SMALL))
    return tokenizer, actor, Critic(critic).to(device).eval()


def batches(pairs, manner, size, seed):
    """Index lists without end, in the order of the manner."""
    for epoch in itertools.count():
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(pairs)).tolist()
        yield from (bucket([(len(s), len(t)) for s, t in pairs], size, rng) if manner in ("ours", "(c)")
                    else [order[i:i + size] for i in range(0, len(order) - size + 1, size)])


def padded(rows, manner, tokenizer, device):
    batch = collate(rows, tokenizer, device)
    if manner != "(a)":
        return batch
    return {key: F.pad(value, (0, (SOURCE if key.startswith("source") else TARGET)
                               - value.shape[1])) for key, value in batch.items()}


def warm_start_loss(actor, critic, batch):
    return cross_entropy_loss(token_log_probs(actor, batch), batch["target_mask"])


def rl_loss(actor, critic, batch):
    """L_rl with every outcome and reward in turn: what they are changes no speed."""
    u = torch.arange(len(batch["target"]), device=batch["target"].device) % 4
    r_s = torch.tensor([-1.0, -0.6, -0.3, 1.0], device=u.device)[u]
    q = token_weights("baseline+critic", critic, dict(batch, u=u))
    return policy_gradient_loss(token_log_probs(actor, batch), batch["target_mask"], r_s, 0.0, q)


def plain_steps(actor, critic, tokenizer, optimizer, pairs, losses, orders, manner, count):
    """`count` optimizer steps, as trainers take them:
    wall seconds, CPU seconds, source tokens, target tokens, positions."""
    device, seen = next(actor.parameters()).device, np.zeros(3)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        for loss_of, order in zip(losses, orders):
            batch = padded([pairs[i] for i in next(order)], manner, tokenizer, device)
            with (torch.autocast(device.type, enabled=False) if manner == "(c)"
                  else autocast(device)):
                loss = loss_of(actor, critic, batch)
            loss.backward()
            loss.item()
            seen += [int(batch["source_mask"].sum()), int(batch["target_mask"].sum()),
                     batch["source"].numel() + batch["target"].numel()]
        torch.nn.utils.clip_grad_norm_(actor.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return [time.perf_counter() - wall, time.process_time() - cpu, *seen]


def trainer_steps(actor, tokenizer, pairs, args, count, seed):
    """The same of Seq2SeqTrainer, its first step not counted."""
    device, clock, seen = next(actor.parameters()).device, [], []
    collator = transformers.DataCollatorForSeq2Seq(tokenizer, model=actor)

    def counting(features):
        batch = collator(features)
        seen.append([int(batch["attention_mask"].sum()), int((batch["labels"] >= 0).sum()),
                     batch["input_ids"].numel() + batch["labels"].numel()])
        return batch

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_, **__):
            if device.type == "cuda":
                torch.cuda.synchronize()
            clock.append((time.perf_counter(), time.process_time()))

    with autocast(device):
        in_bfloat16 = torch.is_autocast_enabled(device.type)
    with tempfile.TemporaryDirectory() as out:
        trainer = transformers.Seq2SeqTrainer(
            model=actor, data_collator=counting, callbacks=[Clock()],
            train_dataset=[{"input_ids": source, "attention_mask": [1] * len(source),
                            "labels": target} for source, target in pairs],
            args=transformers.Seq2SeqTrainingArguments(
                out, max_steps=count + 1, per_device_train_batch_size=args.batch_size, seed=seed,
                learning_rate=1e-6, use_cpu=device.type == "cpu", bf16=in_bfloat16,
                report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True))
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    return [*np.subtract(clock[-1], clock[0]), *np.sum(seen[1:count + 1], axis=0)]


def check_losses(actor, critic, tokenizer, pairs, device):
    """The losses of one batch in three manners; a UserError where they are not the same."""
    found = {}
    with torch.no_grad(), autocast(device):
        # bfloat16 has eight bits
        tolerance = 2e-2 if torch.is_autocast_enabled(device.type) else 1e-4
        for manner in ("ours", "(a)"):
            batch = padded(pairs, manner, tokenizer, device)
            found[manner] = [loss(actor.eval(), critic, batch).item()
                             for loss in (warm_start_loss, rl_loss)]
        batch = transformers.DataCollatorForSeq2Seq(tokenizer, model=actor)(
            [{"input_ids": source, "labels": target} for source, target in pairs]).to(device)
        found["(b)"] = [actor(**batch).loss.item()]
    print("losses on one batch, L_ce and L_rl: " + ", ".join(
        f"{name} {' '.join(f'{value:.6f}' for value in values)}" for name, values in found.items()))
    if any(abs(x - y) > tolerance * abs(x) for values in found.values()
           for x, y in zip(found["ours"], values)):
        raise UserError(f"the losses differ by more than {tolerance}: "
                        f"what follows would compare unlike things")


def spread(values, form=".0f"):
    return f"{np.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def parse_args():
    p = make_parser(__doc__)
    p.add_argument("--problems", default="data/mini_apps/train.jsonl", help="problem records")
    p.add_argument("--model", help="a checkpoint or run directory, in place of a new mini T5")
    p.add_argument("--shape", choices=["mini", "codet5-large"], default="mini",
                   help="of the new model")
    p.add_argument("--batch-size", type=whole(1), default=16, help="pairs a step")
    p.add_argument("--steps", type=whole(1), default=4, help="steps of one measurement")
    p.add_argument("--repeats", type=whole(1), default=3, help="of each measurement")
    p.add_argument("--peak-tflops", type=number(0),
                   help="of the card in bf16, where its name is not H100, H200 or A100")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = p.parse_args()
    if args.model and args.shape != "mini":
        p.error("give --model or --shape, not both")
    return args


def main():
    args = parse_args()
    if not os.path.exists(args.problems):
        raise UserError(f"{args.problems} is not there; run python data/mini_apps/prepare.py")
    device = pick_device(args.device)
    problems = [problem for problem in read_problems(args.problems).values() if problem.solutions]
    if len(problems) < args.batch_size:
        raise UserError(f"{args.problems} has {len(problems)} problems with solutions; a batch "
                        f"needs {args.batch_size}")
    torch.manual_seed(0)
    tokenizer, actor, critic = make_models(args, problems, device)
    pairs = [(encode_prompt(tokenizer, problem, SOURCE), encode_program(tokenizer, code, TARGET))
             for problem in problems for code in problem.solutions]
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(":")[1].strip() for line in file if "model name" in line), "CPU")
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    peak = args.peak_tflops or next((n for name, n in PEAK_TFLOPS.items() if name in gpu), None)
    print(f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"{torch.get_num_threads()} threads, {gpu}; Python {platform.python_version()}, "
          f"torch {torch.__version__}, transformers {transformers.__version__}")
    source, target = np.mean([(len(s), len(t)) for s, t in pairs], axis=0)
    print(f"{sum(p.numel() for p in actor.parameters()) / 1e6:.1f} million parameters, "
          f"{len(pairs)} pairs of {source:.0f} + {target:.0f} tokens, {args.batch_size} a batch")
    check_losses(actor, critic, tokenizer, pairs[:args.batch_size], device)
    with_trainer = importlib.util.find_spec("accelerate") is not None
    if not with_trainer:
        print("accelerate is not installed, which Seq2SeqTrainer needs: "
              "(b) is its padding in a plain loop")
    optimizer = torch.optim.AdamW(actor.parameters(), lr=1e-6, weight_decay=0.05, fused=True)
    actor.train()
    stages = {"warm start": [warm_start_loss], "RL": [warm_start_loss, rl_loss]}
    for stage, losses in stages.items():
        runs = {"ours": [], "(a)": [], "(b)": [], "(c)": []}
        orders = {manner: [batches(pairs, manner, args.batch_size, seed)
                           for seed in range(len(losses))] for manner in runs}
        for repeat in range(-1, args.repeats):  # the first round is to warm up, and not counted
            for manner in runs:
                if manner == "(b)" and stage == "warm start" and with_trainer:
                    run = trainer_steps(actor, tokenizer, pairs, args, args.steps, repeat + 1)
                else:
                    run = plain_steps(actor, critic, tokenizer, optimizer, pairs, losses,
                                      orders[manner], manner, args.steps if repeat >= 0 else 1)
                if repeat >= 0:
                    runs[manner].append(run)
        print(f"{stage}, {args.repeats} x {args.steps} steps: median [least, most]")
        tokens_per = {}  # wall second, CPU second
        for manner, rows in runs.items():
            wall, cpu, source, target, positions = np.array(rows).T
            tokens_per[manner] = (source + target) / wall, (source + target) / cpu
            by_clock, by_cpu = map(spread, tokens_per[manner])
            per_source, per_target = weights(actor)
            used = 6 * (per_source * source + per_target * target) / wall / 1e12
            print(f"  {manner:5}{by_clock} tokens/s, {by_cpu} a CPU second, "
                  f"{1 - sum(source + target) / sum(positions):.0%} of the positions are padding"
                  + (f", {np.median(used) / peak:.1%} of {peak:.0f} TFLOP/s" if peak else ""))
        for manner in ("(a)", "(b)", "(c)"):
            by_clock, by_cpu = (spread(a / b, ".2f") for a, b in
                                zip(tokens_per["ours"], tokens_per[manner]))
            print(f"  ours is {by_clock} times as fast as {manner} by the clock, {by_cpu} by CPU "
                  f"seconds", flush=True)


if __name__ == "__main__":
    run_main(main)

"""Everything that is token-level cross-entropy: pretraining, the warm start and the repair model.

`--task` chooses the pairs (source for the encoder, target for the decoder) that one loss is
taken on:

    ntp        Sec. 3.2  a window of code is cut at a pivot: left part -> right part
    msp        Sec. 3.2  span prediction, what NTP is compared with:
                         corrupted window -> masked spans
    warmstart  Eq. (1)   problem statement D -> ground-truth program W
    repair     Eq. (13)  D, a failed program, its outcome and error -> ground-truth program W, or,
                         where a problem has none, a program that passed its tests

Reads   --init: a checkpoint directory or hub name of an encoder-decoder (T5, CodeT5) or a
        decoder-only model (GPT-2, Qwen2, ...), or `mini`, which makes a small T5 and trains a
        byte-level BPE tokenizer for it, on the corpus and, where they are given, on the problems;
        --problems (warmstart, repair), --corpus directories of Python files, or .jsonl or .parquet
        files (ntp, msp), --programs judged programs (repair).
Writes  --out/step-NNNNNN (opens with from_pretrained), --out/metrics.jsonl, --out/config.json; ntp
        and msp also the corpus as tokens, --out/corpus.ids (four bytes each) and corpus.ends (where
        each text ends). The same command again continues from the newest checkpoint.

    python pretrain_ntp.py --task ntp --init mini --out runs/ntp --steps 300 --lr 1e-3 \\
        --max-source 96 --max-target 96
    python pretrain_ntp.py --task warmstart --init runs/ntp --lr 2e-3 --warmup 50 \\
        --problems data/mini_apps/train.jsonl --out runs/warmstart

Next: `python sample.py --model runs/warmstart ...`

Under `torchrun` the trainers share the batch between processes, with --shard the weights too.

In shapes, here and in every other stage: B batch, S prompt length, T program length, V vocabulary.
"""
import atexit
import difflib
import functools
import glob
import inspect
import itertools
import json
import math
import os
import re
import shutil
import sys
import sysconfig
import time
import zlib
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
import transformers
from safetensors import SafetensorError
from torch.nn.parallel import DistributedDataParallel
from transformers import (AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer,
                          DynamicCache, EncoderDecoderCache, PreTrainedModel)

from sandbox import (RANK, WORLD_SIZE, UserError, fraction, lock, make_parser, number,
                     open_to_continue, read_jsonl, read_judged, read_problems, run_main, whole,
                     write_jsonl)

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


# --- data: prompts and tokens ---------------------------------------------------------------------

def build_prompt(problem, program=None):
    """The text of D, in CodeRL's layout (whose line breaks differ between its own training and
    generation); with a failed `program` the text of (D, W_fail, u, c), the repair model's, with
    three lines more: outcome, error subtype and code.

        QUESTION:
        Print n + 1.

        Use Standard Input format
        ERROR TYPE: runtime_error (NameError)
        BUGGY PROGRAM:
        print(n)
        ANSWER:

    A line break stands before QUESTION, too. Hidden tests are never read for it.
    """
    starter = f"\n{problem.starter_code}" if problem.starter_code else ""
    form = "Call-Based" if problem.call_based else "Standard Input"
    failed = (f"ERROR TYPE: {program.verdict}\nBUGGY PROGRAM:\n{program.code.rstrip()}\n"
              if program else "")
    return f"\nQUESTION:\n{problem.question}{starter}\n\nUse {form} format\n{failed}ANSWER:\n"


def encode_prompt(tokenizer, problem, max_source, program=None):
    """Token ids of the prompt (the repair model's with `program`), at most `max_source` of them.

    What is too long loses the end of its statement, never the tail that says what to do; a failed
    program loses its beginning only when nothing is left of the statement.
    """
    def encode(question):
        return tokenizer(build_prompt(replace(problem, question=question), program),
                         split_special_tokens=True).input_ids

    ids = encode(problem.question)
    if len(ids) <= max_source:
        return ids
    question = tokenizer(problem.question, add_special_tokens=False, split_special_tokens=True).input_ids
    while len(ids) > max_source and question:
        del question[max_source - len(ids):]  # from its end, as many as there are too many
        ids = encode(decode_program(tokenizer, question))
    return ids[-max_source:]


def encode_program(tokenizer, code, max_target):
    """Token ids of a program and the end-of-sequence token, cut to `max_target`. Where the program
    itself has the text of a special token (`"</s>"`), that is text."""
    return (tokenizer(code, add_special_tokens=False, split_special_tokens=True).input_ids
            + [tokenizer.eos_token_id])[:max_target]


def decode_program(tokenizer, ids):
    """The text of token ids, character for character (no clean-up of spaces)."""
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def pad(rows, value):
    """Lists of unequal length -> ids (B, T) and mask (B, T), True where there is a token. T is a
    multiple of 8: bfloat16 kernels like that, and a CPU's are compiled anew for each shape."""
    width = 8 * math.ceil(max(map(len, rows)) / 8)
    ids = torch.tensor([list(row) + [value] * (width - len(row)) for row in rows])
    return ids, torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]


def collate(rows, tokenizer, device):
    """Rows that begin with source ids and target ids -> dict of source, source_mask (B, S)
    and target, target_mask (B, T)."""
    source, source_mask = pad([row[0] for row in rows], tokenizer.pad_token_id)
    target, target_mask = pad([row[1] for row in rows], tokenizer.pad_token_id)
    batch = dict(source=source, source_mask=source_mask, target=target, target_mask=target_mask)
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


def bucket(lengths, batch_size, rng):
    """Indices in batches of like length, in random order: little padding, and every item once.

    lengths: (source, target) of every item. Random parts of eight batches are halved by source length
    and each half is sorted by target length. Larger parts would pad less, but items of like length are
    alike (in mini-APPS: the same steps), and batches of them teach less.
    """
    order, batches = rng.permutation(len(lengths)).tolist(), []
    for i in range(0, len(order), 8 * batch_size):
        part = sorted(order[i:i + 8 * batch_size], key=lambda j: lengths[j][0])
        for k in range(0, len(part), 4 * batch_size):
            half = sorted(part[k:k + 4 * batch_size], key=lambda j: lengths[j][1])
            batches += [half[m:m + batch_size] for m in range(0, len(half), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def batches(draw, steps, args):
    """Yield (epoch, rows of a batch) without end, beginning after `steps` others: what follows is a
    pure function of (seed, steps), so that a resumed run goes on where it was.

    draw(epoch): all rows of an epoch, which begin with source ids and target ids.
    """
    per_epoch = math.ceil(len(draw(0)) / args.batch_size)
    for epoch in itertools.count(steps // per_epoch):
        rows = draw(epoch)
        order = bucket([(len(row[0]), len(row[1])) for row in rows], args.batch_size,
                       np.random.default_rng([args.seed, epoch]))
        for chosen in order[max(0, steps - epoch * per_epoch):]:
            yield epoch, [rows[i] for i in chosen]


# --- data: the corpus of NTP and MSP --------------------------------------------------------------

def corpus_texts(paths):
    """Yield the texts of the corpus, in a fixed order: those of the Python files below a directory,
    and the rows of a .jsonl or .parquet file, of which `code`, `content` or `text` is read.

    Without paths: the standard library of the running Python, less its tests and lib2to3.
    """
    standard = sysconfig.get_path("stdlib")
    not_corpus = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3"}
    for path in paths:  # before the first of them is read, which may take hours
        if not os.path.exists(path):
            raise UserError(f"cannot read {path}: there is no such file or directory; check --corpus")
    for path in paths or [standard]:
        if os.path.isdir(path):
            for name in sorted(glob.glob("**/*.py", root_dir=path, recursive=True)):
                if path == standard and not_corpus.intersection(name.split(os.sep)):
                    continue
                with open(os.path.join(path, name), encoding="utf-8", errors="ignore") as file:
                    text = file.read()
                if text.strip():
                    yield text
            continue
        for number, row in read_jsonl(path):
            text = next((row[key] for key in ("code", "content", "text") if key in row), None)
            if not isinstance(text, str):
                raise UserError(f"{path}, line {number}: no code, content or text in it; a corpus "
                                f"needs one of them in every row")
            if text.strip():
                yield text


def train_tokenizer(texts, vocab_size):
    """A byte-level BPE tokenizer: any text survives a round trip; digits stay single;
    sentinels for MSP.

    A piece is a word with its dot and bracket (` list(`, `.append(`), a run of signs, a digit, or a
    line break with its indentation: a third fewer tokens a program than with GPT-2's pieces.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\n *| ?\d| ?\.?[^\W\d]+\(?| ?[^\w\s]+|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bpe.decoder = decoders.ByteLevel()
    sentinels = [f"<extra_id_{i}>" for i in range(100)]
    bpe.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["<pad>", "</s>"] + sentinels, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token="</s>",
        additional_special_tokens=sentinels)


def tokenize_corpus(paths, tokenizer, out, anew):
    """Tokenize the corpus once, text by text, into a memory-mapped file:
    (ids of all texts, start of each text). What a killed run has done is kept. `anew`: what is there
    may be of another tokenizer."""
    ids, ends = os.path.join(out, "corpus.ids"), os.path.join(out, "corpus.ends")
    part = ends + ".part"  # renamed when both are whole
    if RANK == 0 and (anew or not os.path.exists(ends)):
        mode = "wb" if anew else "ab"
        with open(ids, mode) as id_file, open(part, mode) as end_file:
            done = np.fromfile(part, dtype=np.int64)
            total = int(done[-1]) if len(done) else 0
            id_file.truncate(4 * total), end_file.truncate(8 * len(done))
            for text in itertools.islice(corpus_texts(paths), len(done), None):
                row = encode_program(tokenizer, text, sys.maxsize)
                np.array(row, dtype=np.uint32).tofile(id_file)  # before the end that counts it
                total += len(row)
                np.array([total]).tofile(end_file)
        if not total:
            raise UserError(f"no Python files under {' '.join(paths)}; give --corpus directories "
                            f"that hold .py files, or .jsonl or .parquet files")
        os.replace(part, ends)
    gather(None)  # all processes wait for it
    return np.memmap(ids, dtype=np.uint32, mode="r"), np.r_[0, np.fromfile(ends, dtype=np.int64)]


def draw_windows(ids, starts, files, count, length, rng):
    """`count` random windows of at most `length` tokens, each inside one file;
    long files more often."""
    sizes = (starts[1:] - starts[:-1])[files]
    windows = []
    for file in rng.choice(files, size=count, p=sizes / sizes.sum()):
        start, end = int(starts[file]), int(starts[file + 1])
        first = int(rng.integers(start, max(start, end - length) + 1))
        windows.append(ids[first:min(end, first + length)].tolist())
    return windows


def ntp_pair(window, max_source, max_target, rng, pivot=(0.1, 0.9)):
    """Sec. 3.2: cut at a pivot uniform in 10 % to 90 %;
    what is too long is cut far from the pivot."""
    n, (low, high) = len(window), pivot
    first = math.ceil(low * n)
    p = min(n - 1, max(1, int(rng.integers(first, max(first, int(high * n)) + 1))))
    return window[:p][-max_source:], window[p:][:max_target]  # Sec. 3.2


def msp_pair(window, sentinels, rng, corruption=0.15, mean_span=3):
    """Masked span prediction: spans leave a sentinel behind; the target lists sentinels and spans.

    ids 1 2 3 4 5 6 7 8 with 3 4 and 8 masked -> source 1 2 <0> 5 6 7 <1>, target <0> 3 4 <1> 8 <2>
    """
    n = len(window)
    masked = max(1, round(corruption * n))
    spans = min(len(sentinels) - 1, max(1, round(masked / mean_span)), max(1, n - masked))

    def cut(total, parts):  # `total` as the sum of `parts` random lengths, none of them 0
        within = rng.choice(np.arange(1, total), parts - 1, replace=False)
        return np.diff([0, *sorted(within), total])

    noise, kept = cut(masked, spans), cut(max(n - masked, spans), spans)
    source, target, position = [], [], 0
    for sentinel, keep, mask in zip(sentinels, kept, noise):
        source += window[position:position + keep] + [sentinel]
        target += [sentinel] + window[position + keep:position + keep + mask]
        position += keep + mask
    return source, target + [sentinels[spans]]


# --- data: the pairs of each task -----------------------------------------------------------------

@functools.cache  # a program is often sampled more than once
def nearest_solution(code, solutions):
    """The ground truth that shares most words, in their order, with a failed program: by difflib's
    ratio, which takes a hundred times as long by letters."""
    words = re.compile(r"\w+|\S").findall
    matcher = difflib.SequenceMatcher(None, "", words(code), autojunk=False)

    def likeness(solution):
        matcher.set_seq1(words(solution))
        return matcher.ratio()

    return max(solutions, key=likeness)


def make_pairs(args, tokenizer):
    """(a function of an epoch's number that returns its (source, target) pairs, held-out pairs)."""
    if args.task in ("ntp", "msp"):
        ids, starts = tokenize_corpus(args.corpus, tokenizer, args.out, anew=args.init == "mini"
                                      and not newest_checkpoint(args.out))
        sentinels = [tokenizer.convert_tokens_to_ids(f"<extra_id_{i}>") for i in range(100)]
        if args.task == "msp" and len(set(sentinels)) < len(sentinels):
            raise UserError(f"the tokenizer of {args.init} has no sentinels <extra_id_0> to "
                            f"<extra_id_99>, which --task msp needs; use one that has, as T5's")
        files = np.flatnonzero(np.diff(starts) >= 10)
        held = split(len(files), args.held_out)
        if held.all():  # also where there are none
            raise UserError("the corpus has too few files of at least 10 tokens; "
                            "give --corpus more of them")

        def pairs(files, count, epoch):
            rng = np.random.default_rng([args.seed, epoch])
            length = args.max_source + (args.max_target if args.task == "ntp" else 0)
            windows = draw_windows(ids, starts, files, count, length, rng)
            if args.task == "msp":
                drawn = [msp_pair(window, sentinels, rng, args.corruption, args.mean_span)
                         for window in windows]
                return [(source, target[:args.max_target]) for source, target in drawn]
            return [ntp_pair(window, args.max_source, args.max_target, rng, args.pivot)
                    for window in windows]

        return (lambda epoch: pairs(files[~held], 16 * args.batch_size, epoch),
                pairs(files[held], 2 * args.batch_size, 0) if held.any() else [])

    problems = read_problems(args.problems)
    right = {key: list(problem.solutions) for key, problem in problems.items()}
    if args.task == "warmstart":
        rows = [(key, None, solution) for key in right for solution in right[key]]
        if not rows:
            raise UserError(f"{args.problems}: no problem has solutions; "
                            f"--task warmstart learns from solutions")
    else:
        programs = read_judged(args.programs, problems)
        for program in programs:  # where there is no ground truth, what passed the tests is one
            if program.outcome == "passed_test" and not problems[program.key].solutions:
                right[program.key].append(program.code)
        failed = [program for program in programs if right[program.key]
                  and program.outcome in ("compile_error", "runtime_error", "failed_test")]
        if not failed:
            raise UserError(f"{' '.join(args.programs)}: no judged, failed program of a problem with a "
                            f"solution or a program that passed; run evaluate.py first")
        rng = np.random.default_rng(args.seed)
        target = (nearest_solution if args.repair_target == "nearest" else
                  lambda code, solutions: solutions[rng.integers(len(solutions))])
        rows = [(program.key, program, target(program.code, tuple(right[program.key])))
                for program in failed]
    held = dict(zip(problems, split(len(problems), args.held_out)))
    learned, held_out = [], []
    prompt = functools.cache(lambda key: encode_prompt(tokenizer, problems[key], args.max_source))
    for key, program, solution in rows:
        pair = (encode_prompt(tokenizer, problems[key], args.max_source, program) if program
                else prompt(key), encode_program(tokenizer, solution, args.max_target))
        (held_out if held[key] else learned).append(pair)
    if not learned:
        raise UserError("--held-out leaves nothing to learn from; give a smaller share, or more problems")
    cut = sum(target[-1] != tokenizer.eos_token_id for _, target in learned + held_out)
    if cut:
        print(f"{cut} of {len(rows)} programs are longer than --max-target and lose their end")
    return (lambda epoch: learned), held_out


def split(count, share):
    """(count,) booleans, True for the held-out share. A smaller share is part of a larger one, and the
    first items of a file are held out as they are in all of it: what one stage has not learned from,
    the next one, which reads the same problems, can be measured on."""
    return np.random.default_rng(0).random(count) < share


# --- model ----------------------------------------------------------------------------------------

def load_model(name, device, positions=0, vocab_texts=None, of_critic=False):
    """(tokenizer, model) from `mini`, a checkpoint, a run directory (its newest checkpoint) or a hub
    name; `positions`: how many tokens of prompt and program it will have to read; `of_critic`: whether
    it is a critic's, which has forgotten how to write."""
    if name == "mini" and vocab_texts is not None:
        tokenizer = train_tokenizer(vocab_texts, vocab_size=2048)
        # T5 1.1's gated layers, and many small heads: both learn from far fewer programs
        config = transformers.T5Config(
            vocab_size=len(tokenizer), d_model=128, d_kv=16, d_ff=344, feed_forward_proj="gated-gelu",
            num_layers=3, num_decoder_layers=3, num_heads=8, dropout_rate=0.0, decoder_start_token_id=0,
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
            attn_implementation="eager")
        return tokenizer, transformers.T5ForConditionalGeneration(config).to(device)
    path = newest_checkpoint(name) or name
    if os.path.exists(os.path.join(path, "critic_head.pt")) and not of_critic:
        raise UserError(f"{name} is a critic, which does not write programs; give an actor")
    if not os.path.exists(path) and os.path.isdir(os.path.dirname(path)):  # or the hub would be asked
        raise UserError(f"there is no {path}; check the path")
    try:
        config = AutoConfig.from_pretrained(path)
        # PyTorch's fused attention is the slower one on a CPU, and on a card where it learns a bias for
        # each distance, as a T5 does: then it is not fused, and in float32
        attention = "eager" if device.type == "cpu" or config.is_encoder_decoder else None
        auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model, loaded = auto.from_pretrained(path, dtype=torch.float32, attn_implementation=attention,
                                             output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"cannot open {name} as a language model ({reason[:200]}); give a directory "
                        f"written by pretrain_ntp.py or train_rl.py, or the hub name of an "
                        f"encoder-decoder or decoder-only model") from None
    check_model(name, model, tokenizer, loaded["missing_keys"], positions)
    if tokenizer.pad_token is None:  # GPT-2 has none; padding is masked, so any token will do
        tokenizer.pad_token = tokenizer.eos_token
    # A program ends as it was trained to, and nothing else (a penalty on repetition, say) is a habit of
    # the checkpoint's.
    model.config.eos_token_id, model.config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    model.generation_config = transformers.GenerationConfig.from_model_config(model.config)
    # Some layouts do not learn what padding means, here perhaps the token that ends a program; and only
    # once it stands in the config.json that we write.
    model.get_input_embeddings().padding_idx = None
    return tokenizer, model.to(device)


def check_model(name, model, tokenizer, missing, positions):
    """A UserError where the stages cannot work with this model, and why. missing: the names of weights
    that its checkpoint lacks."""
    config = model.config
    if not config.is_encoder_decoder:
        if not reads_from_cache(model):
            raise UserError(f"{name} reads text from both ends, or keeps something else than keys and values "
                            f"of the tokens that it has read, so that sample.py cannot write with it; give "
                            f"an encoder-decoder or another decoder-only model")
        limit = getattr(config, "max_position_embeddings", None) or positions
        if config.model_type == "gpt_neo":  # its attention has no columns for padding that goes beyond
            limit -= 16
        if limit < positions:
            raise UserError(f"{name} reads at most {limit} tokens, prompt and program together; "
                            f"lower --max-source or --max-target")
    elif getattr(config, "max_position_embeddings", None):  # BART: padding before W would shift it
        raise UserError(f"{name} counts positions; give an encoder-decoder that learns from distances, "
                        f"as T5 does, or a decoder-only model")
    if missing:  # transformers has drawn them at random
        raise UserError(f"{name} lacks weights of the model that its config.json describes "
                        f"({min(missing)}); give a whole checkpoint")
    if tokenizer.eos_token is None:
        raise UserError(f"the tokenizer of {name} has no end-of-sequence token, by which a program ends; "
                        f"use a model that has one")
    text = "if 1:\n\tx  = 2\n"
    if decode_program(tokenizer, encode_program(tokenizer, text, 99)) != text:
        raise UserError(f"the tokenizer of {name} loses white space, without which a Python program is "
                        f"another one; use a model whose tokenizer keeps it, as CodeT5's")
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        raise UserError(f"{name} has no decoder_start_token_id in its config.json; add it")


@torch.no_grad()
def reads_from_cache(model):
    """Whether a decoder-only model predicts the same when it reads two tokens one by one as when it reads
    both at once: not if it reads from both ends, nor if its cache is none of keys and values."""
    cache = {cache_name(model): empty_cache(model.config)}
    logits = model(input_ids=torch.tensor([[0, 1]])).logits[0]                  # (2, V)
    try:
        rows = [model(input_ids=torch.tensor([[token]]), use_cache=True, **cache).logits[0, 0]
                for token in (0, 1)]
    except (AttributeError, IndexError, TypeError, ValueError):
        return False
    return bool((torch.stack(rows) - logits).abs().max() < 1e-4 * logits.abs().max())


def pick_device(name):
    """`--device auto` is CUDA where there is one, else the CPU; under torchrun each process has its
    own card."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UserError(f"no device {name!r}; give --device auto, cpu, cuda or cuda:N")
    if name.startswith("cuda"):
        if name == "cuda":
            name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        if int(name[5:]) >= torch.cuda.device_count():
            raise UserError(f"no CUDA device {name[5:]} here; leave --device out or give --device cpu")
        torch.cuda.set_device(int(name[5:]))  # whose random state is saved
        # cuDNN's attention, PyTorch's first choice on an H100, is built anew for each length, and its
        # gradients are NaN for some (PyTorch's issue 196678)
        torch.backends.cuda.enable_cudnn_sdp(False)
    return torch.device(name)


def autocast(device, decoding=False):
    """Matrix products in bfloat16, weights in float32: on CUDA, and on a CPU that has instructions for
    it, where they take half the time; but not when decoding there: one token at a time gains nothing,
    and in float32 programs and cuts are the same in whatever batch they come."""
    fast = device.type == "cuda" or (not decoding and torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bool(fast))


# --- model: what encoder-decoder and decoder-only models read, and their states of W's tokens -----

def reading(config, tokens, seen, encoded=None):
    """Arguments of a model that reads `tokens` (B, n), the last n columns of `seen` (B, m): True where
    there is a token, False where there is padding (None: no padding at all).

    encoded: an encoder-decoder's states (B, S, d) and mask (B, S). Its decoder is a T5, which knows
    positions by their distance; a decoder-only model is told where each row's first token stands.
    """
    if config.is_encoder_decoder:
        return dict(encoder_outputs=(encoded[0],), attention_mask=encoded[1],
                    decoder_input_ids=tokens, decoder_attention_mask=seen)
    if seen is None:
        return dict(input_ids=tokens)
    last = getattr(config, "max_position_embeddings", sys.maxsize) - 1  # padding may go beyond it
    positions = (seen.long().cumsum(dim=1) - 1).clamp(0, last)[:, -tokens.shape[1]:]
    return dict(input_ids=tokens, attention_mask=seen, position_ids=positions)


def model_inputs(config, source, source_mask, program):
    """Arguments of a model that reads D (B, S) and W (B, T), both padded on the right. The last 1 + T
    of its states are those that have read D alone, w_1, .. w_T; logits (B, 1 + T, V) are of these.

    Encoder-decoder: D goes into the encoder, start token and W into the decoder. Decoder-only: D and
    W go in as one text; D's padding moves to its left, so that W begins at column S in every row.
    """
    if config.is_encoder_decoder:
        start = program.new_full((len(program), 1), config.decoder_start_token_id)
        return dict(input_ids=source, attention_mask=source_mask, use_cache=False,
                    decoder_input_ids=torch.cat([start, program], dim=1))
    order = source_mask.long().argsort(dim=1, stable=True)  # padding first, then the tokens in order
    seen = torch.cat([source_mask.gather(1, order), torch.ones_like(program, dtype=torch.bool)], dim=1)
    tokens = torch.cat([source.gather(1, order), program], dim=1)
    return dict(reading(config, tokens, seen), use_cache=False,
                logits_to_keep=1 + program.shape[1])  # none of D's own tokens


def model_states(model, source, source_mask, program):
    """(the last layer's states (B, 1 + T, d), the logits of W's tokens (B, T, V)): states[:, 0] has
    read D alone, states[:, t] has consumed w_1 .. w_t."""
    output = model(**model_inputs(model.config, source, source_mask, program),
                   output_hidden_states=True)
    states = (output.decoder_hidden_states if model.config.is_encoder_decoder
              else output.hidden_states)[-1]
    return states[:, -1 - program.shape[1]:], output.logits[:, :-1]


def before_program(model, prompts, pad_id, batch_size):
    """(encoded, openings): what stands before the program when one is written for each prompt, a list
    of ids. encoded: an encoder-decoder's states (B, S, d) and mask (B, S), None for others; its
    encoder reads `batch_size` prompts at once. openings: the tokens that a decoder reads before the
    program's first."""
    if not model.config.is_encoder_decoder:
        return None, prompts
    source, mask = (x.to(model.device) for x in pad(prompts, pad_id))
    states = [model.get_encoder()(input_ids=ids, attention_mask=seen).last_hidden_state
              for ids, seen in zip(source.split(batch_size), mask.split(batch_size))]
    return (torch.cat(states), mask), [[model.config.decoder_start_token_id]] * len(prompts)


def empty_cache(config):
    """Room for the keys and values of the tokens that have been read."""
    cache = DynamicCache()
    return EncoderDecoderCache(cache, DynamicCache()) if config.is_encoder_decoder else cache


def cache_name(model):
    """What this model calls it; newer versions of transformers complain about the old name."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


# --- objective ------------------------------------------------------------------------------------

def token_log_probs(model, batch):
    """log p(w_t | w_<t, D) of the target tokens, (B, T); what stands at padding means nothing."""
    inputs = model_inputs(model.config, batch["source"], batch["source_mask"],
                          batch["target"][:, :-1])
    return chosen_log_probs(model(**inputs).logits, batch["target"])


def chosen_log_probs(logits, tokens):
    """The log-probabilities (B, T) that logits (B, T, V) give these tokens (B, T)."""
    log_p = -F.cross_entropy(logits.flatten(0, 1).float(), tokens.flatten(), reduction="none")
    return log_p.view_as(tokens)


def cross_entropy_loss(log_p, mask, count=None):
    """L_ce = - sum_t log p(w_t | w_<t, D), as a mean over the batch's tokens. log_p, mask: (B, T).

    count: the tokens (for a mean over programs: the programs) of the whole batch, where these rows
    are a part of it (parts_of).
    On repair pairs the same sum is L_ce^repair, where the condition is (D, W_fail, u, c).
    """
    return -(log_p * mask).sum() / (count or mask.sum())  # Eq. (1), Eq. (13)


def learning_rate(step, args):
    """Linear warm-up, then polynomial decay from --lr to --lr-end at the last step."""
    if step <= args.warmup:
        return args.lr * step / args.warmup
    left = 1 - (step - args.warmup) / max(1, args.steps - args.warmup)
    return args.lr_end + (args.lr - args.lr_end) * left ** args.lr_power


def optimizer_step(model, optimizer, step, args):
    """One step of AdamW with the gradients that are there, at most 1 long, at the schedule's rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, args)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if not math.isfinite(norm.full_tensor() if hasattr(norm, "full_tensor") else norm):
        raise UserError(f"step {step}: the gradient is no number any more (it overflows); lower --lr, or "
                        f"give more --warmup, and another --out. The last checkpoint is as it was")
    optimizer.step()
    optimizer.zero_grad()


# --- several processes: torchrun ------------------------------------------------------------------

def start_run(args):
    """(device, newest checkpoint or None) of a trainer's run in --out, whose flags it records.
    Under torchrun: meet the other processes. Process 0 alone speaks and writes."""
    device, checkpoint = pick_device(args.device), newest_checkpoint(args.out)
    if WORLD_SIZE > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo",
                                timeout=timedelta(days=1))  # others wait while one reads a corpus
        atexit.register(dist.destroy_process_group)
    if RANK:
        sys.stdout = open(os.devnull, "w")
    torch.manual_seed(args.seed)
    pin_checkpoints(args)
    if RANK == 0:
        os.makedirs(args.out, exist_ok=True)
        lock(args.out)
    corpus = glob.glob(os.path.join(glob.escape(args.out), "corpus.ends*"))  # of these flags
    started = checkpoint or any(map(os.path.getsize, corpus))
    check_config(os.path.join(args.out, "config.json"), args, started)
    gather(None)  # all processes wait for it
    return device, checkpoint


def gather(value):
    """[value of process 0, value of process 1, ...], in every process."""
    values = [value] * WORLD_SIZE
    if WORLD_SIZE > 1:
        dist.all_gather_object(values, value)
    return values


def distribute(model, args):
    """What the training loop calls in place of the model: it takes the mean of the gradients over the
    processes (DDP), with --shard holds a share of weights, gradients and moments in each (FSDP2), and is
    compiled with --compile. Before the optimizer is made."""
    if args.shard and WORLD_SIZE == 1:
        raise UserError("--shard needs several processes: torchrun --nproc-per-node N")
    language_model = next(part for part in model.modules() if isinstance(part, PreTrainedModel))
    if args.grad_checkpointing:
        # transformers 5.24 has renamed it
        getattr(language_model, "activation_checkpointing_enable",
                language_model.gradient_checkpointing_enable)()
    forward = model
    if args.shard:
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
        for block in list(model.modules()):
            if type(block).__name__ in language_model._no_split_modules:
                fully_shard(block)
        fully_shard(model)
        if hasattr(model, "states"):  # the critic's other entrance
            register_fsdp_forward_method(model, "states")
    elif WORLD_SIZE > 1:
        forward = DistributedDataParallel(model)
        forward.config = language_model.config
    return torch.compile(forward) if args.compile else forward


def parts_of(rows, forward, args):
    """Yield --accumulate parts of this process's share of a batch: (rows, 1.0), or where there are
    too few rows for all (any row, 0.0), a weight for its loss. The parts of all processes together
    are the batch; gradients are exchanged in the last one."""
    for i in range(args.accumulate):
        last = i == args.accumulate - 1
        if args.shard:
            forward.set_requires_gradient_sync(last)
        elif WORLD_SIZE > 1:
            forward.require_backward_grad_sync = last
        mine = rows[i * WORLD_SIZE + RANK::args.accumulate * WORLD_SIZE]
        yield mine or rows[:1], float(bool(mine))


def add_up(*values):
    """Sums of numbers over all processes."""
    return [sum(column) for column in zip(*gather(values))]


# --- checkpoints ----------------------------------------------------------------------------------

def newest_checkpoint(path):
    """The step-NNNNNN directory with the highest number below `path`, or None."""
    names = ([name for name in os.listdir(path) if re.fullmatch(r"step-\d+", name)]
             if os.path.isdir(path) else [])
    return os.path.join(path, max(names, key=lambda name: int(name[5:]))) if names else None


CHECKPOINTS = {"init", "model", "critic", "repairer"}  # flags that name one


def pin_checkpoints(args):
    """Replace the run directories among the flags by their newest checkpoints: what has begun with one
    would not go on with a later one."""
    for key in CHECKPOINTS & vars(args).keys():
        name = getattr(args, key)
        setattr(args, key, name and newest_checkpoint(name) or name)


def read_config(path):
    """The flags that a run has recorded in `path`; none where there is no such file."""
    try:
        with open(path) as file:
            config = json.load(file)
        if "versions" in config:
            return config
    except FileNotFoundError:
        return {}
    except ValueError:
        pass
    raise UserError(f"{path} is not of a run of ours, but a model's, say; choose another --out")


def checksum(path):
    """CRC-32 of a file's content."""
    crc = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            crc = zlib.crc32(chunk, crc)
    return crc


def check_config(path, args, started, ignore=("steps", "device", "accumulate", "shard",
                                              "grad_checkpointing")):
    """Record the flags in `path`, and what the input files are. Where a run has `started`, a UserError
    lists those that differ from its own. Process 0 does it, and the others wait until it has found
    nothing wrong."""
    flags = vars(args)
    files = [flags.get("problems"), flags.get("failed"), *flags.get("programs", ())]
    for key in CHECKPOINTS & flags.keys():  # the same name may be another model, trained anew
        files += sorted(glob.glob(f"{glob.escape(flags[key] or '')}/*.safetensors"))
    config = json.loads(json.dumps(dict(
        flags, inputs={path: checksum(path) for path in filter(None, files)},
        versions={"torch": torch.__version__, "transformers": transformers.__version__})))
    if RANK:
        while read_config(path) != config:
            time.sleep(0.1)
        return
    old = read_config(path)
    changed = [f"--{key.replace('_', '-')} was {old.get(key)!r} and is {config.get(key)!r}"
               for key in sorted(old.keys() | config.keys())
               if key not in (*ignore, "versions", "inputs") and old.get(key) != config.get(key)
               and (key in old or config[key])]  # a flag that is younger than the run, and off
    before = old.get("inputs", {})
    changed += [f"what stands in {file} was something else" for file, now in config["inputs"].items()
                if before.get(file, now) != now]
    if started and old and changed:
        raise UserError(f"{path} is of a run with other flags: {'; '.join(changed)}; "
                        f"use another --out or the old flags")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".tmp", "w") as file:
        json.dump(config, file, indent=1)
    os.replace(path + ".tmp", path)


def save_checkpoint(args, step, model, tokenizer, optimizer, running):
    """Write --out/step-NNNNNN under another name, rename it, then delete the older ones. `state.pt` has
    what a run goes on from, and its flags; where the data stand follows from seed and step (batches).
    model: as it was before distribute(). All processes call it, for a sharded model to be whole."""
    # imported here since it takes a second
    import torch.distributed.checkpoint.state_dict as full
    options = full.StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights, moments = full.get_state_dict(model, optimizer, options=options)
    random_states = gather([torch.get_rng_state(),
                            torch.cuda.get_rng_state() if torch.cuda.is_available() else None])
    if RANK == 0:
        path = os.path.join(args.out, f"step-{step:06d}")
        shutil.rmtree(path + ".tmp", ignore_errors=True)
        model.save_pretrained(path + ".tmp", state_dict=weights)
        tokenizer.save_pretrained(path + ".tmp")
        torch.save({"step": step, "optimizer": moments, "random": random_states,
                    "running": dict(running), "config": vars(args)},
                   os.path.join(path + ".tmp", "state.pt"))
        older = [name for name in os.listdir(args.out) if re.fullmatch(r"step-\d+", name)]
        os.replace(path + ".tmp", path)
        for name in older:
            shutil.rmtree(os.path.join(args.out, name))
    gather(None)


def load_state(checkpoint, model, optimizer, args):
    """(step, running sums) to go on from: without a checkpoint 0 and none, and a new log; else
    restores optimizer and random states and drops log rows past the checkpoint."""
    log, step, running = os.path.join(args.out, "metrics.jsonl"), 0, Counter()
    if RANK:  # other dropout than in process 0
        torch.manual_seed(args.seed + 10000 * RANK)
    if checkpoint:
        import torch.distributed.checkpoint.state_dict as full
        try:
            state = torch.load(os.path.join(checkpoint, "state.pt"), map_location="cpu", weights_only=True)
        except Exception as error:  # of many kinds, by what is torn off
            raise UserError(f"cannot read {checkpoint}/state.pt ({type(error).__name__}), from which the "
                            f"run goes on; choose another --out") from None
        step, running = state["step"], Counter(state["running"])
        full.set_optimizer_state_dict(model, optimizer, state["optimizer"],
                                      options=full.StateDictOptions(full_state_dict=True))
        if RANK < len(state["random"]):  # else it was saved by fewer processes
            on_cpu, on_cuda = state["random"][RANK]
            torch.set_rng_state(on_cpu)
            if on_cuda is not None and torch.cuda.is_available():
                torch.cuda.set_rng_state(on_cuda)
    if RANK == 0:
        open_to_continue(log)[0].close()  # cuts a torn last line off
        write_jsonl(log, (row for _, row in read_jsonl(log) if checkpoint and row["step"] <= step))
    return step, running


def log_metrics(args, step, note="", **row):
    """Append a row to metrics.jsonl and print it; `note` (speed) is printed only,
    so that the file is reproducible."""
    if RANK:
        return
    with open(os.path.join(args.out, "metrics.jsonl"), "a") as file:
        file.write(json.dumps({"step": step, **row}) + "\n")
    shown = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
             for key, value in row.items()]
    print(" | ".join(filter(None, [f"step {step:6d}/{args.steps}", *shown, note])), flush=True)


# --- training loop --------------------------------------------------------------------------------

def learn_ce(forward, pairs, tokenizer, args, device, per_token=True):
    """Gradients of L_ce on a batch, a mean over its tokens (or programs: Eq. 1 sums over t);
    (loss_ce, tokens) of this process's share. The processes' gradients are averaged, so that each divides
    by its part of the count."""
    count = sum(len(pair[1]) if per_token else 1 for pair in pairs) / WORLD_SIZE
    total = tokens = 0
    for part, weight in parts_of(pairs, forward, args):
        batch = collate(part, tokenizer, device)
        with autocast(device):
            log_p = token_log_probs(forward, batch)
            loss_ce = weight * cross_entropy_loss(log_p, batch["target_mask"], count)
        loss_ce.backward()
        total += loss_ce.item() / WORLD_SIZE
        tokens += weight * int(batch["source_mask"].sum() + batch["target_mask"].sum())
    return total, tokens


def train(args):
    device, checkpoint = start_run(args)
    texts = None
    if args.init == "mini" and not checkpoint:
        texts = list(corpus_texts(args.corpus))
        if args.problems:
            texts += [build_prompt(problem) + code
                      for problem in read_problems(args.problems).values()
                      for code in problem.solutions or [""]]
    tokenizer, model = load_model(checkpoint or args.init, device,
                                  args.max_source + args.max_target, texts)
    train_pairs, held_out = make_pairs(args, tokenizer)
    forward = distribute(model, args)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.weight_decay,
                                  fused=True)
    step, running = load_state(checkpoint, model, optimizer, args)
    if not checkpoint:
        print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters, "
              f"{len(tokenizer)} tokens, on {device}")
    coming, started = batches(train_pairs, step, args), time.time()
    while step < args.steps:
        step, (epoch, rows) = step + 1, next(coming)
        model.train()
        loss_ce, tokens = add_up(*learn_ce(forward, rows, tokenizer, args, device))
        optimizer_step(model, optimizer, step, args)
        running.update(loss=loss_ce, tokens=int(tokens), steps=1, all_tokens=int(tokens))
        if step % args.log_every == 0 or step == args.steps:
            seconds, started = time.time() - started, time.time()
            log_metrics(args, step, f"{running['tokens'] / seconds:.0f} tokens/s",
                        loss_ce=running["loss"] / running["steps"], lr=learning_rate(step, args),
                        epoch=epoch, tokens=running["all_tokens"])
            running = Counter(all_tokens=running["all_tokens"])
        if step % args.save_every == 0 or step == args.steps:
            if held_out:
                log_metrics(args, step, loss_held_out=held_out_loss(
                    model, held_out, tokenizer, args.batch_size, device))
            save_checkpoint(args, step, model, tokenizer, optimizer, running)
    print(f"done: {newest_checkpoint(args.out)}")


@torch.no_grad()
def held_out_loss(model, pairs, tokenizer, batch_size, device):
    """Mean cross-entropy per token, dropout off."""
    model.eval()
    total, count = 0.0, 0
    pairs = sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))
    for i in range(0, len(pairs), batch_size):
        batch = collate(pairs[i:i + batch_size], tokenizer, device)
        with autocast(device):
            log_p = token_log_probs(model, batch)
        total -= (log_p * batch["target_mask"]).sum().item()
        count += int(batch["target_mask"].sum())
    return total / count


# --- command line ---------------------------------------------------------------------------------

def add_trainer_flags(parser, need_problems=True, need_programs=False):
    """The flags that mean the same in every trainer."""
    g = parser.add_argument_group("every trainer takes these")
    g.add_argument("--init", required=True, metavar="NAME_OR_DIR",
                   help="start from this checkpoint, run directory or hub name")
    g.add_argument("--problems", required=need_problems, metavar="FILE",
                   help="problem records (see sandbox.py)")
    g.add_argument("--out", required=True, metavar="DIR",
                   help="what this stage writes; what is there already is continued")
    g.add_argument("--steps", type=whole(1), default=1000, help="optimizer steps in all")
    g.add_argument("--batch-size", type=whole(1), default=64, help="pairs or programs a step")
    g.add_argument("--lr", type=number(0), default=2e-5, help="peak learning rate")
    g.add_argument("--save-every", type=whole(1), default=200,
                   help="steps between checkpoints, of which only the newest is kept")
    g.add_argument("--log-every", type=whole(1), default=20, help="steps between log lines")
    g.add_argument("--seed", type=whole(0), default=0, help="of all that is random")
    g.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    g.add_argument("--held-out", type=fraction, default=0.02,
                   help="share of files or problems that are measured on, not learned from")
    g.add_argument("--programs", nargs="+", required=need_programs, default=[], metavar="FILE",
                   help="program records; several files are taken as one. Trainers want them judged")
    g = parser.add_argument_group("lengths and schedule")
    g.add_argument("--max-source", type=whole(1), default=600,
                   help="tokens of the prompt, where a statement that is too long loses its end; "
                   "the paper pretrains with 768")
    g.add_argument("--max-target", type=whole(1), default=512,
                   help="tokens of a program; the paper pretrains with 600")
    g.add_argument("--warmup", type=whole(0), default=0, help="steps of linear warm-up; "
                   "the paper: 1000 in pretraining, 500 in the warm start")
    g.add_argument("--lr-end", type=number(0), default=0.0,
                   help="learning rate at the last step; the paper's warm start: 1e-5")
    g.add_argument("--lr-power", type=number(0), default=1.0,
                   help="power of the decay; the paper's warm start: 0.5")
    g.add_argument("--weight-decay", type=number(0), default=0.05, help="of AdamW")
    g.add_argument("--compile", action="store_true", help="torch.compile the model")
    g.add_argument("--accumulate", type=whole(1), default=1, metavar="N",
                   help="go through a batch in N parts: less memory, the same gradient")
    g.add_argument("--grad-checkpointing", action="store_true",
                   help="keep no activations inside a layer: less memory, a third more time")
    g.add_argument("--shard", action="store_true",
                   help="under torchrun: a share of the weights in each process (FSDP2), not all")


def parse_args(argv=None):
    p = make_parser(__doc__)
    add_trainer_flags(p, need_problems=False)  # NTP and MSP have a corpus
    g = p.add_argument_group("the task")
    g.add_argument("--task", required=True, choices=["ntp", "msp", "warmstart", "repair"],
                   help="what the pairs are (see above)")
    g.add_argument("--corpus", nargs="+", default=[], metavar="PATH",
                   help="directories of Python files, and .jsonl or .parquet files with code in their "
                   "rows; none: the standard library's sources")
    g.add_argument("--pivot", nargs=2, type=fraction, default=[0.1, 0.9], metavar=("LOW", "HIGH"),
                   help="shares of a window between which NTP cuts it")
    g.add_argument("--corruption", type=fraction, default=0.15,
                   help="share of a window's tokens that MSP masks")
    g.add_argument("--mean-span", type=number(1), default=3.0,
                   help="tokens of a masked span, on average")
    g.add_argument("--repair-target", choices=["nearest", "random"], default="nearest",
                   help="the ground truth that a failed program is repaired to: the one that is most "
                   "like it, or any")
    args = p.parse_args(argv)
    if args.task in ("warmstart", "repair") and not args.problems:
        p.error(f"--task {args.task} needs --problems")
    if args.task == "repair" and not args.programs:
        p.error("--task repair needs --programs, judged by evaluate.py")
    if args.task != "repair" and args.programs:
        p.error(f"--task {args.task} learns from no --programs; leave them out")
    if args.pivot[0] > args.pivot[1]:
        p.error("--pivot wants the lower share first, as in --pivot 0.1 0.9")
    return args


def main(argv=None):
    train(parse_args(argv))


if __name__ == "__main__":
    run_main(main)

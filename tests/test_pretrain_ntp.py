"""Pairs, prompts, the loss and checkpoints of pretrain_ntp.py."""
import argparse
import fcntl
import itertools
import json
import os
import shutil
from unittest.mock import Mock

import numpy as np
import pytest
import tokenizers
import torch
import torch.nn.functional as F
import transformers

import pretrain_ntp
import sample
from conftest import LAYOUTS
from pretrain_ntp import (bucket, build_prompt, chosen_log_probs, collate, cross_entropy_loss,
                          decode_program, encode_program, encode_prompt, learning_rate, load_model,
                          main, model_states, msp_pair, nearest_solution, newest_checkpoint,
                          ntp_pair, parse_args, split, token_log_probs)
from sandbox import Problem, Program, UserError

CPU = torch.device("cpu")


# --- pairs ----------------------------------------------------------------------------------------

def test_the_ntp_pivot_lies_between_10_and_90_percent_and_reaches_both_ends():
    """Catches a pivot that leaves encoder or decoder empty, and a left part cut at its near end."""
    rng, window = np.random.default_rng(0), list(range(20))
    pivots = set()
    for _ in range(2000):
        left, right = ntp_pair(window, 99, 99, rng)
        assert left + right == window
        pivots.add(len(left))
    assert pivots == set(range(2, 19))  # 10 % and 90 % of 20
    narrow = {len(ntp_pair(window, 99, 99, rng, pivot=(0.4, 0.6))[0]) for _ in range(200)}
    assert narrow == {8, 9, 10, 11, 12}  # --pivot 0.4 0.6
    assert {len(ntp_pair(window, 99, 99, rng, pivot=(0.52, 0.53))[0]) for _ in range(9)} == {11}  # no whole token between
    left, right = ntp_pair(window, 1, 1, rng)
    assert right == [left[0] + 1]  # what is cut is far from the pivot


def test_msp_masks_15_percent_in_spans_and_loses_nothing():
    """Catches a lost or doubled token: source and target, merged at their sentinels,
    are the window again."""
    rng, window, sentinels = np.random.default_rng(0), list(range(1000, 1100)), list(range(100))
    source, target = msp_pair(window, sentinels, rng)
    assert sum(t >= 1000 for t in target) == 15
    spans = {}
    for t in target:
        if t < 1000:
            sentinel = t
            spans[sentinel] = []
        else:
            spans[sentinel].append(t)
    assert len(spans) == 5 + 1 and spans[5] == []  # five of mean length 3, and a closing sentinel
    merged = [token for s in source for token in (spans[s] if s < 1000 else [s])]
    assert merged == window
    source, target = msp_pair(window, sentinels, rng, corruption=0.4, mean_span=8)
    assert sum(t >= 1000 for t in target) == 40 and sum(t < 1000 for t in target) == 5 + 1


def test_the_repair_target_is_the_nearest_ground_truth():
    """Catches a random or first choice: the second solution differs by one character."""
    assert nearest_solution("print(a+b)", ("import sys\nfor l in sys.stdin: pass",
                                           "print(a-b)", "print(a-b) ")) == "print(a-b)"


# --- prompts and tokens ---------------------------------------------------------------------------

def test_prompts_as_the_docstring_shows_them():
    """Catches a template that drifts;
    the form is told by the starter code, never by the hidden tests."""
    stdin = Problem(1, "Print n + 1.", input_output={"inputs": [], "outputs": [], "fn_name": "f"})
    assert build_prompt(stdin) == ("\nQUESTION:\nPrint n + 1.\n\n"
                                   "Use Standard Input format\nANSWER:\n")
    call = Problem(1, "Return n + 1.", starter_code="def f(n):\n")
    assert build_prompt(call) == ("\nQUESTION:\nReturn n + 1.\ndef f(n):\n\n\n"
                                  "Use Call-Based format\nANSWER:\n")
    failed = Program(1, "print(n)", outcome="runtime_error", error="NameError")
    assert build_prompt(stdin, failed) == (
        "\nQUESTION:\nPrint n + 1.\n\nUse Standard Input format\n"
        "ERROR TYPE: runtime_error (NameError)\nBUGGY PROGRAM:\nprint(n)\nANSWER:\n")
    indented = build_prompt(stdin, Program(1, "  print(n)\n", outcome="compile_error"))
    assert "\nERROR TYPE: compile_error\nBUGGY PROGRAM:\n  print(n)\nANSWER:\n" in indented


def test_a_long_statement_loses_its_end_and_never_the_tail_of_the_prompt(tiny_model):
    """Catches the released code's cut at the right end, which loses "ANSWER:"."""
    tokenizer, _ = load_model(tiny_model, CPU)
    ids = encode_prompt(tokenizer, Problem(1, "abc " * 200), 60)
    assert 50 < len(ids) <= 60
    assert decode_program(tokenizer, ids).endswith("\n\nUse Standard Input format\nANSWER:\n")
    assert decode_program(tokenizer, ids).startswith("\nQUESTION:\nabc abc")


def test_the_statement_gives_way_before_the_failed_program(tiny_model):
    """Catches a cut that takes the program or the error, which the statement's end is worth less than;
    only a program that is too long by itself loses its beginning."""
    tokenizer, _ = load_model(tiny_model, CPU)
    failed = Program(1, "print(n)\nprint(input())", outcome="runtime_error", error="NameError")
    ids = encode_prompt(tokenizer, Problem(1, "abc " * 200), 140, failed)
    text, tail = decode_program(tokenizer, ids), build_prompt(Problem(1, ""), failed)
    assert 130 < len(ids) <= 140
    assert text.startswith("\nQUESTION:\nabc") and text.endswith(tail[len("\nQUESTION:\n"):])
    failed.code = "a\n" * 200 + failed.code
    ids = encode_prompt(tokenizer, Problem(1, "abc " * 200), 140, failed)
    assert len(ids) == 140 and decode_program(tokenizer, ids).endswith(
        "print(n)\nprint(input())\nANSWER:\n")


@pytest.mark.parametrize("text", ["x != y\n\tif a :\n", "print('€ \\n')", "1234567",
                                  "  \n\n   a  ", "s = '</s>' + '<pad>' + '<extra_id_3>'"])
def test_any_text_survives_the_tokenizer(tiny_model, text):
    """Catches a space put in front, a tokenizer that cleans spaces up (` != ` was `!= ` there), or that
    takes the text of a special token for one: a program would end in its middle."""
    tokenizer, _ = load_model(tiny_model, CPU)
    ids = encode_program(tokenizer, text, 999)
    assert decode_program(tokenizer, ids) == text and ids.index(tokenizer.eos_token_id) == len(ids) - 1
    assert text.strip() in decode_program(tokenizer, encode_prompt(tokenizer, Problem(1, text), 999))


def test_every_item_is_in_one_batch_and_batches_are_of_like_length():
    """Catches lost remainders and wasted padding: of sources, of targets, or (sorted by the sum) of both."""
    lengths = [(20 + i % 50, 20 + 7 * i // 50 % 50) for i in range(1003)]
    batches = bucket(lengths, 10, np.random.default_rng(0))
    assert sorted(i for batch in batches for i in batch) == list(range(1003))
    assert len(batches) == 101
    for side in (0, 1):
        padded = sum(len(batch) * max(lengths[i][side] for i in batch) for batch in batches)
        assert padded < 1.28 * sum(length[side] for length in lengths)


# --- the loss -------------------------------------------------------------------------------------

@pytest.mark.parametrize("layout", LAYOUTS)
def test_log_probs_are_those_of_the_model_and_padding_changes_nothing(tiny_models, layout):
    """Catches a target that is not shifted, a missing mask and wrong positions: a short pair beside a
    long one has the same loss, and it is that of the plain model, which is given no mask at all."""
    tokenizer, model = load_model(tiny_models[layout], CPU)
    model.eval()
    D, W = [5, 6], [7, 8, 1]
    with torch.no_grad():
        both = collate([(D, W), ([5, 6] + 9 * [9], [7] + 9 * [9] + [1])], tokenizer, "cpu")
        alone = collate([(D, W)], tokenizer, "cpu")
        if model.config.is_encoder_decoder:
            logits = model(input_ids=torch.tensor([D]),
                           decoder_input_ids=torch.tensor([[0, 7, 8]])).logits[0]
        else:  # what stands after 6, 7 and 8
            logits = model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits[0, 1:]
        wanted = F.log_softmax(logits, dim=-1)[[0, 1, 2], W]
        torch.testing.assert_close(token_log_probs(model, alone)[0, :3], wanted)
        torch.testing.assert_close(token_log_probs(model, both)[0, :3], wanted, atol=1e-5, rtol=0)
        h, logits = model_states(model, both["source"], both["source_mask"], both["target"])
        torch.testing.assert_close(chosen_log_probs(logits, both["target"])[0, :3], wanted, atol=1e-5,
                                   rtol=0)
        # the last layer's states, from which the logits come; 11 tokens, padded to a multiple of 8
        assert h.shape == (2, 1 + 16, 32)
        logits = model.get_output_embeddings()(
            h[0] * (32 ** -0.5 if model.config.is_encoder_decoder else 1))
        torch.testing.assert_close(F.log_softmax(logits, dim=-1)[[0, 1, 2], W], wanted, atol=1e-5,
                                   rtol=0)


@pytest.mark.parametrize("layout, limit", [("GPT2", 640), ("CodeGen", 640), ("GPTNeo", 624)])
def test_padding_may_go_beyond_the_last_position(tiny_models, layout, limit):
    """Catches positions that these models, with 640 of them, have not got: 637 tokens and a program of 3.
    GPT-Neo's own attention has no room for padding beyond, and keeps 16 free."""
    tokenizer, model = load_model(tiny_models[layout], CPU, limit)
    batch = collate([([5] * (limit - 3), [7, 8, 1])], tokenizer, "cpu")
    assert token_log_probs(model, batch).shape == (1, 8)
    with pytest.raises(UserError, match=f"at most {limit} tokens"):
        load_model(tiny_models[layout], CPU, limit + 1)


def test_a_model_with_too_few_positions_is_refused_before_any_work(tiny_models, tmp_path):
    """GPT-2 here has 640: a statement of 600 tokens leaves no room for a program of 512."""
    with pytest.raises(UserError, match="at most 640 tokens"):
        main(["--task", "ntp", "--init", tiny_models["GPT2"], "--out", str(tmp_path)])
    assert os.listdir(tmp_path) == ["config.json"]
    (tmp_path / "p.jsonl").write_text('{"problem_id": 1, "question": "?"}\n')
    with pytest.raises(UserError, match="at most 640 tokens"):
        sample.main(["--model", tiny_models["GPT2"], "--problems", str(tmp_path / "p.jsonl"),
                     "--out", str(tmp_path / "s.jsonl")])


def test_a_model_without_a_cache_of_keys_and_values_is_refused(tiny_models, tmp_path):
    """Catches a Mamba, which trains, and whose programs cannot be sampled afterwards."""
    tokenizer, _ = load_model(tiny_models["Qwen2"], CPU)
    transformers.MambaForCausalLM(transformers.MambaConfig(
        vocab_size=len(tokenizer), hidden_size=16, state_size=4, num_hidden_layers=1)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="something else than keys and values"):
        load_model(str(tmp_path), CPU)


def test_a_tokenizer_that_loses_white_space_is_refused(tiny_models, tmp_path):
    """Catches T5's own, with which every program of two lines becomes one that does not compile."""
    tokenizer, model = load_model(tiny_models["T5"], CPU)
    tokenizer.backend_tokenizer.normalizer = tokenizers.normalizers.Replace(tokenizers.Regex(r"\s+"), " ")
    tokenizer.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="loses white space"):
        load_model(str(tmp_path), CPU)


def test_what_pads_is_learned_where_it_also_ends_a_program(tiny_models, tmp_path):
    """Catches a model whose end of sequence is learned until a checkpoint names it as padding, too: a run
    that was killed would end otherwise."""
    tokenizer, model = load_model(tiny_models["Qwen2"], CPU)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load_model(str(tmp_path), CPU)[1].get_input_embeddings().padding_idx is None


def test_an_encoder_decoder_that_counts_positions_is_refused(tiny_models, tmp_path):
    """Catches a BART, whose decoder would count the padding before a seed, and has no position 100."""
    tokenizer, _ = load_model(tiny_models["T5"], CPU)
    transformers.BartForConditionalGeneration(transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16,
        decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2,
        max_position_embeddings=64)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="counts positions"):
        load_model(str(tmp_path), CPU, 32)


def test_the_loss_is_the_mean_over_real_tokens():
    """Three real tokens with log-probabilities -1, -2, -6: the loss is 3,
    whatever stands at padding."""
    log_p = torch.tensor([[-1.0, -2.0], [-6.0, -99.0]])
    assert cross_entropy_loss(log_p, torch.tensor([[True, True], [True, False]])).item() == 3.0


def test_the_learning_rate_warms_up_and_decays_to_its_end():
    """Catches an off-by-one at the joints; the paper's warm start: 500 steps up,
    then power 0.5 down to half."""
    args = type("Args", (), dict(lr=2e-5, lr_end=1e-5, lr_power=0.5, warmup=500, steps=1500))
    assert learning_rate(250, args) == pytest.approx(1e-5)
    assert learning_rate(500, args) == pytest.approx(2e-5)
    assert learning_rate(1250, args) == pytest.approx(1e-5 + 1e-5 * 0.25 ** 0.5)
    assert learning_rate(1500, args) == pytest.approx(1e-5)


def test_a_step_without_a_gradient_changes_nothing():
    """Catches a crash under --shard where a round of --on-policy has nothing to learn from: the norm of no
    gradients is a plain tensor."""
    model = torch.nn.Linear(2, 2)
    before = model.weight.clone()
    args = type("Args", (), dict(lr=1.0, lr_end=0.0, lr_power=1.0, warmup=0, steps=9, shard=True))
    pretrain_ntp.optimizer_step(model, torch.optim.AdamW(model.parameters()), 1, args)
    assert torch.equal(model.weight, before)


# --- checkpoints ----------------------------------------------------------------------------------

PROBLEMS = [{"problem_id": i, "question": f"Print {i}.", "solutions": [f"print({i})\n"],
             "input_output": {"inputs": [""], "outputs": [f"{i}\n"]}} for i in range(12)]


@pytest.fixture
def warmstart(tiny_model, tmp_path):
    """A function that runs the warm start on twelve toy problems into tmp_path/NAME
    and returns its log."""
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(problem) + "\n" for problem in PROBLEMS))

    def run(name, steps, *more):
        main(["--task", "warmstart", "--init", tiny_model, "--problems", str(path),
              "--out", str(tmp_path / name), "--steps", str(steps), "--batch-size", "4",
              "--save-every", "5", "--log-every", "2", "--lr", "1e-3", "--held-out", "0.2", *more])
        return (tmp_path / name / "metrics.jsonl").read_text()
    return run


def test_all_stages_hold_out_the_same_problems(tiny_model, tmp_path):
    """Catches a warm start that learned the solutions that RL and the critic are measured with: the
    share is of all problems, though only every other one has a solution."""
    rows = [{**PROBLEMS[0], "problem_id": i, "solutions": [f"print({i})\n"] * (i % 2)}
            for i in range(100)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = parse_args(["--task", "warmstart", "--init", "x", "--problems", str(tmp_path / "p.jsonl"),
                       "--out", "x", "--held-out", "0.3"])
    tokenizer, _ = load_model(tiny_model, CPU)
    held = split(100, 0.3)
    _, pairs = pretrain_ntp.make_pairs(args, tokenizer)
    assert [decode_program(tokenizer, target) for _, target in pairs] == [
        f"print({i})\n" for i in range(100) if held[i] and i % 2]
    assert held[split(100, 0.1)].all() and (held[:50] == split(50, 0.3)).all() and 20 < held.sum() < 40


def test_a_program_that_passed_stands_for_a_ground_truth_that_is_missing(tiny_model, tmp_path):
    """Catches failed programs that are left out because their problem has no solution, ones repaired to
    a program that failed, too, and a program in the place of a ground truth that is there."""
    problems = [{**PROBLEMS[0], "problem_id": name, "solutions": solutions} for name, solutions in (
        ("solved", ["print(1)\n"]), ("unsolved", []), ("hopeless", []))]
    programs = [{"problem_id": name, "code": code, "outcome": outcome} for name, code, outcome in (
        ("solved", "print(0 + 2)\n", "failed_test"), ("solved", "print(0 + 1)\n", "passed_test"),
        ("unsolved", "print(3)\n", "failed_test"), ("unsolved", "print(2)\n", "passed_test"),
        ("unsolved", "print(3\n", "compile_error"), ("hopeless", "print(4)\n", "failed_test"))]
    for name, rows in (("problems", problems), ("programs", programs)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = parse_args(["--task", "repair", "--init", "x", "--problems", str(tmp_path / "problems"), "--out",
                       "x", "--programs", str(tmp_path / "programs"), "--held-out", "0"])
    tokenizer, _ = load_model(tiny_model, CPU)
    pairs, _ = pretrain_ntp.make_pairs(args, tokenizer)
    assert [decode_program(tokenizer, target) for _, target in pairs(0)] == [
        "print(1)\n", "print(2)\n", "print(2)\n"]


def test_ten_steps_are_five_steps_and_five_more(warmstart, monkeypatch):
    """Catches optimizer, dropout state, data position or running sums lost at a checkpoint:
    the logs are equal to the bit."""
    straight = warmstart("straight", 10)
    save = pretrain_ntp.save_checkpoint

    def save_and_stop(*args):
        save(*args)
        raise KeyboardInterrupt
    monkeypatch.setattr(pretrain_ntp, "save_checkpoint", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        warmstart("parts", 10)
    monkeypatch.setattr(pretrain_ntp, "save_checkpoint", save)
    assert warmstart("parts", 10) == straight and len(straight.splitlines()) == 7


def test_a_checkpoint_knows_the_flags_of_its_run(warmstart, tmp_path):
    """Catches a checkpoint that, once it has been moved, cannot say how it was made."""
    warmstart("run", 5)
    state = torch.load(tmp_path / "run" / "step-000005" / "state.pt", weights_only=True)
    flags = json.loads((tmp_path / "run" / "config.json").read_text())
    flags.pop("versions")
    assert list(flags.pop("inputs")) == [flags["problems"], flags["init"] + "/model.safetensors"]
    assert state["step"] == 5 and state["config"] == flags and len(state["random"]) == 1


def test_each_process_goes_on_with_its_own_random_numbers(warmstart, tmp_path, monkeypatch):
    """Catches one state for all processes, or new seeds: dropout would not go on as it was."""
    torch.manual_seed(5)
    others = torch.get_rng_state()
    monkeypatch.setattr(pretrain_ntp, "gather", lambda value: (
        [value, [others, None]] if isinstance(value, list) else [value]))
    warmstart("run", 5)
    _, model = load_model(str(tmp_path / "run"), CPU)
    monkeypatch.setattr(pretrain_ntp, "RANK", 1)
    path, args = newest_checkpoint(str(tmp_path / "run")), argparse.Namespace(out=str(tmp_path), seed=0)
    pretrain_ntp.load_state(path, model, torch.optim.AdamW(model.parameters()), args)
    assert torch.equal(torch.get_rng_state(), others)


def test_a_gradient_that_overflows_ends_the_run_before_it_is_saved(warmstart, tmp_path):
    """Catches nan that is learned from, and saved in place of the last good checkpoint."""
    with pytest.raises(UserError, match="step 2: the gradient is no number any more"):
        warmstart("run", 5, "--lr", "1e9")
    assert newest_checkpoint(str(tmp_path / "run")) is None


def test_other_processes_wait_until_the_flags_are_theirs(tmp_path, monkeypatch):
    """Catches a process that writes its programs while process 0 finds that the run has other flags."""
    path, args = tmp_path / "config.json", argparse.Namespace(temperature=0.5)
    monkeypatch.setattr(pretrain_ntp, "RANK", 0)
    pretrain_ntp.check_config(str(path), argparse.Namespace(temperature=0.6), started=False)
    monkeypatch.setattr(pretrain_ntp, "RANK", 1)

    def process_0(_):
        text = path.read_text()
        assert "0.6" in text  # so it has not gone on
        path.write_text(text.replace("0.6", "0.5"))
    monkeypatch.setattr(pretrain_ntp.time, "sleep", process_0)
    pretrain_ntp.check_config(str(path), args, started=True)
    assert "0.5" in path.read_text()


def test_a_flag_that_is_younger_than_a_run_is_off_in_it(tmp_path):
    """Catches a run that no command can continue since a flag was added; only without it can one."""
    path = str(tmp_path / "config.json")
    pretrain_ntp.check_config(path, argparse.Namespace(seed=1), started=False)
    with pytest.raises(UserError, match="--prefixes was None and is True"):
        pretrain_ntp.check_config(path, argparse.Namespace(seed=1, prefixes=True), started=True)
    pretrain_ntp.check_config(path, argparse.Namespace(seed=1, prefixes=False), started=True)


def test_the_files_of_a_model_are_not_written_over(warmstart, tiny_model, tmp_path):
    """Catches flags in place of a model's config.json, without which it cannot be opened."""
    shutil.copytree(tiny_model, tmp_path / "model")
    with pytest.raises(UserError, match="config.json is not of a run of ours"):
        warmstart("model", 5)
    load_model(str(tmp_path / "model"), CPU)


def test_a_kill_during_a_save_keeps_the_previous_checkpoint(warmstart, tmp_path, monkeypatch):
    """Catches a save that writes over its only checkpoint."""
    straight = warmstart("straight", 10)
    replace = os.replace

    def die(source, target):
        if target.endswith("step-000010"):
            raise KeyboardInterrupt
        replace(source, target)
    monkeypatch.setattr(pretrain_ntp.os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        warmstart("killed", 10)
    assert newest_checkpoint(str(tmp_path / "killed")).endswith("step-000005")
    monkeypatch.setattr(pretrain_ntp.os, "replace", replace)
    assert warmstart("killed", 10) == straight


def test_a_changed_flag_stops_with_the_difference(warmstart):
    """Catches a run that silently goes on with another learning rate."""
    warmstart("run", 2)
    with pytest.raises(UserError, match="--weight-decay was 0.05 and is 0.5"):
        warmstart("run", 4, "--weight-decay", "0.5")


def test_a_changed_input_stops_what_it_would_be_mixed_into(warmstart, tmp_path):
    """Catches a run that goes on, and says nothing, with other problems under the same name."""
    warmstart("run", 5)
    path = tmp_path / "problems.jsonl"
    path.write_text(path.read_text().replace("Print", "Write", 1))
    with pytest.raises(UserError, match="what stands in .*problems.jsonl was something else"):
        warmstart("run", 10)


def test_a_start_that_was_trained_anew_is_another_start(warmstart, tmp_path):
    """Catches a stage that finds nothing to do when those before it were run again with other flags: the
    new checkpoint has the old one's name."""
    warmstart("first", 5)
    warmstart("second", 5, "--init", str(tmp_path / "first"))
    shutil.rmtree(tmp_path / "first")
    warmstart("first", 5, "--lr", "0.5")
    with pytest.raises(UserError, match="what stands in .*first/step-000005/model.safetensors was something"):
        warmstart("second", 10, "--init", str(tmp_path / "first"))


def test_a_later_checkpoint_of_the_start_is_another_start(warmstart, tmp_path):
    """Catches a reference (--kl) that moves when a run is continued after its --init was."""
    warmstart("first", 5)
    warmstart("second", 5, "--init", str(tmp_path / "first"))
    warmstart("first", 10)
    with pytest.raises(UserError, match="--init was .*step-000005' and is .*step-000010"):
        warmstart("second", 10, "--init", str(tmp_path / "first"))


def test_another_process_in_the_same_run_is_refused(warmstart, tmp_path):
    """Catches two trainers that write one log, and delete each other's checkpoints."""
    (tmp_path / "run").mkdir()
    held = os.open(tmp_path / "run", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="run: another process is writing there"):
        warmstart("run", 5)
    os.close(held)
    warmstart("run", 5)


def test_a_torn_checkpoint_and_one_without_all_weights_are_refused(warmstart, tmp_path, tiny_model):
    """Catches a traceback, and random numbers in place of the weights that are missing."""
    from safetensors.torch import load_file, save_file
    warmstart("run", 5)
    (tmp_path / "run" / "step-000005" / "state.pt").write_bytes(b"half")
    with pytest.raises(UserError, match="cannot read .*step-000005/state.pt"):
        warmstart("run", 10)
    shutil.copytree(tiny_model, tmp_path / "part")
    weights = load_file(tmp_path / "part" / "model.safetensors")
    save_file({name: weight for name, weight in weights.items() if "decoder.block.1" not in name},
              tmp_path / "part" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="lacks weights .*decoder.block.1"):
        load_model(str(tmp_path / "part"), CPU)


def test_a_checkpoints_own_habits_of_decoding_are_left_behind(tiny_model, tmp_path):
    """Catches a beam search under a penalty that the checkpoint came with."""
    shutil.copytree(tiny_model, tmp_path / "strange")
    (tmp_path / "strange" / "generation_config.json").write_text(json.dumps(
        {"repetition_penalty": 3.0, "no_repeat_ngram_size": 2, "decoder_start_token_id": 0}))
    beams = []
    for name in (tiny_model, str(tmp_path / "strange")):
        tokenizer, model = load_model(name, CPU)
        beams.append(sample.generate(model.eval(), [[5, 6, 7]], 3, 12, method="beam"))
    assert beams[0] == beams[1]


def test_a_mini_model_opens_in_plain_transformers(tmp_path):
    """Catches a tokenizer or model that only our own code can load;
    also runs NTP, MSP and the corpus file."""
    from transformers import AutoTokenizer, T5ForConditionalGeneration
    (tmp_path / "corpus").mkdir()
    for i in range(30):
        (tmp_path / "corpus" / f"{i}.py").write_text(f"def f{i}(x):\n    return x + {i}\n" * 5)
    for task in ("ntp", "msp"):
        main(["--task", task, "--init", "mini", "--corpus", str(tmp_path / "corpus"),
              "--out", str(tmp_path / task), "--steps", "2", "--batch-size", "2",
              "--max-source", "24", "--max-target", "24", "--held-out", "0.2", "--log-every", "1"])
    path = newest_checkpoint(str(tmp_path / "ntp"))
    tokenizer, model = (AutoTokenizer.from_pretrained(path),
                        T5ForConditionalGeneration.from_pretrained(path))
    assert tokenizer.decode(tokenizer("def f(x):\n    return 12\n").input_ids) == (
        "def f(x):\n    return 12\n")
    assert 1e6 < sum(p.numel() for p in model.parameters()) < 3e6
    ids, starts = pretrain_ntp.tokenize_corpus([], tokenizer, str(tmp_path / "ntp"), anew=False)
    assert isinstance(ids, np.memmap) and len(ids) == starts[-1]  # opened, not made again


def test_span_prediction_without_sentinels_is_refused(tmp_path, tiny_model):
    """Catches spans that are all masked by the same unknown token."""
    shutil.copytree(tiny_model, tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = tmp_path / "model" / name
        path.write_text(path.read_text().replace("extra_id", "other"))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.py").write_text("x = 1\n" * 9)
    with pytest.raises(UserError, match="no sentinels"):
        main(["--task", "msp", "--init", str(tmp_path / "model"), "--corpus", str(tmp_path / "corpus"),
              "--out", str(tmp_path / "out")])


def test_a_tokenizer_trained_anew_reads_the_corpus_anew(tmp_path, monkeypatch):
    """Catches ids of the tokenizer of a killed run, whose corpus was another one, under a new one."""
    (tmp_path / "corpus").mkdir()
    text = tmp_path / "corpus" / "a.py"
    flags = ["--task", "ntp", "--init", "mini", "--corpus", str(tmp_path / "corpus"), "--steps", "1",
             "--out", str(tmp_path / "out"), "--max-source", "9", "--max-target", "9", "--held-out", "0"]
    text.write_text("first = 1\n" * 99)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pretrain_ntp, "learn_ce", Mock(side_effect=KeyboardInterrupt))
        main(flags)
    text.write_text("second = 2\n" * 99)
    main(flags)
    tokenizer, _ = load_model(str(tmp_path / "out"), CPU)
    ids = np.fromfile(tmp_path / "out" / "corpus.ids", dtype=np.uint32)
    assert decode_program(tokenizer, ids) == "second = 2\n" * 99


def test_a_killed_run_keeps_what_it_has_tokenized(tmp_path, tiny_model, monkeypatch):
    """Catches a corpus that is begun anew, one with a text twice or left out, and other flags for the rest of
    it. Five texts; killed at the third, of which a part is written."""
    (tmp_path / "corpus").mkdir()
    for i in range(5):
        (tmp_path / "corpus" / f"{i}.py").write_text(f"text = {i}\n")
    flags = ["--task", "ntp", "--init", tiny_model, "--corpus", str(tmp_path / "corpus"), "--steps", "1",
             "--out", str(tmp_path), "--max-source", "9", "--max-target", "9", "--held-out", "0"]
    tokenizer, _ = load_model(tiny_model, CPU)
    corpus_texts, read = pretrain_ntp.corpus_texts, []

    def killed(paths):
        yield from itertools.islice(corpus_texts(paths), 2)
        raise KeyboardInterrupt

    def encode(tokenizer, text, most):
        read.append(text)
        return encode_program(tokenizer, text, most)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pretrain_ntp, "corpus_texts", killed)
        main(flags)
    with open(tmp_path / "corpus.ids", "ab") as file:
        file.write(b"torn")
    with pytest.raises(UserError, match="--pivot was"):
        main(flags + ["--pivot", "0.5", "0.5"])
    monkeypatch.setattr(pretrain_ntp, "encode_program", encode)
    ids, starts = pretrain_ntp.tokenize_corpus([str(tmp_path / "corpus")], tokenizer, str(tmp_path), anew=False)
    assert [ids[a:b].tolist() for a, b in zip(starts, starts[1:])] == [
        encode_program(tokenizer, f"text = {i}\n", 99) for i in range(5)]
    assert len(ids) == starts[-1] and read == [f"text = {i}\n" for i in (2, 3, 4)]


def test_a_corpus_is_directories_and_files_of_rows(tmp_path, tiny_model):
    """Catches an order that changes, an empty file that becomes a text, a row of another key."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.py").write_text("two")
    (tmp_path / "b" / "1.py").write_text("one")
    (tmp_path / "b" / "empty.py").write_text("")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"content": "three"}\n{"code": ""}\n{"code": "four", "text": "five"}\n')
    paths = [str(rows), str(tmp_path / "b")]
    assert list(pretrain_ntp.corpus_texts(paths)) == ["three", "four", "one", "two"]
    tokenizer, _ = load_model(tiny_model, CPU)
    ids, starts = pretrain_ntp.tokenize_corpus(paths, tokenizer, str(tmp_path), anew=False)
    texts = [decode_program(tokenizer, ids[a:b]) for a, b in zip(starts, starts[1:])]
    assert texts == ["three", "four", "one", "two"]
    assert [ids[end - 1] for end in starts[1:]] == [tokenizer.eos_token_id] * 4
    rows.write_text('{"source": "six"}\n')
    with pytest.raises(UserError, match="rows.jsonl, line 1: no code"):
        list(pretrain_ntp.corpus_texts(paths))


def test_an_empty_corpus_and_another_architecture_are_refused(tmp_path, tiny_model, capsys):
    """Catches a traceback where a sentence is due."""
    import transformers
    (tmp_path / "empty").mkdir()
    flags = ["--out", str(tmp_path / "out"), "--steps", "1", "--task", "ntp"]
    with pytest.raises(UserError, match="no Python files"):
        main(flags + ["--init", tiny_model, "--corpus", str(tmp_path / "empty")])
    transformers.BertModel(transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        vocab_size=9)).save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match="from both ends"):
        main(flags + ["--init", str(tmp_path / "bert"), "--out", str(tmp_path / "out2")])
    with pytest.raises(SystemExit, match="2"):
        parse_args(["--task", "warmstart", "--init", "mini", "--out", "x"])
    assert "needs --problems" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        parse_args(["--task", "ntp", "--init", "mini", "--out", "x", "--pivot", "0.9", "0.1"])
    assert "the lower share first" in capsys.readouterr().err

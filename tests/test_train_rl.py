"""The policy-gradient loss on numbers that can be checked by hand,
and the files that train_rl.py reads."""
import argparse
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import train_rl
from pretrain_ntp import autocast, load_model, token_log_probs
from sandbox import REWARD, Outcome, Problem, Program, UserError
from train_critic import critic_batch
from train_rl import (batches, kl_to_reference, learn_rl, on_policy_items, parse_args,
                      policy_gradient_loss, rl_items, sample_and_judge, token_weights,
                      with_baselines)


class TablePolicy:
    """All programs of two tokens over a vocabulary of three:
    p(w_1) and p(w_2 | w_1) are tables of logits."""

    def __init__(self):
        g = torch.Generator().manual_seed(0)
        self.first = torch.randn(3, generator=g).requires_grad_()
        self.second = torch.randn(3, 3, generator=g).requires_grad_()
        self.programs = list(itertools.product(range(3), repeat=2))  # nine of them
        self.reward = torch.tensor([REWARD[Outcome(i % 4)] for i in range(9)])

    def log_p(self):
        """(9, 2)"""
        first, second = self.first.log_softmax(0), self.second.log_softmax(1)
        return torch.stack([torch.stack([first[a], second[a, b]]) for a, b in self.programs])

    def gradient(self, value):
        return torch.cat([g.flatten()
                          for g in torch.autograd.grad(value, [self.first, self.second])])

    def expected_gradient(self, r_b):
        """Mean over the nine programs, by their probability,
        of the gradient of the loss of one sample."""
        total = 0
        for i in range(9):
            log_p = self.log_p()
            p = log_p[i].sum().exp().detach()
            one = torch.ones(1, 2)
            loss = policy_gradient_loss(log_p[i:i + 1], one, self.reward[i:i + 1],
                                        torch.tensor([r_b]), one)
            total = total + p * self.gradient(loss)
        return total


def test_the_estimator_has_the_exact_gradient_of_the_expected_reward():
    """Catches a wrong sign or a lost factor in Eq. (3):
    the loss's expected gradient is that of -E[r], per token."""
    policy = TablePolicy()
    expected_reward = (policy.log_p().sum(dim=1).exp() * policy.reward).sum()
    exact = policy.gradient(-expected_reward) / 2  # two tokens a program
    torch.testing.assert_close(policy.expected_gradient(0.0), exact)


def test_a_constant_baseline_leaves_the_expected_gradient_unchanged():
    """Catches a baseline that enters anything but the return (Eq. 8)."""
    policy = TablePolicy()
    torch.testing.assert_close(policy.expected_gradient(0.7), policy.expected_gradient(0.0))


LOG_P = torch.tensor([[-1.0, -2.0, -3.0], [-4.0, -5.0, -7.0]])
MASK = torch.tensor([[True, True, True], [True, True, False]])  # the second program has two tokens
R_S, R_B = torch.tensor([1.0, -0.6]), torch.tensor([-0.3, 1.0])  # returns 1.3 and -1.6


VALUES = torch.tensor([[0.5, 0, 1], [0.25, 1, 9]])  # of the critic; 9 stands at padding


@pytest.mark.parametrize("r_b, weights, value", [
    (R_B, torch.ones(2, 3), -(1.3 * -6 - 1.6 * -9) / 5),          # A: baseline alone
    (0 * R_B, VALUES, -(1.0 * -3.5 - 0.6 * -6) / 5),              # B: the critic's values alone
    (R_B, torch.tensor([[1, 2 / 3, 1 / 3], [1, 0.5, 0]]),
     -(1.3 * (-1 - 4 / 3 - 1) - 1.6 * -6.5) / 5),                 # C: baseline, linear decay
    (R_B, VALUES, -(1.3 * -3.5 - 1.6 * -6) / 5),                  # D: baseline, the critic's values
])
def test_rows_of_table_2_by_hand(r_b, weights, value):
    """Catches padding that counts, weights on the wrong token, and a baseline that is always there."""
    assert policy_gradient_loss(LOG_P, MASK, R_S, r_b, weights).item() == pytest.approx(value, abs=1e-6)


def test_linear_decay_runs_from_one_to_one_over_T():
    """Catches a decay over the padded width in place of the program's own length."""
    weights = token_weights("decay", None, {"target_mask": MASK})
    torch.testing.assert_close(weights * MASK, torch.tensor([[1, 2 / 3, 1 / 3], [1, 0.5, 0]]))


def test_equal_rewards_give_no_gradient_and_weights_and_returns_carry_none():
    """Catches a return that ignores the baseline, and a loss that trains the critic."""
    log_p, q, r_s = (x.clone().requires_grad_() for x in (LOG_P, torch.ones(2, 3), R_S))
    policy_gradient_loss(log_p, MASK, R_S, R_S, q).backward()
    assert log_p.grad.abs().sum() == 0
    policy_gradient_loss(log_p, MASK, r_s, R_B, q).backward()
    assert q.grad is None and r_s.grad is None and log_p.grad.abs().sum() > 0


def test_the_bound_shrinks_only_negative_returns_that_became_unlikely():
    """Catches a bound on the positive branch, and one that enlarges.
    p is e^-3 of what it was when it was sampled in the first two programs, e^15 of it in the third."""
    log_p = torch.tensor([[-1.0, -2.0]] * 3, requires_grad=True)
    log_mu = torch.tensor([0.0, 0.0, -18.0])
    r_s, r_b = torch.tensor([1.0, -0.6, -0.6]), torch.tensor([-0.3, 1.0, 1.0])
    policy_gradient_loss(log_p, torch.ones(3, 2), r_s, r_b, torch.ones(3, 2), log_mu).backward()
    torch.testing.assert_close(
        log_p.grad, torch.tensor([[-1.3] * 2, [1.6 * torch.e ** -3] * 2, [1.6] * 2]) / 6)


class Words:
    """A tokenizer of one id a character."""
    eos_token_id = 1

    def __call__(self, text, **_):
        return type("Ids", (), {"input_ids": [ord(c) for c in text]})


PROBLEMS = {key: Problem(key, "Print.") for key in "ab"}
PROGRAMS = [Program("a", "1", "sampled", [5, 1], "passed_test"),
            Program("a", "2", "sampled", [6, 1], "failed_test"),
            Program("a", "3", "sampled", [7, 1], "compile_error"),
            Program("b", "4", "sampled", [8, 1], "failed_test"),
            Program("b", "5", "sampled", [9, 1], "judge_error"),
            Program("a", "6", "greedy", [8, 1], "runtime_error"),
            Program("b", "7", "greedy", [9, 1], "passed_test")]


def flags(*words):
    """The flags of a run, less those that do not matter here."""
    return parse_args(["--init", "x", "--problems", "x", "--out", "x", "--critic", "x",
                       "--programs", "x", *words])


@pytest.mark.parametrize("baseline, returns, r_b", [
    ("greedy", "baseline", [-0.6, -0.6, -0.6, 1.0]),
    ("group", "baseline", [-0.1, -0.1, -0.1, -0.3]),             # (1 - 0.3 - 1) / 3; alone
    ("leave-one-out", "baseline", [-0.65, 0.0, 0.35, -0.3]),     # (-0.3 - 1) / 2, (1 - 1) / 2, ...
    ("greedy", "critic", [0.0, 0.0, 0.0, 0.0]),                  # Table 2, row B: none
    ("greedy", "reward", [0.0, 0.0, 0.0, 0.0]),                  # Eq. (3): none
])
def test_baselines_by_hand(baseline, returns, r_b):
    """Catches a baseline of another problem, a mean that takes the greedy program in, and a judge's
    failure that becomes a reward."""
    pairs = with_baselines(PROGRAMS, baseline, returns)
    assert [program.code for program, _ in pairs] == ["1", "2", "3", "4"]
    assert [r for _, r in pairs] == pytest.approx(r_b)


def test_samples_without_their_greedy_program_are_refused():
    with pytest.raises(UserError, match="no greedy program"):
        with_baselines(PROGRAMS[:6], "greedy", "baseline")


def test_a_second_greedy_program_is_refused():
    """Catches samples of a second round that are compared with the greedy program of the first one."""
    with pytest.raises(UserError, match="'b' has 2 greedy programs"):
        with_baselines(PROGRAMS + PROGRAMS[-1:], "greedy", "baseline")


def test_samples_whose_greedy_program_has_no_verdict_are_left_out():
    """Catches a failure of the judge that ends the run with advice that cannot help."""
    programs = [replace(program, outcome="judge_error") if program.source == "greedy" else program
                for program in PROGRAMS]
    assert with_baselines(programs, "greedy", "baseline") == []


def test_items_are_the_samples_that_carry_a_gradient(capsys):
    """Catches a program cut at --max-target that is learned from, and equal rewards in the batches."""
    cut = Program("b", "8", "sampled", [4, 4], "runtime_error")
    items = lambda *words: [  # noqa: E731
        (key, tokens, u, round(r_s - r_b, 2)) for _, tokens, key, u, r_s, r_b in
        rl_items(PROBLEMS, PROGRAMS + [cut], Words(), flags("--returns", "baseline", *words))]
    assert items() == [("a", [5, 1], 3, 1.6), ("a", [6, 1], 2, 0.3), ("a", [7, 1], 0, -0.4),
                       ("b", [8, 1], 2, -1.3)]
    assert "cut off 1, negative 2, positive 2; 4 to learn from" in capsys.readouterr().out
    assert items("--bound", "positive") == items()[:2]
    assert items("--baseline", "leave-one-out")[3:] == [("b", [8, 1], 2, 0.3)]  # against the cut one
    rl_items(PROBLEMS, PROGRAMS, Words(), flags("--returns", "baseline", "--baseline", "group"))
    said = capsys.readouterr().out  # b has one program, which is its own mean
    assert "return 0 1; 3 to learn from; 1 problems whose programs all have return 0" in said
    assert len(items("--objective", "ce+samples")) == 4


def test_samples_that_are_taken_as_right_need_no_baseline():
    """Catches greedy programs that are asked for, and compared with nothing."""
    found = rl_items(PROBLEMS, PROGRAMS[:5], Words(), flags("--objective", "ce+samples"))
    assert [(tokens, r_b) for _, tokens, _, _, _, r_b in found] == [
        ([5, 1], 0), ([6, 1], 0), ([7, 1], 0), ([8, 1], 0)]


def test_leave_one_out_is_unbiased():
    """Catches a baseline that holds the sample's own reward: over all 81 pairs of programs,
    the gradient with the other sample's reward as baseline is the exact one."""
    policy, ones, total = TablePolicy(), torch.ones(2, 2), 0
    for i, j in itertools.product(range(9), repeat=2):
        log_p = policy.log_p()[[i, j]]
        pair = [Program(0, "", "sampled", [1], Outcome(k % 4).label) for k in (i, j)]
        r_b = torch.tensor([r for _, r in with_baselines(pair, "leave-one-out", "baseline")])
        loss = policy_gradient_loss(log_p, ones, policy.reward[[i, j]], r_b, ones)
        total = total + log_p.sum().exp().detach() * policy.gradient(loss)
    expected_reward = (policy.log_p().sum(dim=1).exp() * policy.reward).sum()
    torch.testing.assert_close(total, policy.gradient(-expected_reward) / 2)


def test_normalisation_per_sequence_by_hand():
    """Catches a division by the padded width: returns 1.3 and -1.6, log p -6 over three tokens and
    -9 over two."""
    value = policy_gradient_loss(LOG_P, MASK, R_S, R_B, torch.ones(2, 3), normalize="sequence")
    assert value.item() == pytest.approx(-(1.3 * -6 / 3 - 1.6 * -9 / 2) / 2)


def test_normalisation_per_program_is_equation_14_as_it_stands():
    """Catches a mean where Eq. 14 has a sum over t: - (1.3 * (-1 -2 -3) - 1.6 * (-4 -5)) over two
    samples, and a gradient of -1.3 / 2 or 1.6 / 2 at every token."""
    log_p = LOG_P.clone().requires_grad_()
    loss = policy_gradient_loss(log_p, MASK, R_S, R_B, torch.ones(2, 3), normalize="program")
    loss.backward()
    assert loss.item() == pytest.approx(-(1.3 * -6 - 1.6 * -9) / 2)
    torch.testing.assert_close(log_p.grad, torch.tensor([[-0.65] * 3, [0.8, 0.8, 0.0]]))


def test_without_a_verdict_on_a_held_out_problem_nothing_is_measured(monkeypatch):
    """Catches a division by zero where no held-out problem has tests."""
    monkeypatch.setattr(train_rl, "sample_and_judge", lambda *_: [Program(1, "", outcome="judge_error")])
    with pytest.raises(UserError, match="p.jsonl: no held-out problem has tests"):
        train_rl.evaluate_actor(None, None, [Problem(1, "")], None,
                                argparse.Namespace(seed=0, problems="p.jsonl"))


def test_the_divergence_is_zero_at_the_reference_and_pulls_back_to_it():
    """Catches a sign: where the actor gives a token twice the reference's probability, d = -log 2,
    the estimate is 0.5 + log 2 - 1 and its gradient lowers log p. Padding adds nothing."""
    log_p = LOG_P.clone().requires_grad_()
    assert kl_to_reference(log_p, LOG_P, MASK).item() == 0
    reference = LOG_P - torch.tensor([[torch.tensor(2.0).log(), 0, 0], [0, 0, -99]])
    value = kl_to_reference(log_p, reference, MASK)
    assert value.item() == pytest.approx((0.5 + 0.6931472 - 1) / 5, abs=1e-6)
    value.backward()
    torch.testing.assert_close(log_p.grad, torch.tensor([[0.1, 0, 0], [0, 0, 0]]))


def test_every_item_is_in_one_batch_of_an_epoch():
    """Catches batches that depend on what was asked before: any step's batch can be had by itself,
    as a run that is continued asks for it."""
    rows, args = [([0] * i, [0], str(i), i) for i in range(70)], flags("--batch-size", "32")
    found = list(itertools.islice(batches(lambda epoch: rows, 0, args), 6))
    assert [epoch for epoch, _ in found] == [0, 0, 0, 1, 1, 1]
    for part in (found[:3], found[3:]):
        assert sorted(row[3] for _, batch in part for row in batch) == list(range(70))
    assert found[0][1] != found[3][1]
    for steps in range(6):
        assert next(batches(lambda epoch: rows, steps, args)) == found[steps]


def test_verdicts_come_back_in_the_order_of_the_programs(monkeypatch):
    """Catches verdicts that go to another program: 300 problems are two batches of at most 256 programs."""
    class Model:
        def eval(self):
            pass

    class Parrot:
        def run(self, jobs):
            return (replace(program, outcome=program.code) for _, program in jobs)
    monkeypatch.setattr("train_rl.generate", lambda model, prompts, n, *_, seeds, **__: [
        [[seed[-1], 1]] * n for seed in seeds])
    monkeypatch.setattr("train_rl.decode_program", lambda tokenizer, ids: f"verdict {ids[0]}")
    Words.pad_token_id = 0
    problems = [Problem(i, "Print.") for i in range(300)]
    programs = sample_and_judge(Model(), Words(), problems, 1, Parrot(), flags(), [0])
    assert [program.outcome for program in programs] == [f"verdict {i}" for i in range(300)]


@pytest.mark.parametrize("objective, among", [
    ("ce+rl", {0, 1, 2, 3, 4, 5, 6}), ("rl", {0, 1, 2, 3, 4, 5, 6, 7, 8})])
def test_the_rounds_go_through_all_problems(monkeypatch, objective, among):
    """Catches rounds that draw the same problems again before the others had their turn, that sample
    what L_ce teaches (7 and 8 have a solution), a greedy baseline that is not asked for, and the random
    numbers of another round or of the held-out problems, [seed, i] (numpy: [0, 5] is [0, 5, 0])."""
    problems = {str(i): Problem(i, "Print.", solutions=["print()"] * (i > 6)) for i in range(9)}
    asked, numbers = [], []

    def sample(actor, tokenizer, chosen, num_programs, judge, args, seed, **decoding):
        asked.append([problem.problem_id for problem in chosen])
        numbers.extend(np.random.default_rng([*seed, i]).random() for i in range(len(chosen)))
        return [Program(problem.problem_id, "", "sampled", [5, 1],
                        ["passed_test", "failed_test"][j]) for problem in chosen
                for j in range(num_programs)]
    monkeypatch.setattr("train_rl.sample_and_judge", sample)
    args = flags("--on-policy", "--round-problems", "3", "--group", "2", "--returns", "baseline",
                 "--baseline", "group", "--objective", objective)
    rounds = len(among) // 3  # before the order is another one
    items = [on_policy_items(None, Words(), problems, None, args, i) for i in range(2 * rounds)]
    assert [len(rows) for rows in items] == [6] * 2 * rounds
    first, second = ({key for keys in part for key in keys}
                     for part in (asked[:rounds], asked[rounds:]))
    assert len(first) == len(second) == 3 * rounds and first | second <= among
    assert asked[:rounds] != asked[rounds:]
    held_out = [np.random.default_rng([0, i]).random() for i in range(9)]
    assert len({*numbers, *held_out}) == 3 * 2 * rounds + 9


def test_the_critics_values_weigh_tokens_around_one(monkeypatch):
    """Catches a mean that counts padding (the 9), and a class prior that weighs whole programs."""
    values = torch.tensor([[0.2, 0.4, 0.6], [0.1, 0.3, 9.0]])
    monkeypatch.setattr("train_rl.q_hat", lambda critic, batch, over_prior: values)
    weights = token_weights("baseline+critic", None, {"target_mask": MASK})
    torch.testing.assert_close(weights, torch.tensor([[0.5, 1.0, 1.5], [0.5, 1.5, 0.0]]))


@pytest.mark.parametrize("flags", [[], ["--normalize", "sequence"], ["--accumulate", "2"], ["--kl", "2"],
                                   ["--returns", "reward"]])
def test_a_step_has_the_loss_of_its_whole_batch(tiny_model, flags):
    """Catches a count that is not the batch's: programs of 2, 4 and 3 tokens, alone or in two parts
    (the first and third, then the second), give the loss of all three at once; a divergence that is logged in
    it, or has no gradient."""
    tokenizer, model = load_model(tiny_model, torch.device("cpu"))
    model.eval()
    args = parse_args(["--init", "x", "--problems", "x", "--out", "x", "--programs", "x",
                       "--returns", "baseline", *flags])
    items = [([5, 6], [7, 1], "a", 3, 1.0, 0.0), ([5], [7, 8, 9, 1], "b", 1, -0.6, 0.0),
             ([6, 7, 8], [9, 9, 1], "c", 2, -0.3, 1.0)]
    batch = critic_batch(items, tokenizer, "cpu")
    with autocast(model.device):
        log_p = token_log_probs(model, batch)
    r_s, r_b = torch.tensor([item[4:] for item in items]).T
    wanted = policy_gradient_loss(log_p, batch["target_mask"], r_s, r_b, torch.ones_like(log_p),
                                  normalize=args.normalize)
    start = load_model(tiny_model, torch.device("cpu"))[1]
    with torch.no_grad():
        start.get_input_embeddings().weight *= 1.1
    with autocast(model.device), torch.no_grad():
        reference = token_log_probs(start, batch)
    (wanted + args.kl * kl_to_reference(log_p, reference, batch["target_mask"])).backward()
    gradient = model.get_input_embeddings().weight.grad.clone()
    model.zero_grad()
    loss_rl, kl, weight, tokens = learn_rl(model, items, None, start, tokenizer, args,
                                           torch.device("cpu"))
    torch.testing.assert_close(model.get_input_embeddings().weight.grad, gradient, rtol=0.05, atol=0.002)
    assert (loss_rl, weight, tokens) == pytest.approx((wanted.item(), 1.0, 6 + 9), rel=1e-5)
    assert (kl > 0) == bool(args.kl)
    assert type(loss_rl) is float  # state.pt holds sums of these, and does not open with numpy's


@pytest.mark.parametrize("flags", [[], ["--grad-checkpointing"]])
def test_dropout_is_off_in_rl(tiny_model, tmp_path, flags, monkeypatch):
    """Catches p now / p then, and a divergence, that differ from 1 and 0 though no weight has changed
    (the tiny model has a dropout of 0.1), and activations that are kept after all."""
    import transformers.modeling_utils
    recomputed, checkpoint = [], transformers.modeling_utils.checkpoint
    monkeypatch.setattr(transformers.modeling_utils, "checkpoint", lambda *args, **more: (
        recomputed.append(1), checkpoint(*args, **more))[1])
    with open(tmp_path / "p.jsonl", "w") as problems, open(tmp_path / "j.jsonl", "w") as programs:
        for i in range(9):
            problems.write(json.dumps({"problem_id": i, "question": "?", "solutions": ["x"],
                                       "input_output": {"inputs": [""], "outputs": ["1"]}}) + "\n")
            for outcome in ("passed_test", "failed_test"):
                programs.write(json.dumps({"problem_id": i, "code": outcome, "source": "sampled",
                                           "outcome": outcome}) + "\n")
    ratios, loss = [], train_rl.policy_gradient_loss
    monkeypatch.setattr(train_rl, "policy_gradient_loss", lambda log_p, mask, r_s, r_b, q, log_mu, **more: (
        ratios.extend(((log_p * mask).sum(dim=1) - log_mu).exp().tolist()),
        loss(log_p, mask, r_s, r_b, q, log_mu, **more))[1])
    train_rl.main(["--init", tiny_model, "--problems", str(tmp_path / "p.jsonl"), "--returns", "baseline",
                   "--baseline", "group", "--programs", str(tmp_path / "j.jsonl"), "--kl", "1", "--lr", "0",
                   "--steps", "1", "--batch-size", "8", "--max-target", "24", "--held-out", "0.3",
                   "--log-every", "1", "--out", str(tmp_path / "out"), *flags])
    rows = [json.loads(line) for line in open(tmp_path / "out" / "metrics.jsonl")]
    assert [row["kl"] for row in rows if "kl" in row] == pytest.approx([0.0], abs=1e-5)
    assert ratios and ratios == pytest.approx([1.0] * len(ratios), abs=1e-2)
    assert bool(recomputed) == bool(flags)


def test_the_first_round_may_be_given(tiny_model, tmp_path, monkeypatch):
    """Catches a first round that is sampled though --programs has it, and a second one that is not."""
    with open(tmp_path / "p.jsonl", "w") as problems, open(tmp_path / "j.jsonl", "w") as programs:
        for i in range(9):
            problems.write(json.dumps({"problem_id": i, "question": "?", "solutions": ["x"],
                                       "input_output": {"inputs": [""], "outputs": ["1"]}}) + "\n")
            programs.write(json.dumps({"problem_id": i, "code": "print(1)", "source": "sampled",
                                       "outcome": "passed_test"}) + "\n")
    rounds = []
    monkeypatch.setattr(train_rl, "on_policy_items", lambda *args: rounds.append(args[-1]) or [])
    flags = ["--init", tiny_model, "--problems", str(tmp_path / "p.jsonl"), "--returns", "baseline",
             "--baseline", "group", "--bound", "positive", "--on-policy", "--round-steps", "1",
             "--save-every", "2", "--steps", "2", "--batch-size", "2", "--max-target", "8",
             "--held-out", "0.3"]
    train_rl.main([*flags, "--objective", "ce+samples", "--out", str(tmp_path / "given"),
                   "--programs", str(tmp_path / "j.jsonl")])
    assert rounds == [1]
    train_rl.main([*flags, "--objective", "ce+samples", "--out", str(tmp_path / "sampled")])
    assert rounds == [1, 0, 1]

"""The policy-gradient loss on numbers that can be checked by hand,
and the files that train_rl.py reads."""
import itertools

import pytest
import torch

from sandbox import REWARD, Outcome, Problem, Program, UserError
from train_rl import policy_gradient_loss, rl_items, token_weights


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


@pytest.mark.parametrize("weights, value", [
    (torch.ones(2, 3), -(1.3 * -6 - 1.6 * -9) / 5),  # A: baseline alone
    (torch.tensor([[1, 2 / 3, 1 / 3], [1, 0.5, 0]]),
     -(1.3 * (-1 - 4 / 3 - 1) - 1.6 * -6.5) / 5),    # C: linear decay
    (torch.tensor([[0.5, 0, 1], [0.25, 1, 9]]),
     -(1.3 * -3.5 - 1.6 * -6) / 5),                  # D: the critic's values
])
def test_rows_of_table_2_by_hand(weights, value):
    """Catches padding that counts (weight 9 stands at padding), and weights on the wrong token."""
    assert policy_gradient_loss(LOG_P, MASK, R_S, R_B, weights).item() == pytest.approx(value)


def test_linear_decay_runs_from_one_to_one_over_T():
    """Catches a decay over the padded width in place of the program's own length."""
    weights = token_weights("decay", None, {"program_mask": MASK})
    torch.testing.assert_close(weights * MASK, torch.tensor([[1, 2 / 3, 1 / 3], [1, 0.5, 0]]))


def test_equal_rewards_give_no_gradient_and_weights_carry_none():
    """Catches a return that ignores the baseline, and a loss that trains the critic."""
    log_p, q = LOG_P.clone().requires_grad_(), torch.ones(2, 3, requires_grad=True)
    policy_gradient_loss(log_p, MASK, R_S, R_S, q).backward()
    assert log_p.grad.abs().sum() == 0
    policy_gradient_loss(log_p, MASK, R_S, R_B, q).backward()
    assert q.grad is None and log_p.grad.abs().sum() > 0


def test_the_bound_shrinks_only_negative_returns_that_became_unlikely():
    """Catches a bound on the positive branch, and one that enlarges.
    p is e^-3 of p_start in the first two programs, and e^15 of it in the third."""
    log_p = torch.tensor([[-1.0, -2.0]] * 3, requires_grad=True)
    start = torch.tensor([[0.0, 0.0], [0.0, 0.0], [-9.0, -9.0]])
    r_s, r_b = torch.tensor([1.0, -0.6, -0.6]), torch.tensor([-0.3, 1.0, 1.0])
    policy_gradient_loss(log_p, torch.ones(3, 2), r_s, r_b, torch.ones(3, 2), start).backward()
    torch.testing.assert_close(
        log_p.grad, torch.tensor([[-1.3] * 2, [1.6 * torch.e ** -3] * 2, [1.6] * 2]) / 6)


class Words:
    """A tokenizer of one id a character."""
    eos_token_id = 1

    def __call__(self, text, **_):
        return type("Ids", (), {"input_ids": [ord(c) for c in text]})


def test_returns_pair_each_sample_with_its_own_greedy_program():
    """Catches a baseline of another problem, and a judge's failure that becomes a reward."""
    problems = {key: Problem(key, "Print.") for key in "ab"}
    programs = [Program("a", "1", "sampled", [5, 1], "passed_test"),
                Program("b", "2", "sampled", [6, 1], "failed_test"),
                Program("b", "3", "sampled", [7, 1], "judge_error"),
                Program("a", "4", "greedy", [8, 1], "runtime_error"),
                Program("b", "5", "greedy", [9, 1], "passed_test")]
    items = rl_items(problems, programs, "baseline", Words(), 99, 9)
    assert [(key, tokens, u, r_s, r_b) for key, _, tokens, u, r_s, r_b in items] == [
        ("a", [5, 1], 3, 1.0, -0.6), ("b", [6, 1], 2, -0.3, 1.0)]
    assert [item[5] for item in rl_items(problems, programs, "critic", Words(), 99, 9)] == [
        0.0, 0.0]
    with pytest.raises(UserError, match="no greedy program"):
        rl_items(problems, programs[:4], "baseline", Words(), 99, 9)


def test_the_critics_values_weigh_tokens_around_one(monkeypatch):
    """Catches a mean that counts padding (the 9), and a class prior that weighs whole programs."""
    values = torch.tensor([[0.2, 0.4, 0.6], [0.1, 0.3, 9.0]])
    monkeypatch.setattr("train_rl.q_hat", lambda critic, batch: values)
    weights = token_weights("baseline+critic", None, {"program_mask": MASK})
    torch.testing.assert_close(weights, torch.tensor([[0.5, 1.0, 1.5], [0.5, 1.5, 0.0]]))

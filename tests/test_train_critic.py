"""Pooling, token values and the report of the critic,
with states and logits small enough to follow."""
import html
import itertools
import json
import math
import re

import pytest
import torch

import train_critic
from conftest import LAYOUTS
from sandbox import Outcome, Problem, Program, UserError
from train_critic import (Critic, auc, bag_of_tokens, calibration_error, critic_batch, critic_items, critic_loss,
                          load_critic, main, max_pool, prefix_predictions, q_hat, show_tokens, token_values)
from pretrain_ntp import encode_program, encode_prompt, load_model, token_log_probs


def test_the_pool_takes_the_maximum_of_each_column_over_real_tokens():
    """Catches the released critic's bug: its maximum lies in padding
    for 78 of 83 shipped samples."""
    h = torch.tensor([[[1.0, -5.0], [3.0, -9.0], [8.0, 8.0]]])  # the third token is padding
    assert max_pool(h, torch.tensor([[True, True, False]])).tolist() == [[3.0, -5.0]]


def test_known_logits_give_a_known_loss():
    """Catches a loss that ignores the class weights. softmax([0, 0]) = 1/2, and log 2 = 0.6931."""
    logits, u = torch.zeros(2, 2), torch.tensor([0, 1])
    assert critic_loss(logits, u).item() == pytest.approx(0.6931, abs=1e-4)
    logits = torch.tensor([[0.0, 0.0], [0.0, 99.0]])  # the second is right and certain
    assert critic_loss(logits, u, torch.tensor([3.0, 1.0])).item() == pytest.approx(
        0.6931 * 3 / 4, abs=1e-4)


def test_the_loss_of_prefixes_is_a_mean_over_those_of_each_program():
    """Catches padding that counts, and a long program that counts more. The first program has one
    token: p(u) is 1/2 before and 1/4 after it, log 2 and log 4. Of the second's four it is 1/2."""
    unsure, wrong, padding = [0.0, 0.0], [0.0, math.log(3)], [0.0, 99.0]
    logits = torch.tensor([[unsure, wrong, padding, padding], 4 * [unsure]])
    mask = torch.tensor([[True, False, False], [True, True, True]])
    u = torch.tensor([0, 1])
    assert critic_loss(logits, u, target_mask=mask).item() == pytest.approx((1.5 + 1) * math.log(2) / 2)
    assert critic_loss(logits, u, torch.tensor([3.0, 1.0]), target_mask=mask).item() == pytest.approx(
        (3 * 1.5 + 1) * math.log(2) / 4)


def test_a_critic_of_prefixes_knows_how_often_a_beginning_ends_well(tiny_model, tmp_path):
    """Catches values of unfinished programs that nothing was learned for, and values of the last state
    alone: of the first statement's four programs three pass, of the second's one, which begins with 10."""
    tokenizer, model = load_model(tiny_model, torch.device("cpu"))
    torch.manual_seed(0)
    critic = Critic(model, prefixes=True)
    many, few = [5, 6, 7], [8, 9]
    batch = critic_batch([(many, [10, 12, 1], "a", 3), (many, [10, 13, 1], "a", 3), (many, [11, 12, 1], "a", 3),
                          (many, [11, 13, 1], "a", 2), (few, [10, 12, 1], "b", 3), (few, [10, 13, 1], "b", 2),
                          (few, [11, 12, 1], "b", 2), (few, [11, 13, 1], "b", 2)], tokenizer, "cpu")
    optimizer = torch.optim.Adam(critic.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        critic_loss(critic(batch, of_each=True), batch["u"], target_mask=batch["target_mask"]).backward()
        optimizer.step()
    critic.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    _, critic = load_critic(tmp_path, torch.device("cpu"))
    passes = token_values(critic, batch)[..., 3]
    assert torch.equal(passes, prefix_predictions(critic, batch)[..., 3])
    assert passes[[0, 4], 0].tolist() == pytest.approx([0.75, 0.25], abs=0.1)
    assert passes[[0, 3, 4, 7], 1].tolist() == pytest.approx([1, 0.5, 0.5, 0], abs=0.1)
    assert passes[:, 2].round().tolist() == [1, 1, 1, 0, 1, 0, 0, 0]


def test_an_output_layer_that_no_loss_reaches_is_not_trained(tiny_models):
    """Catches a T5 1.1, whose output layer is not its input layer, though its config says so: its optimizer has
    no state for what gets no gradient, and a killed run could not be continued."""
    _, model = load_model(tiny_models["T5"], torch.device("cpu"))
    Critic(model)
    assert model.lm_head.weight.requires_grad  # it is the embedding
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight + 1)
    assert model.config.tie_word_embeddings
    Critic(model, likelihood=True)
    assert model.lm_head.weight.requires_grad
    Critic(model)
    assert not model.lm_head.weight.requires_grad and model.shared.weight.requires_grad


@pytest.fixture(scope="module", params=[*itertools.product(LAYOUTS, [False]), ("T5", True), ("GPT2", True)],
                ids=lambda param: param[0] + (", likelihood" if param[1] else ""))
def critic(tiny_models, request):
    tokenizer, model = load_model(tiny_models[request.param[0]], torch.device("cpu"))
    torch.manual_seed(0)
    return tokenizer, Critic(model, likelihood=request.param[1]).eval()


ITEMS = [([5, 6, 7, 8, 9], [10, 11, 12, 1], "a", 3), ([5, 6], [13, 1], "b", 1)]
LONG = (9 * [5], 9 * [10], "c", 2)  # rows are padded to a multiple of 8, here to 16


def test_padding_changes_no_prediction_and_no_value(critic):
    """Catches a missing mask in encoder, decoder or pool: alone and beside a longer one,
    a program is judged alike."""
    tokenizer, model = critic
    both, alone = (critic_batch(items, tokenizer, "cpu") for items in ([LONG, ITEMS[1]], ITEMS[1:]))
    with torch.no_grad():
        torch.testing.assert_close(model(both)[1], model(alone)[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(q_hat(model, both)[1, :2], q_hat(model, alone)[0, :2], atol=1e-5,
                               rtol=0)


def test_q_hat_reads_the_observed_outcome_from_the_state_that_consumed_the_token(critic):
    """Catches the released code's shift by one:
    changing w_2 must leave the value of w_1 and change that of w_2."""
    tokenizer, model = critic
    batch = critic_batch(ITEMS, tokenizer, "cpu")
    v, q = token_values(model, batch), q_hat(model, batch)
    assert v.shape == (2, 1 + 8, 4) and q.shape == (2, 8)
    torch.testing.assert_close(q[0], v[0, 1:, 3])  # the first program passed
    torch.testing.assert_close(q[1], v[1, 1:, 1])  # the second had a runtime error
    changed = critic_batch([(ITEMS[0][0], [10, 99, 12, 1], "a", 3)], tokenizer, "cpu")
    q_changed = q_hat(model, changed)
    torch.testing.assert_close(q_changed[0, 0], q[0, 0], atol=1e-5, rtol=0)
    assert (q_changed[0, 1] - q[0, 1]).abs() > 1e-4
    assert not q.requires_grad


def test_the_head_reads_how_unlikely_the_program_is_and_begins_by_believing_it(tiny_model):
    """Catches a likelihood of other tokens than w_1 .. w_t, one that padding changes, and a head that
    starts from the wrong end: what surprises twice as much loses twice as many logits."""
    tokenizer, model = load_model(tiny_model, torch.device("cpu"))
    critic = Critic(model, likelihood=True).eval()
    batch = critic_batch([ITEMS[0], LONG], tokenizer, "cpu")
    with torch.no_grad():
        states = critic.states(batch)
        log_p = token_log_probs(model, batch)
    surprisal = states[0, :, -1]
    assert states.shape == (2, 1 + 16, 32 + 1) and surprisal[0] == 0
    torch.testing.assert_close(surprisal[4], -log_p[0, :4].sum(), atol=1e-5, rtol=0)
    critic.believe_likelihood([batch])
    weights = critic.head.weight.detach()[:, -1]
    ends = torch.stack([states[0, 4, -1], states[1, 9, -1]])  # of the two programs
    assert weights[:3].tolist() == [0, 0, 0]
    assert (weights[3] * ends).mean().item() == pytest.approx(-5)


def test_a_value_is_of_one_state_but_with_likelihood_of_all_so_far(critic):
    """Catches the surprisal of a whole prefix beside the state of its last token alone."""
    tokenizer, model = critic
    batch = critic_batch(ITEMS, tokenizer, "cpu")
    v, p = token_values(model, batch), prefix_predictions(model, batch)
    torch.testing.assert_close(v[:, :2], p[:, :2])  # of w_1 alone the pool is its state
    assert torch.equal(v[0, 2:], p[0, 2:]) == model.likelihood


def test_the_prior_is_what_the_critic_says_before_the_first_token(critic):
    """Catches a division by the value of w_1, or by another outcome's."""
    tokenizer, model = critic
    batch = critic_batch(ITEMS, tokenizer, "cpu")
    v = token_values(model, batch)
    q = q_hat(model, batch, over_prior=True)
    torch.testing.assert_close(q[0], v[0, 1:, 3] / v[0, 0, 3])
    torch.testing.assert_close(q[1], v[1, 1:, 1] / v[1, 0, 1])


def test_the_bag_of_tokens_knows_statement_from_program_and_not_the_order():
    """Catches one feature for both places: token 7 passes in the program and fails in the statement;
    which of 8 and 9 comes first decides the rest, and no bag can tell."""
    items = [([7], [6], "a", 2), ([6], [7], "a", 3)] * 64
    found = bag_of_tokens(items, items, 10)
    assert found == {"accuracy": 1.0, "auc": 1.0}
    items = [([6], [8, 9], "a", 2), ([6], [9, 8], "a", 3)] * 64
    assert bag_of_tokens(items, items, 10) == {"accuracy": 0.5, "auc": 0.5}


def test_the_prediction_from_a_prefix_is_that_of_the_program_which_ends_there(critic):
    """Catches a prefix that sees what follows it, or a whole program read otherwise than in training."""
    tokenizer, model = critic
    batch = critic_batch([ITEMS[0], LONG], tokenizer, "cpu")
    p = prefix_predictions(model, batch)
    assert p.shape == (2, 1 + 16, 4)
    for ids, t in (([10, 11], 2), ([10, 11, 12, 1], 4)):
        ended = critic_batch([(ITEMS[0][0], ids, "a", 3)], tokenizer, "cpu")
        with torch.no_grad():
            torch.testing.assert_close(p[0, t], model(ended)[0].softmax(dim=-1), atol=1e-5, rtol=0)


def test_a_saved_critic_gives_the_same_logits(critic, tmp_path):
    """Catches a head that is not saved: a fresh one would be random."""
    tokenizer, model = critic
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = load_critic(str(tmp_path), torch.device("cpu"))[1].eval()
    batch = critic_batch(ITEMS, tokenizer, "cpu")
    with torch.no_grad():
        torch.testing.assert_close(again(batch), model(batch))


def test_items_are_judged_programs_and_ground_truths_and_no_judge_errors(critic):
    """Catches re-tokenized samples, lost ground truths,
    and a judge's failure learned as an outcome."""
    tokenizer, _ = critic
    problems = {"a": Problem("a", "Print 1.", solutions=["print(1)\n"])}
    programs = [Program("a", "x", tokens=[42, 1], outcome="failed_test"),
                Program("a", "y", tokens=[43, 1], outcome="judge_error")]
    items = critic_items(problems, programs, tokenizer, 99, 99)
    assert [(tokens, u) for _, tokens, _, u in items[:1]] == [([42, 1], Outcome.FAILED_TEST)]
    assert len(items) == 2 and items[1][3] == Outcome.PASSED_TEST
    assert (tokenizer.decode(items[1][1][:-1]) == "print(1)\n"
            and items[1][1][-1] == tokenizer.eos_token_id)


def test_auc_and_calibration_by_hand():
    """Three pairs of (passed, failed) of four are in order, one is a tie: (3 + 0.5) / 4."""
    assert auc([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0]) == pytest.approx(3.5 / 4)
    assert auc([1, 2], [1, 1]) is None
    # Two bins: said 0.1 and 0 of 2 happened, said 0.9 and 1 of 2 happened -> (0.1 + 0.4) / 2
    assert calibration_error([0.1, 0.1, 0.9, 0.9], [0, 0, 1, 0]) == pytest.approx(0.25)


def test_the_binary_critic_knows_failed_and_passed_alone_and_shows_its_values(tiny_model, tmp_path, capsys):
    """Catches errors that stay classes of their own with --binary, or count as passed; a precision of 0.000
    where there was nothing to be precise about; and a page whose marks are wrong way round."""
    rows = [{"problem_id": i, "question": "?", "solutions": []} for i in range(20)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcomes = ["compile_error", "runtime_error", "failed_test", "passed_test"]
    (tmp_path / "j.jsonl").write_text("".join(json.dumps(
        {"problem_id": i, "code": "print(1)\n", "outcome": outcome}) + "\n"
        for i in range(20) for outcome in outcomes))
    words = ["--problems", str(tmp_path / "p.jsonl"), "--programs", str(tmp_path / "j.jsonl")]
    main(["--init", tiny_model, *words, "--out", str(tmp_path / "c"), "--steps", "1", "--binary"])
    said = capsys.readouterr().out
    assert re.search(r"compile_error 0, runtime_error 0, failed_test (\d+), passed_test \d+", said)
    assert re.search(r"^compile_error +- +- ", said, re.MULTILINE) and "value of the last token" in said
    confusion = json.loads((tmp_path / "c" / "report.json").read_text())["confusion"]
    assert [sum(row) > 0 for row in confusion] == [False, False, True, True]
    assert sum(confusion[2]) == 3 * sum(confusion[3])
    main(["--init", str(tmp_path / "c"), *words, "--out", str(tmp_path / "new" / "page.html"), "--show", "2"])
    page = (tmp_path / "new" / "page.html").read_text()
    assert page.count("<pre>") == 2 and "0: compile_error" in page and "http" not in page


def test_the_flag_reaches_the_loss_the_report_and_the_checkpoint(tiny_model, tmp_path, monkeypatch):
    """Catches --prefixes that learns from whole programs, or prefixes that are learned from without it."""
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(
        {"problem_id": i, "question": "?"}) + "\n" for i in range(20)))
    (tmp_path / "j.jsonl").write_text("".join(json.dumps(
        {"problem_id": i, "code": "print(1)\n", "outcome": "passed_test"}) + "\n" for i in range(20)))
    for flag in ([], ["--prefixes"]):
        seen, out = [], tmp_path / f"critic{flag}"

        def loss(logits, u, weights, count, target_mask):
            seen.append((logits.dim(), target_mask is not None))
            return critic_loss(logits, u, weights, count, target_mask)
        monkeypatch.setattr(train_critic, "critic_loss", loss)
        main(["--init", tiny_model, "--problems", str(tmp_path / "p.jsonl"), "--programs",
              str(tmp_path / "j.jsonl"), "--steps", "1", "--out", str(out), *flag])
        assert seen == [(3, True) if flag else (2, False)]
        assert load_critic(str(out), torch.device("cpu"))[1].prefixes == bool(flag)
        assert ("token" in json.loads((out / "report.json").read_text())) != bool(flag)


def test_a_page_shows_q_hat_of_the_outcome_that_came(tiny_model, tmp_path):
    """Catches p(passed) above the tokens of a program that failed."""
    tokenizer, model = load_model(tiny_model, torch.device("cpu"))
    critic = Critic(model).eval()
    critic.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "p.jsonl").write_text('{"problem_id": 1, "question": "?"}\n')
    (tmp_path / "j.jsonl").write_text('{"problem_id": 1, "code": "print(1)", "outcome": "compile_error"}\n')
    main(["--init", str(tmp_path), "--problems", str(tmp_path / "p.jsonl"), "--programs", str(tmp_path / "j.jsonl"),
          "--out", str(tmp_path / "page.html"), "--show", "1"])
    shown = [int(value) for value in re.findall(r"<rt>(\d+)", (tmp_path / "page.html").read_text())]
    item = (encode_prompt(tokenizer, Problem(1, "?"), 600), encode_program(tokenizer, "print(1)", 512), "1", 0)
    q = q_hat(critic, critic_batch([item], tokenizer, "cpu"))[0]
    assert shown == [round(100 * value) for value in q[:len(item[1])].tolist()]


def test_a_page_marks_the_failing_tokens_and_the_cut(tiny_model):
    """Catches an underline under the tokens that pass, a cut in another place, and lost characters."""
    tokenizer, _ = load_model(tiny_model, torch.device("cpu"))
    ids = tokenizer("a<b\n  c", add_special_tokens=False).input_ids
    shown = show_tokens(tokenizer, ids, [0.9] + [0.2] * (len(ids) - 1), cut=1)
    first, rest = shown.split("<b>&#9474;</b>")
    assert "none" in first and ">90<" in first and "underline" not in first
    assert rest.count("underline") == len(ids) - 1 and "none" not in rest
    text = re.sub("<rt>.*?</rt>|<.*?>|&crarr;|&#9474;", "", shown)
    assert html.unescape(text) == "a<b\n  c"


def test_no_page_is_made_of_tokens_that_the_critic_does_not_know(tiny_model, tmp_path):
    """Catches a traceback from the embedding, or a page of other words."""
    tokenizer, model = load_model(tiny_model, torch.device("cpu"))
    Critic(model).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "p.jsonl").write_text('{"problem_id": 1, "question": "?"}\n')
    (tmp_path / "j.jsonl").write_text(json.dumps({"problem_id": 1, "code": "print(1)", "outcome": "failed_test",
                                                  "tokens": [len(tokenizer) + 7, 1]}) + "\n")
    with pytest.raises(UserError, match="j.jsonl"):
        main(["--init", str(tmp_path), "--problems", str(tmp_path / "p.jsonl"), "--programs",
              str(tmp_path / "j.jsonl"), "--out", str(tmp_path / "page.html"), "--show", "1"])
    assert not (tmp_path / "page.html").exists()

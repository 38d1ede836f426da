"""What the card computes beside what the CPU computes; skipped where there is none.

    python -m pytest --cuda tests/test_cuda.py tests/test_pipeline.py -k "cuda or feed_each_other"
"""
import json
import shutil

import pytest
import torch

import pretrain_ntp
import sample
import train_critic
from conftest import LAYOUTS

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA card is seen (python -m pytest --cuda shows it one)")

ROWS = [([5, 6, 7, 8, 9], [20, 21, 22, 1], "a", 3), ([9, 8, 7], [30, 31, 1], "b", 0)]


@pytest.fixture()
def problems(tmp_path):
    """Eight problems with solutions of unequal length."""
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({
        "problem_id": i, "question": f"Print {i}.", "solutions": [f"print({i})\n" * (1 + i % 3)],
        "input_output": {"inputs": [""], "outputs": [f"{i}\n"]}}) + "\n" for i in range(8)))
    return str(path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_card_gives_the_cpus_values(tiny_models, layout):
    """Catches a tensor that is left on the other device, and masks that the card's attention reads
    otherwise: log-probabilities, outcomes and prefix values agree within bfloat16's eight bits."""
    found = {}
    for device in map(pretrain_ntp.pick_device, ("cpu", "cuda")):
        tokenizer, model = pretrain_ntp.load_model(tiny_models[layout], device)
        torch.manual_seed(0)
        head = torch.randn(4, model.config.hidden_size)
        critic = train_critic.Critic(model.eval()).to(device).eval()
        critic.head.weight.data = head.to(device)
        batch = train_critic.critic_batch(ROWS, tokenizer, device)
        mask = batch["target_mask"].cpu()
        with torch.no_grad(), pretrain_ntp.autocast(device):
            found[device.type] = [
                pretrain_ntp.token_log_probs(model, batch).cpu()[mask],
                critic(batch).float().softmax(dim=-1).cpu(), sample.prefix_values(critic, batch).cpu()[mask]]
    for a, b in zip(found["cpu"], found["cuda"]):
        assert torch.allclose(a, b.float(), atol=3e-2), (a, b)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_are_numbers_at_every_length(tiny_models, layout):
    """Catches cuDNN's attention, whose gradients are NaN where prompt and program have 64 tokens
    together, with padding on the prompt's left."""
    tokenizer, model = pretrain_ntp.load_model(tiny_models[layout], pretrain_ntp.pick_device("cuda"))
    critic = train_critic.Critic(model).to(model.device)
    for length in range(8, 72, 8):
        batch = train_critic.critic_batch(
            [([5] * 20, [6] * length, "a", 3), ([7] * 3, [8] * (length - 1), "b", 0)], tokenizer, model.device)
        with pretrain_ntp.autocast(model.device):
            loss = critic(batch).logsumexp(dim=-1).sum()
        loss.backward()
    assert all(p.grad.isfinite().all() for p in critic.parameters() if p.grad is not None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_program_is_the_same_in_whatever_batch(tiny_models, layout):
    """Catches rows that see each other or padding: without bfloat16 programs that are sampled together,
    after prefixes of unequal length, and begin as others end, are those sampled alone on the CPU."""
    found = {}
    for device in map(pretrain_ntp.pick_device, ("cpu", "cuda")):
        _, model = pretrain_ntp.load_model(tiny_models[layout], device)
        # as in test_sample.py: a T5's attention is not scaled down, and rounding would decide
        model = model.eval().double() if model.config.is_encoder_decoder else model.eval()
        prompts, prefixes, seeds = [[5, 6, 7, 8, 9], [9, 8, 7]], [[20], [30, 31, 32]], [[0], [1]]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sample, "autocast", lambda device, **_: torch.autocast(device.type, enabled=False))
            together = [(prompts, prefixes, seeds)] if device.type == "cuda" else [
                ([p], [w], [s]) for p, w, s in zip(prompts, prefixes, seeds)]
            found[device.type] = [row for p, w, s in together for row in sample.generate(
                model, p, 5, 24, temperature=1.0, seeds=s, prefixes=w, batch_size=4)]
    assert found["cpu"] == found["cuda"]


@pytest.mark.parametrize("more", [[], ["--compile"], ["--accumulate", "2", "--grad-checkpointing"]])
def test_a_run_on_the_card_learns_what_one_on_the_cpu_does(
        tiny_model, problems, tmp_path, monkeypatch, more):
    """Catches gradients that differ, and on the card a state that is not restored: the run is cut
    after its first checkpoint and continued."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, "dry")  # without dropout, whose random numbers are the device's
    config = json.loads((tmp_path / "dry" / "config.json").read_text())
    (tmp_path / "dry" / "config.json").write_text(json.dumps({**config, "dropout_rate": 0.0}))
    words = ["--task", "warmstart", "--init", "dry", "--problems", problems, "--batch-size", "4",
             "--lr", "1e-3", "--warmup", "1", "--lr-power", "0", "--lr-end", "1e-3", "--save-every", "3",
             "--log-every", "1", "--held-out", "0.2", "--max-source", "60", "--max-target", "30"]
    pretrain_ntp.main([*words, "--steps", "6", "--out", "cpu", "--device", "cpu"])
    for steps in ("3", "6"):
        pretrain_ntp.main([*words, "--steps", steps, "--out", "card", *more])
    cpu, card = ([json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
                 for run in ("cpu", "card"))
    assert len(card) == len(cpu)
    for a, b in zip(cpu, card):
        assert a == pytest.approx(b, rel=1e-2)

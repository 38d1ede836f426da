"""The repository root on sys.path, and a model small enough to train in a blink;
nothing comes from a hub."""
import os
import sys

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

collect_ignore = ["programs"]  # candidates for the sandbox, not tests


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A directory with a T5 of about 50,000 random weights and a byte-level BPE tokenizer."""
    import torch
    import transformers

    from pretrain_ntp import train_tokenizer
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["def solve(a):\n    return a + 1\nprint(input())\n"],
                                vocab_size=380)
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        dropout_rate=0.1, decoder_start_token_id=0, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id)
    path = tmp_path_factory.mktemp("tiny")
    transformers.T5ForConditionalGeneration(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="session")
def eager_model(tiny_model, tmp_path_factory):
    """The tiny model with an end-of-sequence token that is likely as the first one. A program that
    ends at once prints nothing and passes tests that want nothing: critic sampling has work to do."""
    import torch

    from pretrain_ntp import load_model
    tokenizer, model = load_model(tiny_model, torch.device("cpu"))
    with torch.no_grad():
        h = model.eval()(input_ids=torch.tensor([[5, 6, 7]]), decoder_input_ids=torch.tensor([[0]]),
                         output_hidden_states=True).decoder_hidden_states[-1][0, 0]
        # a logit of 5 as the first token; the states of a tied T5 are scaled by 1 / sqrt(d)
        model.shared.weight[model.config.eos_token_id] = 5 * h / (h @ h) * len(h) ** 0.5
    path = tmp_path_factory.mktemp("eager")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)

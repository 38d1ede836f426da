"""The repository root on sys.path, and a model small enough to train in a blink;
nothing comes from a hub."""
import os
import sys

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
# Before torch is imported, and for all that the tests start: sums come out alike in one process and in
# another, and models this small are slower with threads that wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def pytest_addoption(parser):
    parser.addoption("--cuda", action="store_true", help="let the stages use the card that is here, as "
                     "they do by themselves (for test_cuda.py and -k feed_each_other)")


def pytest_configure(config):
    """Without --cuda no card is seen: most tests compare runs byte for byte, which a card's sums in
    any order do not allow, and some want two processes with a device each."""
    if not config.getoption("--cuda"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


collect_ignore = ["programs"]  # candidates for the sandbox, not tests


# Small configurations of every layout that the actor may have, as arguments of transformers' classes.
LAYOUTS = {
    "T5": dict(d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0.1,
               decoder_start_token_id=0),
    "GPT2": dict(n_embd=32, n_layer=2, n_head=4, n_positions=640),
    "GPTNeo": dict(hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]],
                   window_size=16, max_position_embeddings=640),
    "CodeGen": dict(n_embd=32, n_layer=2, n_head=4, n_positions=640, rotary_dim=4),
    "Qwen2": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2),
    "Starcoder2": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                       num_attention_heads=4, num_key_value_heads=2)}


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """{layout: directory} with about 50,000 random weights and one byte-level BPE tokenizer."""
    import torch
    import transformers

    from pretrain_ntp import train_tokenizer
    tokenizer = train_tokenizer(["def solve(a):\n    return a + 1\nprint(input())\n"],
                                vocab_size=380)
    paths = {}
    for layout, sizes in LAYOUTS.items():
        torch.manual_seed(0)
        config = getattr(transformers, layout + "Config")(
            vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id, bos_token_id=None, **sizes)
        kind = "ForConditionalGeneration" if config.is_encoder_decoder else (
            "LMHeadModel" if layout == "GPT2" else "ForCausalLM")
        paths[layout] = str(tmp_path_factory.mktemp(layout))
        getattr(transformers, layout + kind)(config).save_pretrained(paths[layout])
        tokenizer.save_pretrained(paths[layout])
    return paths


@pytest.fixture(scope="session")
def tiny_model(tiny_models):
    return tiny_models["T5"]


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

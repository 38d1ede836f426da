"""Decoding and the file of programs that sample.py writes."""
import json

import pytest
import torch

from pretrain_ntp import load_model, pad
from sample import generate, main, next_tokens
from sandbox import UserError, read_programs

CPU = torch.device("cpu")


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    """p = 0.5, 0.3, 0.2. top-p 0.7 keeps the first two,
    and u picks in proportion 5 : 3 (the border is at 0.625)."""
    logits = torch.tensor([[0.3, 0.5, 0.2]]).log().repeat(4, 1)
    u = torch.tensor([0.0, 0.62, 0.63, 0.999])
    assert next_tokens(logits, 1.0, 0.7, u).tolist() == [1, 1, 0, 0]
    assert next_tokens(logits, 1.0, 1.0, u).tolist() == [1, 0, 0, 2]   # borders at 0.5 and 0.8
    assert next_tokens(logits, 0.01, 1.0, u).tolist() == [1, 1, 1, 1]  # cold: always the likeliest
    assert next_tokens(logits, 1.0, 1.0, None).tolist() == [1, 1, 1, 1]


def test_a_wide_nucleus_is_not_cut_at_the_16_likeliest_tokens():
    """Catches the short cut taken where it does not hold: 200 equal tokens, top-p 1, u near 1."""
    tokens = next_tokens(torch.zeros(1, 200), 1.0, 1.0, torch.tensor([0.9]))
    assert len(set(next_tokens(torch.zeros(100, 200), 1.0, 1.0,
                               torch.arange(100) / 100).tolist())) == 100
    assert 0 <= tokens.item() < 200


@pytest.fixture(scope="module")
def model(tiny_model):
    """The tiny model with larger weights, its end-of-sequence token's most of all,
    so that some programs end, at different lengths."""
    _, model = load_model(tiny_model, CPU)
    with torch.no_grad():
        for weight in model.decoder.block.parameters():
            weight *= 4
        model.shared.weight[model.config.eos_token_id] *= 6
    return model.eval()


PROMPTS = [[5, 6, 7], [40, 41, 42, 43, 44, 45], [9]]


def test_greedy_programs_are_token_for_token_those_of_transformers(model):
    """Catches a cache that mixes rows up when finished ones leave the batch."""
    prompts = PROMPTS + [[i, i + 3] for i in range(10, 50)]
    ours = generate(model, prompts, 1, 30, method="greedy", batch_size=16)
    assert len({len(ids) for ids, in ours}) > 2
    ids, mask = pad(prompts, 0)
    theirs = model.generate(input_ids=ids, attention_mask=mask, do_sample=False,
                            max_new_tokens=30)[:, 1:].tolist()
    eos = model.config.eos_token_id
    assert [rows[0] for rows in ours] == [ids[:ids.index(eos) + 1] if eos in ids else ids
                                          for ids in theirs]


def test_a_sampled_program_depends_on_its_seed_and_not_on_its_neighbours(model):
    """Catches lost programs when the batch does not divide them,
    and randomness that depends on the batch."""
    seeds = [[0, 0], [0, 1], [0, 2]]
    together = generate(model, PROMPTS, 5, 20, temperature=1.0, top_p=1.0, seeds=seeds,
                        batch_size=15)
    assert [len(rows) for rows in together] == [5, 5, 5]
    assert generate(model, PROMPTS, 5, 20, temperature=1.0, top_p=1.0, seeds=seeds,
                    batch_size=4) == together
    assert generate(model, PROMPTS[1:2], 5, 20, temperature=1.0, top_p=1.0,
                    seeds=seeds[1:2]) == together[1:2]
    assert len({tuple(ids) for ids in together[0]}) > 1


def test_nothing_follows_the_end_of_sequence(model):
    """Catches rows that go on after their end because the batch still runs."""
    eos = model.config.eos_token_id
    for rows in generate(model, PROMPTS * 4, 8, 40, temperature=2.0, top_p=1.0,
                         seeds=[[1, i] for i in range(12)]):
        assert all(ids.index(eos) == len(ids) - 1 for ids in rows if eos in ids)


def test_a_greedy_program_continued_from_any_of_its_prefixes_is_the_same_program(model):
    """Catches a wrong position, a lost mask or a mixed-up row in a cache that is filled with prefixes
    of unequal length: the continuation from each prefix of a greedy program is its own rest."""
    prompts = PROMPTS + [[i, i + 3] for i in range(10, 50)]
    greedy = [ids for ids, in generate(model, prompts, 1, 30, method="greedy")]
    seeds = [(prompt, ids[:length]) for prompt, ids in zip(prompts, greedy)
             for length in sorted({0, 1, len(ids) // 2, len(ids) - 1, len(ids)})]
    assert len({len(prefix) for _, prefix in seeds}) > 8
    continued = generate(model, [prompt for prompt, _ in seeds], 2, 30, method="greedy",
                         prefixes=[prefix for _, prefix in seeds], batch_size=64)
    whole = dict(zip(map(tuple, prompts), greedy))
    assert continued == [[whole[tuple(prompt)]] * 2 for prompt, _ in seeds]


def test_every_seed_gets_its_own_number_of_programs_whatever_stands_beside_it(model):
    """Catches counts that shift between seeds, and randomness or padding shared between them."""
    seeds, prefixes, counts = [[0, 0], [0, 1], [0, 2]], [[7, 8, 9], [], [5]], [1, 4, 2]
    flags = dict(temperature=1.0, top_p=1.0)
    together = generate(model, PROMPTS, counts, 20, seeds=seeds, prefixes=prefixes, batch_size=3,
                        **flags)
    assert [len(rows) for rows in together] == counts
    for i in range(3):
        assert all(ids[:len(prefixes[i])] == prefixes[i] for ids in together[i])
        assert generate(model, [PROMPTS[i]], [counts[i]], 20, seeds=[seeds[i]],
                        prefixes=[prefixes[i]], **flags) == [together[i]]


@pytest.fixture
def run(tiny_model, tmp_path):
    """A function that samples 3 programs for each of 5 problems in batches of 4
    and returns the file's text."""
    problems = tmp_path / "problems.jsonl"
    problems.write_text("".join(json.dumps(
        {"problem_id": i, "question": "Print it." * i,
         "input_output": {"inputs": ["1"], "outputs": ["1"]}}) + "\n" for i in range(5)))

    def run(name, *more):
        main(["--model", tiny_model, "--problems", str(problems), "--out", str(tmp_path / name),
              "--num-programs", "3", "--batch-size", "4", "--max-target", "12", *more])
        return (tmp_path / name).read_text()
    return run


def test_every_problem_gets_its_programs_and_tokens_are_kept(run, tmp_path, tiny_model):
    """Catches `num_seqs // batch`, which drops the remainder,
    and tokens that differ from the text."""
    run("a.jsonl")
    programs = read_programs(tmp_path / "a.jsonl")
    assert sorted(program.problem_id for program in programs) == [
        i for i in range(5) for _ in range(3)]
    tokenizer, _ = load_model(tiny_model, CPU)
    assert all(tokenizer.decode(program.tokens, skip_special_tokens=True) == program.code
               for program in programs)
    assert {program.source for program in programs} == {"sampled"}


@pytest.mark.parametrize("keep", [0, 1, 4, 7, 14])
def test_a_half_written_file_is_continued_to_the_same_programs(run, tmp_path, keep):
    """Catches programs that are lost, doubled or drawn anew after a kill,
    torn last line included."""
    whole = run("whole.jsonl")
    lines = whole.splitlines(keepends=True)
    (tmp_path / "half.jsonl").write_text("".join(lines[:keep]) + lines[keep][:20])
    assert run("half.jsonl") == whole


def test_greedy_and_beam_records_say_so(run, tmp_path):
    """Catches a baseline that cannot be told from a sample."""
    run("greedy.jsonl", "--greedy")
    assert [program.source
            for program in read_programs(tmp_path / "greedy.jsonl")] == ["greedy"] * 5
    run("beam.jsonl", "--beam")
    beams = read_programs(tmp_path / "beam.jsonl")
    assert [program.source for program in beams] == ["beam"] * 15
    assert len({tuple(program.tokens) for program in beams if program.problem_id == 0}) == 3


def test_another_temperature_or_other_problems_in_the_same_file_are_refused(run, tmp_path):
    """Catches a file of mixed programs."""
    run("a.jsonl")
    with pytest.raises(UserError, match="--temperature was 0.6 and is 0.7"):
        run("a.jsonl", "--temperature", "0.7")
    (tmp_path / "b.jsonl").write_text('{"problem_id": "stranger", "code": ""}\n')
    with pytest.raises(UserError, match="other problems"):
        run("b.jsonl")


def test_hidden_tests_and_solutions_are_never_read(run, tmp_path):
    """Catches a prompt that looks at the tests: without them the programs are the same."""
    whole = run("a.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
    (tmp_path / "problems.jsonl").write_text("".join(
        json.dumps({key: row[key] for key in ("problem_id", "question")}) + "\n" for row in rows))
    assert run("b.jsonl") == whole

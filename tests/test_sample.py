"""Decoding, Algorithm 1 with scripted models and critics, and the files that sample.py writes."""
import inspect
import itertools
import json
from dataclasses import replace

import pytest
import torch

import evaluate
import sample
from conftest import LAYOUTS
from pretrain_ntp import load_model
from sample import (Unit, critic_sampling, generate, main, next_tokens, prefix_values,
                    program_value, refine, repair, returned, share_out)
from sandbox import Outcome, Problem, Program, UserError, read_programs
from train_critic import Critic, critic_batch

CPU = torch.device("cpu")


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    """p = 0.3, 0.5, 0.2. top-p 0.7 keeps the first two, the likelier one before the other,
    and u picks in proportion 5 : 3 (the border is at 0.625). top-p 1 keeps all, in their order."""
    logits = torch.tensor([[0.3, 0.5, 0.2]]).log().repeat(4, 1)
    u = torch.tensor([0.0, 0.62, 0.63, 0.999])
    assert next_tokens(logits, 1.0, 0.7, u).tolist() == [1, 1, 0, 0]
    assert next_tokens(logits, 1.0, 0.9, u).tolist() == [1, 0, 0, 2]   # borders at 0.5 and 0.8
    assert next_tokens(logits, 1.0, 1.0, u).tolist() == [0, 1, 1, 2]   # borders at 0.3 and 0.8
    assert next_tokens(logits, 0.01, 0.9, u).tolist() == [1, 1, 1, 1]  # cold: always the likeliest
    assert next_tokens(logits, 1.0, 1.0, None).tolist() == [1, 1, 1, 1]


def test_a_wide_nucleus_is_not_cut_at_the_16_likeliest_tokens():
    """Catches the short cut taken where it does not hold: 600 equal tokens, of which top-p keeps 540,
    or all, and u picks a hundred."""
    for top_p in (0.9, 1.0):
        tokens = next_tokens(torch.zeros(100, 600), 1.0, top_p, torch.arange(100) / 100).tolist()
        assert len(set(tokens)) == 100 and 0 <= min(tokens) and max(tokens) < 600


@pytest.fixture(scope="module", params=LAYOUTS)
def model(tiny_models, request):
    """A tiny model with larger weights, its end-of-sequence token's most of all,
    so that some programs end, at different lengths. A T5 does not scale its attention down: in single
    precision rounding would decide."""
    _, model = load_model(tiny_models[request.param], CPU)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2 and "emb" not in name and "wpe" not in name:
                weight *= 4
        model.get_output_embeddings().weight[model.config.eos_token_id] *= 6
    return model.eval().double() if model.config.is_encoder_decoder else model.eval()


PROMPTS = [[5, 6, 7], [40, 41, 42, 43, 44, 45], [9]]


REFILL = [0.0, 0.75]  # as on a CPU, where a batch ends before the next begins; as on a card, where new rows join it


@pytest.fixture(params=REFILL)
def refill(request, monkeypatch):
    monkeypatch.setitem(sample.REFILL, "cpu", request.param)


def test_greedy_programs_are_token_for_token_those_of_transformers(model, monkeypatch):
    """Catches a cache that mixes rows up when finished ones leave the batch and new ones join it."""
    prompts, theirs = PROMPTS + [[i, i + 3] for i in range(10, 30)], []
    eos = model.config.eos_token_id
    for prompt in prompts:
        ids = model.generate(input_ids=torch.tensor([prompt]), do_sample=False, max_new_tokens=30,
                             attention_mask=torch.ones(1, len(prompt), dtype=torch.long))
        ids = ids[0, 1 if model.config.is_encoder_decoder else len(prompt):].tolist()
        theirs.append([ids[:ids.index(eos) + 1] if eos in ids else ids])
    assert len({len(ids) for ids, in theirs}) > 2
    for share in REFILL:
        monkeypatch.setitem(sample.REFILL, "cpu", share)
        assert generate(model, prompts, 1, 30, method="greedy", batch_size=8) == theirs


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


def test_programs_share_a_row_until_they_part(model, refill, monkeypatch):
    """Catches beginnings that are decoded twice. Ten programs for each of three prompts: at each step the
    model reads a row for each different beginning of those that go on (and for up to a tenth that have
    ended). Seeds that are the same, a prompt and a prefix, begin as one row, too."""
    read, forward = [], model.forward

    def counting(*args, **inputs):
        tokens = inputs["decoder_input_ids" if model.config.is_encoder_decoder else "input_ids"]
        read.append(len(tokens))
        return forward(*args, **inputs)

    counting.__signature__ = inspect.signature(forward)
    monkeypatch.setattr(model, "forward", counting)
    drawn = generate(model, PROMPTS, 10, 20, temperature=0.1, seeds=[[0], [1], [2]])
    beginnings = [sum(len({tuple(ids[:t]) for ids in programs if len(ids) > t}) for programs in drawn)
                  for t in range(len(read))]
    assert beginnings[0] == 3 < max(beginnings) < 30
    assert all(rows <= now <= rows / 0.9 for now, rows in zip(read, beginnings))
    read.clear()
    generate(model, [PROMPTS[0]] * 3, 2, 20, seeds=[[0], [1], [2]], prefixes=[[5, 6], [5, 6], [7]])
    assert read[0] == 2


def test_beams_are_those_of_transformers(model):
    """Catches prompts that are taken for programs, and padding that is read."""
    eos = model.config.eos_token_id
    for prompt, ours in zip(PROMPTS, generate(model, PROMPTS, 3, 12, method="beam")):
        theirs = model.generate(input_ids=torch.tensor([prompt]), do_sample=False, max_new_tokens=12,
                                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                                num_beams=3, num_return_sequences=3)
        theirs = theirs[:, 1 if model.config.is_encoder_decoder else len(prompt):].tolist()
        assert ours == [ids[:ids.index(eos) + 1] if eos in ids else ids for ids in theirs]


def test_every_prompt_has_its_beams_though_two_are_the_same(model):
    """Catches beams of the distinct prompts handed out by position."""
    A, B = PROMPTS[:2]
    (a,), (b,) = (generate(model, [prompt], 2, 12, method="beam") for prompt in (A, B))
    assert generate(model, [A, A, B], 2, 12, method="beam") == [a, a, b]


def test_nothing_follows_the_end_of_sequence(model, refill):
    """Catches rows that go on after their end because the batch still runs, or that end too soon."""
    eos = model.config.eos_token_id
    for rows in generate(model, PROMPTS * 4, 8, 40, temperature=2.0, top_p=1.0, batch_size=40,
                         seeds=[[1, i] for i in range(12)]):
        assert all(ids.index(eos) == len(ids) - 1 if eos in ids else len(ids) == 40 for ids in rows)


def test_a_greedy_program_continued_from_any_of_its_prefixes_is_the_same_program(model, refill):
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


def test_every_seed_gets_its_own_number_of_programs_whatever_stands_beside_it(model, refill):
    """Catches counts that shift between seeds, and randomness or padding shared between them. On a card
    the third seed's rows follow the second's, which have two tokens left; then the first's, full, stay
    for a step beside rows that go on."""
    seeds, prefixes, counts = [[0, 0], [0, 1], [0, 2]], [[], [7, 8, 9] * 6, [5]], [2, 23, 24]
    flags = dict(temperature=1.0, top_p=1.0)
    together = generate(model, PROMPTS, counts, 20, seeds=seeds, prefixes=prefixes, batch_size=25,
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


# Each with four programs: a right one that begins with the prompt where there is one, a right whole
# one, a wrong one, and one that only compiles behind the prompt: a compile error.
PROMPT = "def twice(x):\n    \"\"\" Double x. \"\"\"\n"
TWICE = "def twice(x):\n    return 2 * x\n"
TASKS = [({"problem_id": "HumanEval/0", "question": PROMPT, "starter_code": "def twice(x):\n",
           "entry_point": "twice", "test_code": "assert twice(3) == 6"},
          [PROMPT + "    return 2 * x\n", TWICE, TWICE.replace("2", "3"), "    return 2 * x\n"]),
         ({"problem_id": "MBPP/2", "question": "Double x.", "entry_point": "twice",
           "test_code": "assert twice(3) == 6"}, [TWICE, TWICE, TWICE.replace("2", "3"), "    return"]),
         ({"problem_id": 7, "question": "Print 6.", "input_output": {"inputs": [""], "outputs": ["6"]}},
          ["print(6)", "print(2 * 3)", "print(7)", "print("])]


@pytest.mark.parametrize("form, key", [("human-eval", "completion"), ("evalplus", "solution")])
def test_exported_programs_get_the_same_verdicts_as_the_records(form, key, tiny_model, tmp_path, capsys):
    """Catches an export of a finished file that is refused, or samples anew; a prompt that is lost; and
    a program that begins indented taken for the body of the prompt's function."""
    problems, out = tmp_path / "p.jsonl", tmp_path / "s.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row, _ in TASKS))
    words = ["--model", tiny_model, "--problems", str(problems), "--out", str(out), "--num-programs", "4",
             "--max-target", "4"]
    main(words)
    codes = {row["problem_id"]: iter(codes) for row, codes in TASKS}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    out.write_text("".join(json.dumps({**row, "code": next(codes[row["problem_id"]])}) + "\n" for row in rows))
    main([*words, "--export", form])
    exported = tmp_path / f"s.{form}.jsonl"
    assert {tuple(json.loads(line)) for line in exported.read_text().splitlines()} == {("task_id", key)}
    assert ("3 of 12 programs do not begin with the prompt" in capsys.readouterr().out) == (form == "human-eval")
    for path in (out, exported):
        evaluate.main(["--problems", str(problems), "--programs", str(path), "--out", str(path) + ".judged",
                       "--k", "1", "--workers", "1"])
    ours, theirs = (read_programs(str(path) + ".judged") for path in (out, exported))
    assert [W.outcome for W in ours] == ["passed_test", "passed_test", "failed_test", "compile_error"] * 3
    assert [(W.problem_id, W.outcome, W.error) for W in theirs] == [(W.problem_id, W.outcome, W.error) for W in ours]


# --- critic sampling ------------------------------------------------------------------------------

EOS = 1


@pytest.mark.parametrize("values, cut, length", [
    ([0.6, 0.8, 0.7, 0.6, 0.5], "before", 2),  # the highest value, nothing failing before it
    ([0.6, 0.8, 0.7, 0.8, 0.5], "before", 2),  # of equal values the first
    ([0.6, 0.8, 0.4, 0.9, 0.7], "before", 2),  # the third token is called failing
    ([0.6, 0.8, 0.4, 0.9, 0.7], "at", 3),      # the paper's words keep that token
    ([0.6, 0.3, 0.4, 0.9, 0.7], "before", 1),  # the first failing token counts, not the worst
    ([0.6, 0.8, 0.7, 0.4, 0.3], "before", 2),  # a failing token behind the highest value is no matter
    ([0.5, 0.5, 0.5, 0.5, 0.5], "before", 1),  # as likely as not is not failing
    ([0.4, 0.8, 0.9, 0.9, 0.9], "before", 0),  # a failing first token leaves nothing
    ([0.4, 0.8, 0.9, 0.9, 0.9], "at", 1),
    ([0.1, 0.2, 0.3, 0.4, 0.45], "before", 0),  # all failing
    ([0.6, 0.6, 0.6, 0.6, 0.9], "before", 4),  # the whole program: less its end of sequence
    ([0.6, 0.6, 0.6, 0.6, 0.4], "at", 1),
    ([0.6, 0.7, 0.6, 0.6, 0.6, 0.9, 0.9], "before", 2),  # what stands at padding is not read
])
def test_a_seed_is_cut_where_algorithm_1_says(values, cut, length):
    """Catches a cut that is off by one, on the wrong side of the failing token, or at a later one."""
    tokens = [10, 11, 12, 13, EOS]
    assert refine(tokens, values, EOS, cut) == tokens[:length]


def test_the_best_failures_are_repaired_and_no_program_is_lost():
    """Catches copies that take two of the M places, the worst in place of the best, and N // M."""
    programs = [Program("p", code) for code in "abcbd"]
    values = [0.1, 0.4, 0.3, 0.4, 0.3]
    chosen = lambda M: "".join(W.code for W in repair(programs, values, M))  # noqa: E731
    assert [chosen(M) for M in (1, 2, 3, 4, 9)] == ["b", "bc", "bcd", "bcda", "bcda"]
    assert share_out(20, 3) == [7, 7, 6] and share_out(4, 4) == [1] * 4
    assert all(sum(share_out(N, M)) == N for N in range(30) for M in range(1, 9))


class ScriptedJudge:
    """Programs whose text is in `right` pass; a problem without example tests has no verdict."""

    def __init__(self, right):
        self.right = right

    def run(self, pairs):
        for problem, program in pairs:
            outcome = ("judge_error" if not problem.example_tests else
                       "passed_test" if program.code in self.right else "failed_test")
            yield replace(program, outcome=outcome, error=None)


class GenerousJudge:
    """Every program passes."""

    def run(self, pairs):
        return (replace(program, outcome="passed_test") for _, program in pairs)


class Letters:
    """A tokenizer of one letter a token: a is 10, b is 11, and so on."""
    eos_token_id, pad_token_id = EOS, 0

    def __call__(self, text, **_):
        return type("Encoding", (), {"input_ids": [ord(x) for x in text]})

    def decode(self, ids, **_):
        return "".join(chr(87 + i) for i in ids if i != EOS)


@pytest.fixture
def algorithm(monkeypatch):
    """A function that runs Algorithm 1 on one problem with scripted models: `rounds` are the programs
    that the first, second, third call of `generate` draws from, in turn; `values` the critic's, by
    program. Returns the rounds and what `generate` was asked for: (model, prefixes, counts)."""
    def run(rounds, values, right, num_programs, num_repair=1, example_tests={"inputs": ["1"], "outputs": ["1"]},
            keep="--no-keep"):
        asked, left = [], list(rounds)

        def generate(model, prompts, counts, *_):
            letters, asked_for = itertools.cycle(left.pop(0)), _[-1]
            asked.append((model, list(asked_for), list(counts)))
            return [[[ord(x) - 87 for x in next(letters)] + [EOS] for _ in range(count)]
                    for count in counts]

        def critic(batch):
            texts = [Letters().decode([i for i in ids if i]) for ids in batch["target"].tolist()]
            assert len(set(texts)) == len(texts)  # copies have one value, which is computed once
            return torch.tensor([values[text] for text in texts])
        critic.parameters = lambda: iter([torch.zeros(1)])
        monkeypatch.setattr(sample, "generate", generate)
        monkeypatch.setattr(sample, "prefix_values", lambda critic, batch: critic(batch))
        monkeypatch.setattr(sample, "program_value", lambda critic, batch: critic(batch)[:, -1])
        unit = Unit(Problem("p", "?", example_tests=example_tests), None, [5], [0, 0, 0], num_programs)
        args = sample.parse_args(["--model", "m", "--problems", "p", "--out", "o", "--num-repair",
                                  str(num_repair), keep])
        found = critic_sampling([unit], "actor", critic, "repairer", Letters(), ScriptedJudge(right), args)
        return returned([unit], found, args), asked
    return run


def test_what_passes_is_refined_and_the_remainder_is_distributed(algorithm):
    """Two of three programs pass, abc and abd; the critic doubts the c, so the seeds are ab and abd
    (its end of sequence is no part of a seed). S is abc abd x abc abd: four pass, a copy counts too,
    and the five places go 2, 1, 1, 1."""
    values = {"abc": [.6, .7, .4, .9], "abd": [.6, .7, .8, .9]}
    programs, asked = algorithm([["abc", "abd", "x"], ["abz"]], values, {"abc", "abd"}, 5)
    assert asked == [("actor", [[]], [5]),
                     ("actor", [[10, 11], [10, 11, 13], [10, 11], [10, 11, 13]], [2, 1, 1, 1])]
    assert [W.code for W in programs] == ["abz"] * 5 and {W.source for W in programs} == {"refined"}
    assert [W.extra["parent"] for W in programs] == ["abc", "abc", "abd", "abc", "abd"]
    assert [W.extra["prefix_tokens"] for W in programs] == [2, 2, 3, 2, 3]
    assert programs[0].extra["rounds"] == {"sampled": {"programs": 5, "passed": 4, "tokens": 18},
                                           "refined": {"programs": 5, "passed": None, "tokens": 8}}
    assert {W.outcome for W in programs} == {None}  # the hidden tests have not been run


def test_what_passes_may_keep_its_place(algorithm):
    """Catches more or fewer than N programs, and a found solution that refinement loses: with --keep
    each of P is the first of its N / |P|; where all N pass nothing is drawn."""
    values = {"abc": [.6, .7, .4, .9], "abd": [.6, .7, .8, .9]}
    programs, asked = algorithm([["abc", "x", "abd"], ["abz"]], values, {"abc", "abd"}, 5, keep="--keep")
    assert asked[1:] == [("actor", [[10, 11], [10, 11, 13]], [1, 1])]
    assert [(W.code, W.source) for W in programs] == [
        ("abc", "sampled"), ("abd", "sampled"), ("abc", "sampled"), ("abz", "refined"), ("abz", "refined")]
    programs, asked = algorithm([["abc", "abd"]], values, {"abc", "abd"}, 4, keep="--keep")
    assert [W.code for W in programs] == ["abc", "abd"] * 2 and len(asked) == 1


def test_where_nothing_passes_the_best_failures_are_repaired_and_then_refined(algorithm):
    """Catches a repair of what passes or of the worst, and repaired programs that are not refined."""
    values = {"a": [.6, .3], "b": [.6, .4], "c": [.6, .2], "r": [.9, .8]}
    programs, asked = algorithm([["a", "b", "c"], ["r", "s"], ["rz"]], values, {"r"}, 5, num_repair=2)
    assert asked == [("actor", [[]], [5]), ("repairer", [[], []], [3, 2]),
                     ("actor", [[27], [27], [27]], [2, 2, 1])]
    assert [W.code for W in programs] == ["rz"] * 5 and programs[0].extra["parent"] == "r"
    assert list(programs[0].extra["rounds"]) == ["sampled", "repaired", "refined"]


def test_the_loop_ends_where_nothing_ever_passes(algorithm):
    """Catches a loop for ever: after one round of repair its programs are the result."""
    programs, asked = algorithm([["a", "b"], ["c"]], {"a": [.6, .3], "b": [.6, .4]}, {}, 3)
    assert [(W.code, W.source, W.extra["parent"]) for W in programs] == [("c", "repaired", "b")] * 3
    assert programs[0].extra["parent_outcome"] == "failed_test" and len(asked) == 2


def test_without_example_tests_a_problem_is_sampled_plainly(algorithm):
    """Catches zero tests taken for a pass, or for a failure that asks for repair."""
    programs, asked = algorithm([["a", "b"]], {}, {}, 3, example_tests=None)
    assert [W.source for W in programs] == ["sampled"] * 3 and len(asked) == 1
    assert programs[0].extra["critic_sampling"] == "no example tests"
    assert programs[0].extra["rounds"]["sampled"]["passed"] is None  # not 0: none was tested


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_value_of_a_prefix_is_that_of_the_program_which_ends_there(tiny_models, layout):
    """Catches values read one token late or early, or from padding: Eq. (11) at t is Eq. (12) of
    w_1 .. w_t, alone or beside a longer program."""
    tokenizer, model = load_model(tiny_models[layout], CPU)
    torch.manual_seed(0)
    critic = Critic(model).eval()
    item = lambda ids: ([5, 6, 7], ids, None, 0)  # noqa: E731
    values = prefix_values(critic, critic_batch([item([10, 11, 12]), item([13] * 9)], tokenizer, "cpu"))
    for t in (1, 2, 3):
        alone = program_value(critic, critic_batch([item([10, 11, 12][:t])], tokenizer, "cpu"))
        torch.testing.assert_close(values[0, t - 1], alone[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", ["T5", "Qwen2"])
def test_real_models_refine_what_passes_from_the_seeds_of_a_real_critic(tiny_models, layout):
    """Catches a seed that goes to another program or problem, or that a decoder-only model, which reads it
    behind a prompt of another length, reads twice: each refined program is what its seed alone leads to."""
    tokenizer, model = load_model(tiny_models[layout], CPU)
    torch.manual_seed(0)
    critic = Critic(model, binary=True).eval()
    critic.head.bias.data[Outcome.PASSED_TEST] += 9  # no token is called failing: a seed ends at the highest value
    problems = [Problem(i, "", example_tests={"inputs": [""], "outputs": [""]}) for i in range(2)]
    units = [Unit(problem, None, prompt, [i], 5) for i, (problem, prompt) in enumerate(zip(problems, PROMPTS))]
    args = sample.parse_args(["--model", "m", "--problems", "p", "--out", "o", "--max-target", "12",
                              "--temperature", "1", "--top-p", "1", "--no-keep"])
    drawn, refined = critic_sampling(units, model, critic, None, tokenizer, GenerousJudge(), args)
    lengths = []
    for u, unit in enumerate(units):
        for j, (parent, child) in enumerate(zip(drawn[u], refined[u])):
            item = critic_batch([(unit.prompt, parent.tokens, None, 0)], tokenizer, CPU)
            seed = refine(parent.tokens, prefix_values(critic, item)[0].tolist(), tokenizer.eos_token_id)
            assert child.extra["parent"] == parent.code and child.extra["prefix_tokens"] == len(seed)
            assert generate(model, [unit.prompt], [1], 12, temperature=1.0, top_p=1.0, seeds=[[u, 2, j]],
                            prefixes=[seed]) == [[child.tokens]]
            lengths.append(len(seed))
    assert len(set(lengths)) > 3  # seeds of unequal length went through together


@pytest.fixture
def run_critic(eager_model, tmp_path):
    """A function that runs critic sampling on 8 problems that want nothing printed, with a model that
    often ends at once (such a program passes), and returns the file's text."""
    tokenizer, model = load_model(eager_model, CPU)
    torch.manual_seed(0)
    Critic(model, binary=True).save_pretrained(tmp_path / "critic")  # the actor is the repair model, too
    tokenizer.save_pretrained(tmp_path / "critic")
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(
        {"problem_id": i, "question": "Print nothing." * i, "solutions": ["pass"],
         "input_output": {"inputs": ["1"], "outputs": ["1"]},
         "example_tests": {"inputs": [""] * 2 * (i > 0), "outputs": [""] * 2 * (i > 0)}}) + "\n"
        for i in range(8)))

    def run(name, *more):
        main(["--model", eager_model, "--critic", str(tmp_path / "critic"), "--repairer", eager_model,
              "--problems", str(path), "--num-programs", "6", "--mini-batch", "3", "--batch-size", "4",
              "--max-target", "6",
              "--temperature", "1", "--top-p", "1", "--out", str(tmp_path / name), *more])
        return (tmp_path / name).read_text()
    return run


def test_critic_sampling_end_to_end_is_continued_after_any_line(run_critic, tmp_path, capsys):
    """Catches a round that depends on what was there already, programs lost or doubled, and hidden
    tests or solutions that are read: without them the programs are the same."""
    whole = run_critic("whole.jsonl", "--trace", str(tmp_path / "page.html"))
    programs = read_programs(tmp_path / "whole.jsonl")
    assert [sum(W.problem_id == i for W in programs) for i in range(8)] == [6] * 8
    assert {W.source for W in programs} == {"sampled", "repaired", "refined"}
    assert {W.problem_id for W in programs if "critic_sampling" in W.extra} == {0}  # no example tests
    printed = capsys.readouterr().out
    counted = [line for line in printed.splitlines() if "generated tokens" in line]
    assert [line.split(":")[0] for line in counted] == ["sampled", "repaired", "refined"]
    assert counted[0].startswith("sampled: 48 programs, ") and " in 16 mini-batches; " in counted[0]
    page = (tmp_path / "page.html").read_text()
    assert "from it" in page and "<rt>" in page and "http" not in page
    lines = whole.splitlines(keepends=True)
    for keep in (0, 14, 15):
        (tmp_path / "half.jsonl").write_text("".join(lines[:keep]) + lines[keep][:20])
        assert run_critic("half.jsonl") == whole
        assert "\n".join(counted) in capsys.readouterr().out  # of all rounds, not of this call's
    run_critic("wide.jsonl", "--batch-size", "64")  # other mini-batches beside it change nothing
    assert [W.tokens for W in read_programs(tmp_path / "wide.jsonl")] == [W.tokens for W in programs]
    path = tmp_path / "problems.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(
        {key: row[key] for key in ("problem_id", "question", "example_tests")}) + "\n" for row in rows))
    assert run_critic("blind.jsonl") == whole


def test_the_first_round_is_what_plain_sampling_draws(run_critic, eager_model, tmp_path):
    """Catches a plain control with other programs than those that critic sampling started from."""
    run_critic("critic.jsonl", "--no-refine", "--no-repair")
    main(["--model", eager_model, "--problems", str(tmp_path / "problems.jsonl"),
          "--num-programs", "6", "--mini-batch", "3", "--batch-size", "9", "--max-target", "6",
          "--temperature", "1", "--top-p", "1", "--out", str(tmp_path / "plain.jsonl")])
    plain, critic = (read_programs(tmp_path / f"{name}.jsonl") for name in ("plain", "critic"))
    assert [W.tokens for W in plain] == [W.tokens for W in critic]
    assert len({tuple(W.tokens) for W in plain}) > 10


def test_a_trace_of_programs_that_all_passed_shows_the_problem(tmp_path):
    """Catches a round in which nothing was drawn (each program is kept as its own refinement)."""
    unit = Unit(Problem("p", "Print nothing.", example_tests={"inputs": [""], "outputs": [""]}), None, [5], [0], 1)
    rounds = [{0: [Program("p", "pass", "sampled", [5, EOS], "passed_test")]}, {}]
    sample.trace(tmp_path / "page.html", unit, rounds, None, None, ScriptedJudge(["pass"]))
    assert "Print nothing." in (tmp_path / "page.html").read_text()


def test_the_repair_prompt_has_a_length_of_its_own(run_critic, tmp_path):
    """Catches a repair model that reads less than it was trained on: its prompt holds a program, too."""
    run_critic("short.jsonl", "--max-source", "24", "--no-refine")
    run_critic("long.jsonl", "--max-source", "24", "--no-refine", "--max-repair-source", "200")
    short, long = ({source: [W.tokens for W in read_programs(tmp_path / name) if W.source == source]
                    for source in ("sampled", "repaired")} for name in ("short.jsonl", "long.jsonl"))
    assert short["sampled"] == long["sampled"] and short["repaired"] != long["repaired"]


def test_a_repair_model_alone_repairs_the_failed_programs_of_a_file(run, tmp_path):
    """Catches repairs of programs that passed, and repairs that do not say what they were made from."""
    rows = [{"problem_id": i, "code": "print(2)", "outcome": outcome, "error": error} for i, (outcome, error)
            in enumerate([("failed_test", "WrongAnswer"), ("passed_test", None), ("compile_error", None)])]
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("repaired.jsonl", "--failed", str(tmp_path / "judged.jsonl"))
    programs = read_programs(tmp_path / "repaired.jsonl")
    assert sorted((W.problem_id, W.source, W.extra["parent_outcome"]) for W in programs) == [
        (0, "repaired", "failed_test (WrongAnswer)")] * 3 + [(2, "repaired", "compile_error")] * 3
    (tmp_path / "judged.jsonl").write_text(json.dumps(rows[1]) + "\n")
    with pytest.raises(UserError, match="no failed programs"):
        run("other.jsonl", "--failed", str(tmp_path / "judged.jsonl"))


@pytest.mark.parametrize("words, says", [
    (["--repairer", "r"], "need --critic"), (["--trace", "t.html"], "need --critic"),
    (["--critic", "c", "--greedy"], "leave --greedy"), (["--critic", "c", "--failed", "j"], "--failed"),
    (["--mini-batch", "0"], "is not from 1 to"), (["--num-repair", "0"], "is not from 1 to"),
    (["--critic", "c", "--cut", "after"], "--cut")])
def test_flags_that_cannot_go_together_are_refused(words, says, capsys):
    """Catches flags that are silently without effect."""
    with pytest.raises(SystemExit, match="2"):
        sample.parse_args(["--model", "m", "--problems", "p", "--out", "o", *words])
    assert says in capsys.readouterr().err

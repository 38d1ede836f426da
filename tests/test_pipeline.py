"""All stages after one another on a tiny model; each of them killed at a random moment;
and bad input to each."""
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch

from conftest import LAYOUTS

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(name, *words):
    """The same as `python NAME.py WORDS`, in this process: nothing to import, so some seconds less."""
    importlib.import_module(name).main([str(word) for word in words])


# Processes that can be killed begin as forks of one that has imported the libraries, once. Neither it nor
# the head of this file imports anything of ours: sandbox.py reads RANK when it is imported.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch.distributed.fsdp", "transformers.models.t5.modeling_t5"])


def stage(name, words, cwd, **variables):
    """Start run() in a process of its own, to be killed."""
    process = FORKS.Process(target=run_in, args=(cwd, name, words, variables))
    process.start()
    return process


def run_in(cwd, name, words, variables):
    os.environ.update(variables)
    os.chdir(cwd)
    if variables:  # one of two processes
        torch.cpu.get_capabilities = dict
    run(name, *words)


def kill_at(processes, moment):
    """Kill them all as soon as moment() is true."""
    while all(process.is_alive() for process in processes) and not moment():
        time.sleep(0.002)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)  # 0: it was quicker than the blow


LENGTHS = ["--max-source", "200", "--max-target", "32"]
TRAIN = ["--steps", "12", "--batch-size", "4", "--save-every", "4", "--log-every", "2",
         "--lr", "1e-3", "--held-out", "0.3"]

# name of the stage, its words (OUT stands for the output), the file that must come out the same,
# what shows its progress
STAGES = {
    "ntp": ("pretrain_ntp", ["--task", "ntp", "--init", "tiny", "--corpus", "corpus", *TRAIN,
                             "--max-source", "30", "--max-target", "30", "--out", "OUT"],
            "OUT/metrics.jsonl"),
    "warmstart": ("pretrain_ntp", ["--task", "warmstart", "--init", "tiny", "--problems", "p.jsonl",
                                   *TRAIN, *LENGTHS, "--out", "OUT"], "OUT/metrics.jsonl"),
    "sample": ("sample", ["--model", "tiny", "--problems", "p.jsonl", "--num-programs", "3",
                          "--batch-size", "8", *LENGTHS, "--out", "OUT"], "OUT"),
    "evaluate": ("evaluate", ["--problems", "p.jsonl", "--programs", "judged.jsonl", "--k", "1",
                              "--out", "OUT"], "OUT"),
    "critic": ("train_critic", ["--init", "tiny", "--problems", "p.jsonl", "--likelihood",
                                "--programs", "judged.jsonl", *TRAIN, *LENGTHS, "--out", "OUT"],
               "OUT/metrics.jsonl"),
    "critic of prefixes": ("train_critic", ["--init", "tiny", "--problems", "p.jsonl", "--prefixes",
                                            "--programs", "judged.jsonl", *TRAIN, *LENGTHS, "--out", "OUT"],
                           "OUT/metrics.jsonl"),
    "rl": ("train_rl", ["--init", "tiny", "--critic", "critic", "--problems", "p.jsonl",
                        "--programs", "judged.jsonl", *TRAIN, *LENGTHS, "--out", "OUT"],
           "OUT/metrics.jsonl"),
    "ce+samples": ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "judged.jsonl",
                                "--objective", "ce+samples", "--returns", "baseline",
                                "--baseline", "group", *TRAIN, *LENGTHS, "--out", "OUT"],
                   "OUT/metrics.jsonl"),
    "on-policy": ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--on-policy",
                               "--programs", "judged.jsonl",
                               "--round-steps", "2", "--round-problems", "5", "--group", "2",
                               "--baseline", "group", "--returns", "baseline", "--kl", "0.1",
                               *TRAIN, *LENGTHS, "--out", "OUT"], "OUT/metrics.jsonl"),
    # 16 groups of three rounds each; the model often ends at once, and such a program passes
    "critic sampling": ("sample", ["--model", "eager", "--critic", "critic_test", "--repairer", "tiny",
                                   "--problems", "p.jsonl", "--num-programs", "4",
                                   "--mini-batch", "2", "--batch-size", "2", "--temperature", "1",
                                   "--max-source", "200", "--max-target", "8", "--out", "OUT"],
                        "OUT"),
    "repair": ("pretrain_ntp", ["--task", "repair", "--init", "tiny", "--problems", "p.jsonl",
                                "--programs", "judged.jsonl", *TRAIN, *LENGTHS, "--out", "OUT"],
               "OUT/metrics.jsonl"),
}


@pytest.fixture(scope="module")
def work(tiny_model, eager_model, tmp_path_factory):
    """A directory with a tiny model, a corpus, 24 problems, and programs of all four outcomes,
    judged by the sandbox; and a trained critic. The tests begin in it."""
    path = tmp_path_factory.mktemp("work")
    os.symlink(tiny_model, path / "tiny")
    os.symlink(eager_model, path / "eager")
    (path / "corpus").mkdir()
    for i in range(12):
        (path / "corpus" / f"{i}.py").write_text(f"def f{i}(x):\n    return x + {i}\n" * 9)
    problems = [{"problem_id": i, "question": f"Print {i}.",
                 "example_tests": {"inputs": [""], "outputs": [""]},
                 "solutions": [[], [f"print({i})\n"], [f"n = {i}\nfor _ in [n]:\n    print(n)\n"]][i % 3],
                 "input_output": {"inputs": ["", ""], "outputs": [f"{i}\n", f"{i}\n"]},
                 "difficulty": "introductory"} for i in range(24)]
    (path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    codes = ["print(", "print(x)", "print(-1)", "print({})"]  # one of each outcome
    programs = [{"problem_id": i, "code": codes[j].format(i), "source": "sampled"}
                for i in range(24) for j in range(4)]
    programs += [{"problem_id": i, "code": codes[2 + i % 2].format(i), "source": "greedy"}
                 for i in range(24)]
    (path / "programs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in programs))
    name, words, _ = STAGES["critic"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        run("evaluate", "--problems", "p.jsonl", "--programs", "programs.jsonl",
            "--out", "judged.jsonl")
        run(name, *[word.replace("OUT", "critic") for word in words])
        run(name, "--binary", *[word.replace("OUT", "critic_test") for word in words])
    return path


@pytest.fixture(autouse=True)
def in_work(work, monkeypatch):
    monkeypatch.chdir(work)


@pytest.mark.parametrize("key", STAGES)
def test_kill_9_at_a_random_moment_and_the_same_command_gives_the_same_file(work, key):
    """Catches anything that a kill loses:
    the file of a killed and continued run equals an uninterrupted run's, byte for byte."""
    name, words, result = STAGES[key]
    out = [word.replace("OUT", f"{key}_killed") for word in words]
    target = work / result.replace("OUT", f"{key}_killed")
    # lines that stand in the file when the blow falls: before a trainer's first checkpoint, or after
    wanted = random.choice([1, 5, 6, 7])
    kill_at([stage(name, out, work)],
            lambda: target.exists() and target.read_bytes().count(b"\n") >= wanted)
    run(name, *out)
    run(name, *[word.replace("OUT", f"{key}_straight") for word in words])
    assert target.read_bytes() == (work / result.replace("OUT", f"{key}_straight")).read_bytes()


@pytest.fixture(scope="module")
def dry(tiny_model, work):
    """The tiny model without dropout: its gradients do not depend on who draws the random numbers."""
    shutil.copytree(tiny_model, work / "dry")
    config = json.loads((work / "dry" / "config.json").read_text())
    (work / "dry" / "config.json").write_text(json.dumps({**config, "dropout_rate": 0.0}))


def two_processes(name, words, cwd):
    """The two processes that torchrun starts, as on a CPU without bfloat16, which rounds each part of a
    sum, so that one or two parts differ."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [stage(name, words, cwd, RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2",
                  MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)) for rank in "01"]


@pytest.mark.parametrize("key, more", [
    ("warmstart", ["--shard"]), ("critic of prefixes", ["--accumulate", "3"]),
    ("critic", ["--shard", "--grad-checkpointing"]), ("rl", ["--accumulate", "2"]),
    ("on-policy", ["--shard"])])
def test_two_processes_learn_what_one_does(work, dry, monkeypatch, key, more):
    """Catches gradients that are not those of the whole batch: a mean of means (batches of 4 hold
    programs of unequal length, the last of an epoch fewer than there are parts), a part that is lost
    or counted twice, a state that is not gathered. The two processes are stopped after the first
    checkpoint and one process goes on; the log is that of one process alone."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)  # as in two_processes()
    name, words, _ = STAGES[key]
    words = ["dry" if word == "tiny" else word for word in words]
    out = f"{key}_{'_'.join(more)}_two"
    if not (work / f"{key}_one").exists():
        run(name, *[word.replace("OUT", f"{key}_one") for word in words])
    two = [word.replace("OUT", out) for word in words] + more
    kill_at(two_processes(name, two, work), lambda: list((work / out).glob("step-*[0-9]")))
    run(name, *[word for word in two if word != "--shard"])
    one, two = ([json.loads(line) for line in (work / run / "metrics.jsonl").read_text().splitlines()]
                for run in (f"{key}_one", out))
    assert [list(row) for row in one] == [list(row) for row in two]
    for a, b in zip(one, two):
        assert a == pytest.approx(b, rel=3e-4, abs=1e-5)


def test_two_processes_write_the_same_programs_and_verdicts_as_one_also_after_a_kill(work):
    """Catches programs that are lost or doubled between the parts: the joined file is that of one
    process, byte for byte, though the run was killed and went on with another number of processes."""
    for key in ("critic sampling", "evaluate"):
        name, words, _ = STAGES[key]
        one, two = ([word.replace("OUT", f"{key} {number}.jsonl") for word in words]
                    for number in ("one", "two"))
        run(name, *one)
        kill_at(two_processes(name, two, work), lambda: list(work.glob(f"{key} two.jsonl.part-*")))
        if key == "evaluate":
            run(name, *two)
        else:  # as a user starts it
            subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone",
                            "--nproc-per-node", "2", os.path.join(ROOT, name + ".py"), *two],
                           timeout=240, check=True)
        assert (work / f"{key} two.jsonl").read_bytes() == (work / f"{key} one.jsonl").read_bytes()
        assert not list(work.glob(f"{key} two.jsonl.part-*"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_stages_feed_each_other(work, tiny_models, tmp_path, layout, monkeypatch, capsys):
    """Catches a stage whose output the next one cannot read, and one that knows T5 alone:
    pretraining, warm start, sample, judge, critic, RL, repair, critic sampling, table."""
    (tmp_path / "p.jsonl").symlink_to(work / "p.jsonl")
    (tmp_path / "judged.jsonl").symlink_to(work / "judged.jsonl")
    monkeypatch.chdir(tmp_path)
    train = [*TRAIN, "--steps", "4", *LENGTHS]
    run("pretrain_ntp", "--task", "ntp", "--init", tiny_models[layout], "--corpus", work / "corpus", "--out", "ntp",
        *train)
    run("pretrain_ntp", "--task", "warmstart", "--init", "ntp", "--problems", "p.jsonl",
        *train, "--out", "ws")
    for flags, out in ((["--num-programs", "2"], "s"), (["--greedy"], "g")):
        run("sample", "--model", "ws", "--problems", "p.jsonl", *flags, *LENGTHS,
            "--out", f"{out}.jsonl")
        run("evaluate", "--problems", "p.jsonl", "--programs", f"{out}.jsonl", "--k", "1",
            "--out", f"{out}j.jsonl")
    run("train_critic", "--init", "ws", "--problems", "p.jsonl", "--programs", "sj.jsonl",
        *train, "--out", "c")
    report = json.loads((tmp_path / "c" / "report.json").read_text())
    assert report["programs"] > 0 and len(report["prefix"]) == 5
    # A model that never learned writes programs that all fail alike,
    # so the judged toy programs join.
    capsys.readouterr()
    run("train_rl", "--init", "ws", "--critic", "c", "--problems", "p.jsonl", "--programs",
        "sj.jsonl", "judged.jsonl", *train, "--out", "rl")
    log = capsys.readouterr().out
    assert "reward" in log and "passed" in log
    run("pretrain_ntp", "--task", "repair", "--init", "rl", "--problems", "p.jsonl", "--programs",
        "judged.jsonl", *train, "--out", "repair")
    run("train_critic", "--binary", "--init", "ws", "--problems", "p.jsonl", "--programs", "sj.jsonl",
        *train, "--out", "c_test")
    run("sample", "--model", "rl", "--critic", "c_test", "--repairer", "repair", "--problems", "p.jsonl",
        "--num-programs", "2", *LENGTHS, "--out", "r.jsonl")
    run("evaluate", "--problems", "p.jsonl", "--programs", "r.jsonl", "--k", "1",
        "--out", "rj.jsonl")
    capsys.readouterr()
    run("evaluate", "--problems", "p.jsonl", "--table", "warm start=sj.jsonl", "RL=rj.jsonl", "--k", "1")
    table = capsys.readouterr().out
    assert "warm start" in table and "RL" in table


@pytest.mark.parametrize("name, words, says", [
    ("sample", ["--model", "tiny", "--problems", "nowhere.jsonl", "--out", "x.jsonl"],
     "nowhere.jsonl"),
    ("sample", ["--model", "nowhere", "--problems", "p.jsonl", "--out", "x.jsonl"], "nowhere"),
    ("sample", ["--model", "tiny", "--problems", "broken.jsonl", "--out", "x.jsonl"],
     "broken.jsonl, line 2"),
    ("evaluate", ["--problems", "p.jsonl", "--programs", "stranger.jsonl", "--out", "x.jsonl"],
     "stranger.jsonl, line 1"),
    ("train_critic", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "programs.jsonl",
                      "--out", "x"], "evaluate.py"),
    ("train_rl", ["--init", "tiny", "--critic", "tiny", "--problems", "p.jsonl",
                  "--programs", "judged.jsonl", "--out", "x"], "not a critic"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "judged.jsonl",
                  "--out", "x"], "--critic"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "alone.jsonl", "--returns",
                  "baseline", "--baseline", "group", "--out", "x"], "another --bound or --baseline"),
    ("pretrain_ntp", ["--task", "warmstart", "--init", "tiny", "--problems", "p.jsonl", "--programs",
                      "judged.jsonl", "--out", "x"], "learns from no --programs"),
    ("pretrain_ntp", ["--task", "ntp", "--init", "bert", "--out", "x"], "language model"),
    ("pretrain_ntp", ["--task", "ntp", "--init", "tiny", "--corpus", "empty", "--out", "x"],
     "no Python files"),
    ("pretrain_ntp", ["--task", "warmstart", "--init", "tiny", "--problems", "p.jsonl",
                      "--out", "x", "--step", "3"], "--step"),
    ("train_critic", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "judged.jsonl",
                      "--out", "y", "--shard"], "torchrun"),
    ("train_critic", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "foreign.jsonl",
                      "--out", "x"], "tokenizer of tiny"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "foreign.jsonl",
                  "--returns", "baseline", "--out", "x"], "tokenizer of tiny"),
    ("sample", ["--model", "tiny", "--problems", "p.jsonl", "--out", "x.jsonl", "--device", "tpu"],
     "no device 'tpu'"),
    ("sample", ["--model", "torn", "--problems", "p.jsonl", "--out", "x.jsonl"], "cannot open torn"),
    ("sample", ["--model", "critic", "--problems", "p.jsonl", "--out", "x.jsonl"], "is a critic"),
    ("sample", ["--model", "tiny/typo", "--problems", "p.jsonl", "--out", "x.jsonl"], "no tiny/typo"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "judged.jsonl", "--out", "x",
                  "--returns", "reward", "--baseline", "group"], "would do nothing"),
    ("evaluate", ["--problems", "p.jsonl", "--programs", "judged.jsonl", "--out", "empty"],
     "empty: Is a directory"),
    ("pretrain_ntp", ["--task", "ntp", "--init", "tiny", "--corpus", "corpus", "--out", "p.jsonl"],
     "p.jsonl"),
    ("pretrain_ntp", ["--task", "ntp", "--init", "tiny", "--corpus", "empty", "--out", "begun"],
     "--corpus was ['corpus'] and is ['empty']"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--out", "x", "--log-every", "0"],
     "--log-every: 0 is not from 1 to 2147483647"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--out", "x", "--lr", "-1"],
     "--lr: -1 is not a number from 0 to 1e9"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--out", "x", "--seed", str(2**70)],
     "is not from 0 to 2147483647"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "judged.jsonl",
                  "./judged.jsonl", "--returns", "baseline", "--out", "x"], "a file is given twice"),
    ("pretrain_ntp", ["--task", "repair", "--init", "tiny", "--problems", "p.jsonl", "--programs",
                      "judged.jsonl", "./judged.jsonl", "--out", "x"], "a file is given twice"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--out", "x", "--objective", "ce",
                  "--on-policy"], "--on-policy would do nothing"),
    ("train_rl", ["--init", "mini", "--problems", "p.jsonl", "--programs", "judged.jsonl",
                  "--returns", "baseline", "--out", "x"], "cannot open mini"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--out", "x", "--objective", "ce",
                  "--kl", "1"], "--objective ce has none"),
    ("train_rl", ["--init", "tiny", "--problems", "p.jsonl", "--out", "x", "--on-policy", "--group", "1",
                  "--baseline", "group", "--returns", "baseline"], "every return would be 0"),
    ("train_rl", ["--init", "tiny", "--critic", "torn_critic", "--problems", "p.jsonl", "--programs",
                  "judged.jsonl", "--out", "x"], "critic_head.pt"),
    ("train_critic", ["--init", "critic", "--problems", "p.jsonl", "--programs", "judged.jsonl",
                      "--out", "judged.jsonl", "--show", "1"], "one of the inputs"),
    ("train_rl", ["--init", "tiny", "--critic", "critic_test", "--problems", "p.jsonl", "--programs",
                  "judged.jsonl", "--out", "x"], "was trained with --binary"),
    ("train_critic", ["--init", "tiny", "--problems", "p.jsonl", "--programs", "beyond.jsonl",
                      "--out", "x"], "tokenizer of tiny"),
    ("sample", ["--model", "tiny", "--critic", "critic", "--problems", "p.jsonl", "--out", "x.jsonl"],
     "was trained without --binary"),
    ("sample", ["--model", "tiny", "--problems", "p.jsonl", "--out", "./p.jsonl"], "one of the inputs"),
    ("sample", ["--model", "tiny", "--problems", "p.jsonl", "--out", "x.jsonl", "--temperature", "nan"],
     "--temperature: nan is not a number"),
    ("sample", ["--model", "tiny", "--problems", "p.jsonl", "--out", "x.jsonl", "--device", "meta"],
     "no device 'meta'"),
    ("sample", ["--model", "endless", "--problems", "p.jsonl", "--out", "x.jsonl"],
     "no end-of-sequence token"),
    ("pretrain_ntp", ["--task", "ntp", "--init", "tiny", "--corpus", "corpus", "nowhere", "--out", "x"],
     "cannot read nowhere"),
    ("pretrain_ntp", ["--task", "warmstart", "--init", "tiny", "--problems", "p.jsonl", "--out", "x",
                      "--held-out", "0.999"], "--held-out leaves nothing to learn from"),
])
def test_bad_input_gets_one_sentence_and_exit_status_2(work, name, words, says, capsys):
    """Catches a traceback, or a start of work that bad input will throw away."""
    from sandbox import run_main
    (work / "broken.jsonl").write_text('{"problem_id": 1, "question": "?"}\n{"problem_id": 2,\n')
    (work / "stranger.jsonl").write_text('{"problem_id": "who", "code": ""}\n')
    (work / "foreign.jsonl").write_text(json.dumps(
        {"problem_id": 1, "code": "print(1)", "tokens": [5, 1], "outcome": "passed_test"}) + "\n")
    (work / "alone.jsonl").write_text(
        '{"problem_id": 1, "code": "print(1)", "outcome": "passed_test"}\n')  # its own group's mean
    (work / "beyond.jsonl").write_text("".join(json.dumps(
        {"problem_id": 1, "code": "", "tokens": ids, "outcome": "failed_test"}) + "\n"
        for ids in ([1], [999, 1])))
    shutil.copytree(work / "tiny", work / "endless", dirs_exist_ok=True)
    config = json.loads((work / "endless" / "tokenizer_config.json").read_text())
    (work / "endless" / "tokenizer_config.json").write_text(json.dumps({**config, "eos_token": None}))
    (work / "empty").mkdir(exist_ok=True)
    (work / "begun").mkdir(exist_ok=True)  # killed between its corpus and its first checkpoint
    (work / "begun" / "config.json").write_text('{"corpus": ["corpus"], "versions": {}}')
    (work / "begun" / "corpus.ends").write_text("8 bytes.")
    shutil.copytree(work / "tiny", work / "torn", dirs_exist_ok=True)
    (work / "torn" / "model.safetensors").write_bytes(b"half")
    shutil.copytree(work / "tiny", work / "torn_critic", dirs_exist_ok=True)
    (work / "torn_critic" / "critic_head.pt").write_bytes(b"half")
    (work / "bert").mkdir(exist_ok=True)
    (work / "bert" / "config.json").write_text(
        '{"model_type": "bert", "architectures": ["BertModel"]}')
    with pytest.raises(SystemExit) as stopped:
        run_main(lambda: run(name, *words))
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and says in error.splitlines()[-1], error

"""What README.md, demo.sh and --help say is what the files do."""
import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
import textwrap

import pytest

from sandbox import run_main

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# in reading order: imports run upward
STAGES = ["sandbox", "pretrain_ntp", "train_critic", "sample", "evaluate", "train_rl"]
COMMANDS = [stage for stage in STAGES if stage != "sandbox"]
TRAINERS = ["pretrain_ntp", "train_critic", "train_rl"]


def read(name):
    with open(os.path.join(ROOT, name)) as file:
        return file.read()


def module(stage):
    return __import__(stage)


def parser_of(stage, monkeypatch):
    """The ArgumentParser that stage.parse_args builds, caught when it parses."""
    caught = []

    def catch(self, *_):
        caught.append(self)
        raise InterruptedError
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", catch)
    with pytest.raises(InterruptedError):
        module(stage).parse_args([])
    return caught[0]


def documented_commands():
    """Every `python STAGE.py ...`, or with torchrun, of README.md and demo.sh as (stage, arguments)."""
    for name in ("README.md", "demo.sh"):
        text = read(name).replace("\\\n", " ")
        text = text.replace("${SEED:+-$SEED}", "").replace("${SEED:-0}", "0")  # as if SEED were not set
        variables = (dict(re.findall(r'^([A-Z]+)="?([^"\n]*)"?$', text, re.M))
                     if name == "demo.sh" else {})
        variables = {key: value.replace("$S", variables["S"]) for key, value in variables.items()}
        for line in text.splitlines():
            match = re.match(r"\s*(?:test .* \|\| )?(?:python|\$RUN|torchrun --nproc-per-node \d+) "
                             r"(\w+)\.py (.*)", line)
            if match and match[1] in COMMANDS:
                words = re.sub(r"\$(\w+)", lambda found: variables[found[1]], match[2])
                yield pytest.param(match[1], shlex.split(words, comments=True),
                                   id=f"{name}:{words[:60]}")


@pytest.mark.parametrize("stage, words", list(documented_commands()))
def test_every_documented_command_parses(stage, words):
    """Catches a flag that was renamed under the README."""
    module(stage).parse_args(words)


@pytest.mark.parametrize("stage", COMMANDS)
def test_every_flag_has_help_and_is_read(stage, monkeypatch):
    """Catches dead flags: each dest must be read as args.<dest> by a function of its file, or by one of
    another file that its file imports."""
    parser, text = parser_of(stage, monkeypatch), read(stage + ".py")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module in STAGES:
            functions = {part.name: part for part in ast.parse(read(node.module + ".py")).body
                         if isinstance(part, ast.FunctionDef)}
            text += "\n".join(ast.unparse(functions[alias.name]) for alias in node.names
                              if alias.name in functions)
    for action in parser._actions:
        assert action.help
        if action.dest != "help":
            assert re.search(rf"args\.{action.dest}\b", text), action.dest
    assert parser.description == module(stage).__doc__ and not parser.allow_abbrev


def test_a_flag_is_the_same_in_every_stage(monkeypatch):
    """Catches --lr that means another default in another stage, or has another help. The trainers have
    theirs in the same order. What one stage must be given (--programs, say) another may do without, and
    sample.py decodes more programs together than a trainer learns from in a step."""
    flags = {}
    for stage in COMMANDS:
        with monkeypatch.context() as patch:
            actions = parser_of(stage, patch)._actions
        if stage in TRAINERS:
            assert [action.dest for action in actions][1:11] == (
                "init problems out steps batch_size lr save_every log_every seed device".split())
        for a in actions:
            if (stage, a.dest) != ("sample", "batch_size"):
                default = None if a.dest in ("problems", "programs", "out") else str(a.default)
                flags.setdefault(a.dest, set()).add((a.type, default, a.help, *a.option_strings))
    assert {dest for dest in flags if len(flags[dest]) > 1} == set()


@pytest.mark.parametrize("stage", COMMANDS)
def test_help_exits_0_and_a_wrong_flag_2(stage, capsys):
    """Catches a traceback from --help (a stray % in a help text), and abbreviations taken for flags."""
    for word, status in (("--help", 0), ("--no-such-flag", 2)):
        with pytest.raises(SystemExit) as stopped:
            run_main(lambda: module(stage).main([word]))
        out, err = capsys.readouterr()
        assert stopped.value.code == status
        assert "Next:" in out if status == 0 else len(err.splitlines()) == 1


def test_a_script_exits_as_its_main_does():
    """Catches a script that does not call run_main: one process, of the script that starts quickest."""
    wrong = subprocess.run([sys.executable, os.path.join(ROOT, "evaluate.py"), "--no-such-flag"],
                           capture_output=True, text=True)
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
    for stage in COMMANDS:
        assert read(stage + ".py").endswith('if __name__ == "__main__":\n    run_main(main)\n')


def test_output_that_nobody_reads_ends_a_script():
    """Catches a traceback after `| head`, for what is printed at once and for what is left in the buffer."""
    for body in ("print(1, flush=True)", "print(1)"):
        unread, stdout = os.pipe()
        os.close(unread)
        script = subprocess.run([sys.executable, "-c", f"import sandbox; sandbox.run_main(lambda: {body})"],
                                cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True)
        os.close(stdout)
        assert script.returncode == 1 and script.stderr.startswith("stopped, as nobody reads the output;")
        assert len(script.stderr.splitlines()) == 1


def test_imports_run_upward_and_the_list_of_files_is_closed():
    """Catches a seventh script, and a stage that imports a later one."""
    assert sorted(name for name in os.listdir(ROOT) if name.endswith(".py")) == sorted(
        stage + ".py" for stage in STAGES)
    for position, stage in enumerate(STAGES):
        tree = ast.parse(read(stage + ".py"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
            for alias in node.names}
        assert imported & set(STAGES) <= set(STAGES[:position]), stage
        if stage in ("sandbox", "evaluate"):
            assert not any(name and name.split(".")[0] in ("torch", "transformers")
                           for name in imported)


def test_equation_tags_and_the_readme_table_agree():
    """Catches a tag without a row and a row whose function does not carry the tag."""
    rows = re.findall(r"^\| ([^|]+) \|[^|]+\| `(\w+)\.py:(\w+)` \|", read("README.md"), re.M)
    assert len(rows) >= 8
    for tag, stage, name in rows:
        if tag.startswith("Eq"):
            source = read(stage + ".py")
            for node in ast.walk(ast.parse(source)):
                targets = (
                    [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else
                    [t.id for t in node.targets if isinstance(t, ast.Name)]
                    if isinstance(node, ast.Assign) else [])
                if name in targets:
                    assert tag in "\n".join(
                            source.splitlines()[node.lineno - 1:node.end_lineno]), (
                        tag, name)
                    break
            else:
                raise AssertionError(f"{stage}.py has no {name}")
    table = {tag for tag, _, _ in rows}
    for stage in STAGES:
        for tag in re.findall(r"# .*?(Eq\. \(\d+\))\s*$", read(stage + ".py"), re.M):
            assert tag in table, f"{stage}.py carries {tag}, which the README's table does not name"


def test_the_readmes_snippet_writes_the_greedy_program(tiny_model, capsys):
    """Catches a checkpoint that plain transformers does not open, or that it reads otherwise than we
    do: its configuration, its tokenizer, or a prompt that is not ours."""
    import torch

    from pretrain_ntp import build_prompt, decode_program, encode_prompt, load_model
    from sample import generate
    from sandbox import Problem
    code = textwrap.dedent(re.search(r"^    from transformers .*?\n\n", read("README.md"), re.M | re.S)[0])
    code = re.sub(r'(checkpoint = ).*', rf'\1"{tiny_model}"', code).replace("512", "20")
    exec(code, names := {})
    tokenizer, model = load_model(tiny_model, torch.device("cpu"))
    problem = Problem(1, "Print n + 1.")
    (ids,), = generate(model.eval(), [encode_prompt(tokenizer, problem, 600)], 1, 20, method="greedy")
    assert names["prompt"] == build_prompt(problem) and names["ids"][0, 1:].tolist() == ids
    assert capsys.readouterr().out == decode_program(tokenizer, ids) + "\n"


@pytest.mark.parametrize("stage", STAGES)
def test_the_readme_knows_how_long_each_file_is(stage):
    """Catches a file map that rots: the count of lines there is true to a twentieth."""
    lines = int(re.search(rf"^\| `{stage}\.py` \| (\d+) \|", read("README.md"), re.M)[1])
    assert abs(lines - read(stage + ".py").count("\n")) <= lines / 20

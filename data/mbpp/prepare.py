"""MBPP (Austin et al., 2021) as problem records. Data for Tables 6 and 10 of the paper.

    python data/mbpp/prepare.py --input mbpp.jsonl --out data/mbpp/problems.jsonl

Reads    mbpp.jsonl (974 problems) or sanitized-mbpp.json (427), as google-research publishes them,
         or a .parquet file of google-research-datasets/mbpp on the Hub (one split; needs pyarrow).
Writes   one problem a line, in the format that the docstring of sandbox.py describes.

The question is the description, "Your code should satisfy these tests:" and the first three
asserts (App. B.2). All asserts are the hidden tests, so the statement gives them away: that is
how the benchmark is defined, and why `example_tests` is empty. Windows line ends become "\\n".
Each record also carries the benchmark's own `split`; the paper's numbers are for `test`:

    grep '"split": "test"' data/mbpp/problems.jsonl > data/mbpp/test.jsonl

Next: python pretrain_ntp.py --task warmstart, or python sample.py, with --problems this file.
"""
import ast
import builtins
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from sandbox import (Problem, UserError, check_out, make_parser, read_jsonl, run_main, to_row,
                     write_jsonl)


# --- data -----------------------------------------------------------------------------------------

def read_rows(path):
    """Yield (place, row) from a file of rows, or from the sanitized one, which is a JSON list."""
    try:
        with open(path, "rb") as file:
            is_list = file.read(1) == b"["
            rows = json.loads(b"[" + file.read()) if is_list else None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); download it again") from None
    if is_list:
        yield from ((f"{path}, item {number}", row) for number, row in enumerate(rows, 1))
    else:
        yield from ((f"{path}, line {number}", row) for number, row in read_jsonl(path))


def called_names(assertion):
    """Names of the functions that an assert calls, the outermost first."""
    return [node.func.id for node in ast.walk(ast.parse(assertion))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]


def find_entry_point(assertions):
    """The function under test: the outermost one that every assert calls.

    Built-ins such as `set` only wrap the call, unless nothing else is called: MBPP/126 asks for a
    function named `sum`.
    """
    shared = set.intersection(*(set(called_names(assertion)) for assertion in assertions))
    names = [name for name in called_names(assertions[0]) if name in shared]
    return next((name for name in names if not hasattr(builtins, name)), names[0])


def split_of(task_id):
    """The split that the MBPP paper assigns to a task number."""
    return ("prompt" if task_id <= 10 else "test" if task_id <= 510 else
            "validation" if task_id <= 600 else "train")


def to_problem(row):
    """One row of either file as a Problem."""
    task_id, asserts = row["task_id"], row["test_list"]
    text = row["text"] if "text" in row else row["prompt"]  # the sanitized file renames the key
    question = "\n".join([text, "Your code should satisfy these tests:", *asserts[:3]])
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports", []))
    test_code = "\n".join([setup, *asserts]).replace("\r\n", "\n").lstrip("\n") + "\n"
    return Problem(problem_id=f"MBPP/{task_id}", question=question, test_code=test_code,
                   entry_point=find_entry_point(asserts),
                   solutions=[row["code"].replace("\r\n", "\n")],
                   difficulty="mbpp", extra={"split": split_of(task_id)})


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    p.add_argument("--input", required=True, metavar="FILE",
                   help="mbpp.jsonl, sanitized-mbpp.json or a .parquet file of the Hub")
    p.add_argument("--out", required=True, metavar="P.jsonl",
                   help="problems file to write")
    return p.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    check_out(args.out, [args.input])
    problems = []
    for place, row in read_rows(args.input):
        try:
            problems.append(to_problem(row))
        except (KeyError, IndexError, TypeError, AttributeError, SyntaxError) as error:
            raise UserError(f"{place}: not a row of MBPP ({type(error).__name__}: {error}); "
                            "give mbpp.jsonl or sanitized-mbpp.json") from None
    if not problems:
        raise UserError(f"{args.input}: no problems in it; download it again")
    write_jsonl(args.out, map(to_row, problems))
    splits = [problem.extra["split"] for problem in problems]
    print(f"{args.out}: {len(problems)} problems ("
          + ", ".join(f"{splits.count(name)} {name}" for name in sorted(set(splits))) + ")")


if __name__ == "__main__":
    run_main(main)

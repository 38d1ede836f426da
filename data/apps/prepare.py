"""APPS (Hendrycks et al., 2021) as problem records, example tests included.

    python data/apps/prepare.py --input APPS/train --out data/apps/train.jsonl
    python data/apps/prepare.py --input test.jsonl --out data/apps/test.jsonl

Reads    one split: its folder of 0000/ 0001/ ... (question.txt, input_output.json, solutions.json,
         metadata.json, starter_code.py), or its .jsonl file from codeparrot/apps on the Hub, or
         a .parquet file of the same rows (needs pyarrow).
Writes   one problem a line, in the format that the docstring of sandbox.py describes.

The example tests, which critic sampling may look at (Sec. 3.3.4), are taken from the statement:
blocks under "-----Example-----" or "-----Sample Input-----", without notes and explanations. For a
problem that asks for a function, `Input: nums = [1, 2], k = 3` is read as the arguments of a call;
what cannot be read is left out, and a statement that shows no example gets null. A problem without
hidden tests cannot be judged: it is left out, and the last line of output counts such problems.
Missing solutions are normal in the test split; they become an empty list.

Next: python pretrain_ntp.py --task warmstart --problems data/apps/train.jsonl
"""
import ast
import collections
import itertools
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from sandbox import Problem, UserError, check_out, make_parser, read_jsonl, run_main, to_row


# --- the two published layouts --------------------------------------------------------------------

FILES = {"question": "question.txt", "solutions": "solutions.json", "metadata": "metadata.json",
         "input_output": "input_output.json", "starter_code": "starter_code.py"}


def read_folder(folder):
    """Yield (place, row) for each numbered folder, in the shape of a row of the Hub's file."""
    names = sorted((name for name in os.listdir(folder) if name.isdigit()), key=int)
    if not names:
        raise UserError(f"{folder}: no folders 0000, 0001, ... in it; give APPS/train or APPS/test")
    for name in names:
        place, row = os.path.join(folder, name), {"problem_id": int(name)}
        for key, file_name in FILES.items():
            try:
                with open(os.path.join(place, file_name), encoding="utf-8") as file:
                    row[key] = file.read()
            except FileNotFoundError:
                row[key] = None
            except UnicodeDecodeError as error:
                raise UserError(f"{place}: {file_name} is not UTF-8 ({error}); download it again") from None
        row.update(parse(place, "metadata.json", row.pop("metadata")) or {})  # difficulty, url
        yield place, row


def read_rows(path):
    """Yield (place, row) from either layout."""
    if os.path.isdir(path):
        yield from read_folder(path)
    else:
        for number, row in read_jsonl(path):
            row.setdefault("problem_id", row.pop("id", None))  # the Hub calls it `id`
            yield f"{path}, line {number}", row


def parse(place, key, value):
    """A field that holds JSON, or JSON as a string; None where it is missing or empty."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except ValueError as error:
        raise UserError(f"{place}: {key} is not valid JSON ({error}); download it again") from None


def to_problem(place, row):
    """(Problem, None), or (None, why it cannot be judged)."""
    if row.get("problem_id") is None or not row.get("question"):
        raise UserError(f"{place}: no problem number or no question; give a split of APPS")
    tests = parse(place, "input_output", row.get("input_output"))
    if not tests or not tests.get("inputs"):
        return None, "no hidden tests"
    if len(tests["inputs"]) != len(tests.get("outputs", [])):
        return None, "inputs and outputs that do not pair up"
    starter_code = row.get("starter_code") or ""
    examples = example_tests(row["question"], starter_code, tests.get("fn_name"))
    solutions = parse(place, "solutions", row.get("solutions")) or []
    return Problem(problem_id=row["problem_id"], question=row["question"],
                   starter_code=starter_code, input_output=tests, example_tests=examples,
                   solutions=solutions, difficulty=row.get("difficulty") or "",
                   extra={"url": row.get("url")}), None


# --- example tests --------------------------------------------------------------------------------

DASHED = re.compile(r"\s*-{3,}\s*([A-Za-z].*?)\s*-{3,}\s*$")                      # -----Note-----
EXAMPLE = re.compile(r"\W*(?:sample|example)s?(?: tests?| cases?)?\s*\d*\W*$", re.I)  # Example 1:
PART = re.compile(r"[\s*_]*(sample |example )?(input|output)s?\s*\d*\s*(?:$|:\**\s*(.*))", re.I)
REMARK = re.compile(r"\W*(?:explanation|(?:notes?|constraints|follow[ -]up)\s*(?:$|:))", re.I)


def example_blocks(question, call_based):
    """The blocks of a statement's examples, in order: [("input", text), ("output", text), ...]."""
    blocks, in_example, in_block, one_paragraph = [], False, False, call_based
    for line in question.splitlines():
        dashed = DASHED.match(line)
        title = dashed[1] if dashed else line
        part = PART.match(title)
        if part and (part[1] or in_example and not dashed):  # -----Input----- is only prose
            blocks.append([part[2].lower(), (part[3] or "").strip() + "\n"])
            in_example = in_block = True
            # After a literal, or such an output, prose may follow that only a blank line sets off.
            one_paragraph = call_based or dashed and part[2].lower() == "output"
        elif EXAMPLE.match(title) and (dashed or title.rstrip().endswith((":", "*"))):
            in_example, in_block = True, False
        elif dashed or REMARK.match(line):
            in_example, in_block = in_example and not dashed, False
        elif in_block and one_paragraph and not line.strip() and blocks[-1][1].strip():
            in_block = False
        elif in_block:
            blocks[-1][1] += line.rstrip() + "\n"
    # Programs that cut the last character off each line need the last newline, as in hidden tests.
    return [(kind, text.strip("\n") + "\n") for kind, text in blocks]


class JsonNames(ast.NodeTransformer):
    """Statements write true, false and null as JSON does."""

    def visit_Name(self, node):
        return ast.Constant({"true": True, "false": False, "null": None}[node.id])


def read_arguments(text, names):
    """The values in `nums = [1, 2], k = 3`, or in `[1, 2], 3`, as arguments for `names`."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
    except SyntaxError:  # one argument a line
        call = ast.parse(f"f({text.replace(chr(10), ',')})", mode="eval").body
    values = {index: node for index, node in enumerate(call.args)}
    values.update((keyword.arg, keyword.value) for keyword in call.keywords)
    if len(values) != len(names):
        raise ValueError(f"{len(values)} values for the parameters {names}")
    nodes = [values[name] for name in names] if set(values) == set(names) else values.values()
    return [ast.literal_eval(JsonNames().visit(node)) for node in nodes]


def parameter_names(starter_code, fn_name):
    """The parameters of the function to write, without `self`."""
    tree = ast.parse(starter_code.rstrip() + " pass")  # starter code ends at the open body
    function = next(node for node in ast.walk(tree)
                    if isinstance(node, ast.FunctionDef) and node.name == fn_name)
    return [argument.arg for argument in function.args.args if argument.arg != "self"]


def read_call(arguments, value, starter_code, fn_name):
    """(arguments, value) of one example as plain data, or None where they are not literals."""
    try:
        test = (read_arguments(arguments, parameter_names(starter_code, fn_name)),
                read_arguments(value, ["value"])[0])
        json.dumps(test)  # refuses sets, bytes and complex numbers
    except (SyntaxError, ValueError, TypeError, KeyError, StopIteration, RecursionError):
        return None
    return test


def example_tests(question, starter_code, fn_name):
    """The tests that the statement shows, in the shape of `input_output`; None without any."""
    blocks = example_blocks(question, call_based=bool(fn_name))
    tests = [(text, answer) for (kind, text), (next_kind, answer) in itertools.pairwise(blocks)
             if (kind, next_kind) == ("input", "output") and answer.strip()]
    if fn_name:
        tests = [call for text, answer in tests
                 if (call := read_call(text, answer, starter_code, fn_name))]
    if not tests:
        return None
    inputs, outputs = map(list, zip(*tests))
    return {"inputs": inputs, "outputs": outputs, **({"fn_name": fn_name} if fn_name else {})}


# --- command line ---------------------------------------------------------------------------------

def parse_args(argv=None):
    p = make_parser(__doc__)
    p.add_argument("--input", required=True, metavar="DIR_OR_FILE",
                   help="a split of APPS: a folder, or a .jsonl or .parquet file from the Hub")
    p.add_argument("--out", required=True, metavar="P.jsonl",
                   help="problems file to write")
    return p.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    check_out(args.out, [args.input])
    counts, dropped = collections.Counter(), collections.Counter()
    os.makedirs(os.path.dirname(args.out) or ".", exist_ok=True)
    with open(args.out + ".tmp", "w") as file:  # a line at a time: the test split has 1.2 GB
        for place, row in read_rows(args.input):
            try:
                problem, reason = to_problem(place, row)
            except (AttributeError, TypeError) as error:
                raise UserError(f"{place}: not a problem of APPS ({error}); "
                                "give a split of it") from None
            if problem is None:
                dropped[reason] += 1
                continue
            file.write(json.dumps(to_row(problem)) + "\n")
            counts["problems"] += 1
            counts["call-based"] += bool(problem.input_output.get("fn_name"))
            counts["with example tests"] += problem.example_tests is not None
            counts["without solutions"] += not problem.solutions
    if not counts["problems"]:
        os.remove(args.out + ".tmp")
        raise UserError(f"{args.input}: no problem with hidden tests in it; give a split of APPS")
    os.replace(args.out + ".tmp", args.out)  # a killed run leaves the old file or the new one
    print(f"{args.out}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
          + "".join(f"; {count} left out: {reason}" for reason, count in dropped.items()))


if __name__ == "__main__":
    run_main(main)

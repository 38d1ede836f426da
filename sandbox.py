"""The unit tests: problem and program records, and the judge that turns a program into a reward.

Reads    problems (P.jsonl) and programs (S.jsonl), one JSON object a line. Unknown keys are kept.
Writes   programs with their outcome filled in. `evaluate.py` is the command line of this file.

A problem:
  problem_id       string or integer, unique in the file ("id", the name on the Hub, is taken too)
  question         the statement D
  starter_code     what the program must begin with, or ""
  input_output     hidden tests {"inputs": [...], "outputs": [...]}, as an object or as a JSON string. An input is
                   what the program reads on stdin, an output what it must print: a string or a list of lines. With
                   "fn_name" as a third key, an input is the list of arguments and an output the value to return
  example_tests    the tests that the statement shows, in the same shape, or null
  test_code, entry_point   in place of input_output (MBPP, HumanEval): Python that calls `entry_point` and asserts
  solutions        ground-truth programs W, a list or the same as a JSON string
  difficulty       any label
A program:
  problem_id, code, source (ground_truth, sampled, greedy, beam, refined or repaired), tokens (ids as sampled)
  outcome          null until judged, then compile_error, runtime_error, failed_test or passed_test; or judge_error:
                   the judge itself failed ("JudgeFailed") or has nothing to judge by ("NoTests"). Never a reward
  error            an exception's class name, Timeout, MemoryLimit, OutputLimit, Killed, WrongAnswer, or null
  tests_passed, tests_run, tests_total     a program is stopped at its first failed test unless told otherwise

What runs where. `Judge` (in the caller's process) starts one *grader* per worker: a fresh interpreter that holds the
tests and compares. Each grader starts a *cell*, another fresh interpreter, which is told inputs only and runs the
candidate. So an expected answer is never inside a process that runs, or has run, or was copied to run, a candidate;
a candidate can only give answers, and passed_test needs every one of them to be right. The caller is never forked.

Covered: each test runs in a new process, with limits on wall time, CPU time, memory (of all its processes together,
and of files in memory), output, file size, open files and processes. What is left of it is killed, detached
processes included, and its scratch directory emptied. The environment is empty. It cannot gain privileges.
Where the kernel allows (one line at start-up says what holds): it sees and signals no process but its own, and has no
network (namespaces); writes nowhere but in its scratch directory, reads only that and the system's and Python's own
directories (landlock); cannot make uncounted memory, trace processes, change the limits or the priority of others,
open sockets or make namespaces (seccomp).

Not covered: a hole in the kernel; timing and other side channels. `test_code` is trusted: it runs outside the cell.
Without namespaces a program can signal other processes of its user (landlock 6 prevents that too), and the scratch
directory is an ordinary one that can fill its disk. Without landlock it can read and write what its user can, a
problems file with its tests included. Its user is the caller, or "nobody" where the caller is root and nobody can
read Python's own files; otherwise root without root's powers, and then nothing but a look every 20 ms, or Linux 6.14,
limits the number of its processes ("process limit" at start-up). Memory is looked at as often: several processes
together can exceed it for so long. Programs share the cores: with more workers than cores honest ones time out.

Rules that are not obvious: unseeded `random` starts from the same state in each test. `os.fork` and `subprocess` work. What a function
returns is judged as plain data: tuples are lists, a numpy scalar is its number, a view of a dict's keys is a set,
1 == True == 1.0; any other object (a generator, range, array, instance) equals nothing: failed_test. In
`test_code`, a name that neither Python nor PREAMBLE has is the program's function; arguments and results cross as plain
data, so a test that needs an instance of the program's own class fails (MBPP 367, 601 and 927).
"""
import argparse
import ast
import atexit
import builtins
import collections
import ctypes
import dataclasses
import errno
import functools
import gc
import glob
import json
import marshal
import math
import os
import re
import resource
import select
import selectors
import signal
import socket
import struct
import sys
import time
import types
from enum import IntEnum


if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)  # tests of real benchmarks hold integers of more than 4,300 digits


# --- errors that a user can mend, and the command line --------------------------------------------

class UserError(Exception):
    """Bad input: one sentence that names the file, the line and the remedy."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"{message}; --help lists the flags")


def make_parser(docstring):
    """The parser of every script: its module docstring is the help, and no flag may be abbreviated."""
    return _Parser(description=docstring, formatter_class=_HelpFormatter, allow_abbrev=False)


def run_main(main):
    """Call `main()`; a UserError becomes one line on stderr and exit status 2, Ctrl-C status 130."""
    try:
        main()
    except UserError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstopped; the same command continues from here", file=sys.stderr)
        sys.exit(130)


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
    input_output: dict | None = None   # hidden tests: {"inputs", "outputs", optional "fn_name"}
    example_tests: dict | None = None  # the statement's own tests, same shape
    test_code: str | None = None       # MBPP, HumanEval: source that asserts on `entry_point`
    entry_point: str | None = None
    solutions: list = dataclasses.field(default_factory=list)
    difficulty: str = ""
    extra: dict = dataclasses.field(default_factory=dict)

    @property
    def call_based(self):
        """Whether the statement asks for a function: told by what the model sees, never by hidden tests."""
        return bool(self.starter_code.strip() or self.entry_point)


@dataclasses.dataclass
class Program:
    """One line of a programs file. Keys that are not fields are kept in `extra`."""
    problem_id: str | int
    code: str
    source: str = "sampled"  # ground_truth, sampled, greedy, beam, refined, repaired
    tokens: list | None = None  # sampled token ids, the end-of-sequence token included
    outcome: str | None = None  # an Outcome's label or "judge_error"; None until judged
    error: str | None = None
    tests_passed: int | None = None
    tests_run: int | None = None
    tests_total: int | None = None
    extra: dict = dataclasses.field(default_factory=dict)

    @property
    def key(self):
        return str(self.problem_id)


def read_jsonl(path):
    """Yield (line number, dict) for each non-blank line; UserError names the line that is not an object."""
    try:
        file = open(path, "rb")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from None
    with file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number}: not valid JSON ({error}); mend or delete the line") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number}: not a JSON object; mend or delete the line")
            yield number, row


def _from_row(record_type, row):
    names = {field.name for field in dataclasses.fields(record_type)} - {"extra"}
    known = {key: value for key, value in row.items() if key in names and value is not None}
    return record_type(**known, extra={key: value for key, value in row.items() if key not in names})


def to_row(record):
    """A record as the dict that goes to disk, unknown keys included."""
    row = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    extra = row.pop("extra")
    return {**row, **extra}


def _check_tests(where, key, tests):
    if isinstance(tests, str):
        tests = json.loads(tests) if tests.strip() else None
    if not tests:
        return None
    if not isinstance(tests, dict) or not isinstance(tests.get("inputs"), list) or not isinstance(tests.get("outputs"), list):
        raise UserError(f"{where}: {key} needs two lists, \"inputs\" and \"outputs\"")
    if len(tests["inputs"]) != len(tests["outputs"]):
        raise UserError(f"{where}: {key} has {len(tests['inputs'])} inputs and {len(tests['outputs'])} outputs; they must pair up")
    return tests


def read_problems(path):
    """Read a problems file into {str(problem_id): Problem}, in file order.

    Raises UserError with file, line and reason for a line that cannot be used.
    """
    problems = {}
    for number, row in read_jsonl(path):
        where = f"{path}, line {number}"
        if "problem_id" not in row and "id" in row:  # `id` in the hub's codeparrot/apps
            row["problem_id"] = row.pop("id")
        for key in ("problem_id", "question"):
            if row.get(key) is None:
                raise UserError(f"{where}: no \"{key}\"; every problem needs one")
        try:
            problem = _from_row(Problem, row)
            problem.input_output = _check_tests(where, "input_output", problem.input_output)
            problem.example_tests = _check_tests(where, "example_tests", problem.example_tests)
            if isinstance(problem.solutions, str):
                problem.solutions = json.loads(problem.solutions) if problem.solutions.strip() else []
        except ValueError as error:
            raise UserError(f"{where}: a field that should hold JSON does not ({error})") from None
        if str(problem.problem_id) in problems:
            raise UserError(f"{where}: problem_id {problem.problem_id!r} appears twice; ids must be unique")
        problems[str(problem.problem_id)] = problem
    if not problems:
        raise UserError(f"{path}: no problems in it")
    return problems


def read_programs(path, problems=None):
    """Read a programs file into a list; with `problems`, an unknown problem_id is a UserError."""
    programs = []
    for number, row in read_jsonl(path):
        for key in ("problem_id", "code"):
            if row.get(key) is None:
                raise UserError(f"{path}, line {number}: no \"{key}\"; every program needs one")
        program = _from_row(Program, row)
        if problems is not None and program.key not in problems:
            raise UserError(f"{path}, line {number}: problem_id {program.problem_id!r} is not in the problems file; "
                            f"give the file that these programs were written for")
        programs.append(program)
    return programs


def append_record(file, record):
    """Write one record as one line and flush it, so that a killed run loses at most the line it was writing."""
    file.write(json.dumps(to_row(record)).encode() + b"\n")
    file.flush()


def open_to_continue(path):
    """Open a JSONL output to append to. A last line that a killed run left torn is cut off first.

    Returns (file opened for binary appending, number of whole lines already there).
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    file = open(path, "a+b")
    file.seek(0)
    data = file.read()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        file.truncate(whole)
    file.seek(0, os.SEEK_END)
    return file, data[:whole].count(b"\n")


# --- comparison: what the tests expect against what the program gave -------------------------------

FLOAT = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
TOLERANCE = 1e-6  # relative or absolute, and only where the expected number is written as a float


def compare_output(expected, got, mode="strict"):
    """Whether stdout `got` (bytes) answers `expected` (a string, or a list of lines).

    strict: the same tokens on the same lines, split at ASCII white space; blank lines at the end do not count.
    """
    if not isinstance(expected, str):
        expected = "\n".join(map(str, expected))
    if mode == "apps":
        return _apps_output(expected, got.decode("utf-8", "backslashreplace"))
    expected, got = ([line.split() for line in text.rstrip().split(b"\n")]
                     for text in (expected.encode("utf-8", "surrogatepass"), got))
    return expected == got or list(map(len, expected)) == list(map(len, got)) and all(
        _same_token(*pair) for lines in zip(expected, got) for pair in zip(*lines))


def _same_token(expected, got):
    """The same text; or two decimal numbers within TOLERANCE, where the expected one is written as a float."""
    if expected == got:
        return True
    written_as_float = FLOAT.fullmatch(expected) and not expected.lstrip(b"+-").isdigit()
    return bool(written_as_float and FLOAT.fullmatch(got) and _near(float(expected), float(got)))


def _near(expected, got):
    return abs(expected - got) <= TOLERANCE * max(1.0, abs(expected))


def compare_value(expected, got, mode="strict"):
    """Whether the plain value `got` that a function returned answers `expected`, which comes from JSON.

    strict: a one-element list may be APPS' wrapper around the answer; never the other way round.
    """
    if mode == "apps":
        return _apps_value(expected, got)
    expected = integer_keys(expected)
    wrapped = isinstance(expected, list) and len(expected) == 1
    return _same_value(expected, got) or wrapped and _same_value(integer_keys(expected[0]), got)


def integer_keys(value):
    """JSON has no integer keys: a dict whose keys all read as integers has integer keys."""
    try:
        return {int(key): item for key, item in value.items()} if isinstance(value, dict) else value
    except ValueError:
        return value


def _same_value(expected, got):
    """Tuples are lists at every depth; numbers are equal by value, within TOLERANCE if a float is expected."""
    if isinstance(expected, (list, tuple)):
        return isinstance(got, (list, tuple)) and len(expected) == len(got) and all(map(_same_value, expected, got))
    if isinstance(expected, dict):
        return isinstance(got, dict) and expected.keys() == got.keys() and \
            all(_same_value(item, got[key]) for key, item in expected.items())
    if isinstance(expected, float) and isinstance(got, (int, float)):
        return expected == got or abs(got) < 1e300 and _near(expected, got)
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
        all(isinstance(row, (tuple, list, str, dict, set)) for row in got) and list(map(list, got)) == expected[0]


def _apps_output(expected, got):
    """The stdin branch of the same file: ever looser attempts, the first success wins; without its dead branches."""
    out = got.splitlines()
    if "\n".join(out).strip() == expected.strip():                                      # A1
        return True
    if "\n".join(line.strip() for line in out).strip() == expected.strip():             # A2
        return True
    wanted = [line.strip() for line in expected.split("\n") if line]
    if out == [expected] or out == wanted:                                              # C1, C2
        return True
    out = [line for line in out if line]
    try:
        numbers = [(float(a), float(b)) for a, b in zip(out, wanted)]
        close = all(a == b or math.isfinite(b) and abs(a - b) <= 1e-8 + 1e-5 * abs(b) for a, b in numbers)
    except ValueError:
        close = False
    if out == wanted or close and len(out) == len(wanted):                              # C3 (np.allclose)
        return True
    out = [line.split() for line in out if line.split()]
    wanted = [line.split() for line in wanted]
    if set(map(frozenset, out)) == set(map(frozenset, wanted)):                         # C5
        return True
    try:
        rounded = [{frozenset(round(float(token), 3) for token in line) for line in lines} for lines in (out, wanted)]
        return rounded[0] == rounded[1]                                                 # C6
    except (ValueError, OverflowError):
        return False


# --- plain data and messages: all that passes between the processes -------------------------------

PLAIN_TYPES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes,
                                                list, tuple, set, frozenset, dict)}


class NotPlain(Exception):
    """A value that cannot cross: a generator, an array, an instance of a class."""


def pack(value):
    """Plain data in JSON's types; what JSON lacks becomes {name of the type: content}.

    A value of a subclass (a named tuple, a Counter) crosses as its base type.
    """
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):
        return int(value) if -2 ** 63 <= value < 2 ** 63 else {"int": hex(value)}  # digits take quadratic time
    if isinstance(value, list):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(item)] for key, item in value.items()]}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.hex()}
    for tag, kinds in (("tuple", tuple), ("set", (set, type({}.keys()))), ("frozenset", frozenset)):
        if isinstance(value, kinds):
            return {tag: [pack(item) for item in value]}
    if isinstance(value, type) and PLAIN_TYPES.get(value.__name__) is value:
        return {"type": value.__name__}
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return pack(value.item())
    raise NotPlain(type(value).__name__)


UNPACK = {"int": lambda content: int(content, 16), "complex": lambda content: complex(*content),
          "bytes": bytes.fromhex, "type": PLAIN_TYPES.__getitem__,
          "tuple": lambda content: tuple(map(unpack, content)), "set": lambda content: set(map(unpack, content)),
          "frozenset": lambda content: frozenset(map(unpack, content)),
          "dict": lambda content: {unpack(key): unpack(item) for key, item in content}}


def unpack(data):
    """The inverse of pack(): new objects of the plain types and no others, whoever wrote `data`."""
    if isinstance(data, list):
        return [unpack(item) for item in data]
    if isinstance(data, dict):
        (tag, content), = data.items()
        return UNPACK[tag](content)
    return data


def frame(data):
    """Bytes on a stream socket, with their length in front."""
    return struct.pack("<Q", len(data)) + data


def send(sock, message):
    """Send a message between the judge's own processes. marshal is fast and unsafe: never for a candidate."""
    sock.sendall(frame(marshal.dumps(message)))


def receive(sock):
    return marshal.loads(receive_bytes(sock))


def receive_bytes(sock):
    """One frame; EOFError where the other side is gone."""
    data, size = bytearray(), 8
    while len(data) < size:
        chunk = sock.recv(min(size - len(data), 1 << 20))
        if not chunk:
            raise EOFError
        data += chunk
        if len(data) == size == 8:
            size += struct.unpack("<Q", data)[0]
    return bytes(data[8:])


def start_role(role, *arguments):
    """Start this file as a fresh interpreter in another role; returns (process, socket to it)."""
    import subprocess  # here, because each module that a cell holds slows its forks
    environment = {"OPENBLAS_NUM_THREADS": "1"}  # numpy's threads would not survive a fork
    environment |= {key: os.environ[key] for key in ["LD_LIBRARY_PATH"] if key in os.environ}
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", "-W", "ignore", os.path.abspath(__file__), role,
             str(theirs.fileno()), *arguments], pass_fds=[theirs.fileno()], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    return process, ours


# --- the child: a cell runs candidates; it is told inputs, never answers --------------------------

PREAMBLE = """
import sys, time, itertools, collections, math, fractions, random, heapq
import bisect, copy, functools, operator, re, string
from itertools import accumulate, product, permutations, combinations
from collections import Counter, OrderedDict, deque, defaultdict, ChainMap
from functools import lru_cache, reduce, cmp_to_key
from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2
from heapq import *
from typing import *
"""
POLL = 0.02  # seconds between two looks at what a candidate's processes hold
MAX_PROCESSES, MAX_OPEN_FILES, FILE_MB = 64, 64, 64
PID_MAX = "400"  # the kernel accepts no less than 301
NOBODY = 65534
REFUSED = 99  # exit status of a cell that could not enter its namespaces
PAGE = resource.getpagesize()

LIBC = ctypes.CDLL(None, use_errno=True)
fork = ctypes.PyDLL(None).fork  # os.fork() without the hooks of `random` and `threading`, which double its time
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
NAMESPACES = {"user": 0x10000000, "mount": 0x20000, "net": 0x40000000, "ipc": 0x8000000, "pid": 0x20000000}


def libc(name, *arguments):
    """Call a C function that Python has no wrapper for; OSError where the kernel refuses."""
    result = getattr(LIBC, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name} refused")
    return result


@functools.lru_cache
def preamble(numpy=False):
    """The names that call-based programs, APPS' programs and test_code find already imported."""
    names = {}
    exec(PREAMBLE, names)
    try:
        exec("import numpy, numpy as np" * numpy, names)
    except ImportError:  # it is not installed: the program's own import will fail
        pass
    del names["__builtins__"]
    return names


def enter_namespaces(kinds):
    """Leave the machine's namespaces for new ones; the user namespace is what lets an ordinary user do it.

    pid: we become process 1 of a new tree, which dies with us and can neither see nor signal a process outside.
    net: no network interface. ipc: nobody else's shared memory. mount: a /proc that shows the new tree only, and
    a private, small, empty /dev/shm as the scratch directory.
    """
    uid, gid = os.geteuid(), os.getegid()
    libc("unshare", sum(NAMESPACES[kind] for kind in kinds))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc("mount", b"none", b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE: our mounts stay ours
    mount_scratch()
    if "pid" in kinds:
        pid = os.fork()  # the first child after unshare() is process 1; this one only waits for it
        if pid:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)
        libc("mount", b"proc", b"/proc", b"proc", 0xe, b"hidepid=2")  # MS_NOSUID | MS_NODEV | MS_NOEXEC
        try:
            with open("/proc/sys/kernel/pid_max", "w") as file:  # since Linux 6.14 each pid namespace has its own
                file.write(PID_MAX)
        except OSError:
            pass


def mount_scratch():
    libc("mount", b"tmpfs", b"/dev/shm", b"tmpfs", 0x6, b"mode=700,nr_inodes=8192,size=%dm" % FILE_MB)


def landlock_ruleset(scratch):
    """What may be read and written, as (a landlock ruleset's file descriptor, its ABI version), or (None, 0)."""
    abi = LIBC.syscall(444, None, 0, 1)  # landlock_create_ruleset
    if abi < 1:
        return None, 0
    everything = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1  # every right that this version knows
    read, device = 0b1101, 0b110 | (1 << 14) * (abi >= 3)  # execute, read file and directory; read, write, truncate
    no_tcp, no_signal_or_socket_outside = 3 * (abi >= 4), 3 * (abi >= 6)
    ruleset = libc("syscall", 444, struct.pack("QQQ", everything, no_tcp, no_signal_or_socket_outside), 24, 0)
    rules = dict.fromkeys(("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", sys.prefix, sys.base_prefix), read)
    rules |= dict.fromkeys(("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"), device)
    for path, rights in {**rules, scratch: everything}.items():
        if os.path.exists(path):
            place = os.open(path, os.O_PATH)
            libc("syscall", 445, ruleset, 1, struct.pack("=Qi", rights, place), 0)  # landlock_add_rule
            os.close(place)
    return ruleset, abi


# System calls that no contest program needs, as numbers on (x86_64, aarch64): they make memory that no limit
# counts, reach into other processes (their priority included) or the kernel, or make namespaces, in which one is
# root again.
DENIED = {"memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "semget": (64, 190),
          "msgget": (68, 186), "mq_open": (240, 180), "ptrace": (101, 117), "process_vm_readv": (310, 270),
          "process_vm_writev": (311, 271), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40),
          "umount2": (166, 39), "open_tree": (428, 428), "fsopen": (430, 430), "keyctl": (250, 219),
          "add_key": (248, 217), "request_key": (249, 218), "io_uring_setup": (425, 425),
          "userfaultfd": (323, 282), "bpf": (321, 280), "perf_event_open": (298, 241), "setpriority": (141, 140),
          "sched_setaffinity": (203, 122), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
          "sched_setattr": (314, 274), "ioprio_set": (251, 30)}


def seccomp_filter():
    """A program for the kernel's packet filter that looks at each system call; None on another processor."""
    machines = {"x86_64": (0, 0xC000003E, 41, 56, 302), "aarch64": (1, 0xC00000B7, 198, 220, 261)}
    if os.uname().machine not in machines:
        return None
    column, architecture, socket_call, clone_call, prlimit_call = machines[os.uname().machine]
    load, if_equal, if_at_least, if_any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, missing = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
    # A step: (what to do, steps to skip if so, steps to skip if not, value).
    steps = [(load, 0, 0, 4), (if_equal, 1, 0, architecture), (give, 0, 0, refuse),
             (load, 0, 0, 0), (if_at_least, 0, 1, 0x40000000), (give, 0, 0, refuse)]  # not the 32-bit variant either
    for numbers in DENIED.values():
        steps += [(if_equal, 0, 1, numbers[column]), (give, 0, 0, refuse)]
    steps += [(if_equal, 0, 1, 435), (give, 0, 0, missing),  # clone3: the C library falls back to clone
              (if_equal, 0, 4, prlimit_call), (load, 0, 0, 16), (if_equal, 0, 1, 0),  # its own limits only
              (give, 0, 0, allow), (give, 0, 0, refuse),
              (if_equal, 0, 4, socket_call), (load, 0, 0, 16), (if_equal, 0, 1, socket.AF_UNIX),
              (give, 0, 0, allow), (give, 0, 0, refuse),
              (if_equal, 0, 3, clone_call), (load, 0, 0, 16), (if_any_bit, 0, 1, 0x7E020000),  # any new namespace
              (give, 0, 0, refuse), (give, 0, 0, allow)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def apply_seccomp(steps):
    buffer = ctypes.create_string_buffer(steps)
    libc("prctl", PR_SET_SECCOMP, 2, struct.pack("HxxxxxxP", len(steps) // 8, ctypes.addressof(buffer)), 0, 0)


def become_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    LIBC.prctl(PR_SET_DUMPABLE, 1)  # or /proc/self would stay root's
    open(os.__file__).close()  # OSError where Python itself lies among root's private files


def works(attempt):
    """Whether `attempt()` raises no OSError, tried in a child: most of these steps cannot be undone."""
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def compile_program(code, apps):
    """Compile as Python would a file. With `apps`, a program that only compiles inside a function (`return` or
    `nonlocal` at the top level) is run inside one, as the APPS harness runs every program."""
    try:
        return compile(code.encode(), "solution.py", "exec", dont_inherit=True)
    except SyntaxError:
        if not apps:
            raise
        lines = code.split("\n")
        start = next((i for i, line in enumerate(lines) if not line.startswith(("from ", "import "))), 0)
        lines[start:] = ["def code():"] + ["\t" + line for line in lines[start:]] + ["code()"]
        return compile("\n".join(lines).encode(), "solution.py", "exec", dont_inherit=True)


def descendants():
    """All processes below this one, from /proc."""
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(pid))
        except OSError:  # it is gone
            pass
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def set_limit(kind, limit):
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


class Cell:
    """Runs one program at a time, in three generations of processes, each a fork of the one before:

    the cell      holds the namespaces and the clock, drains the pipes, kills
    the nursery   has given up its rights; compiles a program, and forks once for each test of it
    the test      runs the candidate's code, on real streams

    The nursery never runs a candidate's code. It goes on to the next program, after all that the last one left has
    been killed; one that a program could have harmed (by any end but a clean one) is replaced.
    """

    def __init__(self, grader, kinds, names):
        self.grader, self.kinds = grader, kinds
        self.preamble = {**vars(builtins), **names, "stdin": sys.stdin, "stdout": sys.stdout}
        self.time_limit, self.memory, self.output = receive(grader)
        self.nursery_socket = None
        self.scratch = "/dev/shm"
        if "mount" not in kinds:
            import tempfile
            self.scratch = tempfile.mkdtemp(prefix="sandbox-")
        os.chmod(self.scratch, 0o777)
        self.protect()
        others = 0 if "user" in kinds else len(glob.glob("/proc/[0-9]*/task/*"))  # NPROC counts the user's threads
        limits = {resource.RLIMIT_STACK: 100 << 20, resource.RLIMIT_FSIZE: FILE_MB << 20, resource.RLIMIT_CORE: 0,
                  resource.RLIMIT_NPROC: others + 4 * MAX_PROCESSES}
        for kind, limit in limits.items():
            set_limit(kind, limit)
        LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # setuid programs gain nothing; landlock and seccomp need it
        self.ruleset, abi = landlock_ruleset(self.scratch)
        self.filter = seccomp_filter()
        if self.filter and not works(lambda: apply_seccomp(self.filter)):
            self.filter = None
        with open("/proc/self/statm") as file:
            self.own_space, self.own_memory = (int(pages) * PAGE for pages in file.read().split()[:2])
        holds = {f"{kind} namespace": kind in kinds for kind in NAMESPACES}
        with open("/proc/sys/kernel/pid_max") as file:
            holds["process limit"] = os.geteuid() != 0 or file.read().strip() == PID_MAX
        holds |= {f"landlock {abi or ''}".strip(): abi > 0, "seccomp": bool(self.filter)}
        send(grader, (holds, None if "mount" in kinds else self.scratch))

    def protect(self):
        """Die with our parent, inherit the orphans among our descendants, and hide our memory from /proc."""
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        LIBC.prctl(PR_SET_SUBREAPER, 1)
        LIBC.prctl(PR_SET_DUMPABLE, 0)

    def serve(self):
        """Answer the grader: "program" brings one to run, "test" runs it once; stale words of a session are ignored."""
        while True:
            try:
                word, *rest = receive(self.grader)
            except EOFError:
                return
            if word == "program":
                self.program, = rest
            elif word == "test":
                send(self.grader, self.run_test(*rest))

    def confine(self):
        """Give up, for this process and all that it forks, what no candidate needs."""
        set_limit(resource.RLIMIT_AS, self.own_space + self.memory)
        set_limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
        if self.ruleset is not None:
            libc("syscall", 446, self.ruleset, 0)  # landlock_restrict_self
        libc("capset", struct.pack("II", 0x20080522, 0), bytes(24))  # root's powers: none
        if self.filter:
            apply_seccomp(self.filter)
        self.protect()

    def start_nursery(self):
        self.nursery_socket, theirs = socket.socketpair()
        self.nursery_program = None  # what it has compiled
        if fork() == 0:
            os.dup2(theirs.fileno(), 3)  # in place of the socket to the grader
            try:
                self.confine()
                os.chdir(self.scratch)
                os.closerange(4, 4096)
                self.nursery(socket.socket(fileno=3))
            except BaseException as error:
                os.write(3, f"failed {error!r}"[:200].encode())
            finally:
                os._exit(1)
        theirs.close()

    def nursery(self, cell):
        """For each message and four file descriptors: compile the program that the message holds, if any; then run a
        test of the last program on the descriptors, and say how it ended."""
        sys.argv = ["solution.py"]
        while True:
            _, descriptors, *_ = socket.recv_fds(cell, 1, 4)
            if not descriptors:
                os._exit(0)
            program = receive(cell)
            if program:
                code, kind, apps = program
                module = types.ModuleType("__main__" if kind == "stdin" else "solution")
                sys.modules.pop("solution", None)
                sys.modules["__main__"] = sys.modules[module.__name__] = module
                if kind == "call" or apps:
                    module.__builtins__ = self.preamble  # found where Python's own names are
                compiled = refusal = None
                try:
                    compiled = compile_program(code, apps)
                except Exception as error:
                    refusal = f"refused {type(error).__name__}".encode()
            pid = 0 if refusal else fork()
            if pid < 0:
                raise OSError("cannot fork")
            if pid == 0 and not refusal:
                self.test(compiled, kind, module, descriptors)
            os.closerange(4, MAX_OPEN_FILES)
            dead = 0
            while dead != pid:
                dead, status = os.wait()
            self.kill_all()
            cell.send(refusal or b"ended %d" % os.waitstatus_to_exitcode(status))

    def test(self, compiled, kind, module, descriptors, leave=os._exit):
        """The candidate's process: its code on its streams (0, 1, 2; our wire is 3), then Python's orderly end."""
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number, inheritable=number < 3)
        os.closerange(4, MAX_OPEN_FILES)
        set_limit(resource.RLIMIT_CPU, math.ceil(self.time_limit) + 1)
        gc.enable()
        stdout, status, raised = sys.stdout, 0, None
        try:
            exec(compiled, module.__dict__)
            if kind == "call":
                answer_calls(socket.socket(fileno=3), module, leave)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException as error:
            status, raised = 1, type(error).__name__
        for stream in (sys.stdout, stdout):
            try:
                if "threading" in sys.modules:
                    sys.modules["threading"]._shutdown()  # waits for the threads that are not daemons
                atexit._run_exitfuncs()
                stream.flush()
            except BaseException:  # the stream is closed, or an exit function fails: Python only reports it
                pass
        if raised:
            os.write(3, frame(json.dumps({"raised": raised}).encode()))
        leave(status & 255)

    def run_test(self, stdin, call=None):
        """Run one test in a new process. Returns (how, status, stdout, reply).

        `how` is "ended" (with an exit status), "refused" (by compile(), with the exception's name) or the limit that
        it met. `stdin`: bytes, or None for a function. `call`: one packed call, whose reply is returned; without
        either it is a session, in which the grader sends calls until it says "end".
        """
        if self.nursery_socket is None:
            self.start_nursery()
        session = stdin is None and call is None
        source = os.memfd_create("stdin")  # a real file: programs seek in it and ask for its size
        with open(source, "wb", closefd=False) as file:
            file.write(stdin or b"")
        os.lseek(source, 0, os.SEEK_SET)
        (out, out_end), (err, err_end), (wire, wire_end) = os.pipe(), os.pipe(), socket.socketpair()
        for end in (out, err, wire.fileno()):
            os.set_blocking(end, False)
        try:
            socket.send_fds(self.nursery_socket, [b"!"], [source, out_end, err_end, wire_end.fileno()])
            send(self.nursery_socket, self.program if self.program is not self.nursery_program else None)
            self.nursery_program = self.program
        except OSError:  # the nursery died; the loop will read that
            pass
        for end in (source, out_end, err_end, wire_end.detach()):
            os.close(end)

        stdout, incoming, reply, how, status = bytearray(), bytearray(), None, None, 0
        outgoing = bytearray() if call is None else bytearray(frame(call))
        sources = {out: stdout, err: None, wire.fileno(): incoming, self.nursery_socket: None}
        if session:
            sources[self.grader] = None
        deadline, next_look = time.monotonic() + self.time_limit, time.monotonic() + POLL
        while how is None:
            ready, writable, _ = select.select(sources, [wire] if outgoing else [], [], POLL)
            if self.nursery_socket in ready:
                how, status = self.report()
                ready = [out, wire.fileno()]  # nobody writes any more: read the rest
            for source in ready:
                if source is self.grader:
                    word, *rest = receive(self.grader)
                    if word == "call":
                        outgoing += frame(rest[0])
                    else:
                        wire.shutdown(socket.SHUT_WR)  # the test sees the end of its calls, and leaves
                elif not drain(source, sources.get(source), self.output):
                    sources.pop(source, None)
            if len(stdout) > self.output or len(incoming) > self.output:
                how = "OutputLimit"
            if len(incoming) >= 8 and len(incoming) >= 8 + struct.unpack_from("<Q", incoming)[0]:
                size = 8 + struct.unpack_from("<Q", incoming)[0]
                reply = bytes(incoming[8:size])
                del incoming[:size]
                if session:
                    send(self.grader, ("reply", reply))
                elif call is not None:
                    wire.shutdown(socket.SHUT_WR)
            if writable and how is None:
                try:
                    del outgoing[:wire.send(outgoing)]
                except OSError:  # it closed its end
                    outgoing.clear()
            now = time.monotonic()
            if how is None and now >= next_look:
                next_look = now + POLL
                how = "Timeout" if now >= deadline else self.excess()
        os.close(out), os.close(err), wire.close()
        if os.listdir(self.scratch):
            self.end_nursery()
            self.renew_scratch()
        elif how not in ("ended", "refused") or len(self.program[0]) > 1 << 16:  # its compilation left much behind
            self.end_nursery()
        return how, status, bytes(stdout), reply

    def report(self):
        """What the nursery says of the test, as (how, status)."""
        word, _, rest = self.nursery_socket.recv(300).partition(b" ")
        if word == b"failed":
            raise RuntimeError(rest.decode())  # our own failure: this cell ends, and the work is repeated
        return (word.decode(), int(rest) if word == b"ended" else rest.decode()) if word else ("Killed", 0)

    def excess(self):
        """The limit that the candidate's processes exceed together, or None."""
        private_proc = "pid" in self.kinds
        pids = [pid for pid in os.listdir("/proc") if pid.isdigit() and pid != "1"] if private_proc else descendants()
        if len(pids) > MAX_PROCESSES:
            return "Killed"
        held = 0
        for pid in pids:
            try:
                with open(f"/proc/{pid}/statm") as file:  # what is resident, less what it shares with us
                    held += max(0, int(file.read().split()[1]) * PAGE - self.own_memory)
            except (OSError, IndexError):  # it is gone
                pass
        if "mount" in self.kinds:
            files = os.statvfs(self.scratch)
            held += (files.f_blocks - files.f_bfree) * files.f_frsize
        return "MemoryLimit" if held > self.memory else None

    def kill_all(self):
        """Kill and reap all that lives below this process; orphans included, since they become our children."""
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0]:
                    continue
                if "pid" in self.kinds:
                    os.kill(-1, signal.SIGKILL)  # all that this process can see, except itself and process 1
                for pid in [] if "pid" in self.kinds else descendants():
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(-1, 0)
            except ProcessLookupError:
                pass
            except ChildProcessError:
                return

    def end_nursery(self):
        if self.nursery_socket is not None:
            self.nursery_socket.close()
            self.nursery_socket = None
            self.kill_all()

    def renew_scratch(self):
        if "mount" in self.kinds:
            libc("umount2", b"/dev/shm", 2)  # MNT_DETACH: whatever lies in it goes with it
            mount_scratch()
        else:
            remove_tree(self.scratch)
            os.makedirs(self.scratch, exist_ok=True)
        os.chmod(self.scratch, 0o777)
        if self.ruleset is not None:
            os.close(self.ruleset)
            self.ruleset = landlock_ruleset(self.scratch)[0]  # the old rule was for the old directory


def remove_tree(path):
    """Remove what a candidate may have made: trees of any depth, without rights, with links that are not followed."""
    import subprocess
    for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        subprocess.run([*command, path], stderr=subprocess.DEVNULL)


def answer_calls(wire, module, leave):
    """In the test's process: read packed calls, call, write the packed reply, until the wire is closed."""
    while True:
        try:
            name, arguments, keywords = unpack(json.loads(receive_bytes(wire)))
        except EOFError:
            leave(0)
        try:
            solution = getattr(module, "Solution", None)
            owner = solution() if isinstance(solution, type) and hasattr(solution, name) else module
            reply = json.dumps({"value": pack(getattr(owner, name)(*arguments, **keywords))})
        except NotPlain as error:
            reply = json.dumps({"opaque": str(error)})
        except BaseException as error:
            reply = json.dumps({"raised": type(error).__name__})
        wire.sendall(frame(reply.encode()))


def drain(source, kept, limit):
    """Read what is there, a few megabytes at most, into `kept` (None: nowhere); False at the end of the stream."""
    for _ in range(64):
        try:
            chunk = os.read(source, 1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not chunk:
            return False
        if kept is not None and len(kept) <= limit:
            kept += chunk
    return True


def cell_main(grader, numpy):
    """Enter as many namespaces as the kernel allows, each choice tried in a fork, and serve."""
    os.environ.clear()
    names = preamble(numpy)
    names["random"].seed(0)
    os.chdir("/")
    if os.geteuid() == 0 and works(become_nobody):
        become_nobody()  # the kernel limits the number of processes of a user, but not of root
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a candidate may send one: no exception in the nursery
    gc.collect(), gc.disable(), gc.freeze()  # a collection in a fork would copy every page
    LIBC.malloc_trim(0)  # each page less is a page that no fork has to copy
    for kinds in (list(NAMESPACES), [kind for kind in NAMESPACES if kind != "pid"], []):
        pid = os.fork()
        if pid == 0:
            try:
                if kinds:
                    enter_namespaces(kinds)
            except OSError:
                os._exit(REFUSED)
            Cell(grader, kinds, names).serve()
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != REFUSED:
            return


# --- the parent: a grader holds the tests, asks a cell, compares ----------------------------------

NUMPY = re.compile(r"\b(np|numpy)\b")
WRONG = ("failed_test", "WrongAnswer")


class Grader:
    """Grades one program at a time, on one cell for most programs and another that holds numpy."""

    def __init__(self, judge):
        self.options, self.cells, self.examiners, self.holds = receive(judge), {}, {}, {}
        preamble()  # what test_code may use, imported once
        self.cell(numpy=False)
        send(judge, self.holds)
        while True:
            tests, code = receive(judge)
            if tests is not None:
                self.tests = tests
                if tests["kind"] == "code":
                    tree = ast.parse(tests["test_code"])
                    self.test_code = compile(tree, "test_code", "exec")
                    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
                    self.names = names - preamble().keys() - vars(builtins).keys() | {tests["entry_point"]}
            send(judge, self.grade(code))

    def cell(self, numpy):
        if numpy not in self.cells:
            process, cell = start_role("cell", *["numpy"] * numpy)
            self.cells[numpy] = process, cell
            send(cell, (self.options["time_limit"], self.options["memory"], self.options["output"]))
            self.holds, scratch = receive(cell)
            if scratch:
                atexit.register(remove_tree, scratch)
        return self.cells[numpy][1]

    def grade(self, code):
        """Run the tests in order; returns (outcome, error, tests passed, tests run, tests in all).

        The first test that fails gives the outcome, whether or not others run after it.
        """
        kind, total = self.tests["kind"], len(self.tests["inputs"])
        verdict, passed, run, numpy = None, 0, 0, NUMPY.search(code) is not None
        one_test = {"stdin": self.stdin_test, "call": self.call_test, "code": self.code_test}[kind]
        program = (code, "stdin" if kind == "stdin" else "call", self.options["compare"] == "apps")
        send(self.cell(numpy), ("program", program))
        for given, expected in zip(self.tests["inputs"], self.tests["outputs"]):
            found = one_test(self.cell(numpy), given, expected)
            if found and found[0] == "compile_error":
                return (*found, 0, 0, total)
            run += 1
            passed += found is None
            verdict = verdict or found
            if verdict and not self.options["all_tests"]:
                break
        return (*(verdict or ("passed_test", None)), passed, run, total)

    def stdin_test(self, cell, given, expected):
        """None where the program passes the test, else (outcome, error)."""
        given = given if isinstance(given, str) else "\n".join(map(str, given))
        send(cell, ("test", given.encode("utf-8", "surrogatepass")))
        how, status, stdout, reply = receive(cell)
        return ending(how, status, reply) or (
            None if compare_output(expected, stdout, self.options["compare"]) else WRONG)

    def call_test(self, cell, given, expected):
        arguments = list(map(integer_keys, given)) if isinstance(given, list) else [given]
        send(cell, ("test", None, json.dumps(pack([self.tests["fn_name"], arguments, {}])).encode()))
        how, status, _, reply = receive(cell)
        verb, content = read_reply(reply)
        right = verb == "value" and compare_value(expected, content, self.options["compare"])
        return ending(how, status, reply) or (
            ("runtime_error", content) if verb == "raised" else None if right else WRONG)

    def code_test(self, cell, *_):
        """Run test_code in a fork, since what it does with a candidate's answers may not end."""
        pid, examiner = self.examiner(cell)
        examiner.settimeout(self.options["time_limit"] + 2)
        try:
            send(examiner, (self.test_code, self.names))
            verdict = receive(examiner)
        except (EOFError, OSError) as error:  # the cell may be in the middle of a session: a new one next time
            process, cell = self.cells.pop(next(key for key, value in self.cells.items() if value[1] is cell))
            del self.examiners[cell]
            os.kill(pid, signal.SIGKILL), os.waitpid(pid, 0), examiner.close()
            cell.close(), process.kill(), process.wait()
            return "runtime_error", "Timeout" if isinstance(error, TimeoutError) else "Killed"
        if verdict is None:
            raise SystemExit
        return verdict or None

    def examiner(self, cell):
        """(process id, socket) of the fork that runs test code against this cell's programs."""
        if cell not in self.examiners:
            ours, theirs = socket.socketpair()
            pid = fork()
            if pid == 0:
                try:
                    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
                    while True:
                        test_code, names = receive(theirs)
                        preamble()["random"].seed(0)
                        send(theirs, examine(cell, test_code, names))
                except EOFError:  # the cell died: a failure of ours
                    send(theirs, None)
                finally:
                    os._exit(0)
            theirs.close()
            self.examiners[cell] = pid, ours
        return self.examiners[cell]


def ending(how, status, reply):
    """The verdict that the end of a test's process alone gives; None for a clean end."""
    if how == "refused":
        return "compile_error", error_name(status)
    if how != "ended":
        return "runtime_error", how
    if status < 0:
        return "runtime_error", "Timeout" if status == -signal.SIGXCPU else "Killed"
    return ("runtime_error", read_reply(reply)[1] if reply else "SystemExit") if status else None


def read_reply(reply):
    """("value", plain data), ("raised", exception's name) or ("opaque", type's name), whatever the candidate wrote."""
    if reply is None:
        return "raised", "SystemExit"  # it left without an answer
    try:
        (verb, content), = json.loads(reply).items()
        return (verb, unpack(content)) if verb == "value" else (verb, error_name(content))
    except Exception:
        return "raised", "MalformedReply"


def error_name(name):
    """An exception's name as our subtype. It is the candidate's text, so only a short identifier is kept."""
    return "MemoryLimit" if name == "MemoryError" else name if name.isidentifier() and len(name) < 80 else "Exception"


class Ended(BaseException):
    """The program can answer no more; not an Exception, so that no `except Exception` of a test hides it."""


def examine(cell, test_code, names):
    """Execute test_code, with a proxy of the program's function for each of `names`; the verdict, or () for a pass."""
    final, raised, calls = [], [], []  # a verdict that nothing later changes; exceptions of the program's own

    def proxy(name):
        def function(*arguments, **keywords):
            if final:
                raise Ended
            calls.append(name)
            try:
                call = json.dumps(pack([name, list(arguments), keywords])).encode()
            except NotPlain:
                final.append(WRONG)
                raise Ended from None
            send(cell, ("call", call))
            how, *rest = receive(cell)
            if how != "reply":
                final.append(ending(how, rest[0], rest[2]) or ("runtime_error", "SystemExit"))
                calls.append(None)  # the session is over
                raise Ended
            verb, content = read_reply(rest[0])
            if verb == "value":
                return content
            if verb != "raised":
                final.append(WRONG)
                raise Ended
            kind = getattr(builtins, content, None)
            if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, UnicodeError):
                kind = type(content, (Exception,), {})
            raised.append(kind("raised by the program"))
            raise raised[-1]
        return function

    send(cell, ("test", None))
    verdict = None
    try:
        exec(test_code, {**preamble(), **{name: proxy(name) for name in names}})
    except BaseException as error:
        verdict = ("runtime_error", error_name(type(error).__name__)) if error in raised else WRONG
    if calls[-1:] != [None]:
        send(cell, ("end",))
        while receive(cell)[0] == "reply":
            pass
    return final[0] if final else (verdict or ()) if calls else (JUDGE_ERROR, "NoTests")


# --- the parent: the judge, in the caller's process -----------------------------------------------

ATTEMPTS = 3  # a program whose grader dies this often is a judge_error
_said = []


@dataclasses.dataclass
class Job:
    """Identical programs for one problem: run once, the verdict goes to all."""
    problem: Problem
    code: str
    indexes: list
    tests: dict | None
    failures: int = 0
    deadline: float = 0.0


class Worker:
    """The caller's side of one grader process."""

    def __init__(self, options):
        self.job = self.problem = None
        self.process, self.socket = start_role("grader")
        send(self.socket, options)

    def start(self, job, time_limit):
        self.job = job
        job.deadline = time.monotonic() + 60 + len(job.tests["inputs"]) * (time_limit + 3)
        try:
            send(self.socket, (None if self.problem is job.problem else job.tests, job.code))
        except OSError:  # it died; the wait for its answer will find out
            pass
        self.problem = job.problem

    def close(self, patience=5):
        self.socket.close()  # the grader sees the end and leaves; its cells die with it
        try:
            self.process.wait(patience)
        except Exception:
            self.process.kill()
            self.process.wait()


class Judge:
    """Judges programs, `workers` at once (None: one for each core). A context manager: it owns processes.

    tests: "hidden" or "example". compare: "strict" or "apps". time_limit: wall seconds for one test.
    memory_mb: for all of a program's processes. all_tests: go on after a failed test. output_mb: a program
    that prints more is stopped.
    """

    def __init__(self, workers=None, tests="hidden", compare="strict", time_limit=4.0, memory_mb=1024,
                 all_tests=False, output_mb=8):
        if tests not in ("hidden", "example") or compare not in ("strict", "apps"):
            raise ValueError(f"tests={tests!r}, compare={compare!r}")
        self.count, self.tests, self.workers = workers or len(os.sched_getaffinity(0)), tests, []
        self.options = {"compare": compare, "time_limit": time_limit, "memory": memory_mb << 20,
                        "output": output_mb << 20, "all_tests": all_tests}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        while self.workers:
            self.workers.pop().close()

    def run(self, jobs):
        """Judge (problem, program) pairs; yields (index, judged copy of the program) as each is finished."""
        jobs, groups = list(jobs), {}
        for index, (problem, program) in enumerate(jobs):
            job = Job(problem, program.code, [], tests_of(problem, self.tests))
            groups.setdefault((str(problem.problem_id), program.code), job).indexes.append(index)
        waiting = collections.deque(job for job in groups.values() if job.tests)
        done = [(job, (JUDGE_ERROR, "NoTests", 0, 0, 0)) for job in groups.values() if not job.tests]
        del groups
        try:
            self._start(min(self.count, len(waiting)) - len(self.workers))
            while done or waiting or any(worker.job for worker in self.workers):
                for job, verdict in done:
                    for index in job.indexes:
                        fields = zip(("outcome", "error", "tests_passed", "tests_run", "tests_total"), verdict)
                        yield index, dataclasses.replace(jobs[index][1], **dict(fields))
                for worker in self.workers:
                    if worker.job is None and waiting:
                        worker.start(waiting.popleft(), self.options["time_limit"])
                done = self._wait(waiting)
        finally:
            for worker in [worker for worker in self.workers if worker.job]:  # the caller stops early
                self.workers.remove(worker)
                worker.process.kill()
                worker.close()

    def _start(self, count):
        new = [Worker(self.options) for _ in range(count)]
        self.workers += new
        for worker in new:
            worker.socket.settimeout(60)
            try:
                holds = receive(worker.socket)
            except (EOFError, OSError) as error:
                raise RuntimeError("the sandbox cannot start; the reason stands above") from error
            worker.socket.settimeout(None)
            if not _said:
                _said.append(True)
                missing = [name for name, there in holds.items() if not there]
                print("sandbox: resource limits, " + ", ".join(name for name, there in holds.items() if there) +
                      ("; NOT HERE: " + ", ".join(missing) if missing else ""), file=sys.stderr)

    def _wait(self, waiting):
        """Wait for news; returns what is finished, [(job, verdict)]. Work whose grader dies is repeated."""
        finished = []
        with selectors.DefaultSelector() as selector:
            busy = [worker for worker in self.workers if worker.job]
            for worker in busy:
                selector.register(worker.socket, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(1.0 if busy else 0)]
        for worker in busy:
            job, late = worker.job, time.monotonic() > worker.job.deadline
            try:
                if worker.socket in ready:
                    finished.append((job, receive(worker.socket)))
                    worker.job = None
            except (EOFError, OSError):
                late = True
            if late and worker.job:
                self.workers.remove(worker)
                worker.process.kill()
                worker.close()
                self._start(1)
                job.failures += 1
                if job.failures < ATTEMPTS:
                    waiting.appendleft(job)
                else:
                    finished.append((job, (JUDGE_ERROR, "JudgeFailed", 0, 0, 0)))
        return finished


def judge(problem, programs, **options):
    """Judge programs for one problem; returns judged copies in order. The options are Judge's."""
    with Judge(**options) as one:
        judged = dict(one.run((problem, program) for program in programs))
    return [judged[index] for index in range(len(judged))]


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
    given = int(sys.argv[2])
    if given != 3:  # where the cell's processes expect it
        os.dup2(given, 3), os.close(given)
    role_socket = socket.socket(fileno=3)
    try:
        if sys.argv[1] == "cell":
            cell_main(role_socket, numpy=sys.argv[3:] == ["numpy"])
        else:
            Grader(role_socket)
    except EOFError:  # the other side is done, or is gone
        pass

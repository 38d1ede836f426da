#!/usr/bin/env bash
# The whole of CodeRL on mini-APPS, in 9 to 15 minutes on two recent CPU cores (older ones take longer), or on a CUDA card.
# Kill it anywhere and start it again: every stage goes on where it was. Results: runs/demo/.
# SEED=1 bash demo.sh is another run, from other random weights, on the same problems: runs/demo-1/.
set -euo pipefail
cd "$(dirname "$0")"
started=$SECONDS
trap 'echo "stopped; the same command continues from here" >&2; exit 130' INT  # the last word, after torchrun's
D=runs/demo${SEED:+-$SEED}
S="--seed ${SEED:-0}"
L="$S --max-source 320 --max-target 256"
# On CPUs two processes with one thread each, which share every batch, are quicker than one process with two threads.
RUN="torchrun --standalone --nproc-per-node 2"
# Programs decoded together: a card takes hardly longer for 1,024 than for 256.
MANY=256
if nvidia-smi > /dev/null 2>&1; then RUN=python MANY=1024; else export OMP_NUM_THREADS=1 GLOO_SOCKET_IFNAME=lo; fi
TRAIN=data/mini_apps/train.jsonl
TEST=data/mini_apps/test.jsonl

# The benchmark: programming problems made from a seed; a third of them with solutions, all with tests.
test -f $TEST || python data/mini_apps/prepare.py
# Sec. 3.2: a small T5 that never saw Python reads the standard library, left part to encoder, right part to decoder.
# (The tokenizer is made for the problems, too.)
$RUN pretrain_ntp.py --task ntp --init mini --problems $TRAIN --out $D/ntp $S --steps 100 --batch-size 16 --max-source 96 --max-target 96 --lr 1e-3 --warmup 15
# Eq. (1), the warm start: from statement to ground-truth program.
$RUN pretrain_ntp.py --task warmstart --init $D/ntp --problems $TRAIN --out $D/warmstart $L --steps 1600 --batch-size 8 --lr 2e-3 --warmup 50 --save-every 500 --log-every 100
# A program for each training problem without a solution, from the warm-started actor itself (temperature 1).
grep '"solutions": \[\]' $TRAIN > $D/unsolved.jsonl
$RUN sample.py --model $D/warmstart --problems $D/unsolved.jsonl --out $D/samples.jsonl --batch-size $MANY --num-programs 1 --temperature 1.0 $L
# Eq. (4) to (7): the unit tests judge them.
python evaluate.py --problems $D/unsolved.jsonl --programs $D/samples.jsonl --out $D/samples_judged.jsonl
# Eq. (9): the critic learns to predict the outcome, from every prefix of a program: its values of tokens are of these.
$RUN train_critic.py --likelihood --prefixes --init $D/warmstart --problems $TRAIN --programs $D/samples_judged.jsonl --out $D/critic $L --steps 300 --batch-size 32 --lr 3e-4 --warmup 10 --held-out 0.1
# Eq. (14): the actor learns from the unit tests, L_ce on the solutions + L_rl on its own programs.
$RUN train_rl.py --init $D/warmstart --critic $D/critic --problems $TRAIN --programs $D/samples_judged.jsonl --out $D/rl-1 $L --steps 200 --batch-size 32 --lr 1e-3 --warmup 10 --save-every 100 --returns critic --bound positive
# A second round: it solves many of the problems now that it had not solved. Two new programs for each of these join the others.
grep '"outcome": "passed_test"' $D/samples_judged.jsonl | grep -o '"problem_id": "[^"]*"' > $D/solved.txt
grep -vFf $D/solved.txt $D/unsolved.jsonl > $D/still_unsolved.jsonl
$RUN sample.py --model $D/rl-1 --problems $D/still_unsolved.jsonl --out $D/rl-1_samples.jsonl --batch-size $MANY --num-programs 2 --temperature 1.0 $L --seed 1${SEED:-0}
python evaluate.py --problems $D/still_unsolved.jsonl --programs $D/rl-1_samples.jsonl --out $D/rl-1_samples_judged.jsonl
$RUN train_rl.py --init $D/rl-1 --critic $D/critic --problems $TRAIN --programs $D/samples_judged.jsonl $D/rl-1_samples_judged.jsonl --out $D/rl $L --steps 200 --batch-size 32 --lr 1e-3 --warmup 10 --save-every 100 --returns critic --bound positive
# The test problems: ten programs each, before and after.
$RUN sample.py --model $D/warmstart --problems $TEST --out $D/test_warmstart.jsonl --batch-size $MANY --num-programs 10 $L
$RUN sample.py --model $D/rl --problems $TEST --out $D/test_rl.jsonl --batch-size $MANY --num-programs 10 $L
python evaluate.py --problems $TEST --programs $D/test_warmstart.jsonl --out $D/test_warmstart_judged.jsonl
python evaluate.py --problems $TEST --programs $D/test_rl.jsonl --out $D/test_rl_judged.jsonl
# The result, in one table and one picture.
python evaluate.py --problems $TEST --table "warm start=$D/test_warmstart_judged.jsonl" "L_ce + L_rl=$D/test_rl_judged.jsonl" --plot $D/result.png
echo "$(( SECONDS - started )) seconds in all"

if [ "${1:-}" != critic-sampling ]; then echo "bash demo.sh critic-sampling goes on with Algorithm 1"; exit; fi
# Four programs of the trained actor for each problem without a solution: what the next two learn from. (The solutions of the
# others it knows by heart: a model that repairs to these need not read the failed program.)
$RUN sample.py --model $D/rl --problems $D/unsolved.jsonl --out $D/rl_samples.jsonl --batch-size $MANY --num-programs 4 --temperature 1.0 $L --seed 2${SEED:-0}
python evaluate.py --problems $D/unsolved.jsonl --programs $D/rl_samples.jsonl --out $D/rl_samples_judged.jsonl --k 1
# Sec. 3.3.4: phi_test, the binary critic that tells failed from passed. Its values of prefixes choose the seeds.
$RUN train_critic.py --binary --likelihood --prefixes --init $D/warmstart --problems $TRAIN --programs $D/samples_judged.jsonl $D/rl_samples_judged.jsonl --out $D/critic_test $L --steps 200 --batch-size 32 --lr 3e-4 --warmup 20 --held-out 0.1
# Eq. (13): the repair model, from a failed program and its error to one that passed.
$RUN pretrain_ntp.py --task repair --init $D/rl --problems $TRAIN --programs $D/samples_judged.jsonl $D/rl_samples_judged.jsonl --out $D/repair $S --max-source 450 --max-target 256 --steps 300 --batch-size 32 --lr 1e-3 --warmup 10
# Algorithm 1 beside plain sampling, 20 programs for each test problem, and a page that shows it for one.
$RUN sample.py --model $D/rl --problems $TEST --out $D/plain.jsonl $S --batch-size $MANY --num-programs 20 --temperature 1.0
$RUN sample.py --model $D/rl --critic $D/critic_test --repairer $D/repair --problems $TEST --out $D/critic_sampling.jsonl $S --batch-size $MANY --num-programs 20 --temperature 1.0 --trace $D/trace.html
python evaluate.py --problems $TEST --programs $D/plain.jsonl --out $D/plain_judged.jsonl --k 1 20 --n 1 5
python evaluate.py --problems $TEST --programs $D/critic_sampling.jsonl --out $D/critic_sampling_judged.jsonl --k 1 20 --n 1 5
python evaluate.py --problems $TEST --table "plain sampling=$D/plain_judged.jsonl" "critic sampling=$D/critic_sampling_judged.jsonl" --k 1 20
echo "$(( SECONDS - started )) seconds in all"
echo "python bench/tables.py --table 4 --num-programs 20 --demo $D --seeds ${SEED:-0} goes on with all rows of Table 4"

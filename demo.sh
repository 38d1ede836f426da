#!/usr/bin/env bash
# The whole of CodeRL on mini-APPS, on two CPU cores in a quarter of an hour (or on a CUDA card).
# Kill it anywhere and start it again: every stage goes on where it was. Results: runs/demo/.
set -euo pipefail
cd "$(dirname "$0")"
started=$SECONDS
D=runs/demo
L="--max-source 320 --max-target 256"
TRAIN=data/mini_apps/train.jsonl
TEST=data/mini_apps/test.jsonl

# The benchmark: programming problems made from a seed; a third of them with solutions, all with tests.
test -f $TEST || python data/mini_apps/prepare.py
# Sec. 3.2: a small T5 that never saw Python reads the standard library, left part to encoder, right part to decoder.
python pretrain_ntp.py --task ntp --init mini --problems $TRAIN --out $D/ntp --steps 100 --batch-size 48 --max-source 96 --max-target 96 --lr 3e-3 --warmup 30
# Eq. (1), the warm start: from statement to ground-truth program.
python pretrain_ntp.py --task warmstart --init $D/ntp --problems $TRAIN --out $D/warmstart $L --steps 2400 --batch-size 16 --lr 2e-3 --warmup 50 --save-every 500 --log-every 100
# A program for each of 4,000 training problems, from the warm-started actor itself (temperature 1).
head -n 4000 $TRAIN > $D/part.jsonl
python sample.py --model $D/warmstart --problems $D/part.jsonl --out $D/samples.jsonl --num-programs 1 --temperature 1.0 $L
# Eq. (4) to (7): the unit tests judge them.
python evaluate.py --problems $D/part.jsonl --programs $D/samples.jsonl --out $D/samples_judged.jsonl
# Eq. (9): the critic learns to predict the outcome.
python train_critic.py --init $D/warmstart --problems $D/part.jsonl --programs $D/samples_judged.jsonl --out $D/critic $L --steps 200 --batch-size 32 --lr 1e-3 --warmup 20
# Eq. (14): the actor learns from the unit tests, L_ce + L_rl, in four rounds of 75 steps: from those programs, then from its own for problems without a solution.
python train_rl.py --init $D/warmstart --critic $D/critic --problems $TRAIN --programs $D/samples_judged.jsonl --out $D/rl $L --steps 300 --batch-size 32 --lr 1e-3 --warmup 10 --save-every 150 --on-policy --round-steps 75 --round-problems 2400 --group 1 --returns critic --bound positive
# The test problems: ten programs each, before and after.
python sample.py --model $D/warmstart --problems $TEST --out $D/test_warmstart.jsonl --num-programs 10 $L
python sample.py --model $D/rl --problems $TEST --out $D/test_rl.jsonl --num-programs 10 $L
python evaluate.py --problems $TEST --programs $D/test_warmstart.jsonl --out $D/test_warmstart_judged.jsonl
python evaluate.py --problems $TEST --programs $D/test_rl.jsonl --out $D/test_rl_judged.jsonl
# The result, in one table and one picture.
python evaluate.py --problems $TEST --table "warm start=$D/test_warmstart_judged.jsonl" "L_ce + L_rl=$D/test_rl_judged.jsonl" --plot $D/result.png
echo "$(( SECONDS - started )) seconds in all"

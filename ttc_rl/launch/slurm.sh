#!/bin/bash
#SBATCH --job-name=ttc-rl-@NAME@
#SBATCH --nodes=@NODES@
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=@GPUS@
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
#SBATCH --output=@LOGS@/%j.log
@EXTRA@
# Rendered by `ttc-rl launch`. Every stage goes on where an earlier try stopped, so this script may
# run any number of times: after a preemption, which SLURM requeues by itself, and after the time
# limit, five minutes before which it puts itself back in the queue.
set -euo pipefail
cd @CWD@
export PATH=@BIN@:"$PATH"

requeue() {
  echo "time is nearly up: job $SLURM_JOB_ID goes back to the queue"
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
}
trap requeue USR1

# In the background, since bash runs a trap only once the command before it has ended.
step() {
  srun "$@" &
  wait $!
}

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
trainers=$(IFS=,; echo "${nodes[*]:0:@TRAINERS@}")
export MASTER="$head" PORT=$((20000 + SLURM_JOB_ID % 20000))
echo "try $((${SLURM_RESTART_COUNT:-0} + 1)) on ${nodes[*]}"

step --nodes=1 --ntasks=1 --nodelist="$head" @SELECT@
@SERVER@
step --nodes=@TRAINERS@ --ntasks=@TRAINERS@ --nodelist="$trainers" --wait=60 --kill-on-bad-exit=1 \
  bash -c @TRAIN@
@SERVER_END@
step --nodes=1 --ntasks=1 --nodelist="$head" @EVAL@

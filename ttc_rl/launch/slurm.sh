#!/bin/bash
@SBATCH@
# Rendered by `ttc-rl launch`. Every stage goes on where an earlier try stopped, so this script may
# run any number of times: after a preemption, which SLURM requeues by itself, and after the time
# limit, some minutes before which it puts itself back in the queue.
set -euo pipefail
@SETUP@
logs=@LOGS@
job=$SLURM_JOB_ID
# In an array, the id of a job is that of its array for one of the tasks.
[ -z "${SLURM_ARRAY_TASK_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID

# What is compiled goes to the node's own disk.
export TMPDIR="${SLURM_TMPDIR:-${TMPDIR:-/tmp}}"
compiled=$TMPDIR/ttc-rl-$UID
export TRITON_CACHE_DIR="${TRITON_CACHE_DIR:-$compiled/triton}"
export TORCHINDUCTOR_CACHE_DIR="${TORCHINDUCTOR_CACHE_DIR:-$compiled/inductor}"
export VLLM_CACHE_ROOT="${VLLM_CACHE_ROOT:-$compiled/vllm}"
env | grep --extended-regexp '^(SLURM|CUDA|NCCL|OMP|TTC_RL|TRITON|VLLM|TMPDIR|PATH|LD_LIBRARY_PATH|LOADEDMODULES|VIRTUAL_ENV|CONDA)' \
  | grep --extended-regexp --invert-match '^[^=]*(KEY|TOKEN|SECRET|PASSWORD)' | sort > "$logs/$job.env"

requeue() {
  if ((${SLURM_RESTART_COUNT:-0} >= @REQUEUES@)); then
    echo "time is nearly up, and job $job was restarted ${SLURM_RESTART_COUNT:-0} times: it ends." \
      "Submit it again to go on from there, or raise --requeues" >&2
    exit 1
  fi
  echo "time is nearly up: job $job goes back to the queue"
  scontrol requeue "$job"
  exit 0
}
trap requeue USR1

# A step runs in the background, since bash runs a trap only once the command before it has ended.
# SLURM 22.05 to 23.02 give a step one CPU unless srun is told.
export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"
serving=
step() {
  srun --cpus-per-task="$SLURM_CPUS_PER_TASK" "$@" &
  local step=$!
  while [ -n "$serving" ] && kill -0 "$step" 2> /dev/null; do
    if ! kill -0 "$serving" 2> /dev/null; then
      echo "vllm serve ended while it was needed: the job ends; see $logs/$job.vllm.log" >&2
      kill "$step"
      exit 1
    fi
    sleep 5
  done
  wait "$step"
}

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
trainers=$(IFS=,; echo "${nodes[*]:0:@TRAINERS@}")
export MASTER="$head" PORT=$((20000 + SLURM_JOB_ID % 20000))
echo "try $((${SLURM_RESTART_COUNT:-0} + 1)) of job $job on ${nodes[*]}"

step --nodes=1 --ntasks=1 --nodelist="$head" @SELECT@
@SERVER@
step --nodes=@TRAINERS@ --ntasks=@TRAINERS@ --nodelist="$trainers" --wait=60 --kill-on-bad-exit=1 \
  bash -c @TRAIN@
if [ -n "$serving" ]; then # its GPUs are free now
  kill "$serving"
  wait "$serving" || true
  serving=
fi
step --nodes=1 --ntasks=1 --nodelist="$head" @EVAL@

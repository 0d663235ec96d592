"""Stand-ins for what a cluster or a cloud has on its PATH, and SLURM's reading of a script."""

from __future__ import annotations

import re

SRUN = """#!/bin/bash
tasks=1
echo "srun cpus=$SRUN_CPUS_PER_TASK $*" >> "$LOG"
while [[ $1 == --* ]]; do
  case $1 in --ntasks=*) tasks=${1#*=};; --nodelist=*) echo "nodes ${1#*=}" >> "$LOG";; esac
  shift
done
pids=()
trap 'kill "${pids[@]}"; wait; exit 143' TERM
for ((rank = 0; rank < tasks; rank++)); do
  SLURM_PROCID=$rank "$@" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait $pid || exit $?; done
"""
SCONTROL = """#!/bin/bash
if [ "$1" = requeue ]; then echo "requeue $2" >> "$LOG"; exit; fi
for ((i = 1; i <= NODES; i++)); do echo node$i; done
"""
PYTHON = """#!/bin/bash
if [ "$1" = -c ]; then echo --enable-scale-out; exit; fi
echo "python $* url=${TTC_RL_VLLM_URL:-}" >> "$LOG"
[ -z "${TTC_RL_MODULES:-}" ] || echo "modules $TTC_RL_MODULES" >> "$LOG"
case "$*" in *ttc_rl\\ train*) sleep ${TRAINING:-0}; exit ${TRAIN_ENDS:-0};; esac
"""
VLLM = """#!/bin/bash
trap 'echo "vllm ends" >> "$LOG"; exit 0' TERM
echo "vllm $* dev=$VLLM_SERVER_DEV_MODE" >> "$LOG"
for ((i = 0; i < ${SERVES:-600}; i++)); do /bin/sleep 0.1; done
echo "out of memory"
exit 1
"""
CURL = """#!/bin/bash
echo "asked ${@: -1}" >> "$LOG"
[ $(grep -c asked "$LOG") -ge 3 ]
"""
SLEEP = """#!/bin/bash
case $1 in
  5) exec /bin/sleep 0.05;;
  300) exec /bin/sleep ${KEEPS_EVERY:-0.05};;
  *) exec /bin/sleep $1;;
esac
"""
SBATCH = '#!/bin/bash\ncp "$1" "$LOG.sbatch"; echo "Submitted batch job 77"\n'
HF = """#!/bin/bash
echo "hf $*" >> "$LOG"
if [ "$1 $2" = "buckets sync" ]; then
  from=${3/hf:\\/\\/buckets/$BUCKETS} to=${4/hf:\\/\\/buckets/$BUCKETS}
  mkdir -p "$to" && rm -rf "$to"/* && cp -r "$from"/. "$to" 2> /dev/null || true
fi
"""
STUBS = {
    "srun": SRUN,
    "scontrol": SCONTROL,
    "python": PYTHON,
    "vllm": VLLM,
    "curl": CURL,
    "sleep": SLEEP,
    "sbatch": SBATCH,
    "hf": HF,
}


def words_of(line: str) -> list[str]:
    """Return the arguments of a line of #SBATCH, by the rules of SLURM's `_get_argument`: quotes
    of either kind group, a backslash takes the next character as it is, a bare # ends the line."""
    words, word, quote, escaped = list[str](), "", "", False
    for letter in line.removeprefix("#SBATCH"):
        if escaped:
            word, escaped = word + letter, False
        elif letter == "\\":
            escaped = True
        elif quote:
            quote, word = ("", word) if letter == quote else (quote, word + letter)
        elif letter in "\"'":
            quote = letter
        elif letter == "#":
            break
        elif letter.isspace():
            words, word = [*words, word], ""
        else:
            word += letter
    assert not quote, f"sbatch ends with: Unmatched {quote} in [{line}]"
    return [word for word in [*words, word] if word]


def sbatch_options(script: str) -> dict[str, str]:
    """Return what sbatch takes from a script: the lines of #SBATCH before the first command."""
    head = before_command(script)
    words = [word for line in head if line.startswith("#SBATCH") for word in words_of(line)]
    assert all(word.startswith("--") for word in words), words
    pairs = [word.removeprefix("--").partition("=") for word in words]
    return {key: value for key, _, value in pairs}


def before_command(script: str) -> list[str]:
    lines = script.splitlines()
    ends = next(i for i, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    return lines[:ends]


def log_file(pattern: str, **job: str) -> str:
    """Return the file that SLURM opens for --output. A path with a backslash is taken without it,
    and without its places."""
    if "\\" in pattern:
        return pattern.replace("\\", "")
    return re.sub(r"%(.)", lambda place: job.get(place[1], place[1] * (place[1] == "%")), pattern)

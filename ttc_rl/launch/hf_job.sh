#!/bin/bash
# Rendered by `ttc-rl launch --on hf-jobs`. A job's disk is gone when it ends, and a mounted bucket
# appends to no file, so the run folder is copied to the bucket every few minutes. A second attempt
# begins with the copy and goes on from there.
set -euo pipefail
run=@RUN@
kept=@BUCKET@/@NAME@
mkdir -p "$run"
hf buckets create @BUCKET@ --private --exist-ok
hf buckets sync "$kept" "$run"

# One at a time; `--delete`, or a second attempt would find checkpoints that were done with.
keep() { flock "$run.lock" hf buckets sync "$run" "$kept" --delete; }
while sleep 300; do keep || echo "the run folder could not be copied; it is tried again" >&2; done &
keeping=$!
trap 'kill "$keeping"; keep' EXIT

config=$(python -c 'from ttc_rl.launch import config_file; print(config_file("@CONFIG@"))')
@SELECT@
@TRAIN@
@EVAL@


# vLLM has the last node. Its weights are replaced while training runs.
server=${nodes[-1]}
serve_port=$((10000 + SLURM_JOB_ID % 10000))
newer=$(@PYTHON@ -c 'from importlib.metadata import version
print("--enable-scale-out" * (tuple(map(int, version("vllm").split(".")[:2])) >= (0, 30)))')
VLLM_SERVER_DEV_MODE=1 srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --nodes=1 --ntasks=1 \
  --nodelist="$server" @SERVE@ ${newer:+"$newer"} >> "$logs/$job.vllm.log" 2>&1 &
serving=$!
export TTC_RL_VLLM_URL="http://$server:$serve_port"
late=$((SECONDS + 3600))
until curl --silent --fail --output /dev/null "$TTC_RL_VLLM_URL/health"; do
  kill -0 "$serving" || { echo "vllm serve ended before it was ready: see $logs/$job.vllm.log" >&2; exit 1; }
  ((SECONDS < late)) || { echo "vllm serve is not ready after an hour: see $logs/$job.vllm.log" >&2; exit 1; }
  sleep 5
done


# vLLM has the last node. Its weights are replaced while training runs.
server=${nodes[-1]}
newer=$(@PYTHON@ -c 'from importlib.metadata import version
print("--enable-scale-out" * (tuple(map(int, version("vllm").split(".")[:2])) >= (0, 30)))')
VLLM_SERVER_DEV_MODE=1 srun --nodes=1 --ntasks=1 --nodelist="$server" --output=@LOGS@/%j.vllm.log \
  @SERVE@ $newer &
serving=$!
export TTC_RL_VLLM_URL="http://$server:@PORT@"
until curl --silent --fail --output /dev/null "$TTC_RL_VLLM_URL/health"; do
  kill -0 $serving || { echo "vllm serve ended before it was ready: @LOGS@" >&2; exit 1; }
  ((SECONDS < 3600)) || { echo "vllm serve is not ready after an hour" >&2; exit 1; }
  sleep @POLL@
done

# ttc-rl and its GPU stack, for `ttc-rl launch --on hf-jobs`, SkyPilot, or a machine of your own. The
# packages of torch and vLLM bring CUDA; the machine brings the driver.
#
#     docker build --tag USER/ttc-rl . && docker push USER/ttc-rl
FROM python:3.11-slim-bookworm

# gcc and g++: Triton and vLLM compile while they run. bubblewrap: the sandbox that grades programs.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap curl g++ gcc git libc6-dev libnuma1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/ttc-rl
COPY constraints/cuda.txt constraints/cuda.txt
RUN pip install --no-cache-dir --requirement constraints/cuda.txt
COPY pyproject.toml README.md LICENSE ./
COPY eval eval
COPY recipes recipes
COPY ttc_rl ttc_rl
RUN pip install --no-cache-dir --no-deps --editable .

CMD ["ttc-rl", "doctor"]

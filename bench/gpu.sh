#!/usr/bin/env bash
# Builds and checks the cuda engine on the GPU here and times it beside PyTorch on the same GPU: one file, bench/results/gpu.json.
#   bench/gpu.sh PATH/torch_peer.py        TRACIN_BENCH_PYTHON: a Python with CUDA torch and onnx (python3)
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: bench/gpu.sh PATH/torch_peer.py" >&2; exit 2; }
TRACIN_BENCH_PEER=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export TRACIN_BENCH_PEER TRACIN_REQUIRE_CUDA=1
TRACIN_ERRORS=$(mktemp)
TRACIN_RATES=$(mktemp)
export TRACIN_ERRORS TRACIN_RATES

TRACIN_CUDA=ON npm run setup
cmake --build build --target tracin-cuda-test tracin-cuda-rates --parallel
build/Release/tracin-cuda-test
for tool in memcheck racecheck; do
  if command -v compute-sanitizer > /dev/null; then compute-sanitizer --tool "$tool" --error-exitcode 1 build/Release/tracin-cuda-test; fi
done
npx jest -t cuda test/engine test/influence/oracle.test.ts
build/Release/tracin-cuda-rates > "$TRACIN_RATES"
npm run bench:gpu

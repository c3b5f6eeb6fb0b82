#!/bin/sh
# Everything that needs a GPU, in one call of a few minutes: the tests of the CUDA runtime, then what it costs.
#
#     tools/gpu.sh                 all
#     tools/gpu.sh tests|bench     one half
#
# Needs a Deno binary ($DENO, default: deno on PATH), an NVIDIA driver and nvrtc; no network, no compiler, no toolkit.
# Tests that need something else (packages, g++) say so and are left out. Ends with a short table; exits with 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 2
deno=${DENO:-deno}
what=${1:-all}
command -v "$deno" >/dev/null 2>&1 || { echo "no Deno: set DENO to its path" >&2; exit 2; }
NO_COLOR=1
export NO_COLOR

# Without a network only what is in Deno's cache can be used: then tests that import packages are left out, and so is the
# configuration, whose lock file would have all packages of the project fetched.
files=$(ls tests/runtime/cuda/*_test.ts)
flags=--cached-only
if ! timeout 60 "$deno" test --no-run --cached-only --no-check $files >/dev/null 2>&1; then
  echo "left out, their packages are not in Deno's cache: $(grep -l fast-check $files | tr '\n' ' ')"
  files=$(grep -L fast-check $files)
  flags="--cached-only --no-config --no-lock"
fi

tests=0
if [ "$what" != bench ]; then
  timeout 180 "$deno" test -A --no-check $flags $files
  tests=$?
fi
bench=0
if [ "$what" != tests ]; then
  timeout 150 "$deno" run -A --no-check $flags bench/cuda_runtime.ts
  bench=$?
fi

[ "$tests" -eq 0 ] && echo "tests: passed" || echo "tests: FAILED ($tests)"
[ "$bench" -eq 0 ] && echo "bench: done" || echo "bench: FAILED ($bench)"
[ "$tests" -eq 0 ] && [ "$bench" -eq 0 ]

#!/bin/sh
# Everything that needs a GPU, in one call: tests, operators against PyTorch's results, random programs, what it costs. Ends with a short table.
#
#     tools/gpu.sh                       all
#     tools/gpu.sh doctor tests sample   some: doctor tests sample vectors fuzz demo bench kernels models memcheck racecheck
#
# memcheck and racecheck run the sample under compute-sanitizer, where the toolkit has it; they are not among "all".
#
# Needs a Deno binary ($DENO, default: deno on PATH), an NVIDIA driver and nvrtc; no compiler, no toolkit. Where there is no network either, pack
# these on a machine that has one, and bring them along in .gpu/ (which git ignores):
#
#     tar -C ~/.cache/deno -cf - npm | xz > .gpu/deno_dir.tar.xz     the packages of deno.json (only those: 7 MB)
#     tar -C DIR -cf - vectors | xz > .gpu/vectors.tar.xz            more operator vectors: cases.jsonl, tensors.safetensors
#
# Logs go to $OUT, default: a temporary folder. Exits with 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 2
deno=${DENO:-deno}
command -v "$deno" >/dev/null 2>&1 || { echo "no Deno: set DENO to its path" >&2; exit 2; }
[ $# -eq 0 ] || [ "$1" = all ] && set -- doctor tests sample vectors fuzz demo bench kernels models
NO_COLOR=1
export NO_COLOR
room=$(mktemp -d)
logs=${OUT:-$room}
trap 'rm -rf "$room"' EXIT
: "${TESSERA_CACHE_DIR:=$room/cache}"
export TESSERA_CACHE_DIR

flags=--no-check
if [ -f .gpu/deno_dir.tar.xz ]; then
  DENO_DIR=$room/deno
  export DENO_DIR
  mkdir -p "$DENO_DIR" && xz -dc .gpu/deno_dir.tar.xz | tar -C "$DENO_DIR" --strip-components=0 -xf -
  [ -d "$DENO_DIR/deno_dir" ] && mv "$DENO_DIR"/deno_dir/* "$DENO_DIR"/
  flags="--no-check --cached-only"
fi
if [ -f .gpu/vectors.tar.xz ]; then xz -dc .gpu/vectors.tar.xz | tar -C "$room" -xf -; fi

table=""
failed=0
# step NAME SECONDS COMMAND...: runs it, keeps its log, and its last line for the table.
step() {
  name=$1
  limit=$2
  shift 2
  begin=$(date +%s)
  timeout "$limit" "$@" >"$logs/$name.log" 2>&1
  code=$?
  took=$(($(date +%s) - begin))
  if [ $code -eq 0 ]; then word=ok; else word="FAILED ($code)"; failed=1; fi
  [ $code -eq 124 ] && word="TOO LONG"
  grep -v '^$' "$logs/$name.log" | tail -n "${shown:-25}"
  table="$table
$name: $word, $took s: $(grep -v '^$' "$logs/$name.log" | tail -n 1 | cut -c1-180)"
}

for what in "$@"; do
  echo "== $what"
  case $what in
  doctor) step doctor 60 "$deno" run -A $flags src/cli/main.ts doctor ;;
  tests)
    step tests 200 "$deno" test -A $flags --reporter=dot --preload=tests/setup.ts tests/runtime/cuda tests/inductor/cuda tests/kernels/cuda_test.ts ;;
  sample) step sample 200 "$deno" run -A $flags tests/conformance/run.ts --vectors tests/conformance/sample --device cuda --batch 48 ;;
  vectors)
    if [ -d "$room/vectors" ]; then
      shown=60 step vectors 400 "$deno" run -A $flags tests/conformance/run.ts --vectors "$room/vectors" --device cuda --batch 64
    else echo "no .gpu/vectors.tar.xz"; fi ;;
  fuzz)
    mkdir -p "$logs/found"
    step fuzz 100 "$deno" run -A $flags tools/fuzz.ts --tier cuda --seconds 60 --batch 16 --out "$logs/found" ;;
  demo) step demo 100 "$deno" run -A $flags examples/digits/main.ts --device cuda ;;
  bench) shown=40 step bench 150 "$deno" run -A $flags bench/cuda_runtime.ts ;;
  kernels)
    shown=60 step kernels 200 "$deno" run -A $flags bench/cuda_kernels.ts
    shown=60 step memory 100 "$deno" run -A $flags bench/cuda_memory.ts
    ;;
  models) shown=30 step models 300 "$deno" run -A $flags bench/cuda_models.ts --peer ;;
  memcheck|racecheck)
    checker=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    if [ -x "$checker" ]; then
      # The program's own exit code is the sample's; the tool's errors are counted in its last line.
      shown=30 step $what 300 "$checker" --tool $what --print-limit 20 --error-exitcode 9 "$deno" run -A $flags \
        tests/conformance/run.ts --vectors tests/conformance/sample --device cuda --batch 48
    else echo "no compute-sanitizer: it comes with NVIDIA's toolkit"; fi ;;
  *) echo "gpu.sh: $what is not one of doctor tests sample vectors fuzz demo bench kernels models memcheck racecheck" >&2; exit 2 ;;
  esac
done

echo "== table$table"
[ $failed -eq 0 ]

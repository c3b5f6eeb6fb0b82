#!/bin/sh
# Everything that needs a GPU, in one call of ten minutes at most: tests, operators against PyTorch's results, random programs, what it costs. Ends with a short table.
#
#     tools/gpu.sh                       all
#     tools/gpu.sh doctor tests sample   some: doctor tests sample vectors fuzz demo bench kernels memory optimizers convolutions training models
#
# First what is right or wrong, side by side on all cores; then what is timed, one after the other. A step that takes longer than its time is cut; what the ten minutes
# (SECONDS_IN_ALL) do not reach is said. memcheck and racecheck, the sample under compute-sanitizer where the toolkit has it, are not among "all".
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
[ $# -eq 0 ] || [ "$1" = all ] &&
  set -- doctor tests sample vectors fuzz demo bench kernels memory optimizers convolutions training models
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

began=$(date +%s)
table=""
failed=0
# within SECONDS: these, or what is left of all.
within() {
  left=$((${SECONDS_IN_ALL:-570} - $(date +%s) + began))
  if [ "$1" -lt "$left" ]; then echo "$1"; else echo "$left"; fi
}
# work NAME SECONDS COMMAND...: runs it, keeps its log, how it ended and how long it took.
work() {
  name=$1
  limit=$(within "$2")
  shift 2
  begin=$(date +%s)
  if [ "$limit" -gt 0 ]; then
    timeout "$limit" "$@" >"$logs/$name.log" 2>&1
    code=$?
  else
    code=late
    echo "no time was left" >"$logs/$name.log"
  fi
  echo "$code $(($(date +%s) - begin))" >"$room/$name.end"
}
# tell NAME LINES: the end of its log, and its last line for the table.
tell() {
  read -r code took <"$room/$1.end"
  case $code in
  0) word=ok ;;
  124) word="TOO LONG" failed=1 ;;
  late) word="NOT RUN" failed=1 ;;
  *) word="FAILED ($code)" failed=1 ;;
  esac
  echo "== $1"
  grep -v '^$' "$logs/$1.log" | tail -n "$2"
  table="$table
$1: $word, $took s: $(grep -v '^$' "$logs/$1.log" | tail -n 1 | cut -c1-180)"
}

run="$deno run -A $flags"
conformance="$run tests/conformance/run.ts --device cuda"
# The tests, file by file on all cores; the last line says how many passed.
cat >"$room/tests.sh" <<END
ls tests/runtime/cuda/*_test.ts tests/inductor/cuda/*_test.ts tests/kernels/cuda_test.ts |
  xargs -P "\$(nproc)" -I FILE sh -c '$deno test -A $flags --reporter=dot --preload=tests/setup.ts FILE >"$logs/\$(basename FILE .ts).test.log" 2>&1 || echo "FILE failed"'
cat "$logs"/*.test.log | awk '/ passed/ { for (i = 2; i <= NF; i++) { if (\$i ~ /^passed/) p += \$(i - 1); if (\$i ~ /^failed/) f += \$(i - 1) } } END { print p + 0 " tests passed, " f + 0 " failed"; exit f > 0 }'
END

side=""
timed=""
for what in "$@"; do
  case $what in
  doctor|tests|sample|vectors|fuzz|demo) side="$side $what" ;;
  bench|kernels|memory|optimizers|convolutions|training|models|memcheck|racecheck) timed="$timed $what" ;;
  *) echo "gpu.sh: $what is not one of doctor tests sample vectors fuzz demo bench kernels memory optimizers convolutions training models memcheck racecheck" >&2; exit 2 ;;
  esac
done
started=""
for what in $side; do
  case $what in
  doctor) work doctor 60 $run src/cli/main.ts doctor ;;
  tests) work tests 240 sh "$room/tests.sh" & ;;
  sample) work sample 200 $conformance --vectors tests/conformance/sample --batch 48 & ;;
  vectors)
    if [ -d "$room/vectors" ]; then work vectors 240 $conformance --vectors "$room/vectors" --batch 24 --jobs "$(nproc)" &
    else echo "no .gpu/vectors.tar.xz"; continue; fi ;;
  fuzz)
    mkdir -p "$logs/found"
    work fuzz 120 $run tools/fuzz.ts --tier cuda --seconds 60 --batch 16 --out "$logs/found" & ;;
  demo) work demo 120 $run examples/digits/main.ts --device cuda & ;;
  esac
  started="$started $what"
done
wait
for what in $started; do tell "$what" 25; done
for what in $timed; do
  case $what in
  bench) work bench 90 $run bench/cuda_runtime.ts ;;
  kernels) work kernels 90 $run bench/cuda_kernels.ts ;;
  memory) work memory 60 $run bench/cuda_memory.ts ;;
  optimizers) work optimizers 60 $run bench/cuda_optimizers.ts ;;
  convolutions) work convolutions 60 $run bench/cuda_convolutions.ts --seconds 50 ;;
  training) work training 120 $run bench/cuda_training.ts --adamw ;;
  models) work models 120 $run bench/cuda_models.ts --peer ;;
  memcheck|racecheck)
    checker=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    [ -x "$checker" ] || { echo "no compute-sanitizer: it comes with NVIDIA's toolkit"; continue; }
    # The program's own exit code is the sample's; the tool's errors are counted in its last line.
    work $what 300 "$checker" --tool $what --print-limit 20 --error-exitcode 9 $conformance \
      --vectors tests/conformance/sample --batch 48 ;;
  esac
  tell "$what" 60
done

echo "== table, $(($(date +%s) - began)) s in all$table"
[ $failed -eq 0 ]

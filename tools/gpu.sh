#!/bin/sh
# Everything that needs a GPU, in one call of ten minutes at most: tests, operators against PyTorch's results, random programs, sanitizers, what it costs. Ends with a short table.
#
#     tools/gpu.sh [all]                 all that is below
#     tools/gpu.sh doctor tests sample   some: doctor tests sample vectors fuzz demo memcheck racecheck training models kernels bench host memory optimizers convolutions
#     tools/gpu.sh pack [DIR]            on a machine with a network: fills .gpu/ (which git ignores) with what a machine without one needs: this Deno, the packages of
#                                        deno.json, and the operator vectors of DIR (cases.jsonl, tensors.safetensors); about 45 MB
#
# First what is right or wrong, side by side on all cores. Then whole models, which compile side by side and are timed in turn. Then what is timed alone, one after the
# other. A step that takes longer than its time is cut; what SECONDS_IN_ALL (default 540) do not reach is said.
#
# Needs a Deno binary ($DENO, .gpu/deno.xz or `deno` on PATH), an NVIDIA driver and nvrtc; no compiler, no toolkit. compute-sanitizer, cuDNN and a Python with PyTorch
# are asked where they are there. Logs go to $OUT/logs.tar.gz if OUT is set, and are dropped otherwise. Exits with 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 2
ALL="doctor tests sample vectors fuzz demo memcheck racecheck training models kernels bench host memory optimizers convolutions"
NO_COLOR=1
PYTHONUNBUFFERED=1
export NO_COLOR PYTHONUNBUFFERED

if [ "${1:-}" = pack ]; then
  deno=${DENO:-$(command -v deno)} || { echo "gpu.sh: no Deno: set DENO to its path" >&2; exit 2; }
  mkdir -p .gpu
  room=$(mktemp -d)
  trap 'rm -rf "$room"' EXIT
  # Only what the entry points load, in a folder of its own: a cache that is used holds much more.
  DENO_DIR=$room/deno "$deno" cache -q --no-check mod.ts src/cli/main.ts tools/fuzz.ts bench/*.ts examples/*/*.ts tests/conformance/run.ts \
    tests/runtime/cuda/*_test.ts tests/inductor/cuda/*_test.ts tests/kernels/cuda_test.ts || exit 1
  (cd "$room/deno" && tar -cf - $(ls -d npm remote 2>/dev/null)) | xz -T0 >.gpu/deno_dir.tar.xz
  [ .gpu/deno.xz -nt "$deno" ] || xz -T0 -c "$deno" >.gpu/deno.xz
  [ $# -lt 2 ] || tar -C "$2" --transform 's,^,vectors/,' -cf - cases.jsonl tensors.safetensors | xz -T0 >.gpu/vectors.tar.xz
  ls -l .gpu/deno.xz .gpu/deno_dir.tar.xz .gpu/vectors.tar.xz
  exit
fi

began=$(date +%s)
now() { echo $(($(date +%s) - began)); }
room=$(mktemp -d)
logs=$room/logs
mkdir -p "$logs" "$room/turns"
# What came out so far travels even if the call is cut.
keep() { [ -z "${OUT:-}" ] || tar -C "$logs" -czf "$OUT/logs.tar.gz" .; }
trap 'rm -rf "$room"' EXIT
: "${TESSERA_CACHE_DIR:=$room/cache}"
export TESSERA_CACHE_DIR

if [ -z "${DENO:-}" ] && [ -f .gpu/deno.xz ]; then
  DENO=$room/bin/deno
  mkdir "$room/bin"
  xz -dc .gpu/deno.xz >"$DENO" && chmod +x "$DENO" &
fi
flags=--no-check
if [ -f .gpu/deno_dir.tar.xz ]; then
  DENO_DIR=$room/deno
  export DENO_DIR
  mkdir -p "$DENO_DIR" && xz -dc .gpu/deno_dir.tar.xz | tar -C "$DENO_DIR" -xf -
  [ -d "$DENO_DIR/deno_dir" ] && mv "$DENO_DIR"/deno_dir/* "$DENO_DIR"/
  flags="--no-check --cached-only"
fi
[ -f .gpu/vectors.tar.xz ] && xz -dc .gpu/vectors.tar.xz | tar -C "$room" -xf -
wait
deno=${DENO:-deno}
command -v "$deno" >/dev/null 2>&1 || { echo "gpu.sh: no Deno: set DENO to its path" >&2; exit 2; }

[ $# -eq 0 ] || [ "$1" = all ] && set -- $ALL
side=""
turns=""
timed=""
for what in "$@"; do
  case $what in
  doctor | tests | sample | vectors | fuzz | demo | memcheck | racecheck) side="$side $what" ;;
  training | models | kernels) turns="$turns $what" ;;
  bench | host | memory | optimizers | convolutions) timed="$timed $what" ;;
  *) echo "gpu.sh: $what is not one of $ALL" >&2; exit 2 ;;
  esac
done

table=""
failed=0
# within SECONDS: these, or what is left of all.
within() {
  left=$((${SECONDS_IN_ALL:-540} - $(now)))
  if [ "$1" -lt "$left" ]; then echo "$1"; else echo "$left"; fi
}
# work NAME SECONDS COMMAND...: runs it, keeps its log, how it ended and how long it took.
work() {
  name=$1
  limit=$(within "$2")
  shift 2
  begin=$(now)
  if [ "$limit" -gt 0 ]; then
    timeout -k 3 "$limit" "$@" >"$logs/$name.log" 2>&1
    code=$?
  else
    code=late
    echo "no time was left" >"$logs/$name.log"
  fi
  echo "$code $(($(now) - begin))" >"$room/$name.end"
}
# tell NAME LINES: the end of its log, and its last line for the table.
tell() {
  read -r code took <"$room/$1.end"
  case $code in
  0) word=ok ;;
  124 | 137) word="TOO LONG" failed=1 ;;
  late) word="NOT RUN" failed=1 ;;
  *) word="FAILED ($code)" failed=1 ;;
  esac
  echo "== $1: $word"
  grep -v '^$' "$logs/$1.log" | tail -n "$2" | cut -c1-220
  table="$table
$1: $word, $took s: $(grep -v '^$\|^└\|^├\|^┌' "$logs/$1.log" | tail -n 1 | cut -c1-180)"
}
skip() {
  table="$table
$1: not here: $2"
}

run="$deno run -A $flags"
conformance="$run tests/conformance/run.ts --device cuda"
sample="$conformance --vectors tests/conformance/sample"
work doctor 60 $run src/cli/main.ts doctor
if ! grep -q "^device cuda:.*: cuda" "$logs/doctor.log"; then
  cat "$logs/doctor.log"
  echo "gpu.sh: no CUDA device works here, so nothing was run"
  exit 1
fi
[ "$side" = "${side#* doctor}" ] || tell doctor 16

# The tests, file by file on all cores, longest first; the last line says how many passed. Those that only compile need no GPU. A process that dies is told, and its
# file runs again.
cat >"$room/test.sh" <<END
log="$logs/tests/\$(basename "\$1" .ts).log"
$deno test -A $flags --preload=tests/setup.ts "\$1" >"\$log" 2>&1
code=\$?
if [ \$code -ge 128 ]; then
  mv "\$log" "\$log.died"
  echo "\$1 died with code \$code; it runs again" | tee -a "$logs/died"
  $deno test -A $flags --preload=tests/setup.ts "\$1" >"\$log" 2>&1
  code=\$?
fi
[ \$code -eq 0 ] || echo "\$1 failed with code \$code" | tee -a "$logs/failed"
END
cat >"$room/tests.sh" <<END
mkdir -p "$logs/tests"
ls -S tests/runtime/cuda/*_test.ts tests/inductor/cuda/*_test.ts tests/kernels/cuda_test.ts | grep -v compile_ | xargs -P "\$(nproc)" -n 1 sh "$room/test.sh"
grep -hA 12 '^ ERRORS' "$logs"/tests/*.log | cut -c1-200
cat "$logs"/tests/*.log | awk '/ passed/ { for (i = 2; i <= NF; i++) { if (\$i ~ /^passed/) p += \$(i - 1); if (\$i ~ /^failed/) f += \$(i - 1) } } END { print p + 0 " tests passed, " f + 0 " failed" }' >"$room/sums"
[ ! -f "$logs/died" ] || echo "; files whose process died once: \$(wc -l <"$logs/died")" >>"$room/sums"
tr -d '\n' <"$room/sums"; echo
[ ! -f "$logs/failed" ] && ! grep -q '^0 tests' "$room/sums"
END

checker=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
started=""
for what in $side; do
  case $what in
  doctor) continue ;;
  tests) work tests 170 sh "$room/tests.sh" & ;;
  sample) work sample 170 $sample --batch 48 --jobs 4 & ;;
  vectors)
    [ -d "$room/vectors" ] || { skip vectors "no .gpu/vectors.tar.xz"; continue; }
    work vectors 170 $conformance --vectors "$room/vectors" --batch 24 --jobs "$(nproc)" --known & ;;
  fuzz)
    mkdir -p "$logs/found"
    work fuzz 120 $run tools/fuzz.ts --tier cuda --seconds 50 --batch 16 --out "$logs/found" & ;;
  demo) work demo 120 $run examples/digits/main.ts --device cuda & ;;
  memcheck | racecheck)
    [ -x "$checker" ] || { skip $what "compute-sanitizer comes with NVIDIA's toolkit"; continue; }
    # The program's own exit code is the sample's; the tool's errors are counted in its last line.
    work $what 170 "$checker" --tool $what --print-limit 20 --error-exitcode 9 $sample --batch 48 & ;;
  esac
  started="$started $what"
done
wait
for what in $started; do
  if [ "$(cut -d ' ' -f 1 "$room/$what.end")" = 0 ]; then tell $what 4; else tell $what 30; fi
done
keep
echo "[$(now) s]"

# Programs that say when they are ready (FILE.ready) and wait for their turn (FILE); a line of results each.
started=""
for what in $turns; do
  case $what in
  training)
    for model in resnet50 vit_base gpt2 bert_base; do
      work training_$model 150 $run bench/cuda_training.ts $model --adamw --turn "$room/turns/training_$model" &
      started="$started training_$model"
    done ;;
  models)
    work models 150 $run bench/cuda_models.ts --peer --turn "$room/turns/models" &
    started="$started models" ;;
  kernels)
    work kernels 180 $run bench/cuda_kernels.ts --turn "$room/turns/kernels" &
    started="$started kernels" ;;
  esac
done
count() { n=0; for f in $started; do [ ! -e "$room/turns/$f.ready" ] && [ ! -e "$room/$f.end" ] || n=$((n + 1)); done; echo $n; }
while [ "$(count)" -lt "$(echo $started | wc -w)" ]; do sleep 0.2; done
[ -z "$started" ] || echo "[$(now) s] all are compiled"
for what in $started; do
  : >"$room/turns/$what"
  while [ ! -e "$room/$what.end" ]; do sleep 0.1; done
  tell $what 60
done
wait
keep

for what in $timed; do
  case $what in
  bench) work bench 60 $run bench/cuda_runtime.ts ;;
  host) work host 45 $run bench/cuda_host.ts ;;
  memory) work memory 90 $run bench/cuda_memory.ts ;;
  optimizers) work optimizers 110 $run bench/cuda_optimizers.ts resnet50 bert_base ;;
  convolutions) work convolutions 45 $run bench/cuda_convolutions.ts --seconds 25 ;;
  esac
  tell $what 60
  echo "[$(now) s]"
done
keep

echo "== table, $(now) s in all$table" | tee "$logs/table.txt"
keep
[ $failed -eq 0 ]

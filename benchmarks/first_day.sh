#!/usr/bin/env bash
# Brings back from a borrowed GPU what docs/performance.md claims, within 8 minutes:
#
#   bash benchmarks/first_day.sh [--quick] [OUTPUT]
#
# The parts run one after the other, the most important first. OUTPUT (default: first_day) gets
# their logs, a profile, and the benchmarks' results, which also go to benchmarks/results. A
# finished part leaves the mark OUTPUT/NAME.done, and the next start skips it. The exit status is 1
# until all parts are done. --quick takes a tiny network, on any machine; its results stay in OUTPUT
# and mean nothing. The variable BUDGET gives other seconds than 470 to all parts together.
set -euo pipefail

BUDGET=${BUDGET:-470} # the rest of 8 minutes is for what must be ended and stored
PATIENCE=3            # times the seconds that a part needs: then it hangs, and the others go on

quick=false
if [[ ${1:-} == --quick ]]; then
  quick=true
  shift
fi
if (($# > 1)) || [[ ${1:-} == -* ]]; then
  echo "usage: bash benchmarks/first_day.sh [--quick] [OUTPUT]" >&2
  exit 2
fi
output=$(realpath -m "${1:-first_day}")
mkdir -p "$output"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# All parts share what XLA compiled, also over several starts.
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$output/compiled}
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0

failed=()
left=()

# tell NAME SECONDS OUTCOME: prints the line of a part.
tell() {
  printf '%-22s %4d s  %s\n' "$@"
}

# part NAME SECONDS COMMAND...: runs a part that needs about so many seconds, unless it is done or
# the budget's rest is shorter.
part() {
  local name=$1 needed=$2 began=$SECONDS status=0
  local rest=$((BUDGET - SECONDS)) limit=$((PATIENCE * $2))
  shift 2
  if [[ -e $output/$name.done ]]; then
    tell "$name" 0 "ok before"
  elif ((rest < needed)); then
    left+=("$name")
    tell "$name" 0 left
  else
    run_for $((limit < rest ? limit : rest)) "$@" >"$output/$name.log" 2>&1 || status=$?
    settle "$name" $((SECONDS - began)) "$status"
  fi
}

# run_for SECONDS COMMAND...: `timeout` ends the command with all its processes, and says so. The
# kernel tells `timeout` to do so where this script is killed, so that nothing keeps the GPU.
run_for() {
  setpriv --pdeathsig TERM timeout --verbose --kill-after=5 "$@" &
  wait "$!"
}

# settle NAME SECONDS STATUS: marks a part that is done; remembers any other one.
settle() {
  local name=$1 seconds=$2 status=$3
  if ((status == 0)); then
    touch "$output/$name.done"
    tell "$name" "$seconds" ok
  elif ((SECONDS >= BUDGET)); then # `timeout` ended it for want of time
    left+=("$name")
    tell "$name" "$seconds" left
  else
    failed+=("$name")
    tell "$name" "$seconds" "failed, see $output/$name.log"
  fi
}

# benchmark NAME SECONDS COMMAND [OPTION]: runs one benchmark and stores its lines in OUTPUT.
benchmark() {
  part "$1" "$2" python3 -m benchmarks.run --output "$output" --command "$3" "${@:4}"
}

# profile SECONDS [FIELD...]: trains the quickstart for an epoch and records ten steps.
profile() {
  local needed=$1
  shift
  [[ -e $output/trace.done ]] || rm -rf "$output/trace" # a training that is over has no steps left
  part trace "$needed" python3 main.py --config=configs/quickstart.py --workdir="$output/trace" \
    --config.train.trace=10 --config.train.epochs=1 "$@"
}

# tests NAME SECONDS FILE WORDS: runs the tests of a file that fit the words, slow ones too.
tests() {
  part "$1" "$2" python3 -m pytest "tests/$3" -k "$4" -m "" -n 0 -q
}

if $quick; then
  export JAX_DISABLE_MOST_OPTIMIZATIONS=1 # to compile faster
  tiny="--variant mu --image-size 64 32 --batch-size 8 --repeats 1 --dtype bfloat16"
  benchmark train_step 60 "train_step $tiny" --quick
  benchmark extract 60 "extract $tiny" --quick
  benchmark recipe 60 "recipe $tiny" --quick
  profile 60 --config.model.variant=mu
  tests parity 60 test_parity.py "within and Recipe"
  tests interruption 60 test_interruption.py "second_signal"
else
  export JAX_PLATFORMS=cuda,cpu # the tests, too, would take the CPU
  python3 -c 'import jax; jax.devices("gpu")' 2>"$output/gpu.log" || {
    echo "JAX finds no NVIDIA GPU, see $output/gpu.log; --quick needs none" >&2
    exit 2
  }
  bfloat16="--batch-size 64 --dtype bfloat16"
  benchmark train_step_cudnn 60 "train_step $bfloat16 --attention cudnn"
  benchmark train_step_xla 60 "train_step $bfloat16"
  benchmark train_step_float32 60 "train_step --batch-size 64"
  benchmark extract 40 "extract --batch-size 1 128 --dtype bfloat16 --attention cudnn"
  benchmark recipe 60 "recipe $bfloat16 --attention cudnn --repeats 1"
  profile 60
  export XLA_FLAGS="" # and not the hasty compilation of the tests
  tests parity 60 test_parity.py "within and (Selection or Backbone or paper or forward) and not timm"
  # The same bits come out only of operations whose order is fixed.
  export XLA_FLAGS=--xla_gpu_deterministic_ops=true
  tests twenty_kills 240 test_interruption.py twenty_kills
  python3 -m benchmarks.run --take "$output" || failed+=(results)
fi

((${#failed[@]} == 0)) || echo "failed: ${failed[*]}"
((${#left[@]} == 0)) || echo "left for the next call: ${left[*]}"
((${#failed[@]} + ${#left[@]} == 0))

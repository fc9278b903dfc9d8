#!/usr/bin/env bash
# Everything to be known about this machine's GPU in under nine minutes: ./run.sh [OUT]   (README.md beside this explains the results)
# Needs the NVIDIA driver; uses PyTorch, ptxas and compute-sanitizer where they are. A part that fails or lacks something does not
# stop the others; the summary names it. Ends with 0 where no part failed.
# FACESEARCH_GPU_SECONDS (default 520): time for all parts, shared out among them. FACESEARCH_GPU_SMALL=1: sizes and numbers for a dry run.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:-out}" && cd "${1:-out}" && pwd) || exit 2
cd "$out" || exit 2
seconds=${FACESEARCH_GPU_SECONDS:-520}
FACESEARCH_COMMIT=$(cat "$here/commit")
export FACESEARCH_COMMIT FACESEARCH_CACHE="$out/cache" DOTNET_BUNDLE_EXTRACT_BASE_DIR="$out/unpacked"
perf=$here/facesearch-perf
started=$SECONDS failed=0
: >summary.txt

# How many seconds a share of the time is, in percent, but no more than what is left.
share() {
    local part=$((seconds * $1 / 100)) left=$((seconds - (SECONDS - started)))
    [ "$part" -lt "$left" ] || part=$left
    [ "$part" -gt 1 ] || part=1
    echo "$part"
}

tell() { printf '%-12s %-9s %s\n' "$1" "$2" "$3" | tee -a summary.txt; }

# name, share, seconds of grace for starting and ending, command: its output goes to NAME.txt and, shortened, to the terminal.
part() {
    local name=$1 limit status=0 begun=$SECONDS
    limit=$(($(share "$2") + $3))
    shift 3
    echo "== $name (at most $limit s)"
    timeout -k 5 "$limit" "$@" >"$name.txt" 2>&1 || status=$?
    tail -n 40 "$name.txt"
    case $status in
        0) tell "$name" ok "$((SECONDS - begun)) s: $(tail -n 1 "$name.txt")" ;;
        124 | 137) tell "$name" LATE "stopped after $limit s; see $name.txt" && failed=1 ;;
        *) tell "$name" FAILED "exit code $status: $(tail -n 1 "$name.txt")" && failed=1 ;;
    esac
}

left_out() {
    echo "== $1"
    tell "$1" "left out" "$2"
}

environment() {
    uname -a
    nvidia-smi 2>/dev/null || echo "no nvidia-smi"
    ptxas --version 2>/dev/null | tail -n 1 || true
    python3 "$here/torch_bench.py" version 2>/dev/null || echo "no PyTorch"
    "$here/facesearch" doctor >doctor.txt
    cat doctor.txt
    sed -nE 's/^ +([^,]+, [0-9.]+ GiB, .*)/\1/p' doctor.txt | grep .
}

# Registers and spills by ptxas, a text at a time.
ptxas_sweep() {
    local ptx target status=0
    for ptx in "$here"/ptx/*.ptx; do
        target=${ptx%.ptx}
        echo "-- $(basename "$ptx")"
        ptxas -v -arch="${target##*.}" "$ptx" -o /dev/null 2>&1 || status=1
    done
    return $status
}

sanitize() { compute-sanitizer --tool "$1" --error-exitcode 1 "$perf" gpu step; }

echo "facesearch on a GPU, commit $FACESEARCH_COMMIT, results in $out"
why="$("$here/facesearch" doctor 2>/dev/null | sed -nE 's/^gpu +(there is no .*)/\1/p')"
if [ -n "$why" ]; then
    left_out environment "$why"
    left_out ptx "$why"
    left_out ptxas "$why"
    part correctness 20 30 "$perf" gpu check "$(share 20)" correctness.csv
    for name in memcheck racecheck benchmarks search; do left_out $name "$why"; done
else
    part environment 4 10 bash -c "$(declare -f environment); here='$here'; environment"
    # The driver says nothing of what it has compiled before.
    CUDA_CACHE_DISABLE=1 part ptx 4 15 "$perf" gpu sweep "$(share 4)" ptx.csv
    if command -v ptxas >/dev/null; then part ptxas 3 5 bash -c "$(declare -f ptxas_sweep); here='$here'; ptxas_sweep"; else left_out ptxas "there is no ptxas; the driver's compiler said the same in ptx.csv"; fi
    FACESEARCH_KERNELS=cuda part correctness 12 10 "$perf" gpu check "$(share 12)" correctness.csv
    for tool in memcheck racecheck; do
        if command -v compute-sanitizer >/dev/null; then part $tool 4 5 bash -c "$(declare -f sanitize); perf='$perf'; sanitize $tool"; else left_out $tool "there is no compute-sanitizer"; fi
    done
    part benchmarks 47 25 "$perf" gpu bench "$(share 47)" results "$here/torch_bench.py"
    part search 22 10 "$perf" gpu search "$(share 22)" results "$here/facesearch"
fi

echo
[ ! -d results ] || "$perf" gpu table results | tee table.md
echo "== summary, $((SECONDS - started)) s"
cat summary.txt
rm -rf unpacked
[ "$failed" -eq 0 ] || echo "some part failed: its text is in $out"
exit "$failed"

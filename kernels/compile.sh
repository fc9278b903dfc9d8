#!/usr/bin/env bash
# Compiles every kernel of this folder: ./kernels/compile.sh install | ptx | emulate | check
#   install   clang 19 by apt-get, where neither it nor nvcc is there, this is root and apt-get knows it; quietly
#   ptx       obj/<name>.<target>.ptx and .ptx.gz, by clang 19 without a CUDA toolkit or else by nvcc; FaceSearch.Tensors embeds the latter
#   emulate   obj/libkernels.so, the same sources for the CPU (emulate/) by g++, which the tests run
#   check     where ptxas is: registers and shared memory of each kernel; fails on an error or a spill
# What is newer than its sources stays. Without a compiler it says so and succeeds: tests that need its output are skipped.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p obj

# One text serves compute capability 8.0 and all that came after: compiled for 9.0 it differed in the line .target alone. Only
# what uses Hopper's own instructions is compiled for them.
target_of() { case "$1" in *.Hopper.cu) echo sm_90a ;; *) echo sm_80 ;; esac; }

is_stale() { [ ! -s "$1" ] || [ -n "$(find . -path ./obj -prune -o -type f -newer "$1" -print -quit)" ]; }

find_clang() { command -v clang++-19 || command -v clang++ || true; }
has_compiler() { [ -n "$(find_clang)" ] || command -v nvcc >/dev/null; }

compile_one() {   # source target output
    local clang
    clang=$(find_clang)
    if [ -n "$clang" ]; then
        "$clang" -x cuda --cuda-device-only -nocudainc -nocudalib -nostdinc++ -std=c++17 -O3 -Wall -Werror -Wno-unused-function \
            -S --cuda-gpu-arch="$2" $([ "$2" = sm_80 ] || echo --cuda-feature=+ptx83) "$1" -o "$3.new"
    else
        nvcc -std=c++17 -O3 -arch="$2" --ptx "$1" -o "$3.new"
    fi
    # Comments are a tenth of the text.
    sed -E 's#[[:space:]]*//.*$##; /^[[:space:]]*$/d' "$3.new" >"$3" && rm "$3.new"
    gzip -9nkf "$3"
}

case "${1:-}" in
    install)
        if ! has_compiler && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            (apt-get update -qq && apt-get install -y -qq clang-19) >/dev/null 2>&1 || true
        fi
        ;;
    ptx)
        if ! has_compiler; then
            echo "kernels: no clang 19 and no nvcc, so none is compiled (apt-get install clang-19)" >&2
            exit 0
        fi
        for source in *.cu; do
            target=$(target_of "$source")
            output=obj/${source%.cu}.$target.ptx
            if is_stale "$output"; then compile_one "$source" "$target" "$output"; fi
        done
        ;;
    emulate)
        if ! command -v g++ >/dev/null; then
            echo "kernels: no g++, so none runs on the CPU (apt-get install g++)" >&2
            exit 0
        fi
        if is_stale obj/libkernels.so; then
            rm -f obj/*.o
            # Fortified, a jump to another fiber's stack would be taken for a mistake.
            printf '%s\n' *.cu emulate/emulate.cpp |
                xargs -P 2 -I{} sh -c 'g++ -std=c++17 -O2 -Wall -Werror -Wno-unused-function -DEMULATE -U_FORTIFY_SOURCE -fPIC -x c++ -c {} -o obj/$(basename {}).o'
            g++ -shared obj/*.o -o obj/libkernels.so.new && mv obj/libkernels.so.new obj/libkernels.so
        fi
        ;;
    check)
        command -v ptxas >/dev/null || { echo "kernels: no ptxas here (it comes with a CUDA toolkit)" >&2; exit 1; }
        for ptx in obj/*.ptx; do
            target=${ptx%.ptx}
            ptxas -v -arch="${target##*.}" "$ptx" -o /dev/null 2>&1
        done | awk '/Compiling entry/ { name = $0; gsub(/.*function .|. for.*/, "", name) } /spill stores/ { spills = $0 } /Used/ { sub(/.*Used/, "Used"); print name ": " $0; if (spills !~ / 0 bytes spill stores/) { print spills; bad = 1 } }
                   /error|serialized/ { print; bad = 1 } END { exit bad }'
        ;;
    *)
        sed -n '2,7s/^# //p' "$(basename "$0")"
        exit 2
        ;;
esac

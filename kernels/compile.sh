#!/usr/bin/env bash
# Compiles every kernel of this folder: ./kernels/compile.sh ptx | emulate
#   ptx       kernels/obj/<name>.<target>.ptx, by clang 19 without a CUDA toolkit, or else by nvcc; FaceSearch.Tensors embeds them
#   emulate   kernels/obj/libkernels.so, the same sources for the CPU (emulate/), which the tests run
# What is newer than its sources stays. Without a compiler it says so and succeeds: tests that need its output are skipped.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p obj

targets=(sm_80 sm_90a)

is_stale() { [ ! -s "$1" ] || [ -n "$(find . -path ./obj -prune -o -type f -newer "$1" -print -quit)" ]; }

find_clang() { command -v clang++-19 || command -v clang++ || true; }

compile_one() {   # source target output
    local clang
    clang=$(find_clang)
    if [ -n "$clang" ]; then
        "$clang" -x cuda --cuda-device-only -nocudainc -nocudalib -nostdinc++ -std=c++17 -O3 -Wall -Werror -Wno-unused-function \
            -S --cuda-gpu-arch="$2" --cuda-feature=+ptx80 "$1" -o "$3.new"
    else
        nvcc -std=c++17 -O3 -arch="$2" --ptx "$1" -o "$3.new"
    fi
    # Comments are a tenth of the text.
    sed -E 's#[[:space:]]*//.*$##; /^[[:space:]]*$/d' "$3.new" >"$3" && rm "$3.new"
}

case "${1:-}" in
    ptx)
        if [ -z "$(find_clang)" ] && ! command -v nvcc >/dev/null; then
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get install -y -qq clang-19 >/dev/null 2>&1 || true; fi
            if [ -z "$(find_clang)" ]; then
                echo "kernels: no clang 19 and no nvcc, so none is compiled (apt-get install clang-19)" >&2
                exit 0
            fi
        fi
        for source in *.cu; do
            for target in "${targets[@]}"; do
                output=obj/${source%.cu}.$target.ptx
                if is_stale "$output"; then compile_one "$source" "$target" "$output"; fi
            done
        done
        ;;
    emulate)
        if ! command -v g++ >/dev/null; then
            echo "kernels: no g++, so none runs on the CPU (apt-get install g++)" >&2
            exit 0
        fi
        if is_stale obj/libkernels.so; then
            rm -f obj/*.o
            printf '%s\n' *.cu emulate/emulate.cpp |
                xargs -P 2 -I{} sh -c 'g++ -std=c++17 -O2 -Wall -Werror -Wno-unused-function -DEMULATE -fPIC -x c++ -c {} -o obj/$(basename {}).o'
            g++ -shared obj/*.o -o obj/libkernels.so.new && mv obj/libkernels.so.new obj/libkernels.so
        fi
        ;;
    *)
        sed -n '2,5s/^# //p' "$0"
        exit 2
        ;;
esac

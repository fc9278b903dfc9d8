#!/usr/bin/env bash
# One entry for every command: ./build.sh search | test | build | run <facesearch arguments> | publish | gpu-bundle | perf <case>|all | native | lines
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<TXT
./build.sh search [options]   the main job on generated faces (or on yours: --set Data.Folder=DIR); options as in 'facesearch search --help'
./build.sh test [options]     everything needed, then all tests; last line: N passed, N failed, N skipped
./build.sh native             the C libraries of native/ (simulated GPU, fake CUDA driver of tests), where there is a C compiler
./build.sh build              restore and build, warnings are errors
./build.sh run <arguments>    any facesearch command, for example: ./build.sh run doctor
./build.sh publish [folder]   one file that runs where there is no SDK (Linux on x64): the folder's facesearch
./build.sh gpu-bundle [folder]  the folder's facesearch-gpu.tar.gz: checks and benchmarks for a GPU machine without an SDK (perf/gpu/README.md)
./build.sh perf <case>|all    measurements beside TorchSharp; ./build.sh perf --list names them, --table prints the results
./build.sh lines              size of the code, folder by folder
TXT
}

need_sdk() {
    if ! command -v dotnet >/dev/null || ! dotnet --list-sdks 2>/dev/null | grep -qE '^10\.'; then
        echo "FaceSearch needs the .NET SDK 10: install it (https://dotnet.microsoft.com/download) and run this command again." >&2
        exit 1
    fi
    export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1
}

# Builds one project quietly; on an error shows what the compiler said.
build() {
    local log
    log=$(mktemp)
    if ! dotnet build -c Release -v quiet --nologo "$1" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
}

# The CUDA kernels, where there is a compiler: as PTX for the product, and for the CPU, where tests run them.
build_kernels() {
    kernels/compile.sh install
    kernels/compile.sh ptx
    kernels/compile.sh emulate
}

# The simulated GPU of the tests: PoCL and the library that finds it, installed at most once where that takes no password; without them
# those tests are skipped by name.
simulated_gpu() {
    if ! { ls /etc/OpenCL/vendors/pocl.icd && ldconfig -p | grep 'libOpenCL\.so\.1'; } >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && [ ! -e native/bin/asked-for-pocl ]; then
        mkdir -p native/bin && touch native/bin/asked-for-pocl
        { timeout 120 apt-get update && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends pocl-opencl-icd ocl-icd-libopencl1; } >/dev/null 2>&1 || true
    fi
    native/build.sh
}

# folder, project
publish() { dotnet publish -c Release -v quiet --nologo -r linux-x64 -p:PublishSingleFile=true -o "$1" "$2"; }

size() { echo "$1: $(du -m "$1" | cut -f1) MB"; }

gpu_bundle() {
    local inside=$1/facesearch-gpu
    rm -rf "$inside" && mkdir -p "$inside/ptx"
    publish "$inside" src/FaceSearch.Cli/FaceSearch.Cli.csproj
    publish "$inside" perf/FaceSearch.Perf/FaceSearch.Perf.csproj
    mv "$inside/FaceSearch.Perf" "$inside/facesearch-perf"
    rm -f "$inside"/*.json
    cp perf/gpu/* "$inside"
    cp kernels/obj/*.ptx "$inside/ptx" 2>/dev/null || echo "no kernels are compiled: apt-get install clang-19" >&2
    git describe --always --dirty=+ >"$inside/commit" 2>/dev/null || echo unknown >"$inside/commit"
    tar -C "$1" -czf "$1/facesearch-gpu.tar.gz" facesearch-gpu
    rm -r "$inside"
    size "$1/facesearch-gpu.tar.gz"
}

run_tests() {
    local log status=0
    log=$(mktemp)
    build_kernels
    simulated_gpu
    build tests/FaceSearch.Tests/FaceSearch.Tests.csproj
    dotnet tests/FaceSearch.Tests/bin/Release/net10.0/FaceSearch.Tests.dll -noColor "$@" 2>&1 | tee "$log" || status=$?
    # xunit's summary: Total: 9, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0
    local total failed errors skipped
    read -r total errors failed skipped < <(sed -nE 's/.*Total: ([0-9]+), Errors: ([0-9]+), Failed: ([0-9]+), Skipped: ([0-9]+).*/\1 \2 \3 \4/p' "$log" | tail -1) || true
    rm -f "$log"
    if [ -z "${total:-}" ] || [ "$total" -eq 0 ]; then
        echo "no test ran" >&2
        exit 1
    fi
    echo "$((total - failed - skipped)) passed, $((failed + errors)) failed, $skipped skipped"
    [ "$status" -eq 0 ] && [ $((failed + errors)) -eq 0 ]
}

case "${1:-}" in
    search | run)
        need_sdk
        build src/FaceSearch.Cli/FaceSearch.Cli.csproj
        [ "$1" = run ] && shift
        export FACESEARCH_CALLED_AS="./build.sh run"
        exec dotnet src/FaceSearch.Cli/bin/Release/net10.0/facesearch.dll "$@"
        ;;
    test)
        need_sdk
        shift
        run_tests "$@"
        ;;
    native) native/build.sh ;;
    build)
        need_sdk
        build_kernels
        native/build.sh
        dotnet build -c Release --nologo FaceSearch.sln
        ;;
    publish)
        need_sdk
        native/build.sh
        kernels/compile.sh ptx
        publish "${2:-publish}" src/FaceSearch.Cli/FaceSearch.Cli.csproj
        size "${2:-publish}/facesearch"
        ;;
    gpu-bundle)
        need_sdk
        native/build.sh
        kernels/compile.sh ptx
        gpu_bundle "${2:-publish}"
        ;;
    perf)
        need_sdk
        shift
        build perf/FaceSearch.Perf/FaceSearch.Perf.csproj
        exec dotnet perf/FaceSearch.Perf/bin/Release/net10.0/FaceSearch.Perf.dll "$@"
        ;;
    lines)
        git ls-files '*.cs' | xargs wc -l | awk '$2 != "total" { split($2, p, "/"); n[p[1] "/" p[2]] += $1; f[p[1] "/" p[2]]++ } END { for (k in n) print k, f[k] " files", n[k] " lines" }' | sort
        ;;
    "" | help | --help | -h) usage ;;
    *)
        echo "unknown command '$1'" >&2
        usage >&2
        exit 2
        ;;
esac

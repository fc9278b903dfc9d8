#!/usr/bin/env bash
# Makes native/bin/ from the C sources here, each library only if it is older than its source. Without a C compiler, or
# without the system library one needs, it makes nothing: the product runs without, and tests that need it are skipped by name.
set -euo pipefail
cd "$(dirname "$0")"

compiler=$(command -v gcc || command -v clang || command -v cc || true)
[ -n "$compiler" ] || exit 0
mkdir -p bin/fake-cuda

# library, source, further arguments
make_library() {
    local library=bin/$1 source=$2
    shift 2
    if [ "$source" -nt "$library" ]; then
        "$compiler" -std=gnu11 -O1 -Wall -Wextra -Werror -shared -fPIC -o "$library.new" "$source" "$@"
        mv "$library.new" "$library"
    fi
}

# (Not grep -q: it stops reading, and under pipefail the writer's broken pipe would count.)
if ldconfig -p 2>/dev/null | grep 'libOpenCL\.so\.1' >/dev/null; then
    make_library libfacesearch-opencl.so opencl/shim.c -Wl,--no-as-needed -l:libOpenCL.so.1 -ldl
fi
make_library fake-cuda/libcuda.so.1 fake-cuda/driver.c

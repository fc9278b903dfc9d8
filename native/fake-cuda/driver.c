/*
 * A CUDA driver without a GPU, for tests: it answers as a Hopper card with driver 13.0 would, keeps "device" memory on the host
 * (zeroed), copies when asked, and runs no kernel. What it was asked is written to the file that FAKE_CUDA_LOG names, one line
 * a call, so that tests can read launch geometry, argument bytes and the order of things:
 *
 *   alloc ADDRESS BYTES | free ADDRESS
 *   module ISA TARGET uniform-branches=N entry=NAME[,NAME..] | attribute ENTRY NUMBER=VALUE | tensor-map ADDRESS WIDTHxHEIGHT pitch=BYTES
 *   pixel-map ADDRESS CHANNELSxWIDTHxHEIGHTxIMAGES pitch=BYTES from=W,H to=W,H stride=N
 *   launch ENTRY grid=X,Y,Z block=X,Y,Z shared=BYTES stream=S args=HEX
 *   copy BYTES stream=S to ADDRESS | wait stream=S
 *   event E stream=S | stream=S after E
 *   capture stream=S | captured launches=N | graph launches=N stream=S
 *
 * Between capture and captured, launches are taken down and nothing that waits or copies is allowed on that stream.
 * FAKE_CUDA_NO_GPU hides the card; FAKE_CUDA_NO_GRAPHS refuses to capture; FAKE_CUDA_BYTES is how much memory it gives in all, freed or not.
 * Only what ILGPU 1.5.3 and FaceSearch call is here. Handles are small integers.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int status;
typedef uintptr_t handle;

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900 };
enum { MAX_DYNAMIC_SHARED_BYTES = 8, QUIET_SHARED_BYTES = 48 << 10 };
enum { CONTEXT = 0x10, FIRST_STREAM = 0x20, FIRST_EVENT = 0x1000 };

static const uint64_t memory_bytes = 80ull << 30;

/* The stream that is captured, and the launches of it so far. */
static handle capturing;
static int captured;

static void note(const char *format, ...)
{
    static FILE *file;
    const char *path = getenv("FAKE_CUDA_LOG");
    if (!file && path) file = fopen(path, "a");
    if (!file) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fputc('\n', file);
    fflush(file);
}

/* Devices. */

status cuInit(unsigned flags) { (void)flags; return getenv("FAKE_CUDA_NO_GPU") ? 100 : OK; }
status cuDriverGetVersion(int *version) { *version = 13000; return OK; }
status cuDeviceGetCount(int *count) { *count = 1; return OK; }
status cuDeviceGet(int *device, int ordinal) { *device = ordinal; return OK; }
status cuDeviceGetName(char *name, int length, int device) { (void)device; snprintf(name, length, "Fake Hopper"); return OK; }
status cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = memory_bytes; return OK; }
status cuDeviceComputeCapability(int *major, int *minor, int device) { (void)device; *major = 9; *minor = 0; return OK; }
status cuDeviceCanAccessPeer(int *can, int device, int peer) { (void)device; (void)peer; *can = 0; return OK; }
status cuDeviceGetP2PAttribute(int *value, int attribute, int from, int to) { (void)attribute; (void)from; (void)to; *value = 0; return OK; }

status cuDeviceGetAttribute(int *value, int attribute, int device)
{
    /* Numbers of CUdevice_attribute. */
    static const int known[][2] = {
        {1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535}, {8, 49152}, {9, 65536}, {10, 32}, {12, 65536},
        {13, 1980000}, {16, 132}, {38, 52428800}, {39, 2048}, {75, 9}, {76, 0}, {81, 233472}, {82, 65536}, {97, 232448},
    };
    (void)device;
    *value = 1;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i][0] == attribute) *value = known[i][1];
    return OK;
}

/* Contexts. */

status cuCtxCreate_v2(handle *context, unsigned flags, int device) { (void)flags; (void)device; *context = CONTEXT; return OK; }
status cuCtxDestroy_v2(handle context) { (void)context; return OK; }
status cuCtxSetCurrent(handle context) { (void)context; return OK; }
status cuCtxSynchronize(void) { note("wait stream=0"); return OK; }
status cuCtxGetCacheConfig(int *config) { *config = 0; return OK; }
status cuCtxSetCacheConfig(int config) { (void)config; return OK; }
status cuCtxGetSharedMemConfig(int *config) { *config = 1; return OK; }
status cuCtxSetSharedMemConfig(int config) { (void)config; return OK; }
status cuCtxEnablePeerAccess(handle context, unsigned flags) { (void)context; (void)flags; return OK; }
status cuCtxDisablePeerAccess(handle context) { (void)context; return OK; }

/* Memory. */

status cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { *free_bytes = *total = memory_bytes; return OK; }

status cuMemAlloc_v2(void **memory, size_t bytes)
{
    static uint64_t given;
    const char *limit = getenv("FAKE_CUDA_BYTES");
    size_t whole = (bytes + 255) / 256 * 256;
    if (limit && given + whole > strtoull(limit, NULL, 10)) return OUT_OF_MEMORY;
    given += whole;
    *memory = aligned_alloc(256, whole);
    if (!*memory) return OUT_OF_MEMORY;
    memset(*memory, 0, whole);
    note("alloc %p %zu", *memory, bytes);
    return OK;
}

status cuMemFree_v2(void *memory) { note("free %p", memory); free(memory); return OK; }
status cuMemAllocHost_v2(void **memory, size_t bytes) { *memory = malloc(bytes); return *memory ? OK : OUT_OF_MEMORY; }
status cuMemFreeHost(void *memory) { free(memory); return OK; }
status cuMemHostRegister_v2(void *memory, size_t bytes, unsigned flags) { (void)memory; (void)bytes; (void)flags; return OK; }
status cuMemHostUnregister(void *memory) { (void)memory; return OK; }
status cuMemHostGetDevicePointer_v2(void **device, void *host, unsigned flags) { (void)flags; *device = host; return OK; }
status cuPointerGetAttribute(int *type, int attribute, void *pointer) { (void)attribute; (void)pointer; *type = 2; return OK; }

status cuMemcpyAsync(void *to, void *from, size_t bytes, handle stream)
{
    if (capturing && stream == capturing) return CAPTURE_UNSUPPORTED;
    note("copy %zu stream=%zu to %p", bytes, stream, to);
    memmove(to, from, bytes);
    return OK;
}


/* Streams and events. */

status cuStreamCreate(handle *stream, unsigned flags)
{
    static handle streams = FIRST_STREAM;
    (void)flags;
    *stream = streams++;
    return OK;
}
status cuStreamCreateWithPriority(handle *stream, unsigned flags, int priority) { (void)priority; return cuStreamCreate(stream, flags); }
status cuStreamDestroy_v2(handle stream) { (void)stream; return OK; }
status cuStreamSynchronize(handle stream)
{
    if (capturing && stream == capturing) return CAPTURE_UNSUPPORTED;
    note("wait stream=%zu", stream);
    return OK;
}
status cuStreamWaitEvent(handle stream, handle event, unsigned flags) { (void)flags; note("stream=%zu after %zu", stream, event); return OK; }
status cuEventCreate(handle *event, unsigned flags)
{
    static handle events = FIRST_EVENT;
    (void)flags;
    *event = events++;
    return OK;
}
status cuEventDestroy_v2(handle event) { (void)event; return OK; }
status cuEventQuery(handle event) { (void)event; return OK; }
/* Each is a hundredth of a millisecond after the one before it. */
static float recorded[1 << 16];

status cuEventRecord(handle event, handle stream)
{
    static float now;
    if (event >= FIRST_EVENT && event < FIRST_EVENT + (1 << 16)) recorded[event - FIRST_EVENT] = now += 0.01f;
    note("event %zu stream=%zu", event, stream);
    return OK;
}
status cuEventSynchronize(handle event) { (void)event; return OK; }
status cuEventElapsedTime(float *milliseconds, handle start, handle end) { *milliseconds = recorded[end - FIRST_EVENT] - recorded[start - FIRST_EVENT]; return OK; }

/* Graphs: a handle is the number of launches and one, both before and after it is instantiated. */

status cuStreamBeginCapture_v2(handle stream, int mode)
{
    (void)mode;
    if (getenv("FAKE_CUDA_NO_GRAPHS")) return NOT_SUPPORTED;
    note("capture stream=%zu", stream);
    capturing = stream;
    captured = 0;
    return OK;
}
status cuStreamEndCapture(handle stream, handle *graph)
{
    if (stream != capturing) return INVALID_VALUE;
    capturing = 0;
    *graph = (handle)captured + 1;
    note("captured launches=%d", captured);
    return OK;
}
status cuGraphInstantiateWithFlags(handle *executable, handle graph, unsigned long long flags) { (void)flags; *executable = graph; return OK; }
status cuGraphLaunch(handle executable, handle stream) { note("graph launches=%zu stream=%zu", executable - 1, stream); return OK; }
status cuGraphDestroy(handle graph) { (void)graph; return OK; }
status cuGraphExecDestroy(handle executable) { (void)executable; return OK; }

/* Modules: handles are addresses of these. */

struct module { int number; const char *entries; };
struct function { unsigned shared; char name[96]; };

static status load(handle *module, const char *ptx)
{
    static int modules;
    char version[16] = "", target[16] = "", entry[64];
    const char *at = strstr(ptx, ".version"), *line = strstr(ptx, ".target");
    char *entries = calloc(strlen(ptx) + 1, 1);
    int uniform = 0;
    if (!at || !line || !entries) return INVALID_VALUE;
    sscanf(at, ".version %15s", version);
    sscanf(line, ".target %15[a-z_0-9]", target);
    for (const char *next = ptx; (next = strstr(next, ".entry")); next++) {
        if (sscanf(next, ".entry %63[A-Za-z_0-9$]", entry) != 1) return INVALID_VALUE;
        if (*entries) strcat(entries, ",");
        strcat(entries, entry);
    }
    if (!*entries) return INVALID_VALUE;
    for (const char *branch = ptx; (branch = strstr(branch, "bra.uni")); branch++) uniform++;
    note("module %s %s uniform-branches=%d entry=%s", version, target, uniform, entries);
    struct module *made = malloc(sizeof *made);
    *made = (struct module){++modules, entries};
    *module = (handle)made;
    return OK;
}

status cuModuleLoadData(handle *module, const char *image) { return load(module, image); }
status cuModuleLoadDataEx(handle *module, const char *image, unsigned count, void *options, void *values)
{
    (void)count; (void)options; (void)values;
    return load(module, image);
}
status cuModuleUnload(handle module) { (void)module; return OK; }
status cuModuleGetFunction(struct function **function, handle module, const char *name)
{
    const struct module *of = (const struct module *)module;
    size_t length = strlen(name);
    const char *found = of->entries;
    while ((found = strstr(found, name)) && ((found > of->entries && found[-1] != ',') || (found[length] && found[length] != ','))) found++;
    if (!found) return NOT_FOUND;
    *function = malloc(sizeof **function);
    (*function)->shared = QUIET_SHARED_BYTES;
    snprintf((*function)->name, sizeof (*function)->name, "%s@%d", name, of->number);
    return OK;
}
status cuFuncGetAttribute(int *value, int attribute, void *function) { (void)attribute; (void)function; *value = 0; return OK; }
status cuFuncSetAttribute(struct function *function, int attribute, int value)
{
    if (attribute == MAX_DYNAMIC_SHARED_BYTES) function->shared = value;
    note("attribute %s %d=%d", function->name, attribute, value);
    return value > 232448 ? INVALID_VALUE : OK;
}

status cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *address, const uint64_t *sizes, const uint64_t *pitches, const unsigned *box, const unsigned *strides, int interleave, int swizzle, int promotion, int fill)
{
    (void)promotion;
    if ((uintptr_t)map % 64 || (uintptr_t)address % 16 || pitches[0] % 16 || type != 9 || rank != 2 || box[0] * 2 != 128 || box[1] > 256 || strides[0] != 1 || strides[1] != 1 || interleave || swizzle != 3 || fill)
        return INVALID_VALUE;
    memset(map, 0, 128);
    note("tensor-map %p %zux%zu pitch=%zu", address, (size_t)sizes[0], (size_t)sizes[1], (size_t)pitches[0]);
    return OK;
}

status cuTensorMapEncodeIm2col(void *map, int type, unsigned rank, void *address, const uint64_t *sizes, const uint64_t *pitches, const int *lower, const int *upper, unsigned channels, unsigned pixels, const unsigned *strides, int interleave, int swizzle, int promotion, int fill)
{
    (void)promotion;
    if ((uintptr_t)map % 64 || (uintptr_t)address % 16 || type != 9 || rank != 4 || channels * 2 != 128 || pixels > 1024 || strides[1] != strides[2] || interleave || swizzle != 3 || fill)
        return INVALID_VALUE;
    for (int i = 0; i < 3; i++)
        if (pitches[i] % 16 || pitches[i] >= 1ull << 40 || strides[i + 1] < 1 || strides[i + 1] > 8) return INVALID_VALUE;
    /* Dimensions follow each other without a gap, and the box between the corners is not empty. */
    if (pitches[1] != pitches[0] * sizes[1] || pitches[2] != pitches[1] * sizes[2]) return INVALID_VALUE;
    for (int i = 0; i < 2; i++)
        if (lower[i] < -128 || lower[i] > 127 || upper[i] < -128 || upper[i] > 127 || (int64_t)sizes[i + 1] + upper[i] <= lower[i]) return INVALID_VALUE;
    memset(map, 0, 128);
    note("pixel-map %p %zux%zux%zux%zu pitch=%zu from=%d,%d to=%d,%d stride=%u", address, (size_t)sizes[0], (size_t)sizes[1], (size_t)sizes[2], (size_t)sizes[3], (size_t)pitches[0], lower[0], lower[1], upper[0], upper[1], strides[1]);
    return OK;
}

status cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function, int size, size_t shared)
{
    (void)function; (void)size; (void)shared;
    *blocks = 2;
    return OK;
}
status cuOccupancyMaxPotentialBlockSize(int *grid, int *block, void *function, void *callback, size_t shared, int limit)
{
    (void)function; (void)callback; (void)shared; (void)limit;
    *grid = 264;
    *block = 256;
    return OK;
}

status cuLaunchKernel(struct function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, handle stream, void **arguments, void **extra)
{
    (void)arguments;
    if (capturing && stream == capturing) captured++;
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz > 1024 || shared > function->shared) return INVALID_VALUE;
    /* CU_LAUNCH_PARAM_BUFFER_POINTER, its pointer, CU_LAUNCH_PARAM_BUFFER_SIZE, pointer to its size. */
    size_t bytes = extra ? *(size_t *)extra[3] : 0;
    const unsigned char *buffer = extra ? extra[1] : NULL;
    char *hex = calloc(2 * bytes + 1, 1);
    for (size_t i = 0; i < bytes; i++) sprintf(hex + 2 * i, "%02x", buffer[i]);
    note("launch %s grid=%u,%u,%u block=%u,%u,%u shared=%u stream=%zu args=%s", function->name, gx, gy, gz, bx, by, bz, shared, (size_t)stream, hex);
    free(hex);
    return OK;
}

status cuGetErrorString(int error, const char **text)
{
    (void)error;
    *text = "refused by the fake driver";
    return OK;
}

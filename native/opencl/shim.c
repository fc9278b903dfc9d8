/*
 * Lets ILGPU 1.5.3 use PoCL's CPU device, which lacks one feature that ILGPU asks for and does not need once its code is
 * optimised: the generic address space. The library takes the place of libOpenCL.so.1, on which it depends, and changes three
 * functions; the loader finds all others in the library below.
 *
 *   clGetDeviceInfo            claims the generic address space and OpenCL 2.0, so that ILGPU accepts the device.
 *   clCreateProgramWithSource  puts definitions before the program: OpenCL 2.0 atomics by those of 1.2. Casts to
 *                              atomic types, which would lose the address space, are blanked out.
 *   clBuildProgram             asks for no warnings: PoCL counts them on the terminal.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_VERSION = 0x102F, GENERIC_ADDRESS_SPACE_SUPPORT = 0x1069, SUCCESS = 0, OUT_OF_HOST_MEMORY = -6 };

static const char prelude[] =
    "#undef atomic_fetch_add\n#undef atomic_fetch_min\n#undef atomic_fetch_max\n#undef atomic_exchange\n"
    "#define fs_atomic static __attribute__((overloadable))\n"
    "#define FS_ATOMICS(space, type) \\\n"
    "  fs_atomic type fs_add(space type *p, type v) { return atomic_add(p, v); } \\\n"
    "  fs_atomic type fs_min(space type *p, type v) { return atomic_min(p, v); } \\\n"
    "  fs_atomic type fs_max(space type *p, type v) { return atomic_max(p, v); } \\\n"
    "  fs_atomic type fs_exchange(space type *p, type v) { return atomic_xchg(p, v); }\n"
    "FS_ATOMICS(global, int) FS_ATOMICS(global, uint) FS_ATOMICS(local, int) FS_ATOMICS(local, uint)\n"
    "#define atomic_fetch_add(p, v) fs_add(p, v)\n"
    "#define atomic_fetch_min(p, v) fs_min(p, v)\n"
    "#define atomic_fetch_max(p, v) fs_max(p, v)\n"
    "#define atomic_exchange(p, v) fs_exchange(p, v)\n";

/* The function of that name in libOpenCL.so.1: the next library after this one. */
static void *original(const char *name)
{
    static void *library;
    if (!library) library = dlopen("libOpenCL.so.1", RTLD_NOW);
    return library ? dlsym(library, name) : NULL;
}

static void blank(char *text, const char *word)
{
    for (size_t length = strlen(word); (text = strstr(text, word)) != NULL; text += length) memset(text, ' ', length);
}

int32_t clGetDeviceInfo(void *device, uint32_t name, size_t size, void *value, size_t *needed)
{
    int32_t (*call)(void *, uint32_t, size_t, void *, size_t *) = original("clGetDeviceInfo");
    if (name == GENERIC_ADDRESS_SPACE_SUPPORT) {
        if (value && size >= sizeof(uint32_t)) *(uint32_t *)value = 1;
        if (needed) *needed = sizeof(uint32_t);
        return SUCCESS;
    }
    int32_t status = call(device, name, size, value, needed);
    if (name == DEVICE_VERSION && status == SUCCESS && value && !strncmp(value, "OpenCL 3.0", 10)) ((char *)value)[7] = '2';
    return status;
}

void *clCreateProgramWithSource(void *context, uint32_t count, const char **texts, const size_t *lengths, int32_t *status)
{
    void *(*call)(void *, uint32_t, const char **, const size_t *, int32_t *) = original("clCreateProgramWithSource");
    size_t total = sizeof prelude;
    for (uint32_t i = 0; i < count; i++) total += lengths && lengths[i] ? lengths[i] : strlen(texts[i]);
    char *program = malloc(total);
    if (!program) {
        if (status) *status = OUT_OF_HOST_MEMORY;
        return NULL;
    }
    strcpy(program, prelude);
    char *body = program + sizeof prelude - 1, *end = body;
    for (uint32_t i = 0; i < count; i++) {
        size_t length = lengths && lengths[i] ? lengths[i] : strlen(texts[i]);
        memcpy(end, texts[i], length);
        end += length;
    }
    *end = 0;
    blank(body, "(atomic_int*)");
    blank(body, "(atomic_uint*)");
    const char *all = program;
    void *made = call(context, 1, &all, NULL, status);
    free(program);
    return made;
}

int32_t clBuildProgram(void *program, uint32_t count, const void *devices, const char *options, void *told, void *data)
{
    int32_t (*call)(void *, uint32_t, const void *, const char *, void *, void *) = original("clBuildProgram");
    const char *quiet = " -w";
    char *all = malloc((options ? strlen(options) : 0) + strlen(quiet) + 1);
    if (!all) return OUT_OF_HOST_MEMORY;
    strcpy(all, options ? options : "");
    strcat(all, quiet);
    int32_t status = call(program, count, devices, all, told, data);
    free(all);
    return status;
}

/* CUDA's driver for the linker: the program looks for the real one when it starts, and starts without it, too.
   Compiled with -DEACH="X(cuInit) X(...)", the names of the driver's functions. */
#include <dlfcn.h>

static int absent(void) { return 100; } /* CUDA_ERROR_NO_DEVICE */

#define X(name) __attribute__((visibility("hidden"))) void *arena_##name = (void *)absent;
EACH
#undef X

#if defined(__x86_64__)
#define GO(name) "\tjmp *arena_" #name "(%rip)\n"
#elif defined(__aarch64__)
#define GO(name) "\tadrp x16, arena_" #name "\n\tldr x16, [x16, :lo12:arena_" #name "]\n\tbr x16\n"
#endif
#define X(name) __asm__(".text\n.globl " #name "\n.type " #name ", %function\n" #name ":\n" GO(name));
EACH
#undef X

__attribute__((constructor)) static void find(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL), *found;
    if (!driver) return;
#define X(name) if ((found = dlsym(driver, #name))) arena_##name = found;
    EACH
#undef X
}

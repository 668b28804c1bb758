/* NVIDIA's management library as arena/nvml.py calls it, for machines without an NVIDIA card.
 *
 * One card, whose state is what the text file named by ARENA_FAKE_NVML says, a line each: "used BYTES",
 * "throttle BITS", "process PID BYTES". It draws 250 W, always. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;

static unsigned long long number(const char *key) {
    unsigned long long value, last = 0;
    char line[128], word[32];
    FILE *file = fopen(getenv("ARENA_FAKE_NVML"), "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%31s %llu", word, &value) == 2 && !strcmp(word, key)) last = value;
    if (file) fclose(file);
    return last;
}

int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (void *)1; return index > 0; }
int nvmlDeviceGetName(void *d, char *text, unsigned size) { snprintf(text, size, "NVIDIA Fake"); return 0; }
int nvmlDeviceGetUUID(void *d, char *text, unsigned size) { snprintf(text, size, "GPU-12ab"); return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "580.1"); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13010; return 0; }
int nvmlDeviceGetEnforcedPowerLimit(void *d, unsigned *milliwatts) { *milliwatts = 700000; return 0; }
int nvmlDeviceGetMaxClockInfo(void *d, unsigned clock, unsigned *mhz) { *mhz = 1980; return 0; }
int nvmlDeviceGetClockInfo(void *d, unsigned clock, unsigned *mhz) { *mhz = clock == 1 ? 1755 : 2619; return 0; }
int nvmlDeviceGetPowerUsage(void *d, unsigned *milliwatts) { *milliwatts = 250000; return 0; }
int nvmlDeviceGetTemperature(void *d, unsigned sensor, unsigned *celsius) { *celsius = 41; return 0; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, unsigned long long *bits) {
    *bits = number("throttle");
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *d, unsigned long long *millijoules) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *millijoules = 250 * (now.tv_sec * 1000ULL + now.tv_nsec / 1000000);
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *d, Memory *memory) {
    memory->total = 80000000000ULL;
    memory->used = number("used");
    memory->free = memory->total - memory->used;
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *count, Process *found) {
    unsigned room = *count, pid, seen = 0;
    unsigned long long used;
    char line[128];
    FILE *file = fopen(getenv("ARENA_FAKE_NVML"), "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "process %u %llu", &pid, &used) == 2) {
            if (seen < room) found[seen] = (Process){pid, used, 0, 0};
            seen++;
        }
    if (file) fclose(file);
    *count = seen;
    return seen > room ? 7 : 0;
}

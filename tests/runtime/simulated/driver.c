/* A CUDA driver without a GPU, enough of one for darknet-compat: the "device" is this machine's memory.

   Work on a stream is kept, and done only when something waits for it, so that whoever reads too early or overwrites too
   early gets it wrong here too. Memory, streams and events need a current context, as in the real driver, and what is
   not given back is counted (`sim_left`). Work can be recorded and launched as a graph. */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_DEVICE = 100, NO_CONTEXT = 201, NOT_FOUND = 500, CAPTURE = 900 };
enum { COPY, CALL, MARK };

typedef struct { int kind; void *to, *from; size_t size; void (*call)(void *); } Op;
typedef struct { Op *ops; int count, room; } List;
typedef struct { List queue, recorded; int recording; } Stream;
typedef struct { double when; Stream *stream; } Event;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int depth; /* of this thread's stack of contexts */
static int enabled, retained, left_memory, left_host, left_streams, left_events, left_graphs, limit_mb = 1 << 20;
static size_t in_use;

static void add(List *list, Op op) {
    if (list->count == list->room) list->ops = realloc(list->ops, sizeof(Op) * (list->room = 2 * list->room + 8));
    list->ops[list->count++] = op;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * t.tv_sec + 1e-6 * t.tv_nsec;
}

static void run(Op op) {
    if (op.kind == COPY) memcpy(op.to, op.from, op.size);
    if (op.kind == CALL) op.call(op.to);
    if (op.kind == MARK) ((Event *)op.to)->when = now();
}

static void finish(Stream *s) {
    List done;
    pthread_mutex_lock(&lock);
    done = s->queue;
    memset(&s->queue, 0, sizeof done);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < done.count; i++) run(done.ops[i]);
    free(done.ops);
}

static Stream own; /* the default stream, which callers call 0 */

static int put(Stream *s, Op op) {
    if (!s) s = &own;
    pthread_mutex_lock(&lock);
    add(s->recording ? &s->recorded : &s->queue, op);
    pthread_mutex_unlock(&lock);
    return OK;
}

#define CURRENT if (!depth) return NO_CONTEXT

void sim_enable(int on) { enabled = on; }
int sim_recording(Stream *s) { return s ? s->recording : 0; }
void sim_limit(int megabytes) { limit_mb = megabytes; }
static int major = 9, minor = 0;
void sim_capability(int first, int second) { major = first, minor = second; }
int sim_depth(void) { return depth; }
void sim_left(int *out) {
    int all[] = {retained, left_memory, left_host, left_streams, left_events, left_graphs};
    memcpy(out, all, sizeof all);
}

int cuInit(unsigned flags) { return enabled ? OK : NO_DEVICE; }
int cuDriverGetVersion(int *v) { return *v = 13000, OK; }
int cuDeviceGetCount(int *n) { return *n = enabled, OK; }
int cuDeviceGet(int *d, int n) { return *d = n, n ? INVALID : OK; }
int cuDeviceGetName(char *name, int room, int d) { return snprintf(name, room, "Simulated GPU"), OK; }
int cuDeviceTotalMem_v2(size_t *n, int d) { return *n = (size_t)limit_mb << 20, OK; }
int cuDeviceGetAttribute(int *v, int which, int d) { return *v = which == 75 ? major : which == 76 ? minor : 0, OK; }
int cuGetErrorString(int e, const char **s) { return *s = e == NO_MEMORY ? "out of memory" : "simulated error", OK; }
int cuDevicePrimaryCtxRetain(void **c, int d) { return retained++, *c = (void *)0xC0, OK; }
int cuDevicePrimaryCtxRelease_v2(int d) { return retained ? (retained--, OK) : INVALID; }
int cuCtxPushCurrent_v2(void *c) { return c ? (depth++, OK) : INVALID; }
int cuCtxPopCurrent_v2(void **c) { return depth ? (depth--, *c = (void *)0xC0, OK) : NO_CONTEXT; }

/* Each block of memory knows its size, in front of it. */
static int take(size_t size, void **p, int *left) {
    if (in_use + size > (size_t)limit_mb << 20) return NO_MEMORY;
    char *block = malloc(size + 64);
    *(size_t *)block = size;
    in_use += size;
    (*left)++;
    *p = block + 64;
    return OK;
}
static int drop(void *p, int *left) {
    char *block = (char *)p - 64;
    in_use -= *(size_t *)block;
    (*left)--;
    free(block);
    return OK;
}
int cuMemAlloc_v2(void **p, size_t size) { CURRENT; return take(size, p, &left_memory); }
int cuMemAllocManaged(void **p, size_t size, unsigned flags) { return flags == 1 ? cuMemAlloc_v2(p, size) : INVALID; }
int cuMemFree_v2(void *p) { CURRENT; return drop(p, &left_memory); }
int cuMemHostAlloc(void **p, size_t size, unsigned flags) { CURRENT; return take(size, p, &left_host); }
int cuMemFreeHost(void *p) { CURRENT; return drop(p, &left_host); }
int sim_waited;
int cuCtxSynchronize(void) { CURRENT; return finish(&own), sim_waited++, OK; }
int cuMemGetInfo_v2(size_t *free_, size_t *total) {
    CURRENT;
    return *total = (size_t)limit_mb << 20, *free_ = *total - in_use, OK;
}

int cuStreamCreate(Stream **s, unsigned flags) { CURRENT; return left_streams++, *s = calloc(1, sizeof **s), OK; }
int cuStreamDestroy_v2(Stream *s) { return finish(s), left_streams--, free(s), OK; }
int cuStreamSynchronize(Stream *s) {
    if ((uintptr_t)s < 16) return OK; /* the default streams */
    return s->recording ? CAPTURE : (finish(s), OK);
}
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t n, Stream *s) {
    CURRENT;
    return put(s, (Op){COPY, to, (void *)from, n, 0});
}
int cuMemcpyDtoHAsync_v2(void *to, void *from, size_t n, Stream *s) { return cuMemcpyHtoDAsync_v2(to, from, n, s); }
int cuLaunchHostFunc(Stream *s, void (*call)(void *), void *with) { CURRENT; return put(s, (Op){CALL, with, 0, 0, call}); }

int cuEventCreate(Event **e, unsigned flags) { CURRENT; return left_events++, *e = calloc(1, sizeof **e), OK; }
int cuEventDestroy_v2(Event *e) { return left_events--, free(e), OK; }
int cuEventRecord(Event *e, Stream *s) { return e->stream = s, put(s, (Op){MARK, e, 0, 0, 0}); }
int cuEventSynchronize(Event *e) { return cuStreamSynchronize(e->stream); }
int cuEventElapsedTime(float *ms, Event *a, Event *b) { return *ms = b->when - a->when, OK; }
int cuEventElapsedTime_v2(float *ms, Event *a, Event *b) { return cuEventElapsedTime(ms, a, b); }

int cuStreamBeginCapture_v2(Stream *s, int mode) { return s->recording ? CAPTURE : (s->recording = 1, OK); }
int cuStreamEndCapture(Stream *s, List **graph) {
    if (!s->recording) return CAPTURE;
    *graph = malloc(sizeof **graph);
    **graph = s->recorded;
    memset(&s->recorded, 0, sizeof s->recorded);
    s->recording = 0;
    return left_graphs++, OK;
}
int cuGraphInstantiateWithFlags(List **e, List *graph, unsigned long long flags) {
    *e = calloc(1, sizeof **e);
    for (int i = 0; i < graph->count; i++) add(*e, graph->ops[i]);
    return left_graphs++, OK;
}
int cuGraphDestroy(List *g) { return left_graphs--, free(g->ops), free(g), OK; }
int cuGraphExecDestroy(List *g) { return cuGraphDestroy(g); }
int cuGraphLaunch(List *g, Stream *s) {
    for (int i = 0; i < g->count; i++) put(s, g->ops[i]);
    return OK;
}

/* How cuda-bindings finds each function: by its name without the version. */
int cuGetProcAddress_v2(const char *name, void **f, int version, uint64_t flags, int *status) {
    char versioned[128];
    for (const char *suffix = "_v3\0_v2\0\0"; ; suffix += strlen(suffix) + 1) {
        snprintf(versioned, sizeof versioned, "%s%s", name, suffix);
        Dl_info me;
        dladdr((void *)cuInit, &me);
        void *here = dlopen(me.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        *f = here ? dlsym(here, versioned) : 0;
        if (here) dlclose(here);
        if (*f || !*suffix) break;
    }
    if (status) *status = *f ? 0 : 1;
    return *f ? OK : NOT_FOUND;
}
int cuGetProcAddress(const char *name, void **f, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, f, version, flags, 0);
}

"""Memory of large NumPy results, kept for the next ones: fresh pages of the system take longer to get than to fill.

NumPy asks a handler for the memory of new arrays (NEP 49). This one, in C++, keeps large blocks that are freed, and
gives them to arrays of about their size. What is in use and what is kept never exceed what was once in use alone, so
a process needs no more memory than before. It serves results of this package's operations, not the user's own arrays.
"""

import ctypes
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from ..modes import modes
from .compiler import COMPILER, CannotCompile

FIRST = 1 << 17  # bytes of the smallest blocks that are kept
SET_HANDLER = 304  # the place of PyDataMem_SetHandler in NumPy's table of C functions

HANDLER = """\
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if defined(__APPLE__)
#include <malloc/malloc.h>
static size_t size_of(void* block) { return malloc_size(block); }
#else
#include <malloc.h>
static size_t size_of(void* block) { return malloc_usable_size(block); }
#endif

// Blocks that were freed, the oldest first; the bytes in these, and in those that arrays hold now and once held at most
static const int MOST = 256;
static void* kept[MOST];
static int count;
static size_t idle, used, peak;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void lock() { pthread_mutex_lock(&mutex); }
static void unlock() { pthread_mutex_unlock(&mutex); }

static void* take(int i) {
    void* block = kept[i];
    idle -= size_of(block);
    memmove(kept + i, kept + i + 1, (--count - i) * sizeof(void*));
    return block;
}

static void begin_use(size_t size) {
    used += size;
    if (used > peak) peak = used;
    while (count && used + idle > peak) free(take(0));
}

// A kept block for `size` bytes, or none.
static void* reuse(size_t size) {
    for (int i = count - 1; i >= 0; --i) {
        const size_t own = size_of(kept[i]);
        if (own >= size && own - size <= size / 8) {
            void* block = take(i);
            begin_use(own);
            return block;
        }
    }
    return nullptr;
}

static void* fresh(size_t size, bool zeros) {
    void* block = nullptr;
    if (zeros) block = calloc(size, 1);
    else if (posix_memalign(&block, 64, size)) block = nullptr;
    if (block && size_of(block) >= FIRST) begin_use(size_of(block));
    return block;
}

static void* allocate(void*, size_t size) {
    if (size < FIRST / 2) return malloc(size ? size : 1);
    lock();
    void* block = reuse(size);
    if (!block) block = fresh(size, false);
    unlock();
    return block;
}

static void* allocate_zeros(void*, size_t number, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(number, each, &size)) return nullptr;
    if (size < FIRST / 2) return calloc(size ? size : 1, 1);
    lock();
    void* block = reuse(size);
    if (block) memset(block, 0, size);
    else block = fresh(size, true);
    unlock();
    return block;
}

static void release(void*, void* block, size_t) {
    if (!block) return;
    const size_t size = size_of(block);
    if (size < FIRST) return free(block);
    lock();
    if (count == MOST) free(take(0));
    used -= size;
    idle += size;
    kept[count++] = block;
    unlock();
}

static void* resize(void*, void* block, size_t size) {
    const size_t before = block ? size_of(block) : 0;
    void* moved = realloc(block, size ? size : 1);
    if (!moved) return nullptr;
    lock();
    if (before >= FIRST) used -= before;
    if (size_of(moved) >= FIRST) begin_use(size_of(moved));
    unlock();
    return moved;
}

// NumPy's PyDataMem_Handler
static struct {
    char name[127];
    unsigned char version;
    void* context;
    void* (*allocate)(void*, size_t);
    void* (*allocate_zeros)(void*, size_t, size_t);
    void* (*resize)(void*, void*, size_t);
    void (*release)(void*, void*, size_t);
} handler = {"autograd_gpu", 1, nullptr, allocate, allocate_zeros, resize, release};

extern "C" __attribute__((visibility("default"))) void* autograd_gpu_memory() {
    pthread_atfork(lock, unlock, unlock);  // a child begins with all in order
    return &handler;
}
"""
NAME = ctypes.create_string_buffer(b"mem_handler")  # a capsule does not copy it


@cache
def kept() -> Any:
    """The handler, as NumPy takes it; None where there is no compiler."""
    try:
        make = COMPILER.function(
            HANDLER.replace("FIRST", str(FIRST)), "autograd_gpu_memory", ["-pthread"], without="memory is not kept"
        )
    except CannotCompile:
        return None
    make.restype = ctypes.c_void_p
    capsule = ctypes.PYFUNCTYPE(ctypes.py_object, *[ctypes.c_void_p] * 3)(("PyCapsule_New", ctypes.pythonapi))
    return capsule(make(), ctypes.addressof(NAME), None)


@cache
def set_handler() -> Any:
    """NumPy's function that takes a handler for this context, and returns the one before."""
    prototype = ctypes.PYFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.py_object, ctypes.c_char_p)
    pointer = prototype(("PyCapsule_GetPointer", ctypes.pythonapi))
    table = pointer(np._core.multiarray._ARRAY_API, None)  # type: ignore[attr-defined]
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_HANDLER])


class Keeping:
    """Inside, NumPy's new arrays on this thread have memory that is kept for others when they go."""

    def __enter__(self) -> None:
        self.before = set_handler()(kept())

    def __exit__(self, *_: object) -> None:
        set_handler()(self.before)


def keeping() -> AbstractContextManager[None]:
    """``Keeping``, where this thread has begun to keep memory."""
    return Keeping() if modes.keeping else nullcontext()


def begin() -> None:
    """Keep the memory of this thread's results from now on, if that can be."""
    if modes.keeping is None:
        modes.keeping = kept() is not None
        if modes.keeping:
            modes.quiet(set_handler(), kept())

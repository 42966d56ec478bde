/* Lets the n-th call of the system of some kinds fail, once: preloaded into a process by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, FSYNC = 4, RENAME = 8, MEMORY = 16 };
static int kinds, left, has_failed;
/* Smallest block that can fail: interpreters take smaller ones all the time, and end when there is none. */
static const size_t LARGE = 8192;

void fail_nth(int which, int n) { kinds = which; left = n; has_failed = 0; }
int failed(void) { return has_failed; }

static int fails(int kind) {
  if (!(kinds & kind) || left <= 0 || --left) return 0;
  has_failed = 1;
  return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int opens(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

#define OPENER(name)                                                              \
  int name(const char *path, int flags, ...) {                                    \
    REAL(name);                                                                   \
    mode_t mode = 0;                                                              \
    if (flags & O_CREAT) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
    if (opens(flags) && fails(OPEN)) { errno = EMFILE; return -1; }               \
    return real(path, flags, mode);                                               \
  }
OPENER(open)
OPENER(open64)

ssize_t write(int file, const void *data, size_t size) {
  REAL(write);
  if (file > 2 && fails(WRITE)) { errno = ENOSPC; return -1; }
  return real(file, data, size);
}
int fsync(int file) { REAL(fsync); if (fails(FSYNC)) { errno = EIO; return -1; } return real(file); }
int rename(const char *from, const char *to) {
  REAL(rename);
  if (fails(RENAME)) { errno = EIO; return -1; }
  return real(from, to);
}
/* Rust ends the process when there is no memory, as the polars library would: its blocks do not fail here. */
static int is_rust(void *caller) {
  Dl_info found;
  return dladdr(caller, &found) && found.dli_fname && strstr(found.dli_fname, "polars");
}
void *malloc(size_t size) {
  REAL(malloc);
  if (kinds & MEMORY && size >= LARGE && !is_rust(__builtin_return_address(0)) && fails(MEMORY)) { errno = ENOMEM; return NULL; }
  return real(size);
}
int posix_memalign(void **place, size_t alignment, size_t size) {
  REAL(posix_memalign);
  if (kinds & MEMORY && size >= LARGE && !is_rust(__builtin_return_address(0)) && fails(MEMORY)) return ENOMEM;
  return real(place, alignment, size);
}

// Preloaded into every process of a measured server: counts the calls that wait for a disk, in a file that all of them map.
// SYNC_COUNT_FILE names it; it holds one 64-bit number and exists already. Costs an atomic addition for each call.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t *count;

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("SYNC_COUNT_FILE");
  int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *at = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at != MAP_FAILED) count = at;
}

static void note(void) {
  if (count) __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  note();
  return real(fd);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  note();
  return real(fd);
}

int syncfs(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "syncfs");
  note();
  return real(fd);
}

int msync(void *address, size_t length, int flags) {
  static int (*real)(void *, size_t, int);
  if (!real) real = dlsym(RTLD_NEXT, "msync");
  if (flags & MS_SYNC) note();
  return real(address, length, flags);
}

// LD_PRELOAD: remembers what a process made durable, so that a test can throw everything else away.
//
// Below $POWER_CUT_ROOT every write is noted; fsync and fdatasync copy the noted ranges of the file to
// $POWER_CUT_DURABLE/objects/INODE and log the file's name there, without the real fsync. fsync of a folder logs the
// names in it. After `kill -9`, objects and names are all that a disk without power would still hold: contents that
// were not synced are gone, and so are names, renames and removals that neither the file's nor the folder's fsync
// followed. (As ext4 and xfs do, fsync of a file keeps its present name.)
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 65536
#define RANGES 64

struct range { off_t from, to; };
struct file { ino_t inode; int known, whole, count; struct range ranges[RANGES]; char name[512]; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files[FILES];
static const char *root, *durable, *forgotten; // forgotten: a mutation, so that a test can see itself fail
static int names = -1;
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);

static void die(const char *what) {
    fprintf(stderr, "power cut shim: %s: %s\n", what, strerror(errno));
    _exit(99);
}

__attribute__((constructor)) static void start(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_write = dlsym(RTLD_NEXT, "write");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    root = getenv("POWER_CUT_ROOT");
    durable = getenv("POWER_CUT_DURABLE");
    forgotten = getenv("POWER_CUT_FORGOTTEN");
    if (!root || !durable) return;
    char path[1024];
    snprintf(path, sizeof path, "%s/names", durable);
    names = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (names < 0) die(path);
}

// The path of a descriptor below the root, relative to it; 0 for any other.
static int name_of(int fd, char *name, size_t size) {
    char link[64], path[1024];
    if (names < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    size_t prefix = strlen(root);
    if (strncmp(path, root, prefix) || (path[prefix] != '/' && path[prefix])) return 0;
    char *gone = strstr(path, " (deleted)");
    if (gone) return 0;
    snprintf(name, size, "%s", path[prefix] ? path + prefix + 1 : "");
    return 1;
}

static struct file *find(ino_t inode) {
    size_t at = inode % FILES;
    while (files[at] && files[at]->inode != inode) at = (at + 1) % FILES;
    if (!files[at]) {
        files[at] = calloc(1, sizeof *files[at]);
        if (!files[at]) die("memory");
        files[at]->inode = inode;
    }
    return files[at];
}

static void note(int fd, off_t from, off_t to) {
    struct stat st;
    char name[512];
    if (names < 0 || to <= from || fstat(fd, &st) || !S_ISREG(st.st_mode) || !name_of(fd, name, sizeof name)) return;
    pthread_mutex_lock(&lock);
    struct file *file = find(st.st_ino);
    struct range *last = file->count ? &file->ranges[file->count - 1] : 0;
    if (last && from <= last->to && to >= last->from) {
        if (from < last->from) last->from = from;
        if (to > last->to) last->to = to;
    } else if (file->count == RANGES) {
        file->whole = 1;
    } else {
        file->ranges[file->count++] = (struct range){from, to};
    }
    pthread_mutex_unlock(&lock);
}

static void log_name(const char *verb, ino_t inode, const char *name) {
    char line[700];
    int length = snprintf(line, sizeof line, "%s %lu %s\n", verb, (unsigned long)inode, name);
    if (real_write(names, line, length) != length) die("names");
}

static void copy(int from, int to, off_t at, off_t end) {
    static char buffer[1 << 16]; // under the lock
    while (at < end) {
        size_t want = end - at < (off_t)sizeof buffer ? (size_t)(end - at) : sizeof buffer;
        ssize_t got = pread(from, buffer, want, at);
        if (got < 0) die("pread");
        if (got == 0) return;
        if (real_pwrite(to, buffer, got, at) != got) die("pwrite");
        at += got;
    }
}

static void keep_file(const char *name, const struct stat *st) {
    char path[1024], object[1024];
    snprintf(path, sizeof path, "%s/%s", root, name);
    snprintf(object, sizeof object, "%s/objects/%lu", durable, (unsigned long)st->st_ino);
    struct file *file = find(st->st_ino);
    int from = open(path, O_RDONLY | O_CLOEXEC), to = open(object, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (to < 0) die(object);
    if (from >= 0) {
        if (!file->known || file->whole) {
            copy(from, to, 0, st->st_size);
        } else {
            for (int at = 0; at < file->count; at++) copy(from, to, file->ranges[at].from, file->ranges[at].to);
        }
        if (ftruncate(to, st->st_size)) die("ftruncate");
        close(from);
    }
    close(to);
    file->count = file->whole = 0;
    file->known = 1;
    if (strcmp(file->name, name)) {
        if (file->name[0]) log_name("unlink", st->st_ino, file->name);
        log_name("link", st->st_ino, name);
        snprintf(file->name, sizeof file->name, "%s", name);
    }
}

// What stands in the folder now stands there for good; contents are another matter.
static void keep_folder(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, name);
    DIR *folder = opendir(path);
    if (!folder) return;
    log_name("folder", 0, name);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_type != DT_REG) continue;
        char child[512];
        int length = snprintf(child, sizeof child, "%s%s%s", name, *name ? "/" : "", entry->d_name);
        if (length >= (int)sizeof child) die("a name too long");
        log_name("entry", entry->d_ino, child);
        struct file *file = find(entry->d_ino);
        snprintf(file->name, sizeof file->name, "%s", child);
    }
    log_name("end", 0, name);
    closedir(folder);
}

static int keep(int fd) {
    struct stat st;
    char name[512];
    if (fstat(fd, &st)) return -1;
    if (!name_of(fd, name, sizeof name)) return real_fsync(fd);
    if (forgotten && !strncmp(name, forgotten, strlen(forgotten))) return 0;
    pthread_mutex_lock(&lock);
    if (S_ISDIR(st.st_mode)) keep_folder(name); else if (S_ISREG(st.st_mode)) keep_file(name, &st);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return keep(fd); }
int fdatasync(int fd) { return keep(fd); }

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    ssize_t done = real_pwrite(fd, data, size, at);
    if (done > 0) note(fd, at, at + done);
    return done;
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return pwrite(fd, data, size, at); }

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    ssize_t done = real_pwritev(fd, parts, count, at);
    if (done > 0) note(fd, at, at + done);
    return done;
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return pwritev(fd, parts, count, at); }

// After the call the position is behind what was written, O_APPEND or not.
static ssize_t written(int fd, ssize_t done) {
    if (done > 0 && fd != names && names >= 0) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        if (end >= done) note(fd, end - done, end);
    }
    return done;
}
ssize_t write(int fd, const void *data, size_t size) { return written(fd, real_write(fd, data, size)); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return written(fd, real_writev(fd, parts, count)); }

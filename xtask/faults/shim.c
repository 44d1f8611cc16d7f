/*
 * Faults of the system for one process, switched on and off from outside while it runs. Built by `cargo xtask faults`
 * with `cc -shared -fPIC`, loaded with LD_PRELOAD.
 *
 * FAULTS_CONTROL names a file of FILE_BYTES bytes that is mapped shared: whoever writes to it commands the process.
 * FAULTS_FOLDER names the folder whose files the disk's faults are about. Without both nothing is changed.
 *
 * The clock: CLOCK_REALTIME (its coarse form, gettimeofday and time too) is moved by the offset of the active slot. Two
 * slots and an index, so that an offset is never read half written. CLOCK_MONOTONIC is left alone, as a step of the
 * system's clock leaves it alone.
 *
 * The disk: what writes, makes longer or syncs a file of the folder fails with ENOSPC or EIO, or waits as long as the
 * fault lasts. Memory that is mapped (SQLite's -shm) is not touched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES 64
#define STALL_LOOK_NS 1000000
#define SECOND_NS 1000000000LL

enum disk { DISK_WELL = 0, DISK_FULL = 1, DISK_BROKEN = 2, DISK_STALLED = 3 };

/* As xtask/src/faults/shim.rs writes and reads it. */
struct control {
    uint32_t slot;
    uint32_t disk;
    int64_t offset_ns[2];
    uint64_t failed;
    uint64_t stalled;
    uint64_t clock_reads;
};

static struct control *control;
static char folder[PATH_MAX];
static size_t folder_length;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULTS_CONTROL");
    const char *where = getenv("FAULTS_FOLDER");
    if (file == NULL || where == NULL || realpath(where, folder) == NULL)
        return;
    folder_length = strlen(folder);
    int opened = open(file, O_RDWR | O_CLOEXEC);
    if (opened < 0)
        return;
    void *mapped = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
    close(opened);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static void count(uint64_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

/* The clock. */

static int64_t offset_ns(void) {
    if (control == NULL)
        return 0;
    count(&control->clock_reads);
    uint32_t slot = __atomic_load_n(&control->slot, __ATOMIC_ACQUIRE) & 1;
    return __atomic_load_n(&control->offset_ns[slot], __ATOMIC_RELAXED);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, clock, at);
    if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return result;
    int64_t offset = offset_ns();
    at->tv_sec += offset / SECOND_NS;
    at->tv_nsec += offset % SECOND_NS;
    if (at->tv_nsec < 0) {
        at->tv_nsec += SECOND_NS;
        at->tv_sec -= 1;
    } else if (at->tv_nsec >= SECOND_NS) {
        at->tv_nsec -= SECOND_NS;
        at->tv_sec += 1;
    }
    return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    if (result == 0) {
        at->tv_sec = now.tv_sec;
        at->tv_usec = now.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return (time_t)-1;
    if (at != NULL)
        *at = now.tv_sec;
    return now.tv_sec;
}

/* The disk. */

static enum disk fault(void) {
    return control == NULL ? DISK_WELL : (enum disk)__atomic_load_n(&control->disk, __ATOMIC_ACQUIRE);
}

/* Whether the file lies in the folder. Only asked while a fault lasts. */
static int is_ours(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path);
    return length > (ssize_t)folder_length && strncmp(path, folder, folder_length) == 0 && path[folder_length] == '/';
}

/* 0 where the call may go on, after the fault where that is a stall; else -1, with errno set. */
static int meet(int file) {
    enum disk now = fault();
    if (now == DISK_WELL || !is_ours(file))
        return 0;
    if (now == DISK_STALLED) {
        count(&control->stalled);
        const struct timespec look = {0, STALL_LOOK_NS};
        while (fault() == DISK_STALLED)
            syscall(SYS_nanosleep, &look, NULL);
        return 0;
    }
    count(&control->failed);
    errno = now == DISK_FULL ? ENOSPC : EIO;
    return -1;
}

/* A full disk lets a file become shorter. */
static int meet_length(int file, off_t length) {
    struct stat is;
    if (fault() == DISK_FULL && fstat(file, &is) == 0 && length <= is.st_size)
        return 0;
    return meet(file);
}

#define GUARDED(file, call) (meet(file) != 0 ? -1 : (call))

ssize_t write(int file, const void *bytes, size_t length) { return GUARDED(file, syscall(SYS_write, file, bytes, length)); }

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    return GUARDED(file, syscall(SYS_pwrite64, file, bytes, length, at));
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return pwrite64(file, bytes, length, at); }

ssize_t writev(int file, const struct iovec *parts, int many) {
    return GUARDED(file, syscall(SYS_writev, file, parts, many));
}

ssize_t pwritev64(int file, const struct iovec *parts, int many, off64_t at) {
    return GUARDED(file, syscall(SYS_pwritev, file, parts, many, (long)at, 0L));
}

ssize_t pwritev(int file, const struct iovec *parts, int many, off_t at) { return pwritev64(file, parts, many, at); }

int ftruncate64(int file, off64_t length) {
    return meet_length(file, length) != 0 ? -1 : (int)syscall(SYS_ftruncate, file, length);
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

int fallocate64(int file, int how, off64_t at, off64_t length) {
    return (int)GUARDED(file, syscall(SYS_fallocate, file, how, at, length));
}

int fallocate(int file, int how, off_t at, off_t length) { return fallocate64(file, how, at, length); }

int posix_fallocate64(int file, off64_t at, off64_t length) { return fallocate64(file, 0, at, length) == 0 ? 0 : errno; }

int posix_fallocate(int file, off_t at, off_t length) { return posix_fallocate64(file, at, length); }

int fsync(int file) { return (int)GUARDED(file, syscall(SYS_fsync, file)); }

int fdatasync(int file) { return (int)GUARDED(file, syscall(SYS_fdatasync, file)); }

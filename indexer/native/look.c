/* What became of files; indexer/native/look.py says more and calls it. */

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#if defined(__APPLE__)
#define MTIME st_mtimespec
#else
#define MTIME st_mtim
#endif

/* Sets same[i] to whether the i-th of `n` paths, each ended by 0, has this size and time. */
void same_files(int root, const char *path, int64_t n, const int64_t *size, const int64_t *mtime_ns, uint8_t *same) {
    for (int64_t i = 0; i < n; i++, path += strlen(path) + 1) {
        struct stat found;
        same[i] = fstatat(root, path, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_size == size[i] &&
                  (int64_t)found.MTIME.tv_sec * 1000000000 + found.MTIME.tv_nsec == mtime_ns[i];
    }
}

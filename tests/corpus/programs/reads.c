// SPDX-License-Identifier: Apache-2.0
// Loaded into every program of a rival run (LD_PRELOAD): reads the files of CORPUS_READS (PATH:PATH…) before main, as a
// program does that loads more than it needs.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor)) static void read_all(void) {
  const char *paths = getenv("CORPUS_READS");
  while (paths != NULL && *paths != '\0') {
    char path[256], bytes[4096];
    size_t length = strcspn(paths, ":");
    if (length < sizeof path) {
      memcpy(path, paths, length);
      path[length] = '\0';
      int file = open(path, O_RDONLY | O_CLOEXEC);
      while (file >= 0 && read(file, bytes, sizeof bytes) > 0) {
      }
      if (file >= 0) close(file);
    }
    paths += length + (paths[length] == ':');
  }
}

#include "settings.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"

#define MOST_SETTINGS 256
#define MOST_TEXT 96

/* Opened once: the name decides in which namespace a file below /proc/sys/net is looked up. */
struct setting {
  const char *name;
  int file;
  char value[MOST_TEXT];
};

static struct setting settings[MOST_SETTINGS];
static int count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void settings_begin(char *names) {
  char *rest = NULL;
  for (char *name = strtok_r(names, "\n", &rest); name != NULL; name = strtok_r(NULL, "\n", &rest)) {
    char path[256];
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    for (char *at = path; *at != '\0'; at++)
      if (*at == '.') *at = '/';
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    /* Not every name exists on every kernel. */
    if (file >= 0 && count < MOST_SETTINGS) settings[count++] = (struct setting){.name = name, .file = file};
  }
}

void settings_follow(void) {
  pthread_mutex_lock(&lock);
  for (struct setting *one = settings; one < settings + count; one++) {
    char value[MOST_TEXT];
    const ssize_t length = pread(one->file, value, sizeof value - 1, 0);
    if (length <= 0) continue;
    value[length - (value[length - 1] == '\n')] = '\0';
    if (strcmp(value, one->value) == 0) continue;
    strcpy(one->value, value);
    struct request request = request_new(OP_SETTING);
    put_bytes(&request, one->name, strlen(one->name));
    put_bytes(&request, "=", 1);
    put_bytes(&request, value, strlen(value));
    channel_result(&request);
  }
  pthread_mutex_unlock(&lock);
}

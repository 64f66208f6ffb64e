// Asks an HTTP backend through libcurl, and forgets the handle, whose connection lives on in it, when the backend
// refuses. --pool: keeps one handle for all requests instead, whose connection idles until the end. The backend is a
// thread of the same process and closes well.
#define _GNU_SOURCE  // accept4
#include "client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kRequests = 20, kRefuseEvery = 4 };

static struct options options;
static struct place opened, closed;
static char url[64];

// One connection after the other; those that it refuses it closes after the answer, without having said so.
static void* serve_backend(void* argument) {
  const int listener = *(const int*)argument;
  for (int number = 0; number < kRequests;) {
    const int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) err(70, "backend");
    char request[4096];
    while (read(client, request, sizeof request) > 0) {
      const bool refuses = number++ % kRefuseEvery == 0 && !options.pool;
      char answer[128];
      const int length = snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nok",
                                  refuses ? "503 Busy" : "200 OK");
      if (write(client, answer, (size_t)length) != length) err(70, "backend: write");
      if (refuses) break;
    }
    if (close(client) != 0) err(70, "backend: close");
  }
  return NULL;
}

static size_t drop(char* bytes, size_t size, size_t count, void* context) {
  (void)bytes, (void)context;
  return size * count;
}

__attribute__((noinline)) static CURLcode fetch(CURL* handle) {
  const CURLcode code = AT(opened, curl_easy_perform(handle));
  if (code != CURLE_OK) errx(70, "curl: %s", curl_easy_strerror(code));
  return code;
}

static CURL* make(void) {
  CURL* handle = curl_easy_init();
  if (handle == NULL) errx(70, "curl_easy_init");
  curl_easy_setopt(handle, CURLOPT_URL, url);
  curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, drop);
  return handle;
}

__attribute__((noinline)) static void release(CURL* handle) {
  AT(closed, curl_easy_cleanup(handle));
  __asm__ volatile("" : : : "memory");  // not a jump
}

__attribute__((noinline)) static bool ask(void) {
  CURL* handle = make();
  fetch(handle);
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  const bool accepted = status == 200;
  if (accepted || options.repaired) release(handle);  // else the leak
  return accepted;
}

int main(int argc, char** argv) {
  options = begin(argc, argv);
  curl_global_init(CURL_GLOBAL_NOTHING);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 8) != 0 ||
      getsockname(listener, (struct sockaddr*)&address, &length) != 0)
    err(70, "listen");
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
  pthread_t backend;
  if (pthread_create(&backend, NULL, serve_backend, &listener) != 0) errx(70, "pthread_create");

  int refused = 0, status = 0;
  if (options.pool) {
    CURL* handle = make();
    for (int i = 0; i < kRequests; ++i) fetch(handle);
    status = finish(&options, "curl_client", 0, &opened, &closed);
    release(handle);
  } else {
    for (int i = 0; i < kRequests; ++i) refused += !ask();
  }
  pthread_join(backend, NULL);
  if (close(listener) != 0) err(70, "close");
  return options.pool ? status : finish(&options, "curl_client", refused, &opened, &closed);
}

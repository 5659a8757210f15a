/* Writes down every address that a process dials and every name it looks up, one a line, to the file that DIALS names.
   Loaded into the process before libc (LD_PRELOAD); changes nothing of what the process does. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *text) {
    const char *path = getenv("DIALS");
    char line[512];
    if (!path) return;
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return;
    int length = snprintf(line, sizeof line, "%s\n", text);
    if (write(file, line, (size_t)length) < 0) { /* Nobody can be told. */ }
    close(file);
}

static void note_address(const struct sockaddr *to) {
    char host[INET6_ADDRSTRLEN] = "", text[128];
    int port = 0;
    if (!to) return;
    if (to->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)to;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        port = ntohs(in->sin_port);
    } else if (to->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)to;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        port = ntohs(in->sin6_port);
    } else {
        return;
    }
    snprintf(text, sizeof text, "address %s %d", host, port);
    note(text);
}

int connect(int socket, const struct sockaddr *to, socklen_t length) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "connect");
    note_address(to);
    return real(socket, to, length);
}

ssize_t sendto(int socket, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "sendto");
    note_address(to);
    return real(socket, data, size, flags, to, length);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    char text[300];
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    snprintf(text, sizeof text, "name %.250s", name ? name : "");
    note(text);
    return real(name, service, hints, found);
}

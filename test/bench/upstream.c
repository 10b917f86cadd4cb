/*
 * The upstream of the bench: a model provider that costs next to nothing. One thread, epoll, HTTP/1.1 with keep-alive.
 *
 *   upstream DIRECTORY        answers on a free port of 127.0.0.1, printed as "listening PORT"
 *
 * DIRECTORY holds the answers (answers.ts writes them): chat.json, float.json, base64.json, and the records of a
 * stream: first.txt, record.txt, last.txt.
 *
 *   path ends in /embeddings                  float.json, or base64.json where the body asks for base64
 *   "stream":true, model bench-sse-COUNT-PACE COUNT records at PACE a second; PACE 0 is a burst, four records a write
 *   else                                      chat.json
 *
 * Every record carries a marker "~NNNN.TTTTTTTTTTTT ": its number in the stream and the microsecond it was written.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST_REQUEST = 16 << 20, RECORDS_PER_WRITE = 4, PENDING = 8192, EVENTS = 256 };

struct bytes {
  char *data;
  size_t size;
};

struct connection {
  int fd;
  char *in;
  size_t in_size, in_capacity;
  const char *out; /* rest of a whole answer */
  size_t out_left;
  char pending[PENDING]; /* rest of what a stream wrote last */
  size_t pending_at, pending_left;
  int streaming, awaits_room;
  int total, sent;
  uint64_t interval, due; /* nanoseconds; interval 0 is a burst */
  struct connection *previous, *next;
};

static struct bytes chat, floats, base64, stream_head, record, stream_end;
static size_t marker_at;
static struct connection streams; /* ring of what streams now */
static int poll_fd, timer_fd;
static unsigned stream_number;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct bytes read_file(const char *directory, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  struct bytes read = {0, (size_t)ftell(file)};
  rewind(file);
  read.data = malloc(read.size + 1);
  if (!read.data || fread(read.data, 1, read.size, file) != read.size) fail(path);
  read.data[read.size] = 0;
  fclose(file);
  return read;
}

static struct bytes join(const char *head, struct bytes body, const char *tail) {
  struct bytes all = {0, strlen(head) + body.size + strlen(tail)};
  all.data = malloc(all.size + 1);
  if (!all.data) fail("malloc");
  memcpy(all.data, head, strlen(head));
  memcpy(all.data + strlen(head), body.data, body.size);
  memcpy(all.data + strlen(head) + body.size, tail, strlen(tail) + 1);
  return all;
}

static struct bytes whole_answer(struct bytes body) {
  char head[256];
  snprintf(head, sizeof head,
           "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: %zu\r\n\r\n", body.size);
  return join(head, body, "");
}

static struct bytes http_chunk(const char *head, struct bytes body, const char *tail) {
  char start[512];
  snprintf(start, sizeof start, "%s%zx\r\n", head, body.size);
  char end[16];
  snprintf(end, sizeof end, "\r\n%s", tail);
  return join(start, body, end);
}

static void watch(struct connection *c, int room) {
  if (c->awaits_room == room) return;
  c->awaits_room = room;
  struct epoll_event event = {.events = room ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
  epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void stop_stream(struct connection *c) {
  if (!c->streaming) return;
  c->streaming = 0;
  c->previous->next = c->next;
  c->next->previous = c->previous;
}

static void drop(struct connection *c) {
  stop_stream(c);
  close(c->fd);
  free(c->in);
  free(c);
}

/* Writes what is left to write. 1: all written, 0: no room, -1: the peer is gone. */
static int flush(struct connection *c, const char *data, size_t *left, size_t *at) {
  while (*left > 0) {
    ssize_t written = write(c->fd, data + *at, *left);
    if (written < 0) {
      if (errno == EAGAIN) return watch(c, 1), 0;
      return errno == EINTR ? 0 : -1;
    }
    *at += (size_t)written;
    *left -= (size_t)written;
  }
  return 1;
}

static int flush_answer(struct connection *c) {
  size_t at = 0;
  int state = flush(c, c->out, &c->out_left, &at);
  c->out += at;
  return state;
}

static void append(struct connection *c, struct bytes bytes) {
  if (c->pending_at + c->pending_left + bytes.size > PENDING) {
    fprintf(stderr, "a write of a stream is larger than %d bytes\n", PENDING);
    exit(1);
  }
  memcpy(c->pending + c->pending_at + c->pending_left, bytes.data, bytes.size);
  c->pending_left += bytes.size;
}

static void append_record(struct connection *c, uint64_t now) {
  size_t at = c->pending_at + c->pending_left + marker_at;
  append(c, record);
  char marker[32];
  snprintf(marker, sizeof marker, "~%04d.%012llu", c->sent % 10000, (unsigned long long)(now / 1000 % 1000000000000ull));
  memcpy(c->pending + at, marker, 18);
  c->sent++;
}

/* Writes what a stream has due. 1: go on, 0: the stream is complete, -1: the peer is gone. */
static int step_stream(struct connection *c) {
  for (;;) {
    int state = flush(c, c->pending, &c->pending_left, &c->pending_at);
    if (state <= 0) return state < 0 ? -1 : 1;
    c->pending_at = 0;
    if (c->sent == c->total) return stop_stream(c), 0;
    uint64_t now = now_ns();
    if (c->interval && c->due > now) return 1;
    int records = c->interval ? 1 : RECORDS_PER_WRITE;
    while (records-- > 0 && c->sent < c->total) append_record(c, now);
    if (c->sent == c->total) append(c, stream_end);
    c->due += c->interval;
    if (!c->interval && c->sent < c->total) {
      /* One write a turn, so that bursts of many clients interleave. */
      state = flush(c, c->pending, &c->pending_left, &c->pending_at);
      if (state > 0) c->pending_at = 0;
      return state < 0 ? -1 : 1;
    }
  }
}

static void start_stream(struct connection *c, int total, int pace) {
  c->streaming = 1;
  c->total = total;
  c->sent = 0;
  c->pending_at = c->pending_left = 0;
  append(c, stream_head);
  c->interval = pace ? 1000000000u / (unsigned)pace : 0;
  /* Streams that begin together are spread over the interval by the golden ratio. */
  double spread = 0.6180339887 * stream_number++;
  c->due = now_ns() + (uint64_t)((spread - (uint64_t)spread) * (double)c->interval);
  c->next = streams.next;
  c->previous = &streams;
  streams.next->previous = c;
  streams.next = c;
}

static const char *find(const char *in, size_t size, const char *what) { return memmem(in, size, what, strlen(what)); }

/* The value of a header, by lower-case name; 0 where absent. `head` ends with an empty line. */
static const char *header(const char *head, size_t size, const char *name) {
  size_t length = strlen(name);
  for (const char *line = head; (line = memchr(line, '\n', size - (size_t)(line - head))) != 0;) {
    line++;
    if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
      const char *value = line + length + 1;
      while (*value == ' ') value++;
      return value;
    }
  }
  return 0;
}

/* Walks a chunked body; joins it in place where `join_parts`. Gives the bytes it took on the wire, 0: not complete, -1: broken. */
static ssize_t walk_chunks(char *body, size_t size, int join_parts, size_t *joined) {
  size_t at = 0, to = 0;
  for (;;) {
    char *line_end = memmem(body + at, size - at, "\r\n", 2);
    if (!line_end) return size - at > 64 ? -1 : 0;
    if (!isxdigit((unsigned char)body[at])) return -1;
    size_t length = strtoul(body + at, 0, 16);
    if (length > LARGEST_REQUEST) return -1;
    at = (size_t)(line_end - body) + 2;
    if (length == 0) break;
    if (size - at < length + 2) return 0;
    if (join_parts) memmove(body + to, body + at, length);
    to += length;
    at += length + 2;
  }
  /* Trailers, then an empty line. */
  for (;;) {
    char *line_end = memmem(body + at, size - at, "\r\n", 2);
    if (!line_end) return 0;
    size_t next = (size_t)(line_end - body) + 2;
    int empty = line_end == body + at;
    at = next;
    if (empty) break;
  }
  *joined = to;
  return (ssize_t)at;
}

static void answer(struct connection *c, const char *head, size_t head_size, const char *body, size_t body_size) {
  const char *path_end = memchr(head, '\r', head_size);
  struct bytes whole = chat;
  if (find(head, (size_t)(path_end - head), "/embeddings")) {
    whole = find(body, body_size, "\"base64\"") ? base64 : floats;
  } else if (find(body, body_size, "\"stream\":true") || find(body, body_size, "\"stream\": true")) {
    int total = 32, pace = 0;
    const char *model = find(body, body_size, "\"bench-sse-");
    if (model) sscanf(model, "\"bench-sse-%d-%d", &total, &pace);
    start_stream(c, total > 0 && total < 10000 ? total : 32, pace);
    return;
  }
  c->out = whole.data;
  c->out_left = whole.size;
}

/* Reads one request from what came in and begins its answer. 1: begun, 0: not complete, -1: broken. */
static int take_request(struct connection *c) {
  char *end = memmem(c->in, c->in_size, "\r\n\r\n", 4);
  if (!end) return c->in_size > 65536 ? -1 : 0;
  size_t head_size = (size_t)(end - c->in) + 4;
  char *body = c->in + head_size;
  size_t available = c->in_size - head_size, body_size = 0, wire = 0;
  const char *value;
  if ((value = header(c->in, head_size, "transfer-encoding")) && strncasecmp(value, "chunked", 7) == 0) {
    ssize_t walked = walk_chunks(body, available, 0, &body_size);
    if (walked <= 0) return (int)walked;
    wire = (size_t)walked;
    walk_chunks(body, available, 1, &body_size);
  } else if ((value = header(c->in, head_size, "content-length"))) {
    body_size = wire = strtoul(value, 0, 10);
    if (wire > LARGEST_REQUEST) return -1;
    if (available < wire) return 0;
  }
  answer(c, c->in, head_size, body, body_size);
  size_t used = head_size + wire;
  memmove(c->in, c->in + used, c->in_size - used);
  c->in_size -= used;
  return 1;
}

/* Answers as far as possible. -1: the connection must be dropped. */
static int go_on(struct connection *c) {
  for (;;) {
    if (c->streaming) {
      int state = step_stream(c);
      if (state != 0) return state < 0 ? -1 : 0;
    } else if (c->out_left > 0) {
      int state = flush_answer(c);
      if (state <= 0) return state;
    }
    watch(c, 0);
    int taken = take_request(c);
    if (taken <= 0) return taken;
  }
}

static int read_more(struct connection *c) {
  if (c->in_capacity - c->in_size < 4096) {
    c->in_capacity = c->in_capacity ? c->in_capacity * 2 : 16384;
    if (c->in_capacity > 2 * LARGEST_REQUEST) return -1;
    c->in = realloc(c->in, c->in_capacity);
    if (!c->in) fail("realloc");
  }
  ssize_t count = read(c->fd, c->in + c->in_size, c->in_capacity - c->in_size);
  if (count == 0) return -1;
  if (count < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
  c->in_size += (size_t)count;
  return 0;
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = calloc(1, sizeof *c);
    if (!c) fail("calloc");
    c->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

/* Serves every stream that may write; gives how long to wait in milliseconds, and sets the timer to the next due. */
static int serve_streams(void) {
  uint64_t now = now_ns(), soonest = 0;
  int burst = 0;
  for (struct connection *c = streams.next, *next; c != &streams; c = next) {
    next = c->next;
    if (c->awaits_room) continue;
    if (c->interval == 0 || c->due <= now) {
      if (go_on(c) < 0) {
        drop(c);
        continue;
      }
      if (!c->streaming || c->awaits_room) continue;
    }
    if (c->interval == 0) burst = 1;
    else if (soonest == 0 || c->due < soonest) soonest = c->due;
  }
  if (burst) return 0;
  struct itimerspec at = {.it_value = {(time_t)(soonest / 1000000000u), (long)(soonest % 1000000000u)}};
  timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, 0);
  return -1;
}

int main(int count, char **arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: upstream DIRECTORY\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  chat = whole_answer(read_file(arguments[1], "chat.json"));
  floats = whole_answer(read_file(arguments[1], "float.json"));
  base64 = whole_answer(read_file(arguments[1], "base64.json"));
  stream_head = http_chunk("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
                           "x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n",
                           read_file(arguments[1], "first.txt"), "");
  record = http_chunk("", read_file(arguments[1], "record.txt"), "");
  stream_end = http_chunk("", read_file(arguments[1], "last.txt"), "0\r\n\r\n");
  marker_at = (size_t)((char *)memchr(record.data, '~', record.size) - record.data);
  streams.next = streams.previous = &streams;

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1024) < 0) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("listening %d\n", ntohs(address.sin_port));
  fflush(stdout);

  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = 0};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
  event.data.ptr = &timer_fd;
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &event);

  struct epoll_event events[EVENTS];
  for (int wait = -1;;) {
    int ready = epoll_wait(poll_fd, events, EVENTS, wait);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (!c) {
        accept_all(listener);
        continue;
      }
      if ((void *)c == &timer_fd) {
        uint64_t expired;
        if (read(timer_fd, &expired, sizeof expired) < 0) continue;
        continue;
      }
      int state = 0;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) state = read_more(c);
      if (state == 0 && (!c->awaits_room || events[i].events & EPOLLOUT)) {
        watch(c, 0);
        state = go_on(c);
      }
      if (state < 0) drop(c);
    }
    wait = serve_streams();
  }
}

/*
 * The load of the bench: sends one request over and over on keep-alive connections and checks every answer. One thread,
 * epoll, HTTP/1.1. Prints one line of JSON (load-http.ts: LoadResult).
 *
 *   load key=value ...
 *
 *   port=P request=FILE      where to, and the bytes of the request, head and body
 *   connections=N            open connections; each has one request at a time
 *   seconds=S total=N        ends after S seconds or N requests, whichever comes first; what is under way is awaited
 *   rate=R                   open loop: a request every 1/R seconds whether or not earlier ones are answered. Latency then
 *                            counts from when the request was due. Without it: closed loop, from when it was sent
 *   contains=FILE            each body must hold these bytes
 *   count=TEXT times=N       each body must hold the text so often
 *   least=BYTES              and be at least so long
 *   markers=N                each body is a stream with the markers 0 .. N-1 of upstream.c, in order, and ends with [DONE]
 *   end=FILE                 or with the last bytes of this file, as many as [DONE] has
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

enum { HEAD = 32768, READ = 1 << 18, EVENTS = 256, MARKER = 18, TAIL = 14, SUB = 64, BUCKETS = SUB * 40 };
static const uint64_t GRACE = 10000000000u; /* for answers under way when the time is up */

enum state { CLOSED, IDLE, IN_HEAD, IN_LENGTH, IN_CHUNK_SIZE, IN_CHUNK, IN_CHUNK_END, IN_TRAILER, UNTIL_CLOSE };

struct histogram {
  uint64_t count, largest, buckets[BUCKETS];
};

struct connection {
  int fd;
  enum state state;
  uint64_t began;
  size_t unsent; /* bytes of the request still to be written */
  char head[HEAD];
  size_t head_size;
  int status, closes, answered;
  uint64_t left; /* of the body or of the chunk */
  char line[32];
  size_t line_size;
  char *body;
  size_t body_size, body_capacity;
  uint64_t received;
  char marker[MARKER];
  size_t marker_size;
  unsigned long next_marker, strays;
  char tail[TAIL];
};

static struct histogram latency, first_byte, chunk;
static struct connection *connections, **idle;
static size_t idle_count, connection_count = 1;
static char *request, *needle, *count_text;
static size_t request_size, needle_size, least;
static unsigned long times, markers, total, started, finished, wrong, body_bytes, marker_count;
static double rate, seconds = 1;
static char first_wrong[512];
static int port, poll_fd;
static uint64_t read_at;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Buckets of 1/64 of a power of two: a percentile is right to 1.6 %. */
static void record(struct histogram *h, uint64_t ns) {
  h->count++;
  if (ns > h->largest) h->largest = ns;
  unsigned power = ns < SUB ? 0 : 63u - (unsigned)__builtin_clzll(ns) - 5u;
  uint64_t at = power * (uint64_t)(SUB / 2) + (ns >> power);
  h->buckets[at < BUCKETS ? at : BUCKETS - 1]++;
}

static double percentile(const struct histogram *h, double share) {
  uint64_t rank = (uint64_t)((double)h->count * share), seen = 0;
  for (uint64_t at = 0; at < BUCKETS; at++) {
    seen += h->buckets[at];
    if (h->count > 0 && seen > rank) {
      unsigned power = at < SUB ? 0 : (unsigned)(at / (SUB / 2)) - 1;
      double value = ((double)(at - power * (uint64_t)(SUB / 2)) + 0.5) * (double)(1ull << power);
      return value < (double)h->largest ? value : (double)h->largest;
    }
  }
  return (double)h->largest;
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *data = malloc(*size + 1);
  if (!data || fread(data, 1, *size, file) != *size) fail(path);
  data[*size] = 0;
  fclose(file);
  return data;
}

static void open_connection(struct connection *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event);
  c->state = IDLE;
}

static char stream_end[TAIL + 1] = "data: [DONE]\n\n";

static void note_wrong(struct connection *c, const char *why) {
  if (wrong++ > 0) return;
  size_t shown = c->body_size < 160 ? c->body_size : 160;
  snprintf(first_wrong, sizeof first_wrong, "%s; status %d, %llu bytes; %.*s", why, c->status, (unsigned long long)c->received, (int)shown,
           c->body ? c->body : "");
  for (char *at = first_wrong; *at; at++)
    if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ' || (unsigned char)*at > '~') *at = '\'';
}

static void close_connection(struct connection *c) {
  close(c->fd);
  c->state = CLOSED;
}

static void write_request(struct connection *c) {
  while (c->unsent > 0) {
    ssize_t written = write(c->fd, request + request_size - c->unsent, c->unsent);
    if (written < 0 && errno == EAGAIN) {
      struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
      epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
      return;
    }
    if (written <= 0) return; /* the read side says why */
    c->unsent -= (size_t)written;
  }
}

static void start(struct connection *c, uint64_t began) {
  if (c->state == CLOSED) open_connection(c);
  started++;
  c->state = IN_HEAD;
  c->began = began;
  c->unsent = request_size;
  c->head_size = c->body_size = c->line_size = c->marker_size = 0;
  c->next_marker = c->strays = 0;
  c->received = 0;
  c->status = c->closes = c->answered = 0;
  memset(c->tail, 0, TAIL);
  write_request(c);
}

static const char *fault(const struct connection *c) {
  if (c->status != 200) return "wrong status";
  if (c->received < least) return "body too short";
  if (markers) {
    if (c->strays || c->next_marker != markers) return "stream markers lost, repeated or out of order";
    if (memcmp(c->tail, stream_end, TAIL) != 0) return "stream without its last record";
    return 0;
  }
  if (needle && !memmem(c->body, c->body_size, needle, needle_size)) return "expected text not in the body";
  if (count_text) {
    unsigned long seen = 0;
    size_t length = strlen(count_text);
    for (char *at = c->body, *end = c->body + c->body_size; (at = memmem(at, (size_t)(end - at), count_text, length)) != 0; at += length) seen++;
    if (seen != times) return "wrong number of parts in the body";
  }
  return 0;
}

static void finish(struct connection *c, const char *why) {
  finished++;
  if (!why) why = fault(c);
  if (why) note_wrong(c, why);
  else record(&latency, read_at - c->began);
  body_bytes += c->received;
  if (c->closes || why) close_connection(c);
  else c->state = IDLE;
  idle[idle_count++] = c;
}

static void take_marker(struct connection *c) {
  unsigned long number = strtoul(c->marker + 1, 0, 10);
  uint64_t written = strtoull(c->marker + 6, 0, 10), at = read_at / 1000 % 1000000000000ull;
  if (number == c->next_marker % 10000) c->next_marker++;
  else c->strays++;
  marker_count++;
  record(&chunk, (at >= written ? at - written : 0) * 1000);
}

static void take_body(struct connection *c, const char *data, size_t size) {
  if (size == 0) return;
  if (c->received == 0) record(&first_byte, read_at - c->began);
  c->received += size;
  /* The text of a failed stream is kept, to be shown. */
  if (!markers || c->status != 200) {
    if (c->body_size + size > c->body_capacity) {
      c->body_capacity = (c->body_size + size) * 2;
      c->body = realloc(c->body, c->body_capacity);
      if (!c->body) fail("realloc");
    }
    memcpy(c->body + c->body_size, data, size);
    c->body_size += size;
    return;
  }
  if (size >= TAIL) memcpy(c->tail, data + size - TAIL, TAIL);
  else {
    memmove(c->tail, c->tail + size, TAIL - size);
    memcpy(c->tail + TAIL - size, data, size);
  }
  for (const char *at = data, *end = data + size; at < end;) {
    if (c->marker_size == 0 && !(at = memchr(at, '~', (size_t)(end - at)))) return;
    size_t part = (size_t)(end - at) < MARKER - c->marker_size ? (size_t)(end - at) : MARKER - c->marker_size;
    memcpy(c->marker + c->marker_size, at, part);
    c->marker_size += part;
    at += part;
    if (c->marker_size == MARKER) {
      take_marker(c);
      c->marker_size = 0;
    }
  }
}

/* Reads status, length and framing from a complete head. 0: broken. */
static int read_head(struct connection *c) {
  c->head[c->head_size] = 0;
  if (sscanf(c->head, "HTTP/1.%*d %d", &c->status) != 1) return 0;
  c->state = UNTIL_CLOSE;
  for (char *line = c->head; (line = strchr(line, '\n')) != 0;) {
    line++;
    if (strncasecmp(line, "content-length:", 15) == 0) {
      c->left = strtoull(line + 15, 0, 10);
      c->state = IN_LENGTH;
    } else if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0) c->state = IN_CHUNK_SIZE;
    else if (strncasecmp(line, "connection: close", 17) == 0) c->closes = 1;
  }
  if (c->state == UNTIL_CLOSE) c->closes = 1;
  return 1;
}

/* Takes a line's bytes up to its end; 1: complete, its text is in `line`. */
static int take_line(struct connection *c, const char **data, size_t *size) {
  while (*size > 0) {
    char byte = *(*data)++;
    (*size)--;
    if (byte == '\n') {
      c->line[c->line_size] = 0;
      c->line_size = 0;
      return 1;
    }
    if (byte != '\r' && c->line_size < sizeof c->line - 1) c->line[c->line_size++] = byte;
  }
  return 0;
}

static void take(struct connection *c, const char *data, size_t size) {
  while (size > 0) {
    if (c->state == IN_HEAD) {
      if (c->head_size == HEAD - 1) return finish(c, "head too large");
      c->head[c->head_size++] = *data++;
      size--;
      if (c->head_size < 4 || memcmp(c->head + c->head_size - 4, "\r\n\r\n", 4) != 0) continue;
      if (!read_head(c)) return finish(c, "not HTTP");
      if (c->state == IN_LENGTH && c->left == 0) return finish(c, 0);
    } else if (c->state == IN_LENGTH || c->state == IN_CHUNK) {
      size_t part = size < c->left ? size : (size_t)c->left;
      take_body(c, data, part);
      data += part;
      size -= part;
      c->left -= part;
      if (c->left > 0) continue;
      if (c->state == IN_LENGTH) return finish(c, size > 0 ? "bytes after the answer" : 0);
      c->state = IN_CHUNK_END;
    } else if (c->state == IN_CHUNK_END) {
      if (take_line(c, &data, &size)) c->state = IN_CHUNK_SIZE;
    } else if (c->state == IN_CHUNK_SIZE) {
      if (!take_line(c, &data, &size)) continue;
      c->left = strtoull(c->line, 0, 16);
      c->state = c->left > 0 ? IN_CHUNK : IN_TRAILER;
    } else if (c->state == IN_TRAILER) {
      if (take_line(c, &data, &size) && c->line[0] == 0) return finish(c, size > 0 ? "bytes after the answer" : 0);
    } else if (c->state == UNTIL_CLOSE) {
      take_body(c, data, size);
      return;
    } else return note_wrong(c, "bytes that nobody asked for");
  }
}

static void read_answer(struct connection *c) {
  static char buffer[READ];
  ssize_t count = read(c->fd, buffer, READ);
  read_at = now_ns();
  if (count > 0) return take(c, buffer, (size_t)count);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (c->state == IDLE) close_connection(c);
  else if (c->state == UNTIL_CLOSE && count == 0) finish(c, 0);
  else {
    c->closes = 1;
    finish(c, count == 0 ? "connection closed inside an answer" : strerror(errno));
  }
}

static void parse(int count, char **arguments) {
  for (int i = 1; i < count; i++) {
    char *value = strchr(arguments[i], '=');
    if (!value) exit(2);
    *value++ = 0;
    const char *key = arguments[i];
    if (!strcmp(key, "port")) port = atoi(value);
    else if (!strcmp(key, "request")) request = read_file(value, &request_size);
    else if (!strcmp(key, "connections")) connection_count = strtoul(value, 0, 10);
    else if (!strcmp(key, "seconds")) seconds = atof(value);
    else if (!strcmp(key, "total")) total = strtoul(value, 0, 10);
    else if (!strcmp(key, "rate")) rate = atof(value);
    else if (!strcmp(key, "contains")) needle = read_file(value, &needle_size);
    else if (!strcmp(key, "count")) count_text = value;
    else if (!strcmp(key, "times")) times = strtoul(value, 0, 10);
    else if (!strcmp(key, "least")) least = strtoul(value, 0, 10);
    else if (!strcmp(key, "markers")) markers = strtoul(value, 0, 10);
    else if (!strcmp(key, "end")) {
      size_t size;
      char *text = read_file(value, &size);
      if (size < TAIL) exit(2);
      memcpy(stream_end, text + size - TAIL, TAIL);
    }
    else {
      fprintf(stderr, "load: unknown key %s\n", key);
      exit(2);
    }
  }
}

static void print_histogram(const char *name, const struct histogram *h) {
  printf(",\"%s\":{\"count\":%llu,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, (unsigned long long)h->count, percentile(h, 0.5) / 1000,
         percentile(h, 0.99) / 1000, (double)h->largest / 1000);
}

int main(int count, char **arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  parse(count, arguments);
  if (!port || !request) exit(2);
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct epoll_event timer_event = {.events = EPOLLIN, .data.ptr = 0};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &timer_event);
  connections = calloc(connection_count, sizeof *connections);
  idle = calloc(connection_count, sizeof *idle);
  if (!connections || !idle) fail("calloc");
  for (size_t i = 0; i < connection_count; i++) {
    open_connection(&connections[i]);
    idle[idle_count++] = &connections[i];
  }

  uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * 1e9), now = begin;
  double gap = rate > 0 ? 1e9 / rate : 0;
  if (rate > 0) total = (unsigned long)(rate * seconds);
  struct epoll_event events[EVENTS];
  for (;;) {
    int over = rate > 0 ? started == total : now >= end || (total && started == total);
    while (!over && idle_count > 0) {
      uint64_t due = rate > 0 ? begin + (uint64_t)((double)started * gap) : now;
      if (due > now) break;
      start(idle[--idle_count], due);
      over = rate > 0 ? started == total : total && started == total;
    }
    if ((over && started == finished) || now > end + GRACE) break;
    uint64_t wake = over ? end + GRACE : rate > 0 && idle_count > 0 ? begin + (uint64_t)((double)started * gap) : now < end ? end : end + GRACE;
    struct itimerspec at = {.it_value = {(time_t)(wake / 1000000000u), (long)(wake % 1000000000u)}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, 0);
    int ready = epoll_wait(poll_fd, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (!c) {
        uint64_t expired;
        if (read(timer_fd, &expired, sizeof expired) < 0) continue;
        continue;
      }
      if (events[i].events & EPOLLOUT) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
        write_request(c);
      }
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_answer(c);
    }
    now = now_ns();
  }
  unsigned long unanswered = started - finished;
  if (unanswered > 0 && wrong == 0) snprintf(first_wrong, sizeof first_wrong, "%lu requests without an answer", unanswered);
  printf("{\"requests\":%lu,\"wrong\":%lu,\"firstWrong\":\"%s\",\"seconds\":%.6f,\"bytes\":%lu,\"markers\":%lu", finished, wrong + unanswered,
         first_wrong, (double)(now_ns() - begin) / 1e9, body_bytes, marker_count);
  print_histogram("latency", &latency);
  print_histogram("firstByte", &first_byte);
  print_histogram("chunk", &chunk);
  printf("}\n");
  return 0;
}

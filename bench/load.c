/* The load client: opens WebSockets and drives them as fast as they answer, far cheaper than any server does.
 *
 * It reads what to do from standard input, a "key value" on each line, up to the line "go":
 *
 *     port 8080                  on 127.0.0.1; where connections go that name no other
 *     cpu 1                      the client's own
 *     workload echo              or relay, fanout, room, idle, handshakes
 *     seconds 5, warmup 1        of each; not for idle
 *     burst 1                    fanout, room: messages that are sent together
 *     flight 64                  connections that are being opened at the same time
 *     rate 1000                  handshakes: so many begin each second; 0: the next when one is done
 *     server 4711                a process whose CPU time counts; any number of such lines
 *     message TEXT               what is sent
 *     begins TEXT, ends TEXT     how what is received begins and ends
 *     length 100                 of what is received; 0: any
 *     ignore TEXT                what begins so is passed over; up to four such lines
 *     connection PATH<tab>STEP…  one for each connection; a step is "HName: value" (a header of the handshake),
 *                                ">TEXT" (send a text frame; a "%m" in it is what the last frame had as its
 *                                "match_id"), "<" (wait for a frame), "=TEXT" (what this one sends instead
 *                                of the message), or "P8081" (it goes to this port)
 *
 * echo: each connection sends, waits for the answer, and sends again. relay: of each two connections the first
 * sends, the second receives. fanout: the first sends, all others receive; the next goes when all have all.
 * room: the same, but the first receives as well.
 * handshakes: connections are opened with their steps and cut, over and over. idle: all are opened; a line
 * tells that they are, and they stay open until standard input ends.
 *
 * It prints one line of JSON. CPU times are in seconds, latencies (of an echo, of a relay, or of a handshake and
 * its steps if there is a rate) in microseconds. What a server
 * does wrong ends it with a line on standard error. Server's pings are answered, and those of Engine.IO.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_STEPS = 8, MOST_SERVERS = 16, READ = 1 << 18, MOST_REST = 1 << 20, MOST_IGNORED = 4, MOST_LATENCIES = 4 << 20, EVENTS = 256 };
enum workload { ECHO, RELAY, FANOUT, IDLE, HANDSHAKES, ROOM };

struct script {
    char *request;             /* the handshake, whole */
    char *steps[MOST_STEPS];   /* ">text" or "<" */
    int count, port;
    unsigned char *frame;      /* what it sends instead of the message */
    size_t frame_length;
};

struct connection {
    int fd, script, step;
    int upgraded, ready;
    long received;             /* frames, since it was ready */
    double sent;
    char match_id[64];
    unsigned char *rest;       /* the beginning of a frame whose end is still to come */
    size_t rest_length;
};

static enum workload workload;
static int port, burst = 1, flight = 64, servers[MOST_SERVERS], server_count, epoll_fd;
static double seconds = 5, warmup = 1, rate, next_due;
static char *message = "", *begins = "", *ends = "", *ignored[MOST_IGNORED];
static int ignored_count, next_slot;
static size_t answer_length; /* 0: any */
static unsigned char *frames;  /* the message as a client's frame, `burst` times */
static size_t frames_length;
static struct script *scripts;
static int script_count, open_count, ready_count;
static struct connection *connections;
static long operations, fanout_missing;
static float *latencies;
static long latency_count;
static int measuring, finished;

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "load: %s %.200s\n", what, detail);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static double own_cpu(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

/* User and system time of the servers, of all their threads. */
static double server_cpu(void)
{
    double total = 0;
    for (int index = 0; index < server_count; index++) {
        char path[64], text[1024];
        unsigned long user, system;
        snprintf(path, sizeof path, "/proc/%d/stat", servers[index]);
        FILE *file = fopen(path, "r");
        if (!file || !fgets(text, sizeof text, file))
            fail("no such server:", path);
        fclose(file);
        /* The name may hold anything; it ends at the last parenthesis. */
        if (sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
            fail("can't read", path);
        total += (double)(user + system) / sysconf(_SC_CLK_TCK);
    }
    return total;
}

/* -- frames out ------------------------------------------------------------------------------------ */

/* A client's frame (RFC 6455, section 5.2); for up to 65 535 bytes. Returns its length. */
static size_t put_frame(unsigned char *to, int opcode, const char *payload, size_t length)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t at = 2;
    to[0] = 0x80 | opcode;
    if (length < 126) {
        to[1] = 0x80 | length;
    } else {
        to[1] = 0x80 | 126;
        to[2] = length >> 8;
        to[3] = length & 255;
        at = 4;
    }
    memcpy(to + at, mask, 4);
    for (size_t index = 0; index < length; index++)
        to[at + 4 + index] = (unsigned char)payload[index] ^ mask[index & 3];
    return at + 4 + length;
}

static void send_all(struct connection *c, const void *data, size_t length)
{
    if (send(c->fd, data, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("can't send:", strerror(errno));
}

static void send_text(struct connection *c, int opcode, const char *text, size_t length)
{
    static unsigned char frame[65536 + 16];
    send_all(c, frame, put_frame(frame, opcode, text, length));
}

/* -- opening --------------------------------------------------------------------------------------- */

static void open_one(int index)
{
    struct connection *c = &connections[index];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(scripts[connections[index].script].port)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address))
        fail("can't connect:", strerror(errno));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->step = c->upgraded = c->ready = 0;
    c->received = 0;
    c->rest_length = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    send_all(c, scripts[c->script].request, strlen(scripts[c->script].request));
    open_count++;
}

static void open_more(void)
{
    while (open_count < script_count && open_count - ready_count < flight)
        open_one(open_count);
}

/* How often a message of the fan-out's is received. */
static long receptions(void)
{
    return (long)(script_count - (workload == FANOUT)) * burst;
}

static void drive(struct connection *c)
{
    struct script *script = &scripts[c->script];
    c->sent = now();
    if (script->frame)
        send_all(c, script->frame, script->frame_length);
    else
        send_all(c, frames, frames_length);
}

static void begin(void)
{
    if (workload == ECHO)
        for (int index = 0; index < script_count; index++)
            drive(&connections[index]);
    else if (workload == RELAY)
        for (int index = 0; index < script_count; index += 2)
            drive(&connections[index]);
    else if (workload == FANOUT || workload == ROOM) {
        fanout_missing = receptions();
        drive(&connections[0]);
    }
}

/* Goes on with the steps of a connection that is not ready, as far as nothing has to be waited for. */
static void take_steps(struct connection *c)
{
    struct script *script = &scripts[c->script];
    while (c->step < script->count && script->steps[c->step][0] == '>') {
        char text[65536], *step = script->steps[c->step++] + 1, *mark = strstr(step, "%m");
        if (mark)
            snprintf(text, sizeof text, "%.*s%s%s", (int)(mark - step), step, c->match_id, mark + 2);
        else
            snprintf(text, sizeof text, "%s", step);
        send_text(c, 1, text, strlen(text));
    }
    if (c->step < script->count)
        return;
    if (workload == HANDSHAKES) {
        operations++;
        close(c->fd);
        open_count--;
        if (!rate) {
            open_one(c - connections);
            return;
        }
        if (measuring && latency_count < MOST_LATENCIES)
            latencies[latency_count++] = (now() - c->sent) * 1e6;
        c->fd = -1;
        return;
    }
    c->ready = 1;
    ready_count++;
    open_more();
    if (ready_count == script_count)
        begin();
}

/* -- frames in ------------------------------------------------------------------------------------- */

static void fail_at(const char *what, const unsigned char *payload, size_t length)
{
    char text[201];
    snprintf(text, sizeof text, "%.*s", (int)length, (const char *)payload);
    fail(what, text);
}

static void got_message(struct connection *c, const unsigned char *payload, size_t length)
{
    if (length == 1 && payload[0] == '2') { /* Engine.IO asks whether we live */
        send_text(c, 1, "3", 1);
        return;
    }
    if (!c->ready) {
        const char *id = memmem(payload, length, "\"match_id\":\"", 12);
        if (id)
            snprintf(c->match_id, sizeof c->match_id, "%.36s", id + 12);
        c->step++;
        take_steps(c);
        return;
    }
    for (int index = 0; index < ignored_count; index++)
        if (length >= strlen(ignored[index]) && !memcmp(payload, ignored[index], strlen(ignored[index])))
            return;
    size_t head = strlen(begins), tail = strlen(ends);
    if (answer_length && length != answer_length)
        fail_at("a message of another length:", payload, length);
    if (length < head + tail || memcmp(payload, begins, head) || memcmp(payload + length - tail, ends, tail))
        fail_at("an unexpected message:", payload, length);
    c->received++;
    if (workload == IDLE)
        return;
    if (workload == FANOUT || workload == ROOM) {
        operations++;
        if (!--fanout_missing && !finished) {
            fanout_missing = receptions();
            drive(&connections[0]);
        }
        return;
    }
    operations++;
    struct connection *sender = workload == RELAY ? c - 1 : c;
    if (measuring && latency_count < MOST_LATENCIES)
        latencies[latency_count++] = (now() - sender->sent) * 1e6;
    if (!finished)
        drive(sender);
}

/* Takes the frames that `data` begins with; returns how many bytes they are. */
static size_t take_frames(struct connection *c, unsigned char *data, size_t size)
{
    size_t at = 0;
    while (size - at >= 2) {
        size_t length = data[at + 1] & 127, head = 2;
        if (length == 126) {
            if (size - at < 4)
                break;
            length = data[at + 2] << 8 | data[at + 3];
            head = 4;
        } else if (length == 127) {
            if (size - at < 10)
                break;
            length = 0;
            for (int index = 2; index < 10; index++)
                length = length << 8 | data[at + index];
            if (length > MOST_REST - 16)
                fail("a frame that is too large", "");
            head = 10;
        }
        if (size - at < head + length)
            break;
        int opcode = data[at] & 15, fd = c->fd;
        if (opcode == 9)
            send_text(c, 10, (char *)data + at + head, length);
        else if (opcode == 8)
            fail("the server closes:", length > 2 ? (char *)data + at + head + 2 : "");
        else if (data[at] & 0x80)
            got_message(c, data + at + head, length);
        else
            fail("a fragment", "");
        at += head + length;
        if (c->fd != fd || (workload == HANDSHAKES && !c->upgraded))
            return size; /* it is another connection now */
    }
    return at;
}

static void readable(struct connection *c)
{
    static unsigned char buffer[READ + MOST_REST];
    memcpy(buffer, c->rest, c->rest_length);
    ssize_t got = recv(c->fd, buffer + c->rest_length, READ, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("the server is gone:", got ? strerror(errno) : "");
    unsigned char *data = buffer;
    size_t size = c->rest_length + got;
    c->rest_length = 0;
    if (!c->upgraded) {
        unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
        if (end) {
            if (memcmp(data, "HTTP/1.1 101", 12))
                fail("not upgraded:", (char *)data);
            c->upgraded = 1;
            size -= end + 4 - data;
            data = end + 4;
            int fd = c->fd;
            if (!scripts[c->script].count || scripts[c->script].steps[0][0] == '>')
                take_steps(c);
            if (c->fd != fd || !c->upgraded)
                return;
        }
    }
    if (c->upgraded) {
        size_t taken = take_frames(c, data, size);
        data += taken;
        size -= taken;
    }
    if (size) {
        if (size > MOST_REST)
            fail("too much at once", "");
        c->rest = realloc(c->rest, size);
        memcpy(c->rest, data, size);
        c->rest_length = size;
    }
}

/* Begins the handshakes that are due. If all connections are busy the server is behind: none is made up for. */
static void open_what_is_due(void)
{
    for (; next_due <= now(); next_due += 1 / rate) {
        for (int tried = 0; tried < script_count; tried++) {
            int slot = next_slot++ % script_count;
            if (connections[slot].fd < 0) {
                open_one(slot);
                connections[slot].sent = now();
                break;
            }
        }
    }
}

static void go_on(double until)
{
    struct epoll_event events[EVENTS];
    while (now() < until) {
        int count = epoll_wait(epoll_fd, events, EVENTS, rate ? 1 : 1000);
        if (rate)
            open_what_is_due();
        for (int index = 0; index < count; index++)
            readable(&connections[events[index].data.u32]);
    }
}

static void open_all(void)
{
    struct epoll_event events[EVENTS];
    double patience = now() + 120;
    open_more();
    while (ready_count < script_count) {
        int count = epoll_wait(epoll_fd, events, EVENTS, 1000);
        for (int index = 0; index < count; index++)
            readable(&connections[events[index].data.u32]);
        if (now() > patience)
            fail("not all connections are ready", "");
    }
}

/* -- what to do ------------------------------------------------------------------------------------ */

static void read_connection(char *line)
{
    scripts = realloc(scripts, (script_count + 1) * sizeof *scripts);
    struct script *script = &scripts[script_count++];
    char headers[4096] = "", *path = strsep(&line, "\t"), *step;
    script->count = 0;
    script->frame = NULL;
    script->port = port;
    while ((step = strsep(&line, "\t"))) {
        if (*step == 'H') {
            strncat(headers, step + 1, sizeof headers - strlen(headers) - 3);
            strcat(headers, "\r\n");
        } else if (*step == '=') {
            script->frame = malloc(strlen(step) + 16);
            script->frame_length = put_frame(script->frame, 1, step + 1, strlen(step + 1));
        } else if (*step == 'P') {
            script->port = atoi(step + 1);
        } else if (script->count < MOST_STEPS) {
            script->steps[script->count++] = strdup(step);
        }
    }
    if (asprintf(&script->request,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                 path, port, headers) < 0)
        fail("no memory", "");
}

static void read_what_to_do(void)
{
    static const char *names[] = {"echo", "relay", "fanout", "idle", "handshakes", "room"};
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, stdin)) > 0) {
        line[length - 1] = 0;
        if (!strcmp(line, "go"))
            return;
        char *value = line, *key = strsep(&value, " ");
        if (!value)
            fail("no value:", key);
        if (!strcmp(key, "port")) port = atoi(value);
        else if (!strcmp(key, "seconds")) seconds = atof(value);
        else if (!strcmp(key, "warmup")) warmup = atof(value);
        else if (!strcmp(key, "burst")) burst = atoi(value);
        else if (!strcmp(key, "rate")) rate = atof(value);
        else if (!strcmp(key, "ignore") && ignored_count < MOST_IGNORED) ignored[ignored_count++] = strdup(value);
        else if (!strcmp(key, "flight")) flight = atoi(value);
        else if (!strcmp(key, "message")) message = strdup(value);
        else if (!strcmp(key, "begins")) begins = strdup(value);
        else if (!strcmp(key, "ends")) ends = strdup(value);
        else if (!strcmp(key, "length")) answer_length = atol(value);
        else if (!strcmp(key, "connection")) read_connection(value);
        else if (!strcmp(key, "server") && server_count < MOST_SERVERS) servers[server_count++] = atoi(value);
        else if (!strcmp(key, "cpu")) {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(atoi(value), &set);
            sched_setaffinity(0, sizeof set, &set);
        } else if (!strcmp(key, "workload")) {
            for (int index = 0; index < 6; index++)
                if (!strcmp(value, names[index])) workload = index;
        } else fail("unknown key:", key);
    }
    fail("no \"go\"", "");
}

static int by_size(const void *a, const void *b)
{
    float left = *(const float *)a, right = *(const float *)b;
    return (left > right) - (left < right);
}

int main(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    read_what_to_do();
    frames = malloc(burst * (strlen(message) + 16));
    for (int index = 0; index < burst; index++)
        frames_length += put_frame(frames + frames_length, 1, message, strlen(message));
    connections = calloc(script_count, sizeof *connections);
    for (int index = 0; index < script_count; index++)
        connections[index].script = index;
    latencies = malloc(MOST_LATENCIES * sizeof *latencies);
    epoll_fd = epoll_create1(0);
    if (workload == HANDSHAKES) {
        for (int index = 0; index < script_count; index++)
            if (rate)
                connections[index].fd = -1;
            else
                open_one(index);
        next_due = now();
    } else {
        open_all();
    }
    if (workload == IDLE) {
        printf("{\"connections\":%d}\n", ready_count);
        fflush(stdout);
        struct pollfd input = {.fd = 0, .events = POLLIN};
        while (!poll(&input, 1, 0))
            go_on(now() + 0.05);
        return 0;
    }
    go_on(now() + warmup);
    operations = 0;
    measuring = 1;
    double cpu = server_cpu(), own = own_cpu(), began = now();
    go_on(began + seconds);
    cpu = server_cpu() - cpu;
    own = own_cpu() - own;
    seconds = now() - began;
    qsort(latencies, latency_count, sizeof *latencies, by_size);
    printf("{\"operations\":%ld,\"seconds\":%.6f,\"server_cpu\":%.6f,\"client_cpu\":%.6f,\"p50\":%.1f,\"p99\":%.1f}\n",
           operations, seconds, cpu, own, latency_count ? latencies[latency_count / 2] : 0.0,
           latency_count ? latencies[latency_count * 99 / 100] : 0.0);
    return 0;
}

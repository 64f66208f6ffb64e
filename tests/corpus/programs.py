"""Every program of the corpus: where it is, what it is, and how it ends.

label     leak or innocent
drive     what the peer does as this server's clients (peer.py); None: the program is a client
end       how it ends: "self" when its time is over, "term" by SIGTERM
names     False: no line of the program's can be on the opening stack (the runtime connects in a later turn of its loop or in
          a goroutine of its own); then `origin` and the protocol have to do
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Program:
    language: str
    scenario: str
    label: str
    kind: str
    drive: str | None = None
    end: str = "self"
    names: bool = True
    origin: str = "connect"
    modes: str = "."  # a regular expression: the modes it makes sense in
    verdicts: tuple = ("leak",)  # what it may be called
    few: int = 3  # so many leaked sockets must have been in sight to blame a session for not finding the leak

    @property
    def name(self):
        return f"{self.language}/{self.scenario}"


def leak(language, scenario, kind, **more):
    return Program(language, scenario, "leak", kind, **more)


def innocent(language, scenario, kind, **more):
    return Program(language, scenario, "innocent", kind, **more)


def server(make, language, scenario, kind, drive, **more):
    return make(language, scenario, kind, drive=drive, origin="accept", **{"end": "term", **more})


PROGRAMS = (
    leak("c", "refused", "forgotten on the error path after connect(): refused, 1 in n"),
    leak("c", "refused_always", "the same, of a backend that always refuses"),
    leak("c", "reset", "reset by the peer, forgotten"),
    leak("c", "given_up", "connect() given up (SYN_SENT)"),
    leak("c", "close_wait", "the peer hung up, the end was read, no close()"),
    leak("c", "unread", "an answer nobody reads"),
    leak("c", "forgotten_sometimes", "established and idle for ever, 1 in n"),
    leak("c", "forgotten_always", "established and idle for ever, each"),
    leak("c", "one_in_hundred", "the same, 1 in 100"),
    leak("c", "udp_sometimes", "UDP socket per query, forgotten on the timeout", origin="socket"),
    leak("c", "udp_always", "UDP socket per query, always forgotten", origin="socket"),
    leak("c", "udp_periodic", "a health check every few seconds forgets what it opens", origin="socket"),
    leak("c", "two_callers", "one of two callers of a shared helper forgets"),
    leak("c", "heartbeat", "what is leaked is pinged for ever", verdicts=("leak", "suspect")),
    leak("c", "per_ended_thread", "a connection of each thread, which ends"),
    leak("c", "lease_lost", "taken from a pool, never given back"),
    leak("c", "pool_beside", "a probe forgets beside a sound pool"),
    server(leak, "c", "accept_thread", "CLOSE_WAIT in a thread per connection, 1 in n", "mixed"),
    server(leak, "c", "accept_always", "CLOSE_WAIT, each", "short"),
    server(leak, "c", "accept_epoll", "CLOSE_WAIT in an epoll loop, 1 in n", "mixed"),
    server(leak, "c", "prefork", "CLOSE_WAIT in forked workers, 1 in n", "mixed"),
    server(leak, "c", "fork_parent_keeps", "the parent's copy after fork()", "short"),
    server(leak, "c", "dup_keeps", "a duplicate keeps it, 1 in n", "mixed"),
    server(leak, "c", "closed_at_shutdown", "closed by a tidy shutdown only", "mixed"),
    server(leak, "c", "vanished", "dead peers (no FIN) stay", "gone", verdicts=("leak", "suspect")),
    leak("c", "unix_sometimes", "unix client forgets, 1 in n"),
    leak("c", "unix_always", "unix client forgets, always"),
    leak("c", "unix_never_connected", "unix socket, never connected", origin="socket"),
    leak("c", "pair_forgotten", "both ends of a socketpair, 1 in n", origin="socketpair"),
    leak("c", "cache_drops", "a cache entry is overwritten without close()"),
    server(leak, "c", "receiver_forgets", "who receives it by SCM_RIGHTS forgets it, 1 in n", "mixed"),
    leak("c", "helper_keeps", "an executed helper has it, no close-on-exec", verdicts=("leak", "inherited")),
    leak("c", "creator_first", "the creator ends before its child", modes="check", verdicts=("leak", "inherited")),
    leak("c", "listener_inherited", "a job keeps a listener whose server has ended", modes="check", origin="socket",
         verdicts=("inherited", "leak"), few=1),
    leak("cpp", "destructor", "a destructor that returns early, 1 in n"),
    leak("cpp", "shared_cycle", "a cycle of shared_ptr, 1 in n"),
    leak("cpp", "exception_path", "released on the path of an exception"),
    innocent("cpp", "raii", "destructors, also when it throws"),
    innocent("cpp", "raii_pool", "pool whose connections return by themselves"),
    server(innocent, "c", "receiver_closes", "handed over by SCM_RIGHTS, closed", "mixed"),
    server(innocent, "c", "inetd", "handed to an executed program on purpose", "visit"),
    innocent("c", "listeners_left", "listeners are the kernel's to close"),
    innocent("c", "sessions_pinged", "sessions that are pinged, and end"),
    innocent("c", "long_poll_client", "a thread waits seconds for each answer"),
    innocent("c", "lru_cache", "a cache that closes the least recently used"),
    innocent("c", "retry_backoff", "refused, closed, tried again"),
    innocent("c", "udp_resolver", "one-shot UDP sockets, closed seconds later"),
    innocent("c", "long_transactions", "connections busy for seconds"),
    innocent("c", "startup", "start-up connections over 20 to 40 s"),
    innocent("c", "kept_for_life", "a spare descriptor, a log connection, a metrics socket"),
    innocent("c", "pool_lifo", "pool, last in first out"),
    innocent("c", "pool_fifo", "pool, first in first out"),
    innocent("c", "pool_rotation", "pool with a longest life"),
    innocent("c", "pool_reaper", "cache with an idle limit"),
    innocent("c", "pool_hung_up", "pool whose server hangs up; seen at the next use"),
    innocent("c", "tenants", "a connection per tenant"),
    innocent("c", "per_living_thread", "a connection per living thread"),
    innocent("c", "subscribers", "blocked readers"),
    innocent("c", "exec_helpers", "executed helpers that inherit nothing"),
    innocent("c", "slow_consumer", "the peer reads slowly"),
    server(innocent, "c", "chat", "log-ins that stay and talk", "talk"),
    server(innocent, "c", "keep_alive", "idle keep-alive clients", "hold"),
    server(innocent, "c", "epoll_idle", "the same in an epoll loop, some go", "visit"),
    server(innocent, "c", "long_poll", "long polls", "polls"),
    server(innocent, "c", "held_at_term", "ended by SIGTERM with clients connected", "hold"),
    server(innocent, "c", "fork_child_serves", "a child per connection, the parent closes", "visit"),
    server(innocent, "c", "prefork_clean", "forked workers", "short"),
    innocent("c", "pair_workers", "a socketpair per worker"),
    innocent("c", "unix_clean", "unix queries that are closed, a subscription for life"),
    leak("py", "refused", "a stored exception keeps the refused socket"),
    leak("py", "session_per_call", "an HTTP session per call, kept in a list"),
    leak("py", "unread_body", "a response nobody reads"),
    leak("py", "garbage", "reference cycles, no collection until the end"),
    leak("py", "interpreter_end", "UDP probes that only the interpreter's end closes", origin="socket"),
    server(leak, "py", "threading_server", "CLOSE_WAIT in a handler thread, 1 in n", "mixed"),
    server(leak, "py", "asyncio_server", "CLOSE_WAIT in an event loop, 1 in n", "mixed", names=False),
    leak("py", "requests_session_per_call", "requests.Session per call, kept in a list"),
    leak("py", "asyncio_client", "a StreamWriter nobody closes, 1 in n", names=False),
    innocent("py", "http_pool", "pool of HTTP connections"),
    innocent("py", "short_lived", "closed by reference counting"),
    server(innocent, "py", "asyncio_chat", "log-ins that stay and talk", "talk"),
    innocent("py", "subscriptions", "blocked readers"),
    innocent("py", "reaped_cache", "cache with an idle reaper"),
    innocent("py", "requests_pool", "one requests.Session for all threads"),
    innocent("py", "asyncio_pool", "pool of streams in an event loop"),
    leak("go", "client_per_call", "a new http.Transport per call", names=False),
    leak("go", "body_not_closed", "response body neither read nor closed", names=False),
    leak("go", "dial_forgotten", "CLOSE_WAIT in a client, 1 in n"),
    server(leak, "go", "accept_goroutine", "CLOSE_WAIT in a goroutine per connection, 1 in n", "mixed"),
    leak("go", "udp_query", "UDP socket per query, forgotten on the timeout"),
    leak("go", "unix_client_per_call", "a client of a local daemon per call"),
    innocent("go", "transport_pool", "http.Transport with a pool"),
    innocent("go", "default_client_exit", "the default client's pool at exit"),
    innocent("go", "dial_retry", "refused, closed, tried again"),
    innocent("go", "worker_connections", "a connection per living goroutine"),
    innocent("go", "subscribers", "blocked readers"),
    server(innocent, "go", "chat", "log-ins that never stop", "logins"),
    leak("java", "socket_forgotten", "CLOSE_WAIT in a client, 1 in n"),
    leak("java", "client_per_call", "a new HttpClient per call", names=False),
    leak("java", "answer_never_read", "HttpURLConnection whose answer nobody reads"),
    server(leak, "java", "accept_thread", "CLOSE_WAIT in a thread per connection, 1 in n", "mixed"),
    server(leak, "java", "nio_server", "CLOSE_WAIT in a selector loop, 1 in n", "mixed"),
    leak("java", "udp_forgotten", "UDP socket per query, forgotten on the timeout", origin="socket"),
    innocent("java", "http_client_pool", "HttpClient's pool"),
    innocent("java", "hand_made_pool", "pool made by hand"),
    innocent("java", "tidy_client", "try-with-resources, some refused"),
    innocent("java", "per_thread", "a connection per living thread"),
    server(innocent, "java", "chat", "log-ins that stay and talk", "talk"),
    leak("js", "agent_per_call", "a keep-alive agent per call", names=False),
    leak("js", "response_never_read", "a response nobody reads", names=False),
    leak("js", "socket_forgotten", "CLOSE_WAIT, half open, 1 in n", names=False),
    server(leak, "js", "server_forgets", "CLOSE_WAIT, the half that is ours stays open, 1 in n", "mixed", names=False),
    leak("js", "unix_forgotten", "a client of a local daemon forgets, 1 in n", names=False),
    innocent("js", "agent_pool", "http.Agent with a pool"),
    innocent("js", "fetch_pool", "fetch()'s pool"),
    innocent("js", "global_agent_exit", "the global agent at exit"),
    innocent("js", "subscribers", "sockets that wait for news"),
    server(innocent, "js", "chat", "log-ins that never stop", "logins"),
    leak("rb", "socket_forgotten", "CLOSE_WAIT in a client, 1 in n", names=False),
    leak("rb", "http_per_call", "Net::HTTP started and never finished", names=False),
    innocent("rb", "http_persistent", "persistent HTTP connections of threads"),
    innocent("rb", "tidy", "closed by the block"),
    leak("pl", "udp_forgotten", "UDP transactions that time out and stay in a list", names=False, origin="socket"),
    leak("pl", "cycle", "a session that refers to itself, CLOSE_WAIT, 1 in n", names=False),
    innocent("pl", "tidy", "closed by the end of the scope, some refused"),
    innocent("pl", "cached", "a connection per backend"),
    leak("php", "stream_kept", "a registry that only grows, 1 in n", names=False),
    leak("php", "unix_kept", "a client of a local daemon per call", names=False),
    innocent("php", "persistent", "a persistent connection"),
)


SUFFIXES = {".c": "c", ".cpp": "cpp", ".py": "py", ".go": "go", ".java": "java", ".js": "js", ".rb": "rb", ".pl": "pl", ".php": "php"}


def marked_lines(directory):
    """{program's name: {"file:line", ...}}: the lines that open, marked OPENS and the scenarios' names in a comment."""
    marks = {}
    for source in sorted(directory.iterdir()):
        if source.suffix not in SUFFIXES:
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            found = re.search(r"(?:/\*|//|#) OPENS ([\w ]+)", line)
            for scenario in found.group(1).split() if found else ():
                marks.setdefault(f"{SUFFIXES[source.suffix]}/{scenario}", set()).add(f"{source.name}:{number}")
    return marks

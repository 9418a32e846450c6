"""libxsc beside libxenstore on one connection to a real xenstored, in turns, under hyperless; both daemons."""
import statistics

from figures import RUNS, ROOT, bars, compared, output

SECONDS = "1"
DAEMONS = ["c", "ocaml"]
# Figure, what bench_xenstore is asked, threads: the rate, or for watch the latency.
RATES = [("xenstore.read.1", "read", 1), ("xenstore.read.4", "read", 4), ("xenstore.read.32", "read", 32),
         ("xenstore.transaction10", "transaction", 1), ("xenstore.transaction10.4", "transaction", 4),
         ("xenstore.test.write", "write", 1), ("xenstore.test.dir", "dir", 1), ("xenstore.test.rm", "rm", 1),
         ("xenstore.test.rmw", "rmw", 1)]
SCRIPT = """
pid=$(cat "$(dirname "$XENSTORED_PATH")/pid"); export BENCH_SERVER_PID=$pid
for i in $(seq {runs}); do for peer in xsc libxenstore; do
  build/bench/bench_xenstore $peer {what} {threads} {amount}
done; done
"""


def turns(daemon, what, threads, amount=SECONDS):
    """RUNS pairs, each of ours and theirs, each of (rate, own CPU, the daemon's CPU)."""
    script = SCRIPT.format(runs=RUNS, what=what, threads=threads, amount=amount)
    lines = output("build/src/vbdkit", "hyperless", "run", "--xenstored", daemon, "--", "sh", "-c",
                   script).stdout.splitlines()
    rows = [tuple(float(word) for word in line.split()) for line in lines]
    return list(zip(rows[0::2], rows[1::2]))


def command(daemon, what, threads, amount=SECONDS):
    return (f"build/src/vbdkit hyperless run --xenstored {daemon} -- "
            f"build/bench/bench_xenstore xsc|libxenstore {what} {threads} {amount}")


def of_daemon(daemon):
    figures = []
    for name, what, threads in RATES:
        pairs = turns(daemon, what, threads)
        text = command(daemon, what, threads)
        server = statistics.median(ours[2] for ours, _ in pairs)
        figures.append(compared(name, "1/s", [(a[0], b[0]) for a, b in pairs], "libxenstore", text, daemon=daemon,
                                server_us=server))
        if what == "read":
            cpu = "xenstore.cpu_per_read" + ("" if threads == 32 else f".{threads}")
            figures.append(compared(cpu, "us", [(a[1], b[1]) for a, b in pairs], "libxenstore", text, daemon=daemon))
    pairs = turns(daemon, "watch", 1, "500")
    figures.append(compared("xenstore.watch_latency", "us", [(a[0], b[0]) for a, b in pairs], "libxenstore",
                            command(daemon, "watch", 1, "500"), daemon=daemon))
    return figures


def measure():
    return [f for daemon in DAEMONS for f in of_daemon(daemon)]


def row(f):
    return (f"| {f['name']} | {f['daemon']} | {f['value']:.4g} {f['unit']} | {f['peer_value']:.4g} | "
            f"**{f['ratio']:.2f}** | {f['ratio_spread'][0]:.2f} .. {f['ratio_spread'][1]:.2f} |")


def bound(figures):
    """How close many readers come to what the daemon can do at all."""
    lines = []
    for f in figures:
        if f["name"] == "xenstore.read.32" and f.get("server_us"):
            most = 1e6 / f["server_us"]
            lines.append(f"- {f['daemon']}: the daemon itself spent {f['server_us']:.1f} us of CPU a read, so one processor "
                         f"of it answers {most:.3g} reads/s at most; 32 callers of libxsc got {f['value']:.3g}, "
                         f"{f['value'] / most:.0%} of that.")
    return "\n".join(lines)


def document(figures):
    bars([(f"{f['name'][9:]} ({f['daemon']})", f["ratio"], f"{f['ratio']:.2f}x") for f in figures if f["unit"] == "1/s"],
         "operations a second, libxsc over libxenstore", ROOT / "docs/xenstore.svg")
    rows = "\n".join(row(f) for f in figures)
    return f"""## The xenstore client

libxsc beside libxenstore (Xen 4.17), each with one connection to the same real daemon, in turns in one run; N callers are N threads
that share the connection and wait for each answer. A transaction is ten writes and its commit. `test.*` are the
operations of Xen's own `test-xenstore`, one caller. CPU is the client's, user and system, an operation. A rate's ratio is better above 1; for
CPU and latency below.

| figure | daemon | libxsc | libxenstore | ratio | range |
|---|---|---|---|---|---|
{rows}

![ratios](xenstore.svg)

What bounds it is the daemon:

{bound(figures)}

What was tried: waking every waiting thread for each batch of answers (32 callers then got 1.5 times libxenstore's reads at more CPU a
read: each thread woke 32 times for one answer), dropped for a wake-up of those alone whose answer has come; letting woken threads gather
their next requests into one write, kept; reading the socket without polling it when answers are on their way, kept for a
single one (a system call less), dropped for many, since it woke the reader for each (32 callers halved).
Looking for the one answer on its way for up to 60 us before sleeping, kept for a caller alone: waking two processors was most
of a request's time (one caller then got 1.9 to 2.6 times libxenstore's reads, where it had been 0.92 to 1.24 from machine to machine);
dropped while other threads wait, whose answers then no longer gathered (4 callers on oxenstored lost half).
"""

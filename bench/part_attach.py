"""How long vbds take to attach, one and 255 of one guest at once, and what they cost while nothing happens."""
import re
import tempfile

from figures import BUILD, ROOT, RUNS, figure, output

COUNTS = [1, 255]
IDLE_SECONDS = 3


def run(count):
    with tempfile.TemporaryDirectory() as work:
        text = output(BUILD / "src/vbdkit", "hyperless", "run", "--", ROOT / "bench/attach", BUILD / "src/vbdkit",
                      BUILD / "tests/attach", str(count), str(IDLE_SECONDS), cwd=work).stdout
    latency, cpu = map(int, re.search(r"^attach (\d+) (\d+)", text, re.M).groups())
    idle, memory = map(int, re.search(r"^idle (\d+) (\d+)", text, re.M).groups())
    return latency / 1000, cpu / 1000, idle / IDLE_SECONDS / 1e6 * 100, memory


def measure():
    command = "make bench ONLY=attach"
    found = []
    for count in COUNTS:
        latencies, cpus, idles, memories = zip(*(run(count) for _ in range(RUNS)))
        found += [figure(f"attach.{count}", "ms", latencies, command),
                  figure(f"attach.{count}.daemon_cpu", "ms", cpus, command)]
    return found + [figure(f"idle.{COUNTS[-1]}", "% of a CPU", idles, command),
                    figure(f"idle.{COUNTS[-1]}.memory", "KiB a vbd", memories, command)]


def document(figures):
    rows = "\n".join(f"| {f['name']} | {f['value']:.4g} | {f['spread'][0]:.4g} .. {f['spread'][1]:.4g} | {f['unit']} |"
                     for f in figures)
    return f"""## Attaching, and doing nothing

On hyperless, with the real xenstored in C: from the moment at which a toolstack begins to make the first node to that at which the
last front is connected; the toolstack makes one vbd after another, and all are of one guest, whose fronts wait for them. `daemon_cpu`
is the processor time of `vbdkit serve` in between; the rest is xenstored's, the toolstack's and the guest's. `idle` is the daemon
with 255 connected vbds that nobody uses.

| figure | median | range | unit |
|---|---|---|---|
{rows}
"""

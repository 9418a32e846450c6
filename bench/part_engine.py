"""The engine alone: front and back take turns on one thread, null storage, no data."""
import re
import shutil

from figures import RUNS, ROOT, bars, figure, output

BATCHES = [1, 8, 32, 256]
USUAL = 32
DEPTHS = {1: 100000, USUAL: 2000000, 256: 5000000}  # and how many requests
KINDS = [("read", 11), ("write", 1), ("write", 11)]  # beside reads of one segment; segments of 4 KiB


def requests_per_second(name, requests, *how):
    command = ["build/bench/bench_engine", str(requests), *map(str, how)]
    speeds, calls = zip(*(map(float, output(*command).stdout.split()) for _ in range(RUNS)))
    found = [figure(f"engine.requests_per_s{name}", "1/s", speeds, " ".join(command))]
    if "events" in how:
        found.append(figure(f"engine.syscalls_per_request{name.removeprefix('.events')}", "1", calls, " ".join(command)))
    return found


def instructions_per_request(batch, kind="read", segments=1):
    """Instructions of the backend's passes and completions, counted and not timed, without those of the front, the
    copies and the storage: each toggle that is entered within another stops the count."""
    requests = 64000
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               *(f"--toggle-collect={f}" for f in ("vbd_queue_pass", "engine_done", "seam_*")),
               "build/bench/bench_engine", str(requests), str(batch), kind, str(segments)]
    found = re.search(r"Collected : (\d+)", output(*command).stderr)
    name = ("" if batch == USUAL else f".batch{batch}") + ("" if (kind, segments) == ("read", 1) else f".{kind}{segments}")
    return figure(f"engine.instructions_per_request{name}", "1", [int(found[1]) / requests], " ".join(command))


def measure():
    figures = requests_per_second("", 20000000, "polled")
    for depth, requests in DEPTHS.items():
        figures += requests_per_second(".events" if depth == USUAL else f".events.d{depth}", requests, "events", depth)
    for batch in BATCHES:
        figures += requests_per_second(f".batch{batch}", 5000000, batch)
    if shutil.which("valgrind"):
        figures += [instructions_per_request(b) for b in BATCHES]
        figures += [instructions_per_request(USUAL, *kind) for kind in KINDS]
    else:
        print("bench: valgrind is not installed: no instruction counts")
    return figures


def document(figures):
    speeds = [f for f in figures if f["name"].startswith("engine.requests_per_s")]
    bars([(f["name"].removeprefix("engine.requests_per_s").lstrip(".") or "polled", f["value"], f"{f['value'] / 1e6:.2f} M/s")
          for f in speeds], "requests through the engine; polled, events: two threads", ROOT / "docs/engine.svg")
    rows = "\n".join(f"| {f['name']} | {f['value']:.4g} | {f['spread'][0]:.4g} .. {f['spread'][1]:.4g} | {f['unit']} |"
                     for f in figures)
    return f"""## The engine alone

Front and back take turns on one thread, a batch at a time (`batch`), or have a thread each: they poll, with the ring full (no
suffix), or sleep and wake each other by an eventfd (`events`, 32 requests under way unless the name says another number). The
storage does nothing and no data is copied. What remains is what the engine costs: copying a request out, judging it, the rooms of
a pass, the response. The instruction counts are of the backend's passes and completions, without the front, the copies and the
storage, of batches of 32 and reads of one segment unless the name says another; the system calls are those by which the backend wakes
and sleeps, once it has nothing to do.

| figure | median | range | unit |
|---|---|---|---|
{rows}

![requests per second](engine.svg)
"""

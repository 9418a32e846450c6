"""The engine alone: front and back take turns on one thread, null storage, no data."""
import re
import shutil

from figures import RUNS, ROOT, bars, figure, output

BATCHES = [1, 8, 32, 256]


def requests_per_second(batch):
    command = ["build/bench/bench_engine", "5000000", str(batch)]
    values = [float(output(*command).stdout) for _ in range(RUNS)]
    return figure(f"engine.requests_per_s.batch{batch}", "1/s", values, " ".join(command))


def instructions_per_request(batch):
    """Instructions inside the backend's passes and completions, counted and not timed."""
    requests = 64000
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               "--toggle-collect=vbd_queue_pass", "--toggle-collect=done",
               "build/bench/bench_engine", str(requests), str(batch)]
    found = re.search(r"Collected : (\d+)", output(*command).stderr)
    return figure(f"engine.instructions_per_request.batch{batch}", "1", [int(found[1]) / requests],
                  " ".join(command))


def measure():
    figures = [requests_per_second(b) for b in BATCHES]
    if shutil.which("valgrind"):
        figures += [instructions_per_request(b) for b in BATCHES]
    else:
        print("bench: valgrind is not installed: no instruction counts")
    return figures


def document(figures):
    speeds = [f for f in figures if f["name"].startswith("engine.requests_per_s")]
    bars([(f["name"].rsplit(".")[-1], f["value"], f"{f['value'] / 1e6:.1f} M/s") for f in speeds],
         "requests through the engine, one thread", ROOT / "docs/engine.svg")
    rows = "\n".join(f"| {f['name']} | {f['value']:.4g} | {f['spread'][0]:.4g} .. {f['spread'][1]:.4g} | {f['unit']} |"
                     for f in figures)
    return f"""## The engine alone

Front and back take turns on one thread; the storage does nothing and no data is copied. What remains is what
the engine costs: copying a request out, judging it, the rooms of a pass, the response. The instruction counts are
of the backend's passes and completions.

| figure | median | range | unit |
|---|---|---|---|
{rows}

![requests per second](engine.svg)
"""

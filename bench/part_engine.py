"""The engine alone: front and back take turns on one thread, null storage, no data."""
import re
import shutil

from figures import RUNS, ROOT, bars, figure, output

BATCHES = [1, 8, 32, 256]
KINDS = [("read", 11), ("write", 1), ("write", 11)]  # beside reads of one segment; segments of 4 KiB


def requests_per_second(batch):
    command = ["build/bench/bench_engine", "5000000", str(batch)]
    values = [float(output(*command).stdout) for _ in range(RUNS)]
    name = "polled" if batch == "polled" else f"batch{batch}"
    return figure(f"engine.requests_per_s.{name}", "1/s", values, " ".join(command))


def instructions_per_request(batch, kind="read", segments=1):
    """Instructions of the backend's passes and completions, counted and not timed, without those of the front, the
    copies and the storage: each toggle that is entered within another stops the count."""
    requests = 64000
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               *(f"--toggle-collect={f}" for f in ("vbd_queue_pass", "engine_done", "seam_*")),
               "build/bench/bench_engine", str(requests), str(batch), kind, str(segments)]
    found = re.search(r"Collected : (\d+)", output(*command).stderr)
    name = f"batch{batch}" + ("" if (kind, segments) == ("read", 1) else f".{kind}{segments}")
    return figure(f"engine.instructions_per_request.{name}", "1", [int(found[1]) / requests], " ".join(command))


def measure():
    figures = [requests_per_second(b) for b in [*BATCHES, "polled"]]
    if shutil.which("valgrind"):
        figures += [instructions_per_request(b) for b in BATCHES]
        figures += [instructions_per_request(32, *kind) for kind in KINDS]
    else:
        print("bench: valgrind is not installed: no instruction counts")
    return figures


def document(figures):
    speeds = [f for f in figures if f["name"].startswith("engine.requests_per_s")]
    bars([(f["name"].rsplit(".")[-1], f["value"], f"{f['value'] / 1e6:.1f} M/s") for f in speeds],
         "requests through the engine, one thread; polled: two", ROOT / "docs/engine.svg")
    rows = "\n".join(f"| {f['name']} | {f['value']:.4g} | {f['spread'][0]:.4g} .. {f['spread'][1]:.4g} | {f['unit']} |"
                     for f in figures)
    return f"""## The engine alone

Front and back take turns on one thread, or each polls on its own; the storage does nothing and no data is copied. What
remains is what the engine costs: copying a request out, judging it, the rooms of a pass, the response. The instruction counts
are of the backend's passes and completions, without the front, the copies and the storage; requests are reads of one segment
unless the name says another.

| figure | median | range | unit |
|---|---|---|---|
{rows}

![requests per second](engine.svg)
"""

"""Without Xen: vbdkit and QEMU's qdisk loaded by our front, and fio on the same file, turn about in one run."""
import os
import pathlib
import shutil
import tempfile

import many
from figures import BUILD, ROOT, RUNS, bars, compared, figure, output

DEPTHS = [1, 32, 128]
LOADS = [f"{rw}4k.d{d}:{rw}:4096:{d}" for rw in ("randread", "randwrite") for d in DEPTHS] + [
    "seqread128k:read:131072:8", "seqwrite128k:write:131072:8"]
FEW = ["randread4k.d32:randread:4096:32", "seqread128k:read:131072:8"]  # where processors are what is looked at
ONE_CPU = ["taskset", "-c", "0"]
DISK_BYTES, TMPFS_BYTES = 2 << 30, 256 << 20
SECONDS = 1.5
PEERS = {"fio": "fio on the file", "qdisk": "QEMU qdisk", "one": "one vbd, one queue"}
COLUMNS = ["iops", "cpu_us", "p50_us", "p99_us", "p999_us"]
VBDKIT = BUILD / "src/vbdkit"


def fill(path, size):
    """Bytes that are on the disk: no holes, nothing that was allocated and not written."""
    print("bench: writing", path, flush=True)
    block = pathlib.Path("/dev/urandom").open("rb").read(1 << 20)
    with open(path, "wb") as f:
        for _ in range(size >> 20):
            f.write(block)
        f.flush()
        os.fsync(f.fileno())  # or it is written back while others are measured


def run(file, direct, loads, prefix):
    """The payload's figures: {(peer, load): [[iops, cpu, ...] of each round]}."""
    with tempfile.TemporaryDirectory() as work:
        text = output(*prefix, VBDKIT, "hyperless", "run", "--", ROOT / "bench/hyperless/run", VBDKIT, file, str(direct),
                      str(RUNS), str(SECONDS), *loads, cwd=work)
    values = {}
    for words in map(str.split, text.stdout.splitlines()):
        if words[:1] == ["figure"] and len(words) == 3 + len(COLUMNS):
            values.setdefault((words[1], words[2]), []).append([float(w) for w in words[3:]])
    return values


def figures_of(kind, loads, values, command):
    found = []
    for load in (spec.split(":")[0] for spec in loads):
        ours = values["vbdkit", load]
        for peer in ("fio", "qdisk"):
            theirs = values[peer, load]
            for column, name, unit in ((0, "", "1/s"), (1, ".cpu_us", "us"), (2, ".p50_us", "us")):
                pairs = [(a[column], b[column]) for a, b in zip(ours, theirs, strict=True)]
                if all(b > 0 for _, b in pairs):
                    found.append(compared(f"{kind}.{load}{name}", unit, pairs, peer, command))
        for column in (3, 4):
            found.append(figure(f"{kind}.{load}.{COLUMNS[column].removesuffix('_us')}_us", "us", [a[column] for a in ours], command))
    return found


def measure():
    command = "make bench ONLY=hyperless"
    work = BUILD / "bench/work"
    work.mkdir(parents=True, exist_ok=True)
    disk, memory = work / "disk.img", pathlib.Path("/dev/shm/vbdkit-bench.img")
    found = []

    def add(kind, file, direct, loads, prefix):
        found.extend(figures_of(kind, loads, run(file, direct, loads, prefix), command))

    try:
        fill(disk, DISK_BYTES)
        add("disk", disk, 1, LOADS, [])
        add("disk1cpu", disk, 1, FEW, ONE_CPU)
        found += many.figures_of("disk", many.run(disk), command)
        disk.unlink()
        fill(memory, TMPFS_BYTES)
        add("tmpfs1cpu", memory, 0, LOADS, ONE_CPU)
        add("tmpfs", memory, 0, FEW, [])
        found += many.figures_of("tmpfs", many.run(memory), command)
    finally:
        shutil.rmtree(work)
        memory.unlink(missing_ok=True)
    return found


def row(f):
    return (f"| {f['name']} | {PEERS[f['peer']]} | {f['value']:.4g} {f['unit']} | {f['peer_value']:.4g} | "
            f"**{f['ratio']:.2f}** | {f['ratio_spread'][0]:.2f} .. {f['ratio_spread'][1]:.2f} |")


def document(figures):
    beside = [f for f in figures if f["peer"]]
    bars([(f"{f['name']} / {f['peer']}", f["ratio"], f"{f['ratio']:.2f}x") for f in beside if f["unit"] == "1/s"],
         "operations a second, vbdkit over each peer", ROOT / "docs/hyperless.svg")
    rows = "\n".join(row(f) for f in beside)
    alone = "\n".join(f"| {f['name']} | {f['value']:.4g} | {f['spread'][0]:.4g} .. "
                      f"{f['spread'][1]:.4g} |" for f in figures if not f["peer"])
    return f"""## A front and a backend on hyperless

`vbdkit front bench` in a domain loads vbdkit and QEMU's qdisk in turn; fio reads and writes the same file without either, by
io_uring. `disk` is a file on the machine's disk, past the page cache (O_DIRECT) but for qdisk, whose Debian build can't: the cache
is emptied of the file before each of its turns. `tmpfs` is a file in memory. With `1cpu` everything, the front too, has one
processor. `cpu_us` is the backend's processor time for an operation, and fio's own (without the kernel's threads that do its work
on a file in memory). `vbds8` and `vbds64` are so many vbds at once, each with a front of its own, with 128 operations under way in
all; `queues2` and `queues4` one vbd with so many; both beside one vbd with one queue and 128. `least_share` is what the slowest of
them got, 1 being an even share.

| figure | peer | vbdkit | peer | ratio | range |
|---|---|---|---|---|---|
{rows}

| figure | median | range |
|---|---|---|
{alone}

![ratios](hyperless.svg)
"""

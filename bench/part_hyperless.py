"""Without Xen: vbdkit and QEMU's qdisk loaded by our front, and fio on the same file, turn about in one run."""
import os
import pathlib
import shutil
import tempfile

from figures import BUILD, ROOT, RUNS, bars, compared, figure, output

DEPTHS = [1, 32, 128]
LOADS = [f"{rw}4k.d{d}:{rw}:4096:{d}" for rw in ("randread", "randwrite") for d in DEPTHS] + [
    "seqread128k:read:131072:8", "seqwrite128k:write:131072:8"]
DISK_BYTES, TMPFS_BYTES = 2 << 30, 256 << 20
SECONDS = 1.5
PEERS = {"fio": "fio on the file", "qdisk": "QEMU qdisk"}
COLUMNS = ["iops", "cpu_us", "p50_us", "p99_us", "p99.9_us"]
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


def run(file, direct, prefix):
    """The payload's figures: {(peer, load): [[iops, cpu, ...] of each round]}."""
    with tempfile.TemporaryDirectory() as work:
        text = output(*prefix, VBDKIT, "hyperless", "run", "--", ROOT / "bench/hyperless/run", VBDKIT, file, str(direct),
                      str(RUNS), str(SECONDS), *LOADS, cwd=work)
    values = {}
    for words in map(str.split, text.stdout.splitlines()):
        if words[:1] == ["figure"] and len(words) == 3 + len(COLUMNS):
            values.setdefault((words[1], words[2]), []).append([float(w) for w in words[3:]])
    return values


def figures_of(kind, values, command):
    found = []
    for load in (spec.split(":")[0] for spec in LOADS):
        ours = values["vbdkit", load]
        for peer in PEERS:
            theirs = values[peer, load]
            for column, name, unit in ((0, "", "1/s"), (1, ".cpu_us", "us"), (2, ".p50_us", "us")):
                pairs = [(a[column], b[column]) for a, b in zip(ours, theirs)]
                if all(b > 0 for _, b in pairs):
                    found.append(compared(f"hyperless.{kind}.{load}{name}", unit, pairs, peer, command))
        for column in (3, 4):
            found.append(figure(f"hyperless.{kind}.{load}.{COLUMNS[column]}", "us", [a[column] for a in ours], command))
    return found


def measure():
    command = "make bench ONLY=hyperless"
    work = BUILD / "bench/work"
    work.mkdir(parents=True, exist_ok=True)
    disk, memory = work / "disk.img", pathlib.Path("/dev/shm/vbdkit-bench.img")
    try:
        fill(disk, DISK_BYTES)
        found = figures_of("disk", run(disk, 1, []), command)
        disk.unlink()
        fill(memory, TMPFS_BYTES)
        found += figures_of("tmpfs1cpu", run(memory, 0, ["taskset", "-c", "0"]), command)
    finally:
        shutil.rmtree(work)
        memory.unlink(missing_ok=True)
    return found


def row(f):
    name = f["name"].removeprefix("hyperless.")
    return (f"| {name} | {PEERS[f['peer']]} | {f['value']:.4g} {f['unit']} | {f['peer_value']:.4g} | "
            f"**{f['ratio']:.2f}** | {f['ratio_spread'][0]:.2f} .. {f['ratio_spread'][1]:.2f} |")


def document(figures):
    beside = [f for f in figures if f["peer"]]
    bars([(f"{f['name'].removeprefix('hyperless.')} / {f['peer']}", f["ratio"], f"{f['ratio']:.2f}x")
          for f in beside if f["unit"] == "1/s"], "operations a second, vbdkit over each peer", ROOT / "docs/hyperless.svg")
    rows = "\n".join(row(f) for f in beside)
    alone = "\n".join(f"| {f['name'].removeprefix('hyperless.')} | {f['value']:.4g} | {f['spread'][0]:.4g} .. "
                      f"{f['spread'][1]:.4g} |" for f in figures if not f["peer"])
    return f"""## A front and a backend on hyperless

`vbdkit front bench` in a domain loads vbdkit and QEMU's qdisk in turn; fio reads and writes the same file without either, by
io_uring. `disk` is a file on the machine's disk, past the page cache (O_DIRECT) but for qdisk, whose Debian build can't: the cache
is emptied of the file before each of its turns. `tmpfs1cpu` is a file in memory, and everything, the front too, has one processor.
`cpu_us` is the backend's processor time for an operation, and fio's own.

| figure | peer | vbdkit | peer | ratio | range |
|---|---|---|---|---|---|
{rows}

| figure | median | range |
|---|---|---|
{alone}

![ratios](hyperless.svg)
"""

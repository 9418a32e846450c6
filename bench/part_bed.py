"""Real Xen under emulation: a Linux guest's fio, and our front in a guest's user space, on vbdkit, xen-blkback and qdisk, turn
about in one boot."""
import pathlib
import shutil
import subprocess
import tempfile

from figures import BUILD, ROOT, RUNS, bars, compared

LOADS = ["randread4k.d1", "randread4k.d32", "seqread128k"]
LOADS += [f"front.{load}" for load in LOADS]
PEERS = {"blkback": "Linux xen-blkback", "qdisk": "QEMU qdisk", "persistent": "vbdkit with persistent grants"}
COMMAND = "make bench ONLY=bed"


def install(overlay):
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild"], check=True, capture_output=True,
                   env={"DESTDIR": str(overlay), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    for folder in ("include", "share", "lib"):
        shutil.rmtree(overlay / "usr/local" / folder, ignore_errors=True)


def payload(folder):
    for file in ("bench/bed/run", "tests/bed/lib.sh", "tests/bed/check.sh"):
        shutil.copy(ROOT / file, folder)
    (folder / "rounds").write_text(f"{RUNS}\n")


def boot():
    """The payload's lines, as lists of words."""
    subprocess.run([ROOT / "testbed/build", BUILD / "testbed"], check=True)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "overlay").mkdir()
        (work / "payload").mkdir()
        install(work / "overlay")
        payload(work / "payload")
        command = [ROOT / "testbed/run", "--cache", BUILD / "testbed", "--quiet", "--qdisk", "--timeout", "2400",
                   "--overlay", work / "overlay", work / "payload"]
        print("bench:", *command, flush=True)
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [line.split() for line in run.stdout.splitlines()]


def measure():
    values = {}
    for words in boot():
        if words[:1] == ["figure"] and len(words) == 4:
            values.setdefault((words[1], words[2]), []).append(float(words[3]))
    return [compared(f"bed.{load}", "1/s", list(zip(values["vbdkit", load], values[peer, load], strict=True)), peer, COMMAND)
            for load in LOADS for peer in PEERS]


def row(f):
    return (f"| {f['name']} | {PEERS[f['peer']]} | {f['value']:.4g} {f['unit']} | {f['peer_value']:.4g} | "
            f"**{f['ratio']:.2f}** | {f['ratio_spread'][0]:.2f} .. {f['ratio_spread'][1]:.2f} |")


def document(figures):
    bars([(f"{f['name'][4:]} / {f['peer']}", f["ratio"], f"{f['ratio']:.2f}x") for f in figures],
         "a guest's fio, and our front, on vbdkit over each peer", ROOT / "docs/bed.svg")
    rows = "\n".join(row(f) for f in figures)
    return f"""## A Linux guest on real Xen

Xen, dom0 and guest run under emulation, where a system call costs tens of microseconds, so these are figures of work done, not of
hardware: compare the backends with each other alone. One boot, ramdisks of dom0, in turns; the load is the guest's fio through its
kernel's xen-blkfront or, in the rows with `front`, `vbdkit front bench` in the guest's user space, without that kernel's block layer.

| figure | peer | vbdkit | peer | ratio | range |
|---|---|---|---|---|---|
{rows}

![ratios](bed.svg)

Pages that stay mapped (`persistent`) are an option of each disk: our front is faster with them, a guest's fio no slower; but they are
mapped one by one, at first use, which other guests wait for.
"""

"""Without Xen: several vbds at once, with as much under way in all as one has, and one vbd with several queues. Part of
part_hyperless.py."""
import tempfile

from figures import BUILD, ROOT, RUNS, compared, figure, output

ONE = "1:128:1"  # VBDS:DEPTH:QUEUES
CONFIGS = {"8:16:1": "vbds8", "64:2:1": "vbds64", "1:128:2": "queues2", "1:128:4": "queues4"}
SECONDS = 2
VBDKIT = BUILD / "src/vbdkit"


def run(file):
    """{config: [(operations a second, least share) of each round]}"""
    with tempfile.TemporaryDirectory() as work:
        text = output(VBDKIT, "hyperless", "run", "--", ROOT / "bench/hyperless/many", VBDKIT, file, str(RUNS),
                      str(SECONDS), ONE, *CONFIGS, cwd=work)
    values = {}
    for words in map(str.split, text.stdout.splitlines()):
        if words[:1] == ["many"] and len(words) == 4:
            values.setdefault(words[1], []).append((float(words[2]), float(words[3])))
    return values


def figures_of(kind, values, command):
    found = []
    for config, name in CONFIGS.items():
        pairs = [(ours[0], one[0]) for ours, one in zip(values[config], values[ONE], strict=True)]
        found.append(compared(f"{kind}.randread4k.{name}", "1/s", pairs, "one", command))
        if name.startswith("vbds"):
            found.append(figure(f"{kind}.randread4k.{name}.least_share", "1", [share for _, share in values[config]], command))
    return found

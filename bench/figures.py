"""What the parts of the benchmarks share: running commands, figures, and the medians behind them."""
import os
import pathlib
import platform
import re
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
RUNS = 5


def output(*command, **more):
    print("bench:", *command, flush=True)
    return subprocess.run(command, check=True, capture_output=True, text=True, **{"cwd": ROOT, **more})


def figure(name, unit, values, command, **more):
    """One figure: the median of its values, and their range."""
    return {"name": name, "value": statistics.median(values), "unit": unit, "peer": None, "ratio": None,
            "spread": [min(values), max(values)], "command": command, **more}


def compared(name, unit, pairs, peer, command, **more):
    """A figure beside a peer's, measured in turns: pairs of (ours, theirs). The ratio is the median of the pairs'."""
    ratios = [ours / theirs for ours, theirs in pairs]
    return figure(name, unit, [ours for ours, _ in pairs], command, **more) | {
        "peer": peer, "peer_value": statistics.median(theirs for _, theirs in pairs),
        "ratio": statistics.median(ratios), "ratio_spread": [min(ratios), max(ratios)]}


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    compiler = output("cc", "--version").stdout.splitlines()[0]
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, {compiler}"


def bars(rows, title, path):
    """Horizontal bars as SVG: rows of (label, value, text)."""
    top = max(value for _, value, _ in rows)
    drawn = []
    for i, (label, value, text) in enumerate(rows):
        width, y = value / top * 380, 30 + i * 26
        drawn.append(f'<rect x="200" y="{y}" width="{width:.0f}" height="18" fill="#4477aa"/>'
                     f'<text x="192" y="{y + 14}" text-anchor="end">{label}</text>'
                     f'<text x="{206 + width:.0f}" y="{y + 14}">{text}</text>')
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{44 + 26 * len(rows)}" '
                    f'font-family="sans-serif" font-size="13"><text x="200" y="18">{title}</text>'
                    + "".join(drawn) + "</svg>\n")

"""What a person sees: a live view in a terminal of at least 80 columns, else plain lines; then a table."""

import os
import shutil
import sys
import time

from events import times

COLORS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "gold": "33", "cyan": "36"}
UNICODE = {
    "held": "■",
    "wait": "·",
    "refused": "✗",
    "full": "━",
    "rest": "─",
    "ok": "✓",
    "times": "×",
    "busy": "…",
}
ASCII = {
    "held": "#",
    "wait": ".",
    "refused": "x",
    "full": "=",
    "rest": "-",
    "ok": "+",
    "times": "x",
    "busy": ".",
}


class Screen:
    def __init__(self, out=sys.stdout):
        self.out = out
        terminal = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        size = shutil.get_terminal_size()
        self.live = terminal and size.columns >= 80 and size.lines >= 20
        self.colored = terminal and not os.environ.get("NO_COLOR")
        self.glyph = UNICODE if "utf" in (out.encoding or "").lower() else ASCII
        self.drawn = 0
        self.said_second = -1

    def paint(self, text, *names):
        if not self.colored or not names:
            return text
        return f"\x1b[{';'.join(COLORS[name] for name in names)}m{text}\x1b[0m"

    def say(self, text=""):
        self.settle()
        print(text, file=self.out, flush=True)

    def settle(self):
        """What is drawn stays; the next lines come below it."""
        self.drawn = 0

    def step(self, text):
        """A step under way; `done` completes its line."""
        if self.live:
            self.out.write(f"  {self.paint(self.glyph['busy'], 'dim')} {text}")
            self.out.flush()

    def done(self, text):
        if self.live:
            self.out.write("\r\x1b[2K")
        self.say(f"  {self.paint(self.glyph['ok'], 'green')} {text}")

    def tell(self, text):
        """What has just happened; the live view shows it by itself."""
        if not self.live:
            self.say(f"    {text}")

    def draw(self, title, history, seconds, limit):
        """The state of a phase: redrawn in place, or one line a second."""
        elapsed = min(max(time.time() - history.begin, 0.0), seconds)
        if self.live:
            self.redraw(self.dashboard(title, history, elapsed, seconds, limit))
        elif int(elapsed) > self.said_second:
            self.said_second = int(elapsed)
            self.say(
                f"    {title}  {elapsed:3.0f} s: {len(history.spans):5} transactions, "
                f"{history.in_use():2} of {limit} connections in use, {len(history.refusals):5} refused"
            )

    def sum_up(self, title, history, good):
        """One line in the place of the live view."""
        if self.drawn:
            self.out.write(f"\x1b[{self.drawn}A\x1b[J")
        self.said_second = -1
        mark = self.paint(self.glyph["ok"], "green") if good else self.paint(self.glyph["refused"], "red")
        self.say(f"  {mark} {title}  {history.verdict()}")

    def dashboard(self, title, history, elapsed, seconds, limit):
        part = round(30 * elapsed / seconds)
        bar = self.paint(self.glyph["full"] * part, "cyan") + self.paint(
            self.glyph["rest"] * (30 - part), "dim"
        )
        legend = (
            f"{self.paint(self.glyph['held'], 'green')} connected  {self.glyph['wait']} waits  "
            f"{self.paint(self.glyph['refused'], 'red')} refused"
        )
        lines = ["", f"  {self.paint(title, 'bold')}  {bar} {elapsed:4.1f} s"]
        lines.append(f"    {self.paint(history.accident, 'gold')}" if history.accident else "")
        for service in range(1, history.services + 1):
            cells = " ".join(
                self.cell(history.now[service, worker]) for worker in range(1, history.workers + 1)
            )
            refused = history.refused[service]
            lines.append(
                f"    service {service}   {cells}  {history.committed[service]:5} done "
                f"{self.paint(f'{refused:5} refused', 'red' if refused else 'dim')}"
                f"  {self.nightly_cell(history, service)}"
            )
        used = history.in_use()
        gauge = self.paint(self.glyph["held"] * used, "green") + self.paint(
            self.glyph["wait"] * (limit - used), "dim"
        )
        refused = len(history.refusals)
        lines += [
            f"                {legend}",
            "",
            f"    connections {gauge} {used:2} of {limit}   "
            f"{len(history.spans) / max(elapsed, 0.1):4.0f} transactions/s   "
            f"{self.paint(f'{refused:,} refused', 'red' if refused else 'green')}",
            "",
        ]
        return lines

    def cell(self, state):
        if state.connected_since is not None:
            return self.paint(self.glyph["held"], "green")
        if state.refused_last:
            return self.paint(self.glyph["refused"], "red")
        return self.paint(self.glyph["wait"], "dim")

    def nightly_cell(self, history, service):
        runs = sum(span.service == service for span in history.nightly)
        if history.now[service, 0].connected_since is not None:
            return self.paint("nightly job running", "gold")
        return self.paint("nightly job done", "gold") if runs else ""

    def redraw(self, lines):
        text = f"\x1b[{self.drawn}A" if self.drawn else ""
        text += "".join(f"\r\x1b[2K{line}\n" for line in lines)
        self.out.write(text)
        self.out.flush()
        self.drawn = len(lines)

    def table(self, without, with_gate, limit):
        """The two phases side by side."""
        rows = [
            ("transactions committed", "transactions", "{:,}".format, None),
            ("connections refused", "refused", "{:,}".format, 0),
            ("transactions per second", "throughput_per_s", "{:.0f}".format, None),
            ("connections in use, at most", "peak_in_use", lambda used: f"{used} of {limit}", None),
            ("wait for a connection, p50", "wait_p50_ms", "{:,.0f} ms".format, None),
            ("wait for a connection, p99", "wait_p99_ms", "{:,.0f} ms".format, None),
            ("longest time without one done", "longest_pause_ms", "{:,.0f} ms".format, None),
            (
                "busiest / idlest worker",
                None,
                lambda figures: f"{figures['worker_most']} / {figures['worker_least']}",
                None,
            ),
            ("nightly job ran", "nightly_runs", times, 1),
        ]
        rule = self.paint("  " + self.glyph["rest"] * 64, "dim")
        self.say(f"  {'':30}" + self.paint(f"{'without':>15}{'with holdfast':>18}", "bold"))
        self.say(rule)
        for label, key, show, wanted in rows:
            cells = []
            for figures, width in ((without, 15), (with_gate, 18)):
                value = figures[key] if key else figures
                text = f"{show(value):>{width}}"
                cells.append(
                    text if wanted is None else self.paint(text, "green" if value == wanted else "red")
                )
            self.say(f"  {label:<30}{cells[0]}{cells[1]}")
        self.say(rule)

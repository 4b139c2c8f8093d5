"""The timeline picture: who held a connection when, without and with the gate. One SVG, light and dark."""

from html import escape

WIDTH, LEFT, RIGHT = 1240, 104, 24
ROW, BAR = 9, 7  # height of a worker's row, and of the bar in it
SERVICE_GAP = 9
USE_HEIGHT = 44

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "soft": "#667080",
    "row": "#eef1f4",
    "grid": "#d5dae0",
    "held": "#2a7fb8",
    "refused": "#d62839",
    "night": "#d69a00",
    "good": "#1a7f37",
}
DARK = {
    "paper": "#10151c",
    "ink": "#e8edf3",
    "soft": "#93a0b0",
    "row": "#1d2530",
    "grid": "#323c49",
    "held": "#4fb0ea",
    "refused": "#ff5d64",
    "night": "#f2c037",
    "good": "#4cc267",
}
SHAPES = """
text { font: 13px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; }
.title { font-size: 24px; font-weight: 700; } .head { font-size: 17px; font-weight: 700; }
.small { font-size: 11.5px; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.refused { stroke-width: 1.5; fill: none; } .grid { fill: none; }
.limit, .accident { stroke-dasharray: 5 4; opacity: .7; fill: none; } .use { opacity: .55; }
"""


def colors(palette):
    """No CSS variables: many viewers of pictures do not know them."""
    rules = {
        "text": "ink",
        ".soft": "soft",
        ".paper": "paper",
        ".row": "row",
        ".held, .use": "held",
        ".night": "night",
        ".bad": "refused",
        ".good": "good",
    }
    strokes = {".refused": "refused", ".grid": "grid", ".limit, .accident": "ink"}
    return "".join(
        [
            *(f"{what} {{ fill: {palette[name]}; }} " for what, name in rules.items()),
            *(f"{what} {{ stroke: {palette[name]}; }} " for what, name in strokes.items()),
        ]
    )


STYLE = f"{SHAPES}{colors(LIGHT)}\n@media (prefers-color-scheme: dark) {{ {colors(DARK)}}}\n"


def panel_height(history):
    return 44 + history.services * ((history.workers + 1) * ROW + SERVICE_GAP) + 14 + USE_HEIGHT + 30


def write(path, subtitle, phases, limit):
    """`phases`: (heading, verdict, is it good, history). Both panels get the same scale."""
    seconds = max(history.end - history.begin for *_, history in phases)
    height = 112 + sum(panel_height(history) for *_, history in phases) + 10
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="Who held a connection, and when">',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        '<text class="title" x="24" y="40">Who held a database connection, and when</text>',
        f'<text class="soft" x="24" y="63">{escape(subtitle)}</text>',
        *legend(24, 92),
    ]
    top = 112
    for heading, verdict, good, history in phases:
        out += panel(top, heading, verdict, good, history, limit, seconds)
        top += panel_height(history)
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


def legend(x, y):
    return [
        f'<rect class="held" x="{x}" y="{y - 9}" width="26" height="{BAR + 3}"/>',
        f'<text class="small" x="{x + 33}" y="{y}">holds a connection (one transaction)</text>',
        f'<rect class="row" x="{x + 272}" y="{y - 9}" width="26" height="{BAR + 3}"/>',
        f'<text class="small" x="{x + 305}" y="{y}">waits</text>',
        f'<path class="refused" d="M{x + 368} {y - 10}v11m5 -11v11m5 -11v11"/>',
        f'<text class="small" x="{x + 386}" y="{y}">refused by the server</text>',
        f'<rect class="night" x="{x + 536}" y="{y - 9}" width="26" height="{BAR + 3}"/>',
        f'<text class="small" x="{x + 569}" y="{y}">nightly job</text>',
    ]


def panel(top, heading, verdict, good, history, limit, seconds):
    scale = (WIDTH - LEFT - RIGHT) / seconds

    def at(instant):
        return LEFT + min(max(instant - history.begin, 0.0), seconds) * scale

    out = [
        f'<text class="head" x="24" y="{top + 24}">{escape(heading)}'
        f'<tspan class="{"good" if good else "bad"}" dx="14">{escape(verdict)}</tspan></text>'
    ]
    rows_top = top + 44
    rows_bottom = rows_top + history.services * ((history.workers + 1) * ROW + SERVICE_GAP)
    use_bottom = rows_bottom + 6 + USE_HEIGHT

    rows = {}
    for service in range(1, history.services + 1):
        begin = rows_top + (service - 1) * ((history.workers + 1) * ROW + SERVICE_GAP)
        out.append(
            f'<text class="small end" x="{LEFT - 10}" y="{begin + (history.workers + 1) * ROW / 2 + 4}">'
            f"service {service}</text>"
        )
        for place, worker in enumerate([*range(1, history.workers + 1), 0]):
            rows[service, worker] = begin + place * ROW
            if worker:
                out.append(
                    f'<rect class="row" x="{LEFT}" y="{rows[service, worker]}" '
                    f'width="{WIDTH - LEFT - RIGHT}" height="{BAR}"/>'
                )

    out.append(f'<path class="grid" d="{grid(at, history.begin, seconds, rows_top - 4, use_bottom)}"/>')
    out += [
        f'<text class="small soft middle" x="{at(history.begin + second):.1f}" y="{use_bottom + 17}">'
        f"{second} s</text>"
        for second in range(int(seconds) + 1)
    ]

    refusals = "".join(
        f"M{at(instant):.1f} {rows[service, worker]}v{BAR}" for instant, service, worker in history.refusals
    )
    out.append(f'<path class="refused" d="{refusals or "M0 0"}"/>')
    for kind, spans in (("held", history.spans), ("night", history.nightly)):
        for span in spans:
            width = max(at(span.end) - at(span.begin), 0.8)
            who = f"worker {span.worker}" if span.worker else "nightly job"
            token = f", token {span.token}" if span.token else ""
            out.append(
                f'<rect class="{kind}" x="{at(span.begin):.1f}" y="{rows[span.service, span.worker]}" '
                f'width="{width:.1f}" height="{BAR}"><title>service {span.service}, {who}: '
                f"{1000 * (span.end - span.begin):.0f} ms{token}</title></rect>"
            )

    if history.accident:
        x = at(history.accident_at)
        out += [
            f'<path class="accident" d="M{x:.1f} {rows_top - 16}V{use_bottom}"/>',
            f'<text class="small" x="{x + 6:.1f}" y="{rows_top - 8}">{escape(history.accident)}</text>',
        ]

    height = USE_HEIGHT / (limit * 1.25)
    steps, used = [f"M{LEFT} {use_bottom}"], 0
    for instant, used in history.use_over_time():
        steps.append(f"H{at(instant):.1f}V{use_bottom - used * height:.1f}")
    out += [
        f'<path class="use" d="{"".join(steps)}V{use_bottom}Z"/>',
        f'<path class="limit" d="M{LEFT} {use_bottom - limit * height:.1f}H{WIDTH - RIGHT}"/>',
        f'<text class="small end" x="{LEFT - 10}" y="{use_bottom - USE_HEIGHT / 2 + 8}">'
        f"in use, of {limit}</text>",
    ]
    return out


def grid(at, begin, seconds, top, bottom):
    return "".join(f"M{at(begin + second):.1f} {top}V{bottom}" for second in range(int(seconds) + 1))

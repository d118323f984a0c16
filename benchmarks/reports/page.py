"""One page of all kept reports: HTML that stands alone, with its style and its plots inside; and Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks.report import Table, cell, markdown
from benchmarks.reports import plots
from benchmarks.reports.axes import microseconds
from benchmarks.reports.blocks import BUSY_NOTE, all_tables, is_busy, where
from benchmarks.reports.musts import Reports, in_a_sentence, musts_table

TITLE = "leadlift: how fast, how big, how faithful"
STYLE = Path(__file__).with_name("page.css")
_NUMBER = re.compile(r"-?[\d,.]+(e-?\d+)?( %)?|1/[\d,.]+|-|")
PLOTS = (
    (
        "How long a hop takes",
        plots.ecdf,
        "The share of hops that are done within a time. The scale is stretched towards 100 %: a live stream"
        " hangs on its slowest hops. A curve ends where its samples tell no further.",
    ),
    (
        "Where the time goes",
        plots.stages,
        "Each stage of a push run alone, in turn with the whole; below, the live path in the runtime's own"
        " clock. Each bar fills the width: lengths compare within a bar.",
    ),
    (
        "Latency against fidelity",
        plots.fidelity,
        "Mean correlation on fold 10 of PTB-XL with its 95 % interval over patients, II, V1, V5 measured,"
        " against the CPU time of one inference on one thread. The networks on the right see ten seconds at"
        " once, ahead and behind, and answer when they are over.",
    ),
    (
        "What a patient costs as patients grow",
        plots.patients,
        "CPU time of a hop, divided by the patients of one MultiReconstructor.",
    ),
    (
        "Ring buffers side by side",
        plots.ring,
        "Three channels. MNE-LSL is filled through LSL alone, so its push is outlet, network and inlet."
        " BrainFlow's buffer takes nothing from outside: a board that plays a file fills it, and a read takes"
        " all rows.",
    ),
)


def html(reports: Reports) -> str:
    """The page. It asks nothing of any server."""
    body = [f"<h1>{escape(TITLE)}</h1>"]
    body += [f'<p class="soft">{escape(where(report))}</p>' for report in _first(reports)]
    if is_busy(reports):
        body.append(f'<p class="busy">{escape(BUSY_NOTE)}</p>')
    body.append("<h2>What must be reached</h2>")
    body.append(
        "<p>Both sides of a ratio were timed in turn, in one run, on one thread; smaller is better.</p>"
    )
    body.append(f"<p><strong>{escape(in_a_sentence(reports))}</strong></p>")
    body.append(_table(musts_table(reports)))
    for title, draw, caption in PLOTS:
        drawn = draw(reports)
        if drawn:
            caption = f"<figcaption>{escape(caption)}</figcaption>"
            body.append(f"<h2>{escape(title)}</h2><figure>{drawn}{caption}</figure>")
            if draw is plots.fidelity:
                body.append(_table(methods_table(reports)))
    for name, made in all_tables(reports).items():
        body.append(f"<h2>python -m benchmarks {escape(name)}</h2>")
        body.append(f'<p class="soft">{escape(where(reports[name]))}</p>')
        for table in made:
            body.append(f"<h3>{escape(table.title)}</h3>{_table(table)}")
        about = {key: reports[name][key] for key in ("environment", "arguments")}
        said = escape(json.dumps(about))
        body.append(f"<details><summary>Where and how</summary><pre>{said}</pre></details>")
    style = STYLE.read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(TITLE)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def methods_table(reports: Reports) -> Table:
    """What the plot of latency against fidelity shows."""
    table = Table("Latency against fidelity", ("method", "CPU time", "mean r", "95 % interval"))
    for name, us, r in plots.methods(reports):
        ends = " to ".join(f"{end:.3f}" for end in r["mean_95"])
        table.add(name, microseconds(float(f"{us:.3g}")), f"{r['mean']:.3f}", ends)
    return table


def _first(reports: Reports) -> Iterator[dict[str, object]]:
    if "latency" in reports:
        yield dict(reports["latency"])


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(str(column))}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    note = f'<p class="soft">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>{note}'


def _cell(value: object) -> str:
    text = cell(value)
    kind = "number" if _NUMBER.fullmatch(text) else ""
    if text.startswith(("met", "missed")):
        kind = text.split(",")[0]
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def text(reports: Reports) -> str:
    """The same in Markdown, without the plots."""
    lines = [f"# {TITLE}", ""]
    lines += [
        "Made by `python -m benchmarks report`; the [page with plots](report.html) stands alone.",
        "",
    ]
    lines += [line for report in _first(reports) for line in (where(report), "")]
    if is_busy(reports):
        lines += [BUSY_NOTE, ""]
    must = musts_table(reports)
    lines += [f"## {must.title}", "", f"**{in_a_sentence(reports)}**", "", *markdown(must), ""]
    behind = methods_table(reports)
    if behind.rows:
        lines += [f"## {behind.title}", "", *markdown(behind), ""]
    for name, made in all_tables(reports).items():
        lines += [f"## python -m benchmarks {name}", "", where(reports[name]), ""]
        for table in made:
            lines += [f"**{table.title}**", "", *markdown(table), ""]
    return "\n".join(lines)

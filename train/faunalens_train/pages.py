"""A report as a list of blocks, written as Markdown and as one HTML page from the same list."""

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px; margin: .5rem 0 1rem; display: block;
  overflow-x: auto }
th, td { border: 1px solid #ccc; padding: .2rem .5rem; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th { background: #f2f2f2; position: sticky; top: 0 }
img { max-width: 100% }
code { background: #f2f2f2; padding: 0 .2rem }
"""


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the page's."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph, without markup."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    points: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Cells of text, the first column naming the line."""

    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A plot: the PNG file beside the Markdown, inside the HTML."""

    file: str
    png: bytes
    caption: str


Block = Heading | Text | Points | Table | Figure


def table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> Table:
    """A table of anything; None becomes an empty cell."""
    return Table(
        tuple(head),
        tuple(tuple("" if cell is None else str(cell) for cell in line) for line in lines),
    )


def markdown(blocks: Iterable[Block]) -> str:
    """All blocks as Markdown (GitHub's tables)."""
    return "\n\n".join(filter(None, map(_markdown, blocks))) + "\n"


def page(blocks: Sequence[Block]) -> str:
    """All blocks as one HTML page that needs nothing from elsewhere."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Report")
    body = "\n".join(map(_html, blocks))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def figures(blocks: Iterable[Block]) -> dict[str, bytes]:
    """File name to PNG of every figure."""
    return {block.file: block.png for block in blocks if isinstance(block, Figure)}


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Points(points):
            return "\n".join(f"- {point}" for point in points)
        case Table(head, lines):
            rows = [head, tuple("---" for _ in head), *(map(_escaped, line) for line in lines)]
            return "\n".join(f"| {' | '.join(row)} |" for row in rows) if lines else ""
        case Figure(file, _, caption):
            return f"![{caption}]({file})"


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(text):
            return f"<p>{html.escape(text)}</p>"
        case Points(points):
            return "<ul>" + "".join(f"<li>{html.escape(p)}</li>" for p in points) + "</ul>"
        case Table(head, lines):
            top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
            body = "".join(
                "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
                for line in lines
            )
            return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
        case Figure(_, png, caption):
            data = base64.b64encode(png).decode()
            text = html.escape(caption, quote=True)
            return f'<p><img alt="{text}" src="data:image/png;base64,{data}"><br>{text}</p>'


def _escaped(cell: str) -> str:
    for sign in "\\|`*<>[]":
        cell = cell.replace(sign, f"\\{sign}")
    return " ".join(cell.split())

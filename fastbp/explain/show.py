"""An explanation as text, as Markdown and as HTML."""

from __future__ import annotations

import html as escaping
import textwrap

from fastbp.explain.document import Document, Step

WIDTH = 100  # columns of text
STYLE = "text-align: left; white-space: pre-wrap"  # matrices are aligned with spaces
HEAD = ("", "factor", "equation", "shape", "value", "product so far")


def text(document: Document) -> str:
    """At most 100 columns."""
    lines = [*_wrapped(document.title), *_wrapped(document.network), ""]
    lines += [*_wrapped(document.chain, 4), *_wrapped(f'"{document.sentence}"')]
    if document.note:
        lines += ["", *_wrapped(f"Note: {document.note}.")]
    said = ""
    for step in document.steps:
        if step.sentence != said or step.equation == "E6":
            lines += ["", step.sentence]
        said = step.sentence
        lines += _step(step)
    lines += ["", "arrived"]
    wide = max(len(what) for what, _ in document.arrival)
    lines += [f"  {what:<{wide}}  {value}" for what, value in document.arrival]
    if document.numbers:
        lines += ["", document.matrix]
        lines += [*_grid(document.letters), "  =", *_grid(document.numbers)]
    return "\n".join(line.rstrip() for line in lines)


def markdown(document: Document) -> str:
    """Headings, a table of the factors, and what has arrived."""
    parts = [
        f"### {_md(_one_line(document.title))}",
        f"**{_md(document.sentence)}**",
        _md(document.chain),
    ]
    if document.note:
        parts.append(f"Note: {_md(document.note)}.")
    parts.append(_md_table([HEAD, *(_cells(step) for step in document.steps)]))
    parts.append(_md_table([("arrived", ""), *document.arrival]))
    if document.numbers:
        parts += [_md(document.matrix), _md_table(_pairs(document), head=False)]
    parts.append(f"`{_one_line(document.network).replace('`', chr(39))}`")
    return "\n\n".join(parts) + "\n"


def html(document: Document) -> str:
    """For notebooks: the same tables."""
    parts = [f"<h4>{_h(document.title)}</h4>", f"<p><em>{_h(document.sentence)}</em></p>"]
    parts.append(f"<p>{_h(document.chain)}</p>")
    if document.note:
        parts.append(f"<p>Note: {_h(document.note)}.</p>")
    parts.append(_html_table([HEAD, *(_cells(step) for step in document.steps)]))
    parts.append(_html_table([("arrived", ""), *document.arrival]))
    if document.numbers:
        parts += [f"<p>{_h(document.matrix)}</p>", _html_table(_pairs(document), head=False)]
    parts.append(f"<p><code>{_h(document.network)}</code></p>")
    return "\n".join(parts)


def _step(step: Step) -> list[str]:
    right = f"{step.equation}, {step.shape}"
    lines = _line(f"  {step.number:>2}  {step.name} = {step.letters}", right)
    lines += _below(step.numbers, "      ")
    lines += _values(step.value, "      ")
    if step.product:
        lines += _line(
            f"      so far {step.product} = {step.product_letters}", step.product_equation
        )
        lines += _below(step.product_numbers, "        ")
        lines += _values(step.product_value, "        ")
    return lines


def _line(left: str, right: str) -> list[str]:
    """Something on the left, and where it comes from on the right."""
    room = WIDTH - 18
    first, *rest = textwrap.wrap(left, room, subsequent_indent=" " * 10) or [""]
    if len(first) + 1 + len(right) > WIDTH:
        return [first, *rest, *(line.rjust(WIDTH) for line in textwrap.wrap(right, WIDTH))]
    return [first + right.rjust(WIDTH - len(first)), *rest]


def _below(line: str, indent: str) -> list[str]:
    line = line if line.startswith("[") or not line else f"= {line}"
    return textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")


def _values(lines: list[str], indent: str) -> list[str]:
    shown = []
    for i, line in enumerate(lines):
        head = f"{indent}{'=' if i == 0 else ' '} "
        if len(head) + len(line) <= WIDTH:  # a matrix's rows are aligned: wrapping would undo it
            shown.append(head + line)
        else:
            shown += textwrap.wrap(
                line, WIDTH, initial_indent=head, subsequent_indent=indent + "    "
            )
    return shown


def _wrapped(line: str, indent: int = 0) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * indent)


def _grid(rows: list[list[str]]) -> list[str]:
    wide = max(len(cell) for row in rows for cell in row)
    room = wide + any("*" in cell for row in rows for cell in row)
    return [f"  [{'  '.join(_starred(cell, room) for cell in row)}]" for row in rows]


def _starred(cell: str, room: int) -> str:
    """To the right, with a star or the room of one behind."""
    return cell.rjust(room) if cell.endswith("*") else f"{cell} ".rjust(room)


def _cells(step: Step) -> tuple[str, ...]:
    """One row of a table; lines of a cell are divided by newlines."""
    formula = "\n".join(filter(None, [f"{step.name} = {step.letters}", step.numbers]))
    product = "\n".join(step.product_value)
    if step.product:
        head = f"{step.product} = {step.product_letters} ({step.product_equation})"
        product = "\n".join(filter(None, [head, step.product_numbers, product]))
    return step.sentence, formula, step.equation, step.shape, "\n".join(step.value), product


def _pairs(document: Document) -> list[tuple[str, ...]]:
    """∇_W ℒ: each entry in letters over its number."""
    rows = zip(document.letters, document.numbers, strict=True)
    return [tuple(f"{a} =\n{b}" for a, b in zip(*row, strict=True)) for row in rows]


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def _md(line: str) -> str:
    for character in "\\`*_[]<>|&$":
        line = line.replace(character, "\\" + character)
    return line


def _md_table(rows: list[tuple[str, ...]], head: bool = True) -> str:
    if not head:
        rows = [("",) * len(rows[0]), *rows]
    shown = [[_md(cell).replace("\n", "<br>") for cell in row] for row in rows]
    ruler = ["---"] * len(rows[0])
    return "\n".join(f"| {' | '.join(row)} |" for row in [shown[0], ruler, *shown[1:]])


def _h(line: str) -> str:
    return escaping.escape(line).replace("\n", "<br>")


def _html_table(rows: list[tuple[str, ...]], head: bool = True) -> str:
    lines = ["<table>"]
    for i, row in enumerate(rows):
        tag = "th" if head and i == 0 else "td"
        cells = "".join(f'<{tag} style="{STYLE}">{_h(cell)}</{tag}>' for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</table>"])

# SPDX-License-Identifier: Apache-2.0
"""Rows of results as compact tables: which parameter becomes the columns.

Rows of one unit and one set of parameter names make a cube whose axes are the row's name and its
parameters.  Where it is full enough it is one table.  A cube with holes, such as one parameter after
the other varied about a usual point, is covered by tables of slices that are full enough: the
slice with the most rows not shown yet first.
"""
import collections
import itertools
import statistics

FULL = 0.6  # of the cells of a table
MAX_COLUMNS = 8
MANY = 20  # rows of a name
NAME = ""  # the axis of the row's name

Table = collections.namedtuple("Table", "rows fixed row_axes column_axis")


def value_of(row, axis):
    return row["name"] if axis == NAME else row["params"][axis]


def distinct(rows, axis):
    """The values of an axis: numbers ascending, everything else as measured."""
    values = list(dict.fromkeys(map(hashable, (value_of(row, axis) for row in rows))))
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        values.sort()
    return values


def hashable(value):
    return tuple(value) if isinstance(value, list) else value


def groups(rows):
    """Rows that can stand in one table: one unit, one set of parameters, and one name if
    there are many of that name."""
    names = collections.Counter(row["name"] for row in rows)
    out = collections.OrderedDict()
    for row in rows:
        name = row["name"] if names[row["name"]] >= MANY else None
        out.setdefault((name, row["unit"], frozenset(row["params"])), []).append(row)
    return list(out.values())


def axes(rows):
    """(axis: values) of what varies; the name's first."""
    names = [NAME, *rows[0]["params"]]
    found = {axis: distinct(rows, axis) for axis in names}
    return {axis: values for axis, values in found.items() if len(values) > 1}


def is_number_axis(values):
    return all(isinstance(v, (int, float)) for v in values)


def fill(rows, varying, axis):
    """The share of cells that are not empty with this axis as columns."""
    lines = {tuple(hashable(value_of(r, a)) for a in varying if a != axis) for r in rows}
    return len(rows) / (len(varying[axis]) * len(lines))


def column_axis(rows, varying):
    """The one that is filled best; numbers before names, later before earlier; None: a list."""
    def score(axis):
        return round(fill(rows, varying, axis), 1), is_number_axis(varying[axis]), \
            list(varying).index(axis)

    fits = [a for a, values in varying.items() if a != NAME and len(values) <= MAX_COLUMNS]
    return max(fits, key=score, default=None)


def table(rows):
    varying = axes(rows)
    fixed = {a: v for a, v in rows[0]["params"].items() if a not in varying}
    column = column_axis(rows, varying)
    return Table(rows, fixed, [a for a in varying if a != column], column)


def is_full(rows):
    varying = axes(rows)
    column = column_axis(rows, varying)
    return column is not None and fill(rows, varying, column) >= FULL


def slices(rows, varying):
    """Every way to keep some axes at a value: sets of row numbers, the largest slices first."""
    last_first = list(varying)[::-1]
    for count in range(len(varying)):
        for kept in itertools.combinations(last_first, count):
            found = collections.OrderedDict()
            for number_, row in enumerate(rows):
                at = tuple(hashable(value_of(row, axis)) for axis in kept)
                found.setdefault(at, []).append(number_)
            yield from found.values()


def cover(rows):
    """Tables in which every row is."""
    full = [set(part) for part in slices(rows, axes(rows))
            if len(part) > 1 and is_full([rows[n] for n in part])]
    left = set(range(len(rows)))
    while left:
        best = max(full, key=lambda part: len(part & left), default=set())
        if not best & left:
            yield table([rows[n] for n in sorted(left)])
            return
        yield table([rows[n] for n in sorted(best)])
        left -= best


def plan(rows):
    """Every row in at least one Table."""
    return [tab for group in groups(rows) for tab in cover(group)]


def number(value):
    """Three significant digits, four of what has that many before the point; no exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = 2 - int(f"{value:.2e}".split("e")[1])
    if digits < 0:
        return f"{round(value, min(digits + 1, 0)):,.0f}".replace(",", " ")
    return f"{value:.{digits}f}"


def cell(row):
    """median (min-max), and the ratio to the reference."""
    text = f"{number(row['median'])} ({number(row['min'])}-{number(row['max'])})"
    if "ratio" in row:
        text += f" **{number(row['ratio']['median'])}x**"
    return text + (" †" if row.get("too_few") else "")


def extras(rows):
    """The names of what programs measured besides the value."""
    names = {}
    for row in rows:
        for extra in row["extra"]:
            names.update({k: 1 for k, v in extra.items() if is_figure(v)})
    return list(names)


def is_figure(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def extra_cell(name):
    def show(row):
        values = [e[name] for e in row["extra"] if is_figure(e.get(name))]
        return number(statistics.median(values)) if values else "-"
    return show


def markdown(lines):
    """A header and rows of cells."""
    def line(cells):
        return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"
    return [line(lines[0]), "|" + "---|" * len(lines[0]), *map(line, lines[1:])]


def show_value(value):
    if isinstance(value, float):
        return number(value)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def label(axis, value, part):
    return value.removeprefix(f"{part}.") if axis == NAME else show_value(value)


def lines_of(tab):
    """{values of the row axes: {value of the column axis: row}}."""
    lines = collections.OrderedDict()
    for row in tab.rows:
        at = tuple(hashable(value_of(row, axis)) for axis in tab.row_axes)
        column = None if tab.column_axis is None else hashable(value_of(row, tab.column_axis))
        lines.setdefault(at, {})[column] = row
    return lines


def left_cells(tab, at, part):
    """What says which line it is; the row's name if nothing else does."""
    cells = [label(a, v, part) for a, v in zip(tab.row_axes, at)]
    return cells or [label(NAME, tab.rows[0]["name"], part)]


def left_heads(tab):
    return [axis or "what" for axis in tab.row_axes] or ["what"]


def pivot(tab, show, part):
    """The lines of a Table, a cell each by show(row)."""
    if tab.column_axis is None:
        columns, heads = [None], [tab.rows[0]["unit"]]
    else:
        columns = distinct(tab.rows, tab.column_axis)
        heads = [f"{tab.column_axis} {show_value(v)}" for v in columns]
    body = [left_cells(tab, at, part) + [show(by[c]) if c in by else "" for c in columns]
            for at, by in lines_of(tab).items()]
    return markdown([left_heads(tab) + heads, *body])


def is_flat(tab, name):
    """Is an extra the same in all columns?"""
    show = extra_cell(name)
    return tab.column_axis is None or \
        all(len(set(map(show, by.values()))) == 1 for by in lines_of(tab).values())


def extras_table(tab, names, part):
    """Several extras as columns; lines without any are left out."""
    body = []
    for at, by in lines_of(tab).items():
        cells = [extra_cell(name)(next(iter(by.values()))) for name in names]
        if any(cell != "-" for cell in cells):
            body.append(left_cells(tab, at, part) + cells)
    return markdown([left_heads(tab) + names, *body])

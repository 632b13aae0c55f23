"""Bracket expressions of gitignore patterns, such as `[a-z]` and `[![:digit:]]`, as git reads them.

pathspec knows neither classes of characters nor escapes within the brackets.
"""

import re

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": r"\x21-\x7e", "lower": "a-z", "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e", "space": r" \t-\r", "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_FIRST, _LAST = 0xE000, 0xF8FF  # characters of private use, which stand for expressions
STAND_IN = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")


def take_out(pattern: str) -> tuple[str, list[str]]:
    """A pattern with a stand-in for each bracket expression, and these as regular expressions.

    Source: git's `wildmatch.c`; a `/` is never matched by an expression.

    Raises:
        ValueError: an expression is not closed, or names an unknown class: git matches nothing.
    """
    pieces: list[str] = []
    expressions: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "\\":
            character = pattern[position - 1 : position + 1]
            position += 1
        elif character == "[" or STAND_IN.match(character):
            found = (re.escape(character), position)
            expression, position = _expression(pattern, position) if character == "[" else found
            character = chr(_FIRST + len(expressions))
            expressions.append(expression)
        pieces.append(character)
    if len(expressions) > _LAST - _FIRST:
        raise ValueError("too many bracket expressions")
    return "".join(pieces), expressions


def put_back(regex: str, expressions: list[str]) -> str:
    """A regular expression with the bracket expressions in the place of their stand-ins."""
    return STAND_IN.sub(lambda found: expressions[ord(found[0]) - _FIRST], regex)


def _expression(pattern: str, position: int) -> tuple[str, int]:
    """The expression that begins after a `[`, and the position after it."""
    negation = "^" if pattern[position : position + 1] in ("!", "^") else ""
    position = start = position + len(negation)
    parts: list[str] = []
    while pattern[position : position + 1] != "]" or position == start:
        part, position = _part(pattern, position)
        if pattern[position : position + 1] == "-" and len(part) == 1:
            end = pattern[position + 1 : position + 2]
            if end and end != "]":
                last, position = _literal(pattern, position + 1)
                parts.append(f"{re.escape(part)}-{re.escape(last)}" if part <= last else "")
        parts.append(re.escape(part) if len(part) == 1 else part)
    return f"(?!/)[{negation}{''.join(parts)}]", position + 1


def _part(pattern: str, position: int) -> tuple[str, int]:
    """A character or the ranges of a class, and the position after it."""
    if pattern.startswith("[:", position):
        end = pattern.find("]", position + 2)
        if end < 0:
            raise ValueError("unclosed bracket expression")
        if end > position + 2 and pattern[end - 1] == ":":
            name = pattern[position + 2 : end - 1]
            if name not in _CLASSES:
                raise ValueError(f"unknown class: {name}")
            return _CLASSES[name], end + 1
    return _literal(pattern, position)


def _literal(pattern: str, position: int) -> tuple[str, int]:
    position += pattern[position : position + 1] == "\\"
    if position >= len(pattern):
        raise ValueError("unclosed bracket expression")
    return pattern[position], position + 1

"""Text with ``{fields}``, read backwards by the library ``parse``: the only place that names it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True, slots=True)
class Braces:
    """One ``str.format`` text with named fields."""

    text: str
    _parser: Any
    """A ``parse.Parser``."""

    @classmethod
    def compile(cls, text: str, patterns: Mapping[str, str] | None = None) -> "Braces":
        """Read a text; ``patterns`` gives types of one's own, as in ``{field:type}``, each with
        the regular expression (without groups) of what it writes.

        Raises ValueError where ``parse`` refuses the text.
        """
        # 12 ms: those who only ask which part a file is need not pay them.
        import parse

        types = {
            name: parse.with_pattern(pattern)(partial(str))  # str itself takes no attributes
            for name, pattern in (patterns or {}).items()
        }
        parser = parse.compile(text, types, case_sensitive=True)
        parser.parse("")  # compiles the expression, which is when the rest is refused
        return cls(text, parser)

    def match(self, text: str) -> re.Match[str] | None:
        """The match of the whole text, with a group for each named field."""
        found = self._parser.parse(text, evaluate_result=False)
        return None if found is None else found.match

"""Settings that this version reads but does not carry out, where ignoring them would do harm.

A keep that is ignored lets models be removed that their owner meant to keep. When a version
carries one out, take it from here; when all are, delete this module and its one call.
"""

from collections.abc import Iterator, Mapping

from watcherd.errors import Fault

_KEEPS = (
    "keep_checkpoint_every_n_hours",
    "keep_every_n_steps",
    "keep_within",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_tags",
    "keep_best",
)
_EXPECTED = "not in this version yet; remove it (only max_to_keep is carried out)"


def unfinished(document: Mapping[str, object]) -> Iterator[Fault]:
    """The faults of a settings file, as TOML gave it, that asks for what is not there yet."""
    retention = document.get("retention")
    rules = retention.get("rule") if isinstance(retention, Mapping) else None
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, Mapping):
            yield from _unfinished_keeps(rule, f"retention.rule[{number}].")


def _unfinished_keeps(rule: Mapping[str, object], prefix: str) -> Iterator[Fault]:
    if rule.get("per") == "folder":
        yield Fault(prefix + "per", "folder", _EXPECTED)
    for key in _KEEPS:
        if key in rule:
            yield Fault(prefix + key, rule[key], _EXPECTED)

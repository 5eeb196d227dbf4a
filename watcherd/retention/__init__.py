"""Which models may go, as a pure function: rules say what they keep, guards keep regardless.

Every verdict brings its reasons, so that a person can be told why.
"""

from watcherd.retention.decision import decide
from watcherd.retention.guards import REMOVABLE
from watcherd.retention.rules import Best, Rule, metrics_of
from watcherd.retention.verdicts import Verdicts

__all__ = ["REMOVABLE", "Best", "Rule", "Verdicts", "decide", "metrics_of"]

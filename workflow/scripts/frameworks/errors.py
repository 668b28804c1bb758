"""What adapters and exporters raise where a framework cannot do what is asked."""

from __future__ import annotations


class UnsupportedError(Exception):
    """The framework cannot do this, and that is an answer: it is reported as — with its reason.

    ``code`` is one of docs/design.md, "Reason codes"; ``why`` is one sentence for the reader.
    """

    def __init__(self, code: str, why: str):
        super().__init__(f"{code}: {why}")
        self.code = code
        self.why = why


class FailedError(Exception):
    """The framework did something else than what was asked of it, and would be timed for that.

    ``code`` and ``why`` as those of UnsupportedError.
    """

    def __init__(self, code: str, why: str):
        super().__init__(f"{code}: {why}")
        self.code = code
        self.why = why

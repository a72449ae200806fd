"""What the exceptions have in common whose message says all."""


class SentenceError(Exception):
    """Its message is a sentence for the person, of which a notebook shows no more: the rest is not theirs."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows."""
        return [f"{type(self).__name__}: {self}"]

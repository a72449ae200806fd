"""A start that failed, as the person reads it."""

from html import escape

from jupyterhub.spawner import SpawnException


class Failed(Exception):  # noqa: N818  # what it is, not that it is an error
    """A start that failed; the message is a sentence for the person, `reason` a word for the log."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class SessionFailed(SpawnException):
    """A session that could not start. Of a SpawnException, upstream's page shows nothing but "failed"."""

    def __init__(self, sentence: str, html: str, reason: str) -> None:
        super().__init__(sentence, reason=reason, message_html=html, status_code=500)
        self.jupyterhub_message = sentence
        self.jupyterhub_html_message = html


def explain(failed: Failed, *, log: str, last_words: str, support: str) -> SessionFailed:
    """With the session's last words, and what to do.

    log: where the session's log is, as the person knows it; last_words: the end of it, as far as it is known
    """
    advice = f"Its log is {log}. If it does not tell you more, ask {support}."
    html = f"<p>{escape(str(failed))}</p>"
    if last_words:
        html += f"<p>The last lines of {escape(log)}:</p><pre>{escape(last_words)}</pre>"
    if failed.reason not in {"job-ended", "no-answer"}:
        advice = f"If it stays like this, ask {support}."
    html += f"<p>{escape(advice)}</p>"
    return SessionFailed(str(failed), html, failed.reason)

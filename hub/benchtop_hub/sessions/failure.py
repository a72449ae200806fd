"""A start that failed, as the person reads it."""

from html import escape

from jupyterhub.spawner import SpawnException

from benchtop_hub.wording import with_link

WITHOUT = "data-without-settings"  # a mark in the explanation: hub/templates/again.html shows its button


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


def explain(
    failed: Failed, *, log: str, last_words: str, support: str, own_settings: bool = False
) -> SessionFailed:
    """With the session's last words, and what to do.

    log: where the session's log is, as the person knows it, "" where it is gone
    last_words: the end of it, as far as it is known
    own_settings: may what is in the home be the cause? Then the page has a button that does without
    """
    of_session = failed.reason in {"job-ended", "no-answer"}
    html = f"<p>{escape(str(failed))}</p>"
    if last_words:
        html += f"<p>The last lines of {escape(log or 'its log')}:</p><pre>{escape(last_words)}</pre>"
    if of_session and own_settings:
        html += f"<p {WITHOUT}>Your own settings may be the cause. To find out, start without them.</p>"
    advice = f"If this keeps happening, contact {support}."
    if of_session and log:
        advice = f"See its log, {log}. If that does not help, contact {support}."
    html += f"<p>{with_link(advice, support)}</p>"
    return SessionFailed(str(failed), html, failed.reason)

"""What an engine or its gateway says against something, as a person reads it."""

from benchtop_hub.backends import commands
from benchtop_hub.upstream import engine
from benchtop_hub.wording import quote

NOT_FOUND = 404
# The gateway's word for an engine that is away; 503 of one that is full, too
SILENT = frozenset({502, 503, 504})
SAYS_SO = "does not answer"  # with 503
NO_PROGRAM = ("executable file", "no such file or directory", "exec format error")


def explain(wrong: Exception, support: str, image: str = "") -> str:
    """Sentences; of an engine that is away, in the words by which a backend knows that (`is_silent`).

    image: from which a container was to be started, if one was
    """
    status = getattr(wrong, "status_code", 0) or 0
    message = quote(getattr(wrong, "explanation", "") or wrong, 400).strip()
    lacking = any(words in message.lower() for words in NO_PROGRAM)
    if image and (lacking or status == NOT_FOUND):
        what = "has no JupyterLab of the facility" if lacking else "is not there any more"
        return f"The image “{image}” {what}. Choose another one, or ask {support}."
    if image and status in SILENT and message and SAYS_SO not in message:
        return message
    if not isinstance(wrong, engine.Error) or status in SILENT:
        return f"the container engine {commands.NO_ANSWER}: {type(wrong).__name__}: {message}"
    return message

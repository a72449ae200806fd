"""What somebody reads whose start failed."""

from benchtop_hub.sessions.failure import WITHOUT, Failed, explain

LOG = "~/.benchtop-session.log"


def html(reason="job-ended", **more):
    words = {"log": LOG, "last_words": "no <space>", "support": "help@example.org", **more}
    return explain(Failed("It ended.", reason), **words).jupyterhub_html_message


def test_it_has_the_last_words_and_where_the_rest_of_the_log_is():
    shown = html()
    assert "no &lt;space&gt;" in shown
    assert f"The last lines of {LOG}:" in shown
    assert f"See its log, {LOG}." in shown


def test_a_log_that_went_with_the_session_is_not_looked_for():
    shown = html(log="")
    assert "The last lines of its log:" in shown
    assert "See its log" not in shown


def test_what_may_be_of_its_owner_has_the_mark_of_the_button():
    assert WITHOUT in html(own_settings=True)
    assert WITHOUT not in html()
    assert WITHOUT not in html("queue", own_settings=True), "its session never began"

"""Alarms as they come from outside."""

from operations.agent.alarms import from_webhook


def test_a_label_is_one_line_without_secret_and_command() -> None:
    labels = {
        "alertname": "Away\ndemo: finished rollback",
        "instance": "\x1b[2Jtoken: hunter22",
        "severity": "a\x00\nb",
    }
    alert = {"status": "firing", "labels": labels, "annotations": {"summary": "two\nlines"}, "startsAt": "2026\x00"}
    (alarm,) = from_webhook({"alerts": [alert]}, {"demo": "demo"})
    assert alarm.name == "Away demo: finished rollback"
    assert alarm.labels == {"instance": "\ufffd[2Jtoken: ***"}
    assert (alarm.severity, alarm.summary, alarm.started) == ("a\ufffd b", "two lines", "2026\ufffd")

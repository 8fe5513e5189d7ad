"""Prometheus: scraping, with Almanac's rules, and with somewhere to send alerts."""

from collections.abc import Iterator
from typing import Any

import httpx

from operations.doctor.answers import document, reason
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, skipped, warning


def _look(patient: Patient) -> Iterator[Finding]:
    if not patient.prometheus:
        yield skipped("no Prometheus was given (--prometheus URL)")
        return
    try:
        targets = _ask(patient.prometheus, "targets?state=active")["activeTargets"]
        groups = _ask(patient.prometheus, "rules?type=alert")["groups"]
        managers = _ask(patient.prometheus, "alertmanagers")["activeAlertmanagers"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        yield failed(
            f"{patient.prometheus}: does not answer as Prometheus does ({reason(error)})", "start it, see its log"
        )
        return
    down = sorted({str(target["scrapeUrl"]) for target in targets if target["health"] != "up"})
    if down:
        yield failed(f"not scraped: {', '.join(down)}", "start it, or change monitoring/prometheus.yaml")
    else:
        yield ok(f"{len(targets)} targets are scraped")
    rules = {rule["name"] for group in groups for rule in group["rules"] if rule["name"].startswith("Almanac")}
    if rules:
        yield ok(f"{len(rules)} alerts of Almanac are evaluated")
    else:
        yield failed("no alert of Almanac is evaluated", "add monitoring/rules to `rule_files`")
    if not managers:
        yield warning("no Alertmanager is known, so that nobody is told", "add it to `alerting`")


def _ask(address: str, path: str) -> dict[str, Any]:
    data: dict[str, Any] = document(f"{address.rstrip('/')}/api/v1/{path}")["data"]
    return data


KIND = Check("alerts", "Are the metrics scraped, the alerts evaluated, and somebody told?", _look)

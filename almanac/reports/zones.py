"""The zone that a report's times are of."""


def zone_sentence(zone: str | None) -> str:
    """Return the sentence on the zone of a report: its times are in UTC, its calendar of the use case's zone."""
    return "Times are in UTC." if zone is None else f"Times are in UTC; hours and days of the calendar are of {zone}."

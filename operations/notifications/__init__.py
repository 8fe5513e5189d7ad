"""Notifications of events that people wait for, and the channels of messages and reports."""

from operations.notifications.delivery import Courier, Delivery, Outcome, deliveries
from operations.notifications.report_message import report_message
from operations.notifications.settings import Settings, load_settings, settings_path
from operations.notifications.watch import Watch

__all__ = [
    "Courier",
    "Delivery",
    "Outcome",
    "Settings",
    "Watch",
    "deliveries",
    "load_settings",
    "report_message",
    "settings_path",
]

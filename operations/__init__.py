"""The operations room: history, console, agent, reports, doctor."""

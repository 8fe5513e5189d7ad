"""The raw ASGI application: routing, replies, and the routes of both protocols."""

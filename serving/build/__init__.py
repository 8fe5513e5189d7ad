"""Assemble a server process from its settings."""

from serving.build.server import Server, build, grpc_calls

__all__ = ["Server", "build", "grpc_calls"]

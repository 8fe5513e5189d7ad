"""Measure the console over 1,000 runs and 100,000 windows: its start, its pages, and pages for 50 users at once.

python -m benchmarks.console [--users 50] [--rounds 4]
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from benchmarks.serving_load import cpu_seconds
from operations.history import open_history, update
from operations.journal import Journal
from orchestration.retraining.audit_log import Draft
from tests.support.console import ConsoleProcess
from tests.support.operations_world import World, write_world

PAGES = ("/", "/performance", "/drift", "/versions", "/versions/demo/2", "/history", "/agent", "/data")
TRAININGS, MONITORINGS, WINDOWS = 500, 500, 200


def main() -> None:
    """Print the time of a rebuild, and the times of pages for one user and for many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = write_world(folder, trainings=TRAININGS, monitorings=MONITORINGS, windows=WINDOWS)
        start = time.perf_counter()
        console = ConsoleProcess(world, folder)
        print(
            f"start, with a history of {TRAININGS + MONITORINGS:,} runs and {MONITORINGS * WINDOWS:,} windows",
            end="",
        )
        print(f"  {time.perf_counter() - start:.1f} s")
        try:
            _follow(world)
            _measure(console, options.users, options.rounds)
        finally:
            console.stop()


def _follow(world: World) -> None:
    """Print how long the history takes to follow a message of the agent."""
    engine = open_history(f"sqlite:///{world.runs.parent}/history.db")
    update(engine, world.origins)
    sent = Draft("notified", "d" * 64, "almanac", "asked again", {"channel": "mail", "outcome": "sent"})
    Journal(world.registry, "demo").append(lambda _: sent)
    start = time.process_time()
    update(engine, world.origins)
    print(f"an update after a message  {1e3 * (time.process_time() - start):.0f} ms of the processor")
    engine.dispose()


def _measure(console: ConsoleProcess, users: int, rounds: int) -> None:
    with httpx.Client(base_url=console.address, timeout=60) as client:
        client.get(console.link)
        cookie = {"cookie": f"almanac_console={client.cookies['almanac_console']}"}
        print("page                    first      again")
        for path in PAGES:
            first, again = _ask(client, path), statistics.median(_ask(client, path) for _ in range(5))
            print(f"{path:<20}{1e3 * first:>8.1f} ms{1e3 * again:>8.1f} ms")

    def user(number: int) -> list[float]:
        with httpx.Client(base_url=console.address, headers=cookie, timeout=60) as own:
            order = PAGES[number % len(PAGES) :] + PAGES[: number % len(PAGES)]
            return [_ask(own, path) for _ in range(rounds) for path in order]

    before = cpu_seconds(console.process.pid)
    with ThreadPoolExecutor(users) as pool:
        times = sorted(wait for waits in pool.map(user, range(users)) for wait in waits)
    spent = cpu_seconds(console.process.pid) - before
    p50, p95 = times[len(times) // 2], times[int(0.95 * len(times))]
    print(f"{users} users at once, {len(times):,} pages: p50 {1e3 * p50:.0f} ms, p95 {1e3 * p95:.0f} ms")
    print(f"of the processor  {1e3 * spent / len(times):.1f} ms a page")


def _ask(client: httpx.Client, path: str) -> float:
    start = time.perf_counter()
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

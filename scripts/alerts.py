"""Provokes each alert once and waits until it fires and is gone; see scripts/alerts. Standard library only."""

import os
import signal
import sys
import tempfile
import threading
import time
import traceback

from alerts_rules import Prometheus
from alerts_troubles import STARTING_ANEW, TROUBLES, Trouble
from alerts_world import World

CALM, PATIENCE = 60, 240


class Run(threading.Thread):
    """One trouble on its way: each step waits until its alerts fire."""

    def __init__(self, trouble: Trouble, world: World) -> None:
        super().__init__(daemon=True)
        self.trouble, self.world = trouble, world
        # The seconds until each alert fired and was gone, from when its step began and was over.
        self.fired: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        self.began, self.over, self.failure = time.monotonic(), {}, ""
        self.news = threading.Condition()

    def run(self) -> None:
        try:
            for wanted in self.trouble.play(self.world):
                with self.news:
                    self.news.wait_for(lambda: self.fired.keys() >= set(wanted), PATIENCE)
                    self.began = time.monotonic()
                    self.over.update(dict.fromkeys(wanted, self.began))
        except (Exception, SystemExit):
            self.failure = traceback.format_exc()

    def look(self, firing: set[str]) -> None:
        with self.news:
            now = time.monotonic()
            for alert in self.trouble.alerts:
                if alert in firing and alert not in self.fired:
                    self.fired[alert] = now - self.began
                if alert in self.over and alert in self.fired and alert not in firing and alert not in self.gone:
                    self.gone[alert] = now - self.over[alert]
            self.news.notify()

    def missing(self) -> set[str]:
        """What is still to end."""
        patient = {alert for alert, over in self.over.items() if time.monotonic() - over > PATIENCE}
        never = self.over.keys() - self.fired.keys()
        return set() if self.failure else self.trouble.alerts - self.gone.keys() - patient - never

    def is_good(self) -> bool:
        return not self.failure and self.fired.keys() == self.gone.keys() == self.trouble.alerts

    def rows(self, pauses: dict[str, str]) -> str:
        shown = lambda times, alert: f"{times[alert]:4.0f} s" if alert in times else " never"
        rows = [f"{alert:24} {pauses[alert]:>3}  fires {shown(self.fired, alert)}  ends {shown(self.gone, alert)}  "
                for alert in sorted(self.trouble.alerts)]
        return "\n".join(row + self.trouble.play.__doc__ for row in rows) + ("\n" + self.failure if self.failure else "")


def be_calm(prometheus: Prometheus) -> bool:
    """Nothing is done: nothing may fire."""
    ends, fired = time.monotonic() + CALM, set()
    while time.monotonic() < ends:
        time.sleep(1)
        fired |= prometheus.firing()
    print(f"{CALM} s of calm: {', '.join(sorted(fired)) or 'nothing'} fired", flush=True)
    return not fired


def play(world: World, troubles: list[Trouble]) -> bool:
    """Group after group. What only ends with its window is waited for where relays are started anew."""
    prometheus, runs, told, beside = world.prometheus, [], [], set()
    groups, since = sorted({trouble.group for trouble in troubles}), time.monotonic()
    while groups or len(told) < len(runs):
        firing = prometheus.firing()
        beside |= firing - set().union(*(run.trouble.alerts for run in runs))
        for run in runs:
            run.look(firing)
            if run not in told and not run.missing() and not run.is_alive():
                told.append(run)
                print(run.rows(prometheus.pauses), flush=True)
        if any(run.is_alive() for run in runs):
            since = time.monotonic()
        elif groups:
            left = firing if groups[0] in STARTING_ANEW else firing - prometheus.looking_back
            if not left or time.monotonic() - since > PATIENCE:
                now = groups.pop(0)
                begun = [Run(trouble, world) for trouble in troubles if trouble.group == now]
                for run in begun:
                    run.start()
                runs += begun
        time.sleep(0.5)
    if beside:
        print(f"before they were provoked, or beside what was: {', '.join(sorted(beside))}")
    return all(run.is_good() for run in runs)


def choose(names: set[str], known: dict[str, str]) -> list[Trouble]:
    provoked = [alert for trouble in TROUBLES for alert in trouble.alerts]
    if sorted(provoked) != sorted(known):
        raise SystemExit(f"not provoked exactly once: {', '.join(sorted(set(provoked) ^ known.keys()))}")
    if unknown := names - known.keys():
        raise SystemExit(f"there is no alert {', '.join(sorted(unknown))}")
    return [trouble for trouble in TROUBLES if not names or trouble.alerts & names]


def run(folder: str, names: set[str]) -> bool:
    world, began = World(folder), time.monotonic()
    world.prometheus = Prometheus(folder, [relay.port for relay in world.relays])
    try:
        troubles = choose(names, world.prometheus.pauses)
        world.start()
        is_calm = be_calm(world.prometheus)
        good = play(world, troubles) and is_calm
    finally:
        world.prometheus.end()
        world.end()
    print(f"{time.monotonic() - began:.0f} s in all: {'each fired and ended' if good else 'NOT as it should be'}")
    return good


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kept = os.environ.get("ALERTS_LOGS")
    if kept:
        os.makedirs(kept, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        good = run(kept or folder, set(sys.argv[1:]))
    raise SystemExit(0 if good else 1)


main()

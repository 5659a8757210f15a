"""The real Prometheus with the real rules, in which only times are shortened, for scripts/alerts. Standard library only."""

import json
import os
import re
import subprocess
import urllib.request

from alerts_world import free_port, wait

FACTOR = 60
# Shorter, and an alert would tell of the 15 seconds between two looks of a relay, of the minute between two rounds of
# maintenance, or of the half a minute for which a relay waits between two connections that end at once.
LEAST = {"for": 20, "window": 60, "reconnects": 120, "age": 30, "maintenance": 90}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
WINDOW = re.compile(r"(\w+)(\{[^}]*\}|)\[(\d+[smhd])\]")
AGE = re.compile(r"(oldest_(?:due|stuck|transaction)_seconds\)|unheard_seconds\)) > (\d+)")
YOUNG = re.compile(r"(process_start_time_seconds) < (\d+)")
MAINTENANCE = re.compile(r"(maintenance_last_success_timestamp_seconds\)) > (\d+)")


def seconds(duration: str) -> int:
    return int(duration[:-1]) * UNITS[duration[-1]]


def shorten(kind: str, whole: int) -> int:
    return min(whole, max(whole // FACTOR, LEAST[kind]))


def shortened(rules: str) -> str:
    """What is compared with an amount stays as it is; an age, a window and a `for` become shorter."""
    rules = re.sub(r"(?m)^( +for:) (\d+[smhd])$", lambda it: f"{it[1]} {shorten('for', seconds(it[2]))}s", rules)
    kind = lambda metric: "reconnects" if metric == "relay_stream_reconnects_total" else "window"
    rules = WINDOW.sub(lambda it: f"{it[1]}{it[2]}[{shorten(kind(it[1]), seconds(it[3]))}s]", rules)
    rules = YOUNG.sub(lambda it: f"{it[1]} < {shorten('window', int(it[2]))}", rules)
    rules = AGE.sub(lambda it: f"{it[1]} > {shorten('age', int(it[2]))}", rules)
    return MAINTENANCE.sub(lambda it: f"{it[1]} > {shorten('maintenance', int(it[2]))}", rules)


class Prometheus:
    """Scrapes the relays and evaluates the rules every second."""

    def __init__(self, folder: str, ports: list[int]) -> None:
        with open("deploy/prometheus/rules.yml", encoding="utf-8") as file:
            rules = file.read()
        texts = {text.split("\n")[0]: text for text in rules.split("- alert: ")[1:]}
        self.pauses = {alert: re.search(r"\n +for: (\w+)", text)[1] for alert, text in texts.items()}
        # These end when their window is over.
        self.looking_back = {alert for alert, text in texts.items() if re.search(r"\[\d+\w\]", text)}
        with open(os.path.join(folder, "rules.yml"), "w", encoding="utf-8") as file:
            file.write(shortened(rules))
        self.targets, self.ports = os.path.join(folder, "targets.json"), ports
        self.scrape()
        every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": every, "rule_files": ["rules.yml"],
                  "scrape_configs": [{"job_name": "transak-relay", "file_sd_configs": [{"files": ["targets.json"]}]}]}
        with open(os.path.join(folder, "prometheus.yml"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        self.port = free_port()
        self.log = open(os.path.join(folder, "prometheus.log"), "w", encoding="utf-8")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)
        wait(lambda: self.process.poll() is not None or self.is_ready(), "Prometheus")
        if self.process.poll() is not None:
            raise SystemExit(f"Prometheus does not start: see the end of {self.log.name}")

    def scrape(self, *others: int) -> None:
        targets = [f"127.0.0.1:{port}" for port in (*self.ports, *others)]
        with open(self.targets + ".new", "w", encoding="utf-8") as file:
            json.dump([{"targets": targets}], file)
        os.replace(self.targets + ".new", self.targets)

    def ask(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read()

    def is_ready(self) -> bool:
        try:
            return b"ready" in self.ask("/-/ready").lower()
        except OSError:
            return False

    def firing(self) -> set[str]:
        alerts = json.loads(self.ask("/api/v1/alerts"))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)

"""Verifies callbacks with the official Standard Webhooks library.

Reads a JSON list of {"secret", "headers", "body"} and writes, one line each, "verified" or "refused: why".
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

for case in json.load(sys.stdin):
    try:
        Webhook(case["secret"]).verify(case["body"], case["headers"])
        print("verified")
    except WebhookVerificationError as error:
        print(f"refused: {error}")

"""Gives a relay something to show: a partner, a callback URL, and two orders heard through Transak's webhook.

Reads RELAY_URL and RELAY_TOKEN; prints the partner's (made-up) Transak access token. Given that one as
TRANSAK_ACCESS_TOKEN, it only adds an order. Standard library only.
"""

import base64
import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.request

API_KEY = "22222222-0000-4000-8000-000000000000"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(key: str, claims: dict) -> str:
    """A JWS as Transak makes them: HS256, no `typ`."""
    text = b64(b'{"alg":"HS256"}') + "." + b64(json.dumps(claims, separators=(",", ":")).encode())
    return text + "." + b64(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest())


def call(path: str, body: dict | None) -> dict:
    request = urllib.request.Request(os.environ["RELAY_URL"] + path, body and json.dumps(body).encode())
    request.add_header("authorization", "Bearer " + os.environ["RELAY_TOKEN"])
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def order(number: int, status: str, minute: int) -> dict:
    return {
        "id": f"aa39d8e1-0000-4000-8000-{number:012}", "walletAddress": "0xD902BEFeE", "status": status,
        "createdAt": "2025-04-04T13:11:47.260Z", "fiatCurrency": "EUR", "cryptoCurrency": "ETH", "isBuyOrSell": "BUY",
        "fiatAmount": 30, "amountPaid": 0, "network": "ethereum", "conversionPrice": 0.0006130127560164107,
        "cryptoAmount": 0.01759347, "partnerOrderId": f"order-{number}",
        "updatedAt": f"2025-04-04T13:{minute:02}:48.374Z", "statusHistories": [],
    }


def make_partner(token: str) -> str:
    partner = call("/v1/partners", {
        "name": "Example", "environment": "STAGING", "apiKey": API_KEY, "accessToken": token,
    })["id"]
    call("/v1/endpoints", {"url": "https://example.com/callback", "partnerId": partner})
    call("/v1/tokens", {"name": "example", "scope": "write", "partnerId": partner})
    return partner


def hear(partner: str, token: str, number: int) -> None:
    """An order's life. A new partner is known to the intake a moment after it was made."""
    events = [("ORDER_CREATED", "AWAITING_PAYMENT_FROM_USER"), ("ORDER_PROCESSING", "PROCESSING"),
              ("ORDER_COMPLETED", "COMPLETED")]
    for minute, (name, status) in enumerate(events, 11):
        claims = {"webhookData": order(number, status, minute), "eventID": name,
                  "createdAt": f"2025-04-04T13:{minute:02}:49.000Z"}
        for _ in range(50):
            try:
                call(f"/ingest/transak/{partner}", {"data": sign(token, claims)})
                break
            except urllib.error.HTTPError as error:
                if error.code not in (401, 404):
                    raise
                time.sleep(0.1)
        else:
            raise SystemExit("the relay does not take webhooks")


def main() -> None:
    if known := os.environ.get("TRANSAK_ACCESS_TOKEN"):
        hear(call("/v1/partners", None)["data"][0]["id"], known, 3)
        return
    now = int(time.time())
    token = sign("not Transak", {"API_KEY": API_KEY, "iat": now, "exp": now + 604800})
    partner = make_partner(token)
    for number in (1, 2):
        hear(partner, token, number)
    print(token)


if __name__ == "__main__":
    main()

"""Stripe's Python SDK signs events for the shop, and believes the sandbox's: python webhook.py SHOP SECRET SANDBOX"""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import stripe

SHOP, SECRET, SANDBOX = sys.argv[1:]
PAYLOAD = json.dumps({
    "id": "evt_python", "object": "event", "type": "customer.created", "livemode": False,
    "data": {"object": {"object": "customer"}},
})


def send(secret, at):
    signature = stripe.WebhookSignature._compute_signature(f"{at}.{PAYLOAD}", secret)
    headers = {"content-type": "application/json", "stripe-signature": f"t={at},v1={signature}"}
    request = urllib.request.Request(f"{SHOP}/webhooks/stripe", PAYLOAD.encode(), headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, None
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)["code"]


now = int(time.time())
assert send(SECRET, now) == (200, None)
assert send("whsec_of_another", now) == (400, "bad_signature")
assert send(SECRET, now - 400) == (400, "stale_signature")

heard = threading.Event()
got = {}


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        got["body"] = self.rfile.read(int(self.headers["content-length"]))
        got["signature"] = self.headers["stripe-signature"]
        self.send_response(200)
        self.end_headers()
        heard.set()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Hook)
threading.Thread(target=server.serve_forever, daemon=True).start()
api = stripe.StripeClient("sk_test_sandbox", base_addresses={"api": SANDBOX}, max_network_retries=0)
endpoint = api.v1.webhook_endpoints.create({
    "url": f"http://127.0.0.1:{server.server_port}/hook", "enabled_events": ["customer.created"],
})
api.v1.customers.create({"email": "a@example.com"})
assert heard.wait(20), "no event came"
event = stripe.Webhook.construct_event(got["body"], got["signature"], endpoint.secret)
assert event.type == "customer.created"
try:
    stripe.Webhook.construct_event(got["body"] + b" ", got["signature"], endpoint.secret)
    raise AssertionError("a changed body was believed")
except stripe.SignatureVerificationError:
    pass

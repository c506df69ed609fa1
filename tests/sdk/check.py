"""Stripe's Python SDK against the sandbox: python check.py http://127.0.0.1:12111

One line per check; exits with 1 when one of them fails.
"""

import sys
import time
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor

import stripe

BASE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:12111"


def client(key="sk_test_sandbox"):
    return stripe.StripeClient(key, base_addresses={"api": BASE}, max_network_retries=0)


api = client()
failures = 0


def check(body):
    """Runs a check; its name is its docstring."""
    global failures
    try:
        body()
        print(f"ok    {body.__doc__}")
    except Exception:
        failures += 1
        print(f"FAIL  {body.__doc__}")
        traceback.print_exc(file=sys.stdout)


def purchase(**over):
    params = {
        "amount": 2500,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_visa",
        "allowed_payment_method_types": ["card"],
        "metadata": {"order": str(uuid.uuid4())},
    }
    params.update(over)
    return {name: value for name, value in params.items() if value is not None}


def create(key=None, **over):
    options = {"idempotency_key": key} if key else {}
    return api.v1.payment_intents.create(params=purchase(**over), options=options)


def refused(call):
    try:
        call()
    except stripe.StripeError as error:
        return error
    raise AssertionError("the call was expected to be refused")


@check
def _():
    """create, confirm and retrieve"""
    intent = create()
    assert intent.status == "succeeded", intent.status
    assert api.v1.payment_intents.retrieve(intent.id).latest_charge == intent.latest_charge
    created = create(confirm=None)
    assert created.status == "requires_confirmation"
    assert api.v1.payment_intents.confirm(created.id).status == "succeeded"


@check
def _():
    """a decline is a CardError with the intent in it"""
    error = refused(lambda: create(payment_method="pm_card_visa_chargeDeclinedInsufficientFunds"))
    assert isinstance(error, stripe.CardError)
    assert error.http_status == 402 and error.code == "card_declined"
    assert error.error.decline_code == "insufficient_funds"
    assert error.error.payment_intent.status == "requires_payment_method"


@check
def _():
    """3-D Secure asks for an action"""
    intent = create(payment_method="pm_card_authenticationRequired")
    assert intent.status == "requires_action"
    assert intent.next_action.type == "use_stripe_sdk"
    error = refused(lambda: create(payment_method="pm_card_authenticationRequired", off_session=True))
    assert error.code == "authentication_required", error.code


@check
def _():
    """refund a part, then never more than the rest"""
    intent = create()
    refund = api.v1.refunds.create(params={"payment_intent": intent.id, "amount": 2000})
    assert refund.status == "succeeded"
    error = refused(lambda: api.v1.refunds.create(params={"payment_intent": intent.id, "amount": 501}))
    assert isinstance(error, stripe.InvalidRequestError) and error.param == "amount"
    api.v1.refunds.create(params={"payment_intent": intent.id})
    assert api.v1.charges.retrieve(intent.latest_charge).refunded
    assert len(api.v1.refunds.list(params={"charge": intent.latest_charge}).data) == 2


@check
def _():
    """lists run through their pages"""
    made = [create(confirm=None).id for _ in range(4)][::-1]
    page = api.v1.payment_intents.list(params={"limit": 2, "created": {"gte": int(time.time()) - 60}})
    assert [intent.id for intent in page.data] == made[:2] and page.has_more
    seen = []
    for intent in page.auto_paging_iter():
        seen.append(intent.id)
        if len(seen) == 4:
            break
    assert seen == made, (seen, made)


@check
def _():
    """a key replays its answer"""
    key, order = str(uuid.uuid4()), {"order": "replay"}
    first, again = create(key=key, metadata=order), create(key=key, metadata=order)
    assert first.id == again.id
    assert again.last_response.headers["idempotent-replayed"] == "true"


@check
def _():
    """a key with other parameters is an IdempotencyError"""
    key = str(uuid.uuid4())
    create(key=key)
    error = refused(lambda: create(key=key, amount=2600))
    assert isinstance(error, stripe.IdempotencyError) and error.http_status == 400


@check
def _():
    """one key, ten requests at once: one charge"""
    key, order = str(uuid.uuid4()), {"order": str(uuid.uuid4())}

    def attempt(_):
        try:
            return client().v1.payment_intents.create(params=purchase(metadata=order), options={"idempotency_key": key}).id
        except stripe.StripeError as error:
            assert error.http_status == 409 and error.error.code == "idempotency_key_in_use", error
            return None

    with ThreadPoolExecutor(10) as pool:
        paid = {intent for intent in pool.map(attempt, range(10)) if intent}
    assert len(paid) == 1, paid
    assert len(api.v1.charges.list(params={"payment_intent": paid.pop()}).data) == 1


@check
def _():
    """charges, customers, events, missing objects and wrong keys"""
    charge = api.v1.charges.create(params={"amount": 700, "currency": "usd", "source": "tok_visa"})
    assert charge.paid and api.v1.charges.retrieve(charge.id).id == charge.id
    customer = api.v1.customers.create(params={"email": "a@example.com"})
    assert api.v1.customers.retrieve(customer.id).email == "a@example.com"
    event = api.v1.events.list(params={"type": "charge.succeeded", "limit": 1}).data[0]
    assert api.v1.events.retrieve(event.id).data.object.id == charge.id
    error = refused(lambda: api.v1.payment_intents.retrieve("pi_nowhere"))
    assert error.http_status == 404 and error.code == "resource_missing"
    assert isinstance(refused(lambda: client("sk_live_x").v1.charges.list()), stripe.AuthenticationError)


print("all checks passed" if failures == 0 else f"{failures} checks failed")
sys.exit(1 if failures else 0)
